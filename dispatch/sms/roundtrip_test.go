package sms

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// texts are of all kinds of characters, and of all lengths.
func texts() *rapid.Generator[string] {
	kinds := []*rapid.Generator[string]{
		rapid.StringOfN(rapid.SampledFrom([]rune(strings.ReplaceAll(defaultTable, "\x1b", ""))), 1, 80, -1),
		rapid.StringOfN(rapid.SampledFrom([]rune("^{}\\[~]|€\f")), 1, 20, -1),
		rapid.StringOfN(rapid.SampledFrom([]rune("中文😀👍🏽ÿő“”")), 1, 40, -1),
		rapid.SampledFrom([]string{"👨‍👩‍👧‍👦", "🇩🇪", "e\u0301", "\r\n", "नमस्ते", "ಕನ್ನಡ", "çığ", "\x1b", "\x00", "a\xff"}),
	}
	return rapid.Custom(func(t *rapid.T) string {
		kinds := kinds[:rapid.IntRange(1, len(kinds)).Draw(t, "kinds")]
		return strings.Join(rapid.SliceOfN(rapid.OneOf(kinds...), 0, 8).Draw(t, "pieces"), "")
	})
}

func options() *rapid.Generator[Options] {
	return rapid.Custom(func(t *rapid.T) Options {
		return Options{
			Transliterate: rapid.Bool().Draw(t, "transliterate"),
			Languages:     rapid.SliceOfN(rapid.Map(rapid.ByteMax(15), func(b byte) Language { return Language(b) }), 0, 3).Draw(t, "languages"),
			UCS2Only:      rapid.IntRange(0, 5).Draw(t, "only") == 0,
			WideReference: rapid.Bool().Draw(t, "wide"),
		}
	})
}

// receive reads the units of a message as a phone does, in any order.
func receive(t *rapid.T, m Composition, ref uint16) (Whole, []Header) {
	pieces := make([]Piece, len(m.Parts))
	headers := make([]Header, len(m.Parts))
	for i := range m.Parts {
		octets := m.Octets(ref, i)
		if len(octets) > 140 {
			t.Fatalf("part %d has %d octets", i, len(octets))
		}
		p := Piece{From: "a", To: "b", Encoding: m.Encoding}
		rest := octets
		if m.Header(ref, i) != nil {
			var err error
			if p.Header, rest, err = ParseHeader(octets); err != nil {
				t.Fatal(err)
			}
		}
		headers[i] = p.Header
		if m.Encoding == UCS2 {
			p.Data = rest
		} else {
			p.Data = Unpack(rest, m.Length(i)-p.Header.Septets(), p.Header.Fill())
		}
		if !slices.Equal(p.Data, m.Parts[i]) {
			t.Fatalf("part %d is %x and was %x", i, p.Data, m.Parts[i])
		}
		pieces[i] = p
	}
	return Join(rapid.Permutation(pieces).Draw(t, "order")), headers
}

func TestWhatIsSentIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, o := texts().Draw(t, "text"), options().Draw(t, "options")
		ref := rapid.Uint16().Draw(t, "reference")
		m, err := Compose(text, o)
		if err != nil {
			t.Fatal(err)
		}
		whole, headers := receive(t, m, ref)
		if whole.Text != m.Text || whole.Missing != 0 || whole.Of != len(m.Parts) {
			t.Fatalf("%q is read as %q, %d of %d missing", m.Text, whole.Text, whole.Missing, whole.Of)
		}
		if !o.Transliterate && norm.NFC.String(m.Text) != norm.NFC.String(strings.ToValidUTF8(text, "\uFFFD")) {
			t.Fatalf("%q became %q", text, m.Text)
		}
		for i, h := range headers {
			want := Header{Locking: m.Locking, Shift: m.Shift, Octets: h.Octets}
			if len(m.Parts) > 1 {
				want.Ref, want.Wide, want.Of, want.Part = ref, o.WideReference, byte(len(m.Parts)), byte(i+1)
				if !o.WideReference {
					want.Ref &= 0xFF
				}
			}
			if h != want {
				t.Fatalf("part %d has the header %+v, want %+v", i, h, want)
			}
		}
	})
}

func TestPartsAreAsFewAsCanBeAndCutNoCharacter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := Compose(texts().Draw(t, "text"), options().Draw(t, "options"))
		if err != nil {
			t.Fatal(err)
		}
		if fewest := countParts(m); fewest != len(m.Parts) {
			t.Fatalf("%d parts, it can be done in %d", len(m.Parts), fewest)
		}
		read := ""
		for _, part := range m.Parts {
			text := DecodeUCS2(part)
			if m.Encoding == GSM7 {
				text = DecodeGSM7(part, m.Locking, m.Shift)
			}
			read += text
		}
		if read != m.Text { // a character that is cut is read as two
			t.Fatalf("the parts alone say %q, together %q", read, m.Text)
		}
	})
}

// countParts counts characters into parts one by one.
func countParts(m Composition) int {
	var sizes []int
	total := 0
	for _, r := range m.Text {
		n := m.written(string(r))
		sizes, total = append(sizes, n), total+n
	}
	if total <= m.room(false) {
		return 1
	}
	parts, left := 0, 0
	for _, n := range sizes {
		if n > left {
			parts, left = parts+1, m.room(true)
		}
		left -= n
	}
	return parts
}

func TestEveryCharacterOfEveryTableIsReadAsItWasWritten(t *testing.T) {
	for l := DefaultLanguage; l <= Urdu; l++ {
		for _, tables := range [...][2]Language{{l, 0}, {0, l}, {l, l}} {
			locked, shifted := national().of(tables[0], tables[1])
			for _, table := range []*table{locked, shifted} {
				for r := range table.septets {
					septets, ok := EncodeGSM7(string(r), tables[0], tables[1])
					if !ok || DecodeGSM7(septets, tables[0], tables[1]) != string(r) {
						t.Errorf("%v: %U is written %x", tables, r, septets)
					}
				}
			}
		}
	}
}
