package sms

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAlphabetIsTheCheapestThatHasAllCharacters(t *testing.T) {
	all := []Language{Turkish, Spanish, Portuguese, Hindi, Urdu}
	for _, c := range []struct {
		name, text     string
		o              Options
		e              Encoding
		locking, shift Language
		read           string
	}{
		{"default although others may be used", "Grüße für 5 €", Options{Languages: all, Transliterate: true}, GSM7, 0, 0, "Grüße für 5 €"},
		{"accents apart are put together", "cafe\u0301", Options{}, GSM7, 0, 0, "café"},
		{"one language's shift table", "Bağış", Options{Languages: all}, GSM7, 0, Turkish, "Bağış"},
		{"the first language that has it", "São José à tarde: ó", Options{Languages: []Language{Spanish, Portuguese}}, GSM7, 0, Portuguese, "São José à tarde: ó"},
		{"locking where that takes fewer parts", strings.Repeat("नमस्ते ", 23), Options{Languages: all}, GSM7, Hindi, 0, strings.Repeat("नमस्ते ", 23)},
		{"and both", "कहाँ १" + strings.Repeat("क", 140), Options{Languages: all}, GSM7, Hindi, Hindi, "कहाँ १" + strings.Repeat("क", 140)},
		{"an unknown language is passed over", "Bağış", Options{Languages: []Language{99}}, UCS2, 0, 0, "Bağış"},
		{"a table rather than other letters", "Bağış", Options{Languages: all, Transliterate: true}, GSM7, 0, Turkish, "Bağış"},
		{"other letters rather than UCS-2", "“Ő – naïve…” ‹ł› Αθήνα", Options{Transliterate: true}, GSM7, 0, 0, `"O - naive..." 'l' AΘHNA`},
		{"nothing is changed where that does not help", "“中”", Options{Transliterate: true}, UCS2, 0, 0, "“中”"},
		{"nor where it was not allowed", "“a”", Options{}, UCS2, 0, 0, "“a”"},
		{"invisible characters go", "a\u200bb\u00a0c\td\ufeff", Options{Transliterate: true}, GSM7, 0, 0, "ab c d"},
		{"what is no UTF-8", "a\xff", Options{}, UCS2, 0, 0, "a\uFFFD"},
		{"an escape is no character", "a\x1b", Options{}, UCS2, 0, 0, "a\x1b"},
		{"asked for", "“a”", Options{UCS2Only: true, Transliterate: true}, UCS2, 0, 0, "“a”"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Compose(c.text, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if m.Encoding != c.e || m.Locking != c.locking || m.Shift != c.shift || m.Text != c.read {
				t.Errorf("%v with %d and %d: %q", m.Encoding, m.Locking, m.Shift, m.Text)
			}
		})
	}
}

func TestEveryTransliterationCanBeWritten(t *testing.T) {
	for r, s := range instead {
		if _, ok := EncodeGSM7(s, 0, 0); !ok {
			t.Errorf("%q becomes %q", r, s)
		}
		if inDefault(r) {
			t.Errorf("%q needs none", r)
		}
	}
	for r, s := range greek {
		if _, ok := EncodeGSM7(s, 0, 0); !ok || inDefault(r) {
			t.Errorf("%q becomes %q", r, s)
		}
	}
	for _, r := range "áÁçÇőŐşŞñÑłŁαΑωΩﬁ…１㎏" {
		if s, ok := plainly(r); !ok || s == "" {
			t.Errorf("%q has no other letters", r)
		}
	}
}

