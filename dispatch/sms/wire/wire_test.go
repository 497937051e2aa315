package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"pgregory.net/rapid"

	"herald/dispatch/sms"
)

var protocols = map[string]Protocol{"CMPP": {Words: 1, Longest: 4096}, "SGIP": {Words: 3, Longest: 2048}}

func TestUnitsAreReadAsTheyWereWritten(t *testing.T) {
	for name, p := range protocols {
		rapid.Check(t, func(rt *rapid.T) {
			var all []PDU
			var octets []byte
			for range rapid.IntRange(0, 5).Draw(rt, "n") {
				u := PDU{Command: rapid.Uint32().Draw(rt, "command"), Body: rapid.SliceOfN(rapid.Byte(), 0, p.Longest-p.header()).Draw(rt, "body")}
				for i := 3 - p.Words; i < 3; i++ {
					u.Sequence[i] = rapid.Uint32().Draw(rt, "word")
				}
				all = append(all, u)
				octets = p.Append(octets, u)
			}
			r := iotest.OneByteReader(bytes.NewReader(octets))
			for i, want := range all {
				got, err := p.Read(r)
				if err != nil || got.Command != want.Command || got.Sequence != want.Sequence || !bytes.Equal(got.Body, want.Body) {
					rt.Fatalf("%s: unit %d is %+v, %v; want %+v", name, i, got, err, want)
				}
			}
			if _, err := p.Read(r); !errors.Is(err, io.EOF) {
				rt.Fatalf("after the last there is %v", err)
			}
		})
	}
}

