package sms

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// pieces are a text as it comes in from somebody.
func pieces(t interface{ Fatal(...any) }, from, text string, ref uint16) []Piece {
	m, err := Compose(text, Options{})
	if err != nil {
		t.Fatal(err)
	}
	all := make([]Piece, len(m.Parts))
	for i, data := range m.Parts {
		all[i] = Piece{From: from, To: "10086", Encoding: m.Encoding, Data: data, At: noon.Add(time.Duration(i) * time.Second)}
		if len(m.Parts) > 1 {
			all[i].Header = Header{Ref: ref, Of: byte(len(m.Parts)), Part: byte(i + 1)}
		}
	}
	return all
}

func TestPiecesInAnyOrderAndTwiceAreOneMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := NewCollector(time.Minute, 100)
		var all []Piece
		want, got := map[string]int{}, map[string]int{}
		for i := range rapid.IntRange(1, 5).Draw(t, "messages") {
			text := fmt.Sprintf("%d: ", i) + strings.ToValidUTF8(texts().Draw(t, "text"), "?")
			some := pieces(t, fmt.Sprint(i%2), text, uint16(i))
			all = append(all, some...)
			want[Join(some).Text]++
		}
		for _, p := range rapid.Permutation(all).Draw(t, "order") {
			for _, w := range c.Add(p, noon) {
				got[w.Text]++
				if w.Missing != 0 {
					t.Fatalf("%d pieces are missing", w.Missing)
				}
			}
			waits := c.waiting[sameMessage{p.From, p.To, p.Header.Ref, p.Header.Wide, p.Header.Of}] != nil
			if waits && len(c.Add(p, noon)) > 0 {
				t.Fatal("a piece that came twice completes its message")
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(c.waiting) != 0 {
			t.Fatalf("%s, %d wait", diff, len(c.waiting))
		}
	})
}

func TestMessageThatStaysInPiecesIsReadAsFarAsItCame(t *testing.T) {
	c := NewCollector(time.Minute, 10)
	three := pieces(t, "a", longText, 9)
	if done := c.Add(three[2], noon); len(done) != 0 {
		t.Fatalf("got %+v", done)
	}
	c.Add(three[0], noon.Add(30*time.Second))
	if done := c.Overdue(noon.Add(59 * time.Second)); len(done) != 0 {
		t.Fatalf("too early: %+v", done)
	}
	done := c.Add(pieces(t, "b", "other", 0)[0], noon.Add(time.Minute))
	want := []Whole{
		{From: "a", To: "10086", Text: DecodeGSM7(three[0].Data, 0, 0) + DecodeGSM7(three[2].Data, 0, 0), Of: 3, Missing: 1, At: noon},
		{From: "b", To: "10086", Text: "other", Of: 1, At: noon},
	}
	if diff := cmp.Diff(want, done); diff != "" {
		t.Error(diff)
	}
}

// longText is of three parts.
var longText = strings.Repeat("one word and another ", 17)

func TestCollectorKeepsSoManyAndNoMore(t *testing.T) {
	c := NewCollector(time.Hour, 3)
	for i := range 10 {
		done := c.Add(pieces(t, fmt.Sprint(i), longText, 1)[0], noon.Add(time.Duration(i)*time.Second))
		if i < 3 && len(done) != 0 || i >= 3 && (len(done) != 1 || done[0].From != fmt.Sprint(i-3) || done[0].Missing != 2) {
			t.Fatalf("at the %dth: %+v", i, done)
		}
	}
	if len(c.waiting) != 3 {
		t.Errorf("%d wait", len(c.waiting))
	}
}

func TestCharactersThatASenderCutAreWhole(t *testing.T) {
	pair := Piece{Encoding: UCS2, Data: []byte{0x4E, 0x2D, 0xD8, 0x3D}, Header: Header{Of: 2, Part: 1}}
	other := Piece{Encoding: UCS2, Data: []byte{0xDE, 0x00}, Header: Header{Of: 2, Part: 2}}
	if got := Join([]Piece{other, pair}).Text; got != "中😀" {
		t.Errorf("a pair is read as %q", got)
	}
	euroSign := []Piece{{Data: []byte{'5', escape}, Header: Header{Of: 2, Part: 1}}, {Data: []byte{euro}, Header: Header{Of: 2, Part: 2}}}
	if got := Join(euroSign).Text; got != "5€" {
		t.Errorf("an escape is read as %q", got)
	}
	mixed := []Piece{{Data: []byte{'5'}, Header: Header{Of: 2, Part: 1}}, {Encoding: UCS2, Data: []byte{0x4E, 0x2D}, Header: Header{Of: 2, Part: 2}}}
	if got := Join(mixed).Text; got != "5中" {
		t.Errorf("two encodings are read as %q", got)
	}
	if got := Join(nil); got != (Whole{}) {
		t.Errorf("nothing is %+v", got)
	}
}