func TestWhatAReaderSeesAsOneIsKeptTogetherWhereThatIsFree(t *testing.T) {
	family := "👨‍👩‍👧‍👦" // eleven units
	m, err := Compose(strings.Repeat("中", 60)+family+"中", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := DecodeUCS2(m.Parts[1]); got != family+"中" {
		t.Errorf("the second part is %q", got)
	}
	full := strings.Repeat("中", 61) + family + strings.Repeat("中", 62) // two parts, both full
	if m, err = Compose(full, Options{}); err != nil {
		t.Fatal(err)
	}
	if len(m.Parts) != 2 || len(m.Parts[0]) != 134 {
		t.Errorf("it takes %d parts to keep it together", len(m.Parts))
	}
	long := "e" + strings.Repeat("\u0301", 200) // one character of three parts
	if m, err = Compose(long, Options{UCS2Only: true}); err != nil || len(m.Parts) != 3 {
		t.Errorf("%d parts, %v", len(m.Parts), err)
	}
}

func TestTextsBeyond255PartsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		text string
		o    Options
		err  error
	}{
		{"255 of GSM-7", strings.Repeat("a", 255*153), Options{}, nil},
		{"256 of GSM-7", strings.Repeat("a", 255*153+1), Options{}, ErrTooLong},
		{"255 of UCS-2", strings.Repeat("中", 255*67), Options{}, nil},
		{"256 of UCS-2", strings.Repeat("中", 255*67+1), Options{}, ErrTooLong},
		{"a book", strings.Repeat("a", 10_000_000), Options{}, ErrTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Compose(c.text, c.o)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v", err)
			}
			if p := NewPreview(c.text, c.o, 1); p.TooLong != (c.err != nil) {
				t.Errorf("the preview says %v", p.TooLong)
			}
			if err == nil && m.Header(7, 254)[5] != 255 {
				t.Errorf("the last part has the header %x", m.Header(7, 254))
			}
		})
	}
}

func TestComposerForgetsTheTextBefore(t *testing.T) {
	var c Composer
	for _, text := range []string{strings.Repeat("中", 500), "short", strings.Repeat("€", 300), "", "中"} {
		got, err := c.Compose(text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := Compose(text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got.Parts, want.Parts, slices.Equal) {
			t.Errorf("%q is composed otherwise after another", text)
		}
	}
}

// usual is the message of a campaign: one part of GSM-7.
const usual = "Hello Maria, the blue kettle you asked for costs 39 € today, 20 less than yesterday. Order until midnight: https://shop.example/k/7Yq2"

func TestUsualMessageIsComposedWithoutAllocation(t *testing.T) {
	var c Composer
	out := make([]byte, 0, 2*140)
	allocations := testing.AllocsPerRun(1000, func() {
		m, err := c.Compose(usual, Options{})
		if err != nil || len(m.Parts) != 1 {
			t.Fatalf("%d parts, %v", len(m.Parts), err)
		}
		out = m.AppendOctets(out[:0], 0, 0)
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func FuzzCompose(f *testing.F) {
	f.Add(usual, true, byte(1))
	f.Add("👨‍👩‍👧‍👦\x1b\xff", false, byte(255))
	f.Fuzz(func(t *testing.T, text string, transliterate bool, language byte) {
		m, err := Compose(text, Options{Transliterate: transliterate, Languages: []Language{Language(language)}})
		if err != nil {
			return
		}
		if !utf8.ValidString(m.Text) || len(m.Parts) == 0 {
			t.Fatalf("%q in %d parts", m.Text, len(m.Parts))
		}
		for i := range m.Parts {
			if octets := m.Octets(0xFFFF, i); len(octets) > 140 {
				t.Fatalf("part %d has %d octets", i, len(octets))
			}
		}
		NewPreview(text, Options{Transliterate: transliterate}, 0.05)
	})
}

func BenchmarkUsualMessage(b *testing.B) {
	var c Composer
	out := make([]byte, 0, 2*140)
	b.ReportAllocs()
	for b.Loop() {
		m, err := c.Compose(usual, Options{})
		if err != nil {
			b.Fatal(err)
		}
		out = m.AppendOctets(out[:0], 0, 0)
	}
}

func BenchmarkMessageOfThreeParts(b *testing.B) {
	text := strings.Repeat("亲爱的会员，您关注的商品今天降价了，点击查看详情。", 7)
	var c Composer
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		m, err := c.Compose(text, Options{})
		if err != nil {
			b.Fatal(err)
		}
		for i := range m.Parts {
			out = m.AppendOctets(out[:0], 7, i)
		}
	}
}