// TestLengthsThatCannotBe are refused before room is made for them.
func TestLengthsThatCannotBe(t *testing.T) {
	for name, p := range protocols {
		for _, length := range []uint32{0, 7, uint32(p.header()) - 1, uint32(p.Longest) + 1, 1 << 31, 1<<32 - 1} {
			octets := append(binary.BigEndian.AppendUint32(nil, length), make([]byte, 16)...)
			if _, err := p.Read(bytes.NewReader(octets)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: a length of %d gives %v", name, length, err)
			}
		}
		whole := p.Append(nil, PDU{Body: []byte("body")})
		for n := 1; n < len(whole); n++ {
			if _, err := p.Read(bytes.NewReader(whole[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: %d octets of %d give %v", name, n, len(whole), err)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{0, 0, 0, 12, 0x80, 0, 0, 1, 0, 0, 0, 7})
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, octets []byte) {
		for _, p := range protocols {
			u, err := p.Read(bytes.NewReader(octets))
			if err == nil && !bytes.HasPrefix(octets, p.Append(nil, u)) {
				t.Errorf("%x is read as %+v", octets, u)
			}
		}
	})
}

func TestFields(t *testing.T) {
	octets := Uint64(Uint32(Text(append(Text(nil, "too long", 3), 7), "ab", 4), 8), 9)
	f := Fields{Rest: octets}
	if a, b, c, d, e := f.Text(3), f.Uint8(), f.Text(4), f.Uint32(), f.Uint64(); a != "too" || b != 7 || c != "ab" || d != 8 || e != 9 || f.Err("it") != nil || len(f.Rest) != 0 {
		t.Errorf("read was %q %d %q %d %d, %v", a, b, c, d, e, f.Err("it"))
	}
	f = Fields{Rest: []byte{1, 2, 3}}
	if f.Uint32() != 0 || f.Uint8() != 0 || f.Uint64() != 0 || f.Text(1) != "" || !errors.Is(f.Err("it"), ErrMalformed) {
		t.Error("what is not there is read")
	}
	f = Fields{Rest: []byte{1, 2, 3}}
	if f.Bytes(-1) != nil || f.Err("it") == nil {
		t.Error("fewer octets than none are read")
	}
}

// TestLettersAreReadAsTheyWereWritten, and each part fits a short message.
func TestLettersAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]{0,400}`), rapid.StringMatching(`[降价提醒今日 a-z😀]{0,200}`)).Draw(rt, "text")
		w := Writing{Encoding: rapid.SampledFrom([]string{"", "auto", "ucs2", "gbk"}).Draw(rt, "encoding"), LongASCII: rapid.Bool().Draw(rt, "long")}
		l, err := w.Compose(text)
		if err != nil {
			rt.Fatal(err)
		}
		var all []byte
		for i := range l.Parts() {
			content := l.Part(513, i)
			most := 140
			if l.Format() == ASCII {
				most = 160
			}
			if len(content) > most {
				rt.Fatalf("part %d has %d octets", i, len(content))
			}
			if l.Parts() > 1 {
				h, rest, err := sms.ParseHeader(content)
				if err != nil || h.Ref != 1 || int(h.Of) != l.Parts() || int(h.Part) != i+1 {
					rt.Fatalf("the header of part %d is %+v, %v", i, h, err)
				}
				content = rest
			}
			all = append(all, content...)
		}
		got, readable := Read(l.Format(), all)
		if want := strings.ToValidUTF8(text, "\uFFFD"); !readable || got != want && got != string([]rune(text)) {
			rt.Fatalf("%q is read as %q in %d", want, got, l.Format())
		}
	})
}

func TestCompose(t *testing.T) {
	for _, c := range []struct {
		name, text string
		writing    Writing
		format     Format
		parts      int
	}{
		{"160 characters of ASCII", strings.Repeat("a", 160), Writing{}, ASCII, 1},
		{"an extension counts twice", strings.Repeat("a", 158) + "[", Writing{}, ASCII, 1},
		{"and makes it too long", strings.Repeat("a", 159) + "[", Writing{}, UCS2, 3},
		{"161 are in UCS-2", strings.Repeat("a", 161), Writing{}, UCS2, 3},
		{"or in two of 153", strings.Repeat("a", 161), Writing{LongASCII: true}, ASCII, 2},
		{"no backtick in the default alphabet", "`", Writing{}, UCS2, 1},
		{"70 of Chinese", strings.Repeat("价", 70), Writing{}, UCS2, 1},
		{"71 are two", strings.Repeat("价", 71), Writing{}, UCS2, 2},
		{"70 in GBK", strings.Repeat("价", 70), Writing{Encoding: "gbk"}, GBK, 1},
		{"71 are not", strings.Repeat("价", 71), Writing{Encoding: "gbk"}, UCS2, 2},
		{"GBK has no such picture", "😀", Writing{Encoding: "gbk"}, UCS2, 1},
		{"ASCII is ASCII with GBK, too", "abc", Writing{Encoding: "gbk"}, ASCII, 1},
		{"an empty text", "", Writing{}, ASCII, 1},
	} {
		l, err := c.writing.Compose(c.text)
		if err != nil || l.Format() != c.format || l.Parts() != c.parts {
			t.Errorf("%s: format %d, %d parts, %v", c.name, l.Format(), l.Parts(), err)
		}
	}
	for _, w := range []Writing{{}, {Encoding: "ucs2"}} {
		if _, err := w.Compose(strings.Repeat("价", 67*255+1)); !errors.Is(err, sms.ErrTooLong) {
			t.Errorf("256 parts give %v", err)
		}
	}
}

// TestRead has the words that people send to be left alone, as gateways bring
// them.
func TestRead(t *testing.T) {
	for _, c := range []struct {
		format   Format
		octets   string
		text     string
		readable bool
	}{
		{ASCII, "TD", "TD", true},
		{ASCII, "T\xFFD", "T\uFFFDD", true},
		{UCS2, "\x90\x00\x8B\xA2", "退订", true},
		{GBK, "\xCD\xCB\xB6\xA9", "退订", true},
		{GBK, "\xCD\xCB\xFF", "退\uFFFD", true},
		{Binary, "\x01\x02", "", false},
		{Card, "\x01\x02", "", false},
		{246, "TD", "TD", true},
	} {
		if text, readable := Read(c.format, []byte(c.octets)); text != c.text || readable != c.readable {
			t.Errorf("%x in %d is %q, %v", c.octets, c.format, text, readable)
		}
	}
}

func FuzzReadText(f *testing.F) {
	f.Add(byte(15), []byte("\xCD\xCB\xB6"))
	f.Add(byte(8), []byte("\xD8\x00\x00"))
	f.Fuzz(func(t *testing.T, format byte, octets []byte) {
		before := slices.Clone(octets)
		if text, _ := Read(Format(format), octets); !utf8.ValidString(text) {
			t.Errorf("%x is read as %q", octets, text)
		}
		if !bytes.Equal(before, octets) {
			t.Error("what is read is changed")
		}
	})
}
