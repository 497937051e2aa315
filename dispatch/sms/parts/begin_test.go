package parts

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"herald/dispatch"
)

func TestMessageKeepsItsReferenceAtEveryAttempt(t *testing.T) {
	n := newNode(t)
	start := Start{DeliveryID: uuid.New(), Address: "+1", Of: 3, Text: "text"}
	first := n.begin(start)
	n.begin(Start{DeliveryID: uuid.New(), Address: "+1", Of: 3, Text: "text"})
	restarted := NewStore(n.db)
	again, err := restarted.Begin(t.Context(), account, []Start{start})
	if err != nil {
		t.Fatal(err)
	}
	if again[0].Reference != first.Reference {
		t.Errorf("the second attempt has %d, the first had %d", again[0].Reference, first.Reference)
	}
}

func TestPartsThatWereTakenAreKnownAfterARestart(t *testing.T) {
	n := newNode(t)
	start := Start{DeliveryID: uuid.New(), Address: "+1", Of: 3, Text: "text"}
	n.begin(start)
	taken := []Part{{start.DeliveryID, 0, "a"}, {start.DeliveryID, 2, "c"}}
	for range 2 { // noted twice changes nothing
		if err := n.Accepted(t.Context(), account, taken...); err != nil {
			t.Fatal(err)
		}
	}
	got, err := NewStore(n.db).Begin(t.Context(), account, []Start{start})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got[0].Accepted, []bool{true, false, true}) || !slices.Equal(got[0].ProviderIDs, []string{"a", "", "c"}) {
		t.Errorf("got %+v", got[0])
	}
	elsewhere, err := n.Begin(t.Context(), "another", []Start{start})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(elsewhere[0].Accepted, true) {
		t.Error("another account's provider is thought to have the parts")
	}
}

func TestAnotherTextIsAnotherMessage(t *testing.T) {
	n := newNode(t)
	start := Start{DeliveryID: uuid.New(), Address: "+1", Of: 3, Text: "text"}
	first := n.begin(start)
	n.accept(start.DeliveryID, "a")
	for _, changed := range []Start{
		{DeliveryID: start.DeliveryID, Address: "+1", Of: 3, Text: "other text"},
		{DeliveryID: start.DeliveryID, Address: "+1", Of: 2, Text: "other text"},
	} {
		got := n.begin(changed)
		if got.Reference == first.Reference || slices.Contains(got.Accepted, true) {
			t.Errorf("%+v is thought to be the first one: %+v", changed, got)
		}
	}
	if got := n.report(says(dispatch.ReportDelivered, "a")); len(got) != 0 {
		t.Errorf("what became of the first text's part says of the delivery %+v", got)
	}
}

func TestMessageThatNeverArrivesIsBegunAnew(t *testing.T) {
	n := newNode(t)
	delivery := n.sent("a", "b")
	start := Start{DeliveryID: delivery, Address: "+4915112345678", Of: 2, Text: "a long text"}
	if got := n.begin(start); !slices.Equal(got.Accepted, []bool{true, true}) {
		t.Fatalf("before: %+v", got)
	}
	n.report(says(dispatch.ReportBounced, "b"))
	if got := n.begin(start); slices.Contains(got.Accepted, true) {
		t.Errorf("an operator who sends it again sends nothing: %+v", got)
	}
}

func TestReferencesOfARecipientDoNotRepeat(t *testing.T) {
	n := newNode(t)
	var given []uint16
	for len(given) < 1000 {
		var starts []Start
		for range 1 + len(given)%90 {
			starts = append(starts,
				Start{DeliveryID: uuid.New(), Address: "+1", Of: 2},
				Start{DeliveryID: uuid.New(), Address: "+2", Of: 2})
		}
		got, err := n.Begin(t.Context(), account, starts)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(got); i += 2 {
			given = append(given, got[i].Reference)
		}
	}
	for i := range given[256:] {
		seen := map[byte]bool{}
		for _, ref := range given[i : i+256] {
			seen[byte(ref)] = true
		}
		if len(seen) != 256 {
			t.Fatalf("among 256 in a row from the %dth there are %d different ones", i, len(seen))
		}
	}
	if given[0] == 0 && given[1] == 1 {
		t.Error("it counts from 0")
	}
}

func TestNodesGiveDifferentReferencesAtOnce(t *testing.T) {
	n := newNode(t)
	other := NewStore(n.db)
	same := Start{DeliveryID: uuid.New(), Address: "+1", Of: 2}
	var mu sync.Mutex
	references, ofSame := map[uint16]int{}, map[uint16]int{}
	var nodes sync.WaitGroup
	for i := range 8 {
		store := []*Store{n.Store, other}[i%2]
		nodes.Go(func() {
			for range 10 {
				starts := []Start{same}
				for j := range 6 {
					starts = append(starts, Start{DeliveryID: uuid.New(), Address: fmt.Sprintf("+%d", (i+j)%3), Of: 2})
				}
				got, err := store.Begin(t.Context(), account, starts)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ofSame[got[0].Reference]++
				for j, p := range got[1:] {
					if (i+j)%3 == 0 {
						references[p.Reference]++
					}
				}
				mu.Unlock()
			}
		})
	}
	nodes.Wait()
	if len(ofSame) != 1 {
		t.Errorf("one message has several references: %v", ofSame)
	}
	if len(references) != 160 {
		t.Errorf("160 messages to a recipient have %d references", len(references))
	}
}

func TestWhatIsNoMessageOfSeveralPartsIsRefused(t *testing.T) {
	n := newNode(t)
	for _, of := range []int{-1, 0, 1, 256} {
		if _, err := n.Begin(t.Context(), account, []Start{{DeliveryID: uuid.New(), Of: of}}); err == nil {
			t.Errorf("a message of %d parts was begun", of)
		}
	}
	if err := n.Accepted(t.Context(), account, Part{Part: 255}); err == nil {
		t.Error("the 256th part was taken")
	}
	if err := n.Accepted(t.Context(), account, Part{DeliveryID: uuid.New(), ProviderID: "x"}); err != nil {
		t.Errorf("a part of a message that is gone: %v", err)
	}
	if got, err := n.Begin(t.Context(), account, nil); err != nil || got != nil {
		t.Errorf("no message: %v, %v", got, err)
	}
}

func TestStoreSaysWhenTheDatabaseIsGone(t *testing.T) {
	n := newNode(t)
	n.sent("a", "b")
	n.db.Close()
	if _, err := n.Begin(t.Context(), account, []Start{{DeliveryID: uuid.New(), Of: 2}}); err == nil {
		t.Error("Begin says nothing")
	}
	if err := n.Accepted(t.Context(), account, Part{}); err == nil {
		t.Error("Accepted says nothing")
	}
	if _, err := n.Reports(t.Context(), []dispatch.Report{says(dispatch.ReportDelivered, "a")}); err == nil {
		t.Error("Reports says nothing")
	}
	if _, err := n.look(t.Context(), nil); err == nil {
		t.Error("Run says nothing")
	}
	if _, err := n.Sweep(t.Context(), 0); err == nil {
		t.Error("Sweep says nothing")
	}
}
