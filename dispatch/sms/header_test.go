package sms

import (
	"bytes"
	"errors"
	"testing"
)

func TestHeadersAreRead(t *testing.T) {
	for _, c := range []struct {
		name, octets string
		want         Header
		rest         string
	}{
		{"8-bit reference", "\x05\x00\x03\xAB\x03\x02rest", Header{Ref: 0xAB, Of: 3, Part: 2, Octets: 6}, "rest"},
		{"16-bit reference", "\x06\x08\x04\xAB\xCD\x03\x02", Header{Ref: 0xABCD, Wide: true, Of: 3, Part: 2, Octets: 7}, ""},
		{"both tables", "\x06\x24\x01\x01\x25\x01\x03", Header{Shift: Turkish, Locking: Portuguese, Octets: 7}, ""},
		{"ports", "\x06\x05\x04\x0B\x84\x23\xF0", Header{ToPort: 2948, FromPort: 9200, Octets: 7}, ""},
		{"ports of eight bits", "\x04\x04\x02\xF0\xF1", Header{ToPort: 240, FromPort: 241, Octets: 5}, ""},
		{"unknown elements are passed over", "\x08\x70\x01\xFF\x00\x03\x01\x02\x01", Header{Ref: 1, Of: 2, Part: 1, Octets: 9}, ""},
		{"the last of two counts", "\x0A\x00\x03\x01\x02\x01\x00\x03\x02\x02\x02", Header{Ref: 2, Of: 2, Part: 2, Octets: 11}, ""},
		{"part 0 is none", "\x05\x00\x03\xAB\x03\x00", Header{Octets: 6}, ""},
		{"a part beyond the last is none", "\x05\x00\x03\xAB\x03\x04", Header{Octets: 6}, ""},
		{"an element of another length is none", "\x04\x00\x02\xAB\x03", Header{Octets: 5}, ""},
		{"an empty header", "\x00rest", Header{Octets: 1}, "rest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, rest, err := ParseHeader([]byte(c.octets))
			if err != nil || h != c.want || string(rest) != c.rest {
				t.Errorf("got %+v, %q, %v", h, rest, err)
			}
		})
	}
}

func TestHeadersThatContradictThemselvesAreRefused(t *testing.T) {
	for name, octets := range map[string]string{
		"no length":              "",
		"longer than the data":   "\x05\x00\x03\xAB",
		"an element without one": "\x01\x00",
		"an element too long":    "\x03\x00\x03\xAB",
		"one octet left over":    "\x06\x00\x03\xAB\x03\x02\x24",
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := ParseHeader([]byte(octets)); !errors.Is(err, ErrHeader) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPartsWithTablesHaveLessRoom(t *testing.T) {
	for _, c := range []struct {
		name             string
		m                Composition
		alone, ofSeveral int
	}{
		{"the default alphabet", Composition{}, 160, 153},
		{"and a wide reference", Composition{wide: true}, 160, 152},
		{"a single shift table", Composition{Shift: Turkish}, 155, 149},
		{"a locking shift table", Composition{Locking: Hindi}, 155, 149},
		{"both", Composition{Locking: Hindi, Shift: Hindi}, 152, 146},
		{"both and a wide reference", Composition{Locking: Hindi, Shift: Hindi, wide: true}, 152, 145},
		{"UCS-2", Composition{Encoding: UCS2}, 140, 134},
		{"UCS-2 and a wide reference", Composition{Encoding: UCS2, wide: true}, 140, 132},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a, s := c.m.room(false), c.m.room(true); a != c.alone || s != c.ofSeveral {
				t.Errorf("room for %d alone and %d of several, want %d and %d", a, s, c.alone, c.ofSeveral)
			}
		})
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add([]byte("\x05\x00\x03\xAB\x03\x02rest"))
	f.Add([]byte("\x06\x24\x01\x01\x25\x01\x03"))
	f.Fuzz(func(t *testing.T, ud []byte) {
		h, rest, err := ParseHeader(ud)
		if err != nil {
			return
		}
		if h.Octets+len(rest) != len(ud) || !bytes.HasSuffix(ud, rest) {
			t.Fatalf("%d and %d octets of %d", h.Octets, len(rest), len(ud))
		}
		if h.Part > h.Of || (h.Of > 0) != (h.Part > 0) {
			t.Fatalf("part %d of %d", h.Part, h.Of)
		}
		if bits := h.Octets*8 + h.Fill(); bits != h.Septets()*7 || h.Fill() > 6 {
			t.Fatalf("%d octets and %d bits are %d septets", h.Octets, h.Fill(), h.Septets())
		}
	})
}
