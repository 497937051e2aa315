package tpdu

import (
	"fmt"
	"time"
)

// StatusReport says what became of a Submit (SMS-STATUS-REPORT, section
// 9.2.2.3). Its optional parameters are left unread.
type StatusReport struct {
	More      bool // the centre has more for us (TP-MMS)
	Loop      bool // TP-LP
	OfCommand bool // of a command rather than a Submit (TP-SRQ)
	Reference byte // of the Submit (TP-MR)
	To        Address
	At        time.Time // when the centre took the Submit (TP-SCTS)
	Done      time.Time // when what Status says happened (TP-DT)
	Status    Status
}

// Status is TP-ST (section 9.2.3.15).
type Status byte

// Fate is what a Status means.
type Fate uint8

// The fates.
const (
	Trying    Fate = iota // the centre is still trying; another report follows
	Delivered             // it arrived, or was passed on to who can say no more
	Failed                // it will not arrive
	Expired               // it might have arrived, but the centre gave up
)

// Fate sorts a status. A reserved value counts as "service rejected, no longer
// trying", as the standard wants.
func (s Status) Fate() Fate {
	switch {
	case s <= 0x02 || 0x10 <= s && s <= 0x1f:
		return Delivered
	case 0x20 <= s && s <= 0x25 || 0x30 <= s && s <= 0x3f:
		return Trying
	case 0x40 <= s && s <= 0x45 || 0x47 <= s && s <= 0x49 || 0x50 <= s && s <= 0x5f:
		return Failed
	}
	return Expired // 46: validity period expired; 60 to 7f: temporary; reserved
}

// MarshalBinary writes the unit, without a centre before it.
func (s StatusReport) MarshalBinary() ([]byte, error) {
	first := byte(TypeStatusReport) | flag(bitMoreOrReject, !s.More) | flag(bitLoop, s.Loop) | flag(bitReport, s.OfCommand)
	b, err := s.To.append([]byte{first, s.Reference})
	if err == nil {
		b, err = appendTime(b, s.At)
	}
	if err == nil {
		b, err = appendTime(b, s.Done)
	}
	if err != nil {
		return nil, fmt.Errorf("write a status report: %w", err)
	}
	return append(b, byte(s.Status)), nil
}

// ParseStatusReport reads what MarshalBinary writes, and what centres send.
func ParseStatusReport(unit []byte) (StatusReport, error) {
	r, first := newReader(unit, TypeStatusReport)
	s := StatusReport{
		More: first&bitMoreOrReject == 0, Loop: first&bitLoop != 0, OfCommand: first&bitReport != 0,
		Reference: r.octet(), To: r.address(), At: r.time(), Done: r.time(), Status: Status(r.octet()),
	}
	if r.err != nil {
		return StatusReport{}, fmt.Errorf("read a status report: %w", r.err)
	}
	return s, nil
}
