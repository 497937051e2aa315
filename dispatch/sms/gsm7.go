package sms

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

const (
	absent   = 0xFF // the default alphabet has no such character
	extended = 0x80 // it is in the extension table
)

// quick gives for each character below U+0400 its septet in the default
// alphabet, with extended set when it comes after an escape, or absent.
var quick = func() (q [0x400]byte) {
	for i := range q {
		q[i] = absent
	}
	for _, t := range [...]struct {
		text string
		mark byte
	}{{defaultTable, 0}, {defaultExtension, extended}} {
		i := byte(0)
		for _, r := range t.text {
			if r < 0x400 && r != '·' && r != escape {
				q[r] = i | t.mark
			}
			i++
		}
	}
	return q
}()

// euro is the septet of the one character of the default extension table that
// is not below U+0400.
const euro = 0x65

// EncodeGSM7 gives the septets of a text, one per byte, written with the tables
// of two languages; ok is false when they have not all of its characters.
func EncodeGSM7(text string, locking, shift Language) (septets []byte, ok bool) {
	septets, ok = AppendGSM7(make([]byte, 0, len(text)), text, locking, shift)
	if !ok {
		return nil, false
	}
	return septets, true
}

// AppendGSM7 is EncodeGSM7 into memory of the caller's, which it returns in
// any case.
func AppendGSM7(dst []byte, text string, locking, shift Language) (septets []byte, ok bool) {
	if locking != DefaultLanguage || shift != DefaultLanguage {
		return appendNational(dst, text, locking, shift)
	}
	for _, r := range text {
		if r < 0x80 && quick[r]&extended == 0 {
			dst = append(dst, quick[r])
			continue
		}
		switch {
		case r == '€':
			dst = append(dst, escape, euro)
		case r >= 0x400 || quick[r] == absent:
			return dst, false
		case quick[r]&extended != 0:
			dst = append(dst, escape, quick[r]&^extended)
		default:
			dst = append(dst, quick[r])
		}
	}
	return dst, true
}

func appendNational(dst []byte, text string, locking, shift Language) ([]byte, bool) {
	locked, shifted := national().of(locking, shift)
	for _, r := range text {
		if s, ok := locked.septets[r]; ok {
			dst = append(dst, s)
		} else if s, ok := shifted.septets[r]; ok {
			dst = append(dst, escape, s)
		} else {
			return dst, false
		}
	}
	return dst, true
}

// DecodeGSM7 reads septets, one per byte, as a phone shows them: what the
// extension table has not is that septet of the alphabet, a second escape is
// a space, and so is one at the end (23.038 section 6.2.1.1). A septet that
// has no character at all is U+FFFD.
func DecodeGSM7(septets []byte, locking, shift Language) string {
	locked, shifted := national().of(locking, shift)
	text := make([]byte, 0, len(septets))
	for i := 0; i < len(septets); i++ {
		r := locked.runes[septets[i]&0x7F]
		if r == escape {
			r = ' '
			if i++; i < len(septets) {
				r = shifted.runes[septets[i]&0x7F]
			}
			if r == void {
				r = locked.runes[septets[i]&0x7F]
			}
			if r == escape {
				r = ' '
			}
		}
		if r == void {
			r = utf8.RuneError
		}
		text = utf8.AppendRune(text, r)
	}
	return string(text)
}

// Pack writes septets, one per byte, into octets (23.038 section 6.1.2.1),
// after fill bits that are left zero, of which there are less than eight.
func Pack(septets []byte, fill int) []byte {
	return AppendPack(make([]byte, 0, (len(septets)*7+fill+7)/8), septets, fill)
}

// AppendPack is Pack into memory of the caller's.
func AppendPack(dst, septets []byte, fill int) []byte {
	if len(septets) == 0 {
		return dst
	}
	dst = slices.Grow(dst, (len(septets)*7+fill+7)/8)
	var bits uint64 // n of them wait to be written
	n := fill
	for _, s := range septets {
		bits |= uint64(s&0x7F) << n
		if n += 7; n >= 32 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(bits)) //nolint:gosec // the lower half
			bits >>= 32
			n -= 32
		}
	}
	for ; n > 0; n -= 8 {
		dst = append(dst, byte(bits))
		bits >>= 8
	}
	return dst
}

// Unpack reads n septets out of octets, after fill bits; there are fewer when
// the octets end before. With n below 0 it reads as many as there are, except
// a last one that is only padding: where 7n+1 bits would be left over a sender
// writes seven zeroes, which are an @ too, or a carriage return (23.038
// section 6.1.2.3.1).
func Unpack(octets []byte, n, fill int) []byte {
	there := max((len(octets)*8-fill)/7, 0)
	guess := n < 0
	if guess || n > there {
		n = there
	}
	septets := make([]byte, 0, n)
	for i := range n {
		bit := fill + 7*i
		two := uint(octets[bit/8])
		if bit/8+1 < len(octets) {
			two |= uint(octets[bit/8+1]) << 8
		}
		septets = append(septets, byte(two>>(bit%8))&0x7F)
	}
	if guess && n > 0 && (fill+7*n)%8 == 0 && (septets[n-1] == 0 || septets[n-1] == '\r') {
		septets = septets[:n-1]
	}
	return septets
}
