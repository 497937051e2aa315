// Package tpdu reads and writes the transfer protocol data units of the short
// message service (3GPP TS 23.040, release 18; section numbers in this package
// are of that document unless another is named).
//
// It deals in octets: Submit, Deliver and StatusReport have a MarshalBinary
// method and a Parse function each, and carry the user data as it is on the
// air (TP-UD with its header, where it has one, and TP-UDL). What the octets
// say is text's business, not this package's. A modem in PDU mode puts the
// address of the service centre before each unit: SplitCentre and AppendCentre
// take it off and put it on.
//
// Parse functions accept any bytes. They fail with an error that wraps
// ErrShort or ErrInvalid, keep to the limits of the standard, and share no
// memory with what they read.
package tpdu

import (
	"errors"
	"fmt"
)

// Why octets are not a unit.
var (
	ErrShort   = errors.New("the unit ends too early")
	ErrInvalid = errors.New("not a unit of the short message service")
)

// Type is what a unit is (TP-MTI with its direction, section 9.2.3.1).
type Type byte

// The types. From a modem come Deliver and StatusReport, to it goes Submit.
const (
	TypeDeliver Type = iota
	TypeSubmit
	TypeStatusReport
)

// TypeOf is the type in the first octet of a unit. Type 3 is reserved and to
// be processed as a Deliver.
func TypeOf(first byte) Type {
	switch first & 0x03 {
	case 1:
		return TypeSubmit
	case 2:
		return TypeStatusReport
	}
	return TypeDeliver
}

const (
	// MaxData is the most user data a unit holds, in octets (section 9.2.3.24).
	MaxData = 140
	// MaxSeptets is the same in the 7-bit alphabet, in septets.
	MaxSeptets = 160
	// maxUnit is more than the longest unit has: 14 octets, two addresses, user data.
	maxUnit = 255
)

// The bits of the first octet (section 9.2.2).
const (
	bitMoreOrReject = 0x04 // TP-MMS of a Deliver (0: more), TP-RD of a Submit
	bitLoop         = 0x08 // TP-LP
	bitReport       = 0x20 // TP-SRI, TP-SRR, TP-SRQ
	bitHeader       = 0x40 // TP-UDHI
	bitReplyPath    = 0x80 // TP-RP
)

// UserData is TP-DCS, TP-UDL and TP-UD of a unit.
type UserData struct {
	DCS DCS
	// Header says that Data begins with a header, its length octet first (TP-UDHI).
	Header bool
	// Length is TP-UDL: the septets of the 7-bit alphabet, those that the
	// header takes included; else the octets.
	Length int
	// Data is TP-UD: header, fill bits, packed septets or octets.
	Data []byte
}

// octets is how long Data is for a length.
func (d DCS) octets(length int) int {
	if d.Septets() {
		return (length*7 + 7) / 8
	}
	return length
}

func (u UserData) append(b []byte) ([]byte, error) {
	if len(u.Data) > MaxData || u.Length < 0 || len(u.Data) != u.DCS.octets(u.Length) {
		return nil, fmt.Errorf("user data of %d octets with length %d: %w", len(u.Data), u.Length, ErrInvalid)
	}
	return append(append(b, byte(u.Length)), u.Data...), nil
}

// reader takes a unit apart; after a failure it gives zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err == nil && n > len(r.b) {
		r.err = ErrShort
	}
	if r.err != nil {
		return nil
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) octet() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// userData reads TP-UDL and TP-UD. Modems are known to pad a stored unit:
// what follows the user data is left unread.
func (r *reader) userData(dcs DCS, header bool) UserData {
	u := UserData{DCS: dcs, Header: header, Length: int(r.octet())}
	n := dcs.octets(u.Length)
	if n > MaxData {
		r.fail(fmt.Errorf("user data of %d octets: %w", n, ErrInvalid))
	}
	u.Data = append([]byte(nil), r.take(n)...)
	return u
}

// newReader begins a unit of the wanted type.
func newReader(unit []byte, want Type) (*reader, byte) {
	r := &reader{b: unit}
	if len(unit) > maxUnit {
		r.fail(fmt.Errorf("%d octets: %w", len(unit), ErrInvalid))
	}
	first := r.octet()
	if r.err == nil && TypeOf(first) != want {
		r.fail(fmt.Errorf("type %d where %d is wanted: %w", TypeOf(first), want, ErrInvalid))
	}
	return r, first
}
