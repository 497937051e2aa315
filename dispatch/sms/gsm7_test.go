package sms

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func TestSeptetsArePackedAsThePhonesHaveThem(t *testing.T) {
	for _, c := range []struct {
		name, text, octets string
		fill               int
	}{
		{"nothing", "", "", 0},
		{"nothing after a header", "", "", 3},
		{"23.038's order of bits", "hellohello", "E8329BFD4697D9EC37", 0},
		{"eight in seven octets", "12345678", "31D98C56B3DD70", 0},
		{"an @ is zero", "@", "00", 0},
		{"an escape is two", "€", "9B32", 0},
		{"after a header of six octets", "a", "C2", 1},
		{"after fill bits that end an octet", "a", "8030", 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			septets, ok := EncodeGSM7(c.text, 0, 0)
			if !ok {
				t.Fatal("it cannot be written")
			}
			octets := Pack(septets, c.fill)
			if got := strings.ToUpper(hex.EncodeToString(octets)); got != c.octets {
				t.Fatalf("packed as %s, want %s", got, c.octets)
			}
			if got := Unpack(octets, len(septets), c.fill); !slices.Equal(got, septets) {
				t.Errorf("unpacked as %x, want %x", got, septets)
			}
		})
	}
}

// Seven septets leave seven bits of the last octet, which may be an eighth.
func TestLastSeptetThatMayBePaddingIsKnownByTheLength(t *testing.T) {
	seven, _ := EncodeGSM7("1234567", 0, 0)
	for _, last := range []string{"@", "\r", "x"} {
		eight, _ := EncodeGSM7("1234567"+last, 0, 0)
		octets := Pack(eight, 0)
		if got := Unpack(octets, 8, 0); !slices.Equal(got, eight) {
			t.Errorf("eight with %q at the end are read as %x", last, got)
		}
		if got := Unpack(octets, 7, 0); !slices.Equal(got, seven) {
			t.Errorf("seven are read as %x", got)
		}
		want := seven
		if last == "x" {
			want = eight
		}
		if got := Unpack(octets, -1, 0); !slices.Equal(got, want) {
			t.Errorf("without a length %q at the end is read as %x, want %x", last, got, want)
		}
	}
}

func TestSeptetsThatMeanNothingAreShownAsPhonesDo(t *testing.T) {
	for _, c := range []struct {
		name           string
		septets        []byte
		locking, shift Language
		want           string
	}{
		{"an escape at the end is a space", []byte{'a', escape}, 0, 0, "a "},
		{"two escapes are a space", []byte{escape, escape, 'a'}, 0, 0, " a"},
		{"what the extension has not is of the alphabet", []byte{escape, 'a'}, 0, 0, "a"},
		{"the eighth bit is no bit", []byte{0x80 | 'a'}, 0, 0, "a"},
		{"a place without a character", []byte{0x0C}, Bengali, 0, "\uFFFD"},
		{"nor in either table", []byte{escape, 0x5B}, Tamil, Tamil, "\uFFFD"},
		{"an unknown language is the default", []byte{0x04, escape, 0x65}, 200, 14, "è€"},
		{"Spanish locks nothing", []byte{0x04}, Spanish, 0, "è"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := DecodeGSM7(c.septets, c.locking, c.shift); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestHalfAPairIsNoCharacter(t *testing.T) {
	for octets, want := range map[string]string{
		"\xD8\x3D\xDE\x00": "😀",
		"\xD8\x3D":         "\uFFFD",
		"\xD8\x3D\x00a":    "\uFFFDa",
		"\xDE\x00\xD8\x3D": "\uFFFD\uFFFD",
		"\x4E\x2D\x4E":     "中\uFFFD",
	} {
		if got := DecodeUCS2([]byte(octets)); got != want {
			t.Errorf("%x is read as %q, want %q", octets, got, want)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\xE8\x32\x9B\xFD\x06"), 5, byte(0))
	f.Add([]byte{}, -1, byte(6))
	f.Fuzz(func(t *testing.T, octets []byte, n int, fill byte) {
		fill %= 8
		septets := Unpack(octets, n, int(fill))
		if len(septets)*7+int(fill) > len(octets)*8 && len(septets) > 0 {
			t.Fatalf("%d septets in %d octets", len(septets), len(octets))
		}
		if again := Unpack(Pack(septets, int(fill)), len(septets), int(fill)); !bytes.Equal(again, septets) {
			t.Fatalf("%x became %x", septets, again)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("hello\x1b\x65"), byte(0), byte(0))
	f.Add([]byte{escape}, byte(13), byte(255))
	f.Fuzz(func(t *testing.T, data []byte, locking, shift byte) {
		text := DecodeGSM7(data, Language(locking), Language(shift))
		if septets, ok := EncodeGSM7(text, Language(locking), Language(shift)); ok && DecodeGSM7(septets, Language(locking), Language(shift)) != text {
			t.Fatalf("%q is not written as it was read", text)
		}
		if again := DecodeUCS2(AppendUCS2(nil, DecodeUCS2(data))); again != DecodeUCS2(data) {
			t.Fatalf("%q became %q", DecodeUCS2(data), again)
		}
	})
}
