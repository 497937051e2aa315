package parts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/dispatch"
	"herald/dispatch/sms"
)

// inbox takes what is given to it.
type inbox struct {
	mu    sync.Mutex
	taken []dispatch.Inbound
	fails error
}

func (b *inbox) take(_ context.Context, ms []dispatch.Inbound) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails != nil {
		return b.fails
	}
	b.taken = append(b.taken, ms...)
	return nil
}

func (b *inbox) texts() []string {
	var texts []string
	for _, m := range b.taken {
		texts = append(texts, m.Text)
	}
	return texts
}

// pieces are a text as somebody writes it.
func pieces(t *testing.T, text string, ref uint16) []sms.Piece {
	t.Helper()
	m, err := sms.Compose(text, sms.Options{})
	if err != nil {
		t.Fatal(err)
	}
	all := make([]sms.Piece, len(m.Parts))
	for i, data := range m.Parts {
		all[i] = sms.Piece{From: "+4915112345678", To: "10086", Encoding: m.Encoding, Data: data}
		if len(m.Parts) > 1 {
			all[i].Header = sms.Header{Ref: ref, Of: byte(len(m.Parts)), Part: byte(i + 1)}
		}
	}
	return all
}

var long = strings.Repeat("I want to say something longer. ", 10)

func (n *node) collect(b *inbox, pieces ...sms.Piece) {
	n.t.Helper()
	if err := n.Collect(n.t.Context(), account, pieces, b.take); err != nil {
		n.t.Fatal(err)
	}
}

func TestPiecesOnSeveralNodesAreOneMessage(t *testing.T) {
	n := newNode(t)
	var b inbox
	all := pieces(t, long, 7)
	n.collect(&b, all[2], all[0], all[2])
	if len(b.taken) != 0 {
		t.Fatalf("a piece is missing: %+v", b.taken)
	}
	other := &node{Store: NewStore(n.db), t: t}
	other.collect(&b, append(pieces(t, "STOP", 0), all[0], all[1])...)
	if diff := cmp.Diff([]string{"STOP", long}, b.texts()); diff != "" {
		t.Error(diff)
	}
	n.collect(&b, all...) // the provider did not hear that they were taken
	if len(b.taken) != 2 {
		t.Errorf("what was taken is given again: %q", b.texts())
	}
}

func TestMessageThatNobodyTookIsGivenAgain(t *testing.T) {
	n := newNode(t)
	b := inbox{fails: errors.New("not now")}
	all := pieces(t, long, 7)
	n.collect(&b, all[1:]...)
	if err := n.Collect(t.Context(), account, all[:1], b.take); !errors.Is(err, b.fails) {
		t.Fatalf("got %v", err)
	}
	b.fails = nil
	n.collect(&b, all[0])
	if diff := cmp.Diff([]string{long}, b.texts()); diff != "" {
		t.Error(diff)
	}
}

func TestReferenceThatIsUsedAgainIsAnotherMessage(t *testing.T) {
	n := newNode(t)
	var b inbox
	n.collect(&b, pieces(t, long, 7)...)
	other := strings.ToUpper(long)
	n.collect(&b, pieces(t, other, 7)...)
	n.at = n.at.Add(sameFor + time.Second)
	n.collect(&b, pieces(t, long, 7)...)
	if diff := cmp.Diff([]string{long, other, long}, b.texts()); diff != "" {
		t.Error(diff)
	}
	if b.taken[0].Key == b.taken[1].Key {
		t.Error("two messages have one key")
	}
}

func TestMessageWhosePiecesDoNotComeIsGivenAsFarAsItCame(t *testing.T) {
	n := newNode(t)
	var b inbox
	all := pieces(t, long, 7)
	n.collect(&b, all[0], all[2])
	for range 2 {
		if err := n.Overdue(t.Context(), account, b.take); err != nil {
			t.Fatal(err)
		}
		n.at = n.at.Add(WaitForPieces + time.Second)
	}
	if err := n.Overdue(t.Context(), account, b.take); err != nil {
		t.Fatal(err)
	}
	want := sms.Join([]sms.Piece{all[0], all[2]}).Text
	if diff := cmp.Diff([]string{want}, b.texts()); diff != "" {
		t.Error(diff)
	}
}

func TestLastPiecesOnTwoNodesAtOnceAreSeenByOne(t *testing.T) {
	n := newNode(t)
	other := NewStore(n.db)
	var b inbox
	for ref := range uint16(40) {
		all := pieces(t, long, ref)
		var nodes sync.WaitGroup
		for i, p := range all {
			store := []*Store{n.Store, other}[i%2]
			nodes.Go(func() {
				if err := store.Collect(t.Context(), account, []sms.Piece{p}, b.take); err != nil {
					t.Error(err)
				}
			})
		}
		nodes.Wait()
	}
	keys := map[string]bool{}
	for _, m := range b.taken {
		keys[m.Key] = true
		if m.Text != long {
			t.Fatalf("got %q", m.Text)
		}
	}
	if len(keys) != 40 {
		t.Errorf("%d of 40 messages were given", len(keys))
	}
}

func TestSingleMessagesHaveKeysOfTheirOwn(t *testing.T) {
	n := newNode(t)
	var b inbox
	yes := pieces(t, "yes", 0)[0]
	later := yes
	later.At = n.at
	named := yes
	named.Key = "id"
	n.collect(&b, yes, later, named, yes)
	var keys []string
	for _, m := range b.taken {
		keys = append(keys, m.Key)
	}
	if keys[0] != keys[3] || keys[2] != "id" || len(slices.Compact(slices.Sorted(slices.Values(keys)))) != 3 {
		t.Errorf("got %q", keys)
	}
}

func TestWhatPeopleWroteIsForgottenWhenItWasTaken(t *testing.T) {
	n := newNode(t)
	var b inbox
	n.collect(&b, pieces(t, long, 7)...)
	var left int
	if err := n.db.QueryRow(t.Context(), `SELECT count(*) FROM sms_pieces WHERE piece <> '{}'`).Scan(&left); err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%d pieces are kept", left)
	}
	n.at = n.at.Add(8 * 24 * time.Hour)
	if swept, err := n.Sweep(t.Context(), 7*24*time.Hour); err != nil || swept != 3 {
		t.Errorf("%d rows were swept, %v", swept, err)
	}
}
