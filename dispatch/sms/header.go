package sms

import (
	"encoding/binary"
	"errors"
)

// The information elements of a user data header, 23.040 section 9.2.3.24.
const (
	elementConcatenated     = 0x00 // reference 1, of 1, part 1
	elementPorts8           = 0x04 // destination 1, origin 1
	elementPorts16          = 0x05 // destination 2, origin 2
	elementConcatenatedWide = 0x08 // reference 2, of 1, part 1
	elementSingleShift      = 0x24 // language 1
	elementLockingShift     = 0x25 // language 1
)

// Header is what a user data header says.
type Header struct {
	// Ref, Of and Part hold a message together; Of is 0 when it is one alone.
	// Part counts from 1. Wide says that Ref has 16 bits and not 8.
	Ref      uint16
	Wide     bool
	Of, Part byte
	// Locking and Shift are the national tables of this part.
	Locking, Shift Language
	// ToPort and FromPort are the programs that speak; 0: it is for people.
	ToPort, FromPort uint16
	// Octets is how long the header is, with its length octet.
	Octets int
}

// Fill is how many bits follow the header before the first septet.
func (h Header) Fill() int { return fillBits(h.Octets) }

// Septets is how many septets the header and its fill bits take of those that
// the length of the user data counts.
func (h Header) Septets() int { return (h.Octets*8 + 6) / 7 }

// fillBits bring the octets of a header to the border of a septet.
func fillBits(octets int) int { return (7 - octets*8%7) % 7 }

// ErrHeader is the error of a user data header that contradicts itself; the
// specification has it ignored.
var ErrHeader = errors.New("sms: the user data header is malformed")

// ParseHeader reads the header that user data begins with, and gives the rest:
// octets of UCS-2, or Fill bits and septets. Elements that are unknown, or
// have an impossible length or number, are passed over; of one that is there
// twice the last counts. It fails with ErrHeader when the lengths do not add
// up.
func ParseHeader(ud []byte) (h Header, rest []byte, err error) {
	if len(ud) == 0 || int(ud[0]) >= len(ud) {
		return Header{}, nil, ErrHeader
	}
	h.Octets = 1 + int(ud[0])
	elements := ud[1:h.Octets]
	for len(elements) > 0 {
		if len(elements) < 2 || 2+int(elements[1]) > len(elements) {
			return Header{}, nil, ErrHeader
		}
		value := elements[2 : 2+elements[1]]
		h.read(elements[0], value)
		elements = elements[2+len(value):]
	}
	return h, ud[h.Octets:], nil
}

func (h *Header) read(element byte, v []byte) {
	switch {
	case element == elementConcatenated && len(v) == 3:
		h.number(uint16(v[0]), false, v[1], v[2])
	case element == elementConcatenatedWide && len(v) == 4:
		h.number(binary.BigEndian.Uint16(v), true, v[2], v[3])
	case element == elementPorts8 && len(v) == 2:
		h.ToPort, h.FromPort = uint16(v[0]), uint16(v[1])
	case element == elementPorts16 && len(v) == 4:
		h.ToPort, h.FromPort = binary.BigEndian.Uint16(v), binary.BigEndian.Uint16(v[2:])
	case element == elementSingleShift && len(v) == 1:
		h.Shift = Language(v[0])
	case element == elementLockingShift && len(v) == 1:
		h.Locking = Language(v[0])
	}
}

// number takes a place in a message, unless it cannot be (sections 9.2.3.24.1
// and 9.2.3.24.8: such an element is ignored).
func (h *Header) number(ref uint16, wide bool, of, part byte) {
	if part == 0 || part > of {
		return
	}
	h.Ref, h.Wide, h.Of, h.Part = ref, wide, of, part
}

// headerOctets is the length of the header of each part; 0: there is none.
func (c Composition) headerOctets(several bool) int {
	n := 0
	if c.Shift != DefaultLanguage {
		n += 3
	}
	if c.Locking != DefaultLanguage {
		n += 3
	}
	switch {
	case several && c.wide:
		n += 6
	case several:
		n += 5
	}
	if n > 0 {
		n++
	}
	return n
}

// room is how many septets, or octets of UCS-2, one part can have.
func (c Composition) room(several bool) int {
	octets := partOctets - c.headerOctets(several)
	if c.Encoding == UCS2 {
		return octets &^ 1
	}
	return octets * 8 / 7
}

// Header is the user data header of a part, counted from 0, with its length
// octet; nil when it needs none. ref is the message's reference, of which the
// lower eight bits are sent unless the reference is wide.
func (c Composition) Header(ref uint16, part int) []byte {
	return c.AppendHeader(nil, ref, part)
}

// AppendHeader appends what Header gives.
func (c Composition) AppendHeader(dst []byte, ref uint16, part int) []byte {
	several := len(c.Parts) > 1
	n := c.headerOctets(several)
	if n == 0 {
		return dst
	}
	dst = append(dst, byte(n-1))
	of, number := byte(len(c.Parts)), byte(part+1) //nolint:gosec // there are 255 at most
	switch {
	case several && c.wide:
		dst = append(dst, elementConcatenatedWide, 4, byte(ref>>8), byte(ref), of, number)
	case several:
		dst = append(dst, elementConcatenated, 3, byte(ref), of, number)
	}
	if c.Shift != DefaultLanguage {
		dst = append(dst, elementSingleShift, 1, byte(c.Shift))
	}
	if c.Locking != DefaultLanguage {
		dst = append(dst, elementLockingShift, 1, byte(c.Locking))
	}
	return dst
}

// Octets is the user data of a part, counted from 0: its header and its packed
// septets or its UCS-2, 140 octets at most. It is the TP-UD of a PDU, or the
// short message of a gateway that takes septets packed.
func (c Composition) Octets(ref uint16, part int) []byte {
	return c.AppendOctets(make([]byte, 0, partOctets), ref, part)
}

// AppendOctets appends what Octets gives.
func (c Composition) AppendOctets(dst []byte, ref uint16, part int) []byte {
	before := len(dst)
	dst = c.AppendHeader(dst, ref, part)
	if c.Encoding == UCS2 {
		return append(dst, c.Parts[part]...)
	}
	return AppendPack(dst, c.Parts[part], fillBits(len(dst)-before))
}

// Length is the TP-User-Data-Length of a part, counted from 0: septets for
// GSM7, with those the header takes, and octets for UCS2.
func (c Composition) Length(part int) int {
	h := c.headerOctets(len(c.Parts) > 1)
	if c.Encoding == UCS2 {
		return h + len(c.Parts[part])
	}
	return (h*8+6)/7 + len(c.Parts[part])
}
