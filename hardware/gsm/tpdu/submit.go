package tpdu

import "fmt"

// Submit is a message to the service centre (SMS-SUBMIT, section 9.2.2.2).
type Submit struct {
	// RejectDuplicates asks the centre to refuse a message that it holds
	// already with this Reference from us to this number (TP-RD).
	RejectDuplicates bool
	ReplyPath        bool // TP-RP
	// Report asks for a status report (TP-SRR).
	Report bool
	// Reference tells the messages of a SIM (TP-MR). Modems write their own
	// over it, and name it in their answer.
	Reference byte
	To        Address
	PID       byte // TP-PID, 0 for a plain message
	Validity  Validity
	UserData
}

// MarshalBinary writes the unit, without a centre before it. It fails when the
// address or the user data break the limits.
func (s Submit) MarshalBinary() ([]byte, error) {
	first := byte(TypeSubmit) | s.Validity.form()
	first |= flag(bitMoreOrReject, s.RejectDuplicates) | flag(bitReport, s.Report) | flag(bitHeader, s.Header) | flag(bitReplyPath, s.ReplyPath)
	b := make([]byte, 0, 32+len(s.Data))
	b, err := s.To.append(append(b, first, s.Reference))
	if err == nil {
		b, err = s.Validity.append(append(b, s.PID, byte(s.DCS)))
	}
	if err == nil {
		b, err = s.UserData.append(b)
	}
	if err != nil {
		return nil, fmt.Errorf("write a submit: %w", err)
	}
	return b, nil
}

// ParseSubmit reads what MarshalBinary writes.
func ParseSubmit(unit []byte) (Submit, error) {
	r, first := newReader(unit, TypeSubmit)
	s := Submit{
		RejectDuplicates: first&bitMoreOrReject != 0, ReplyPath: first&bitReplyPath != 0, Report: first&bitReport != 0,
		Reference: r.octet(), To: r.address(), PID: r.octet(),
	}
	dcs := DCS(r.octet())
	s.Validity = r.validity(first & validityAbsolute)
	s.UserData = r.userData(dcs, first&bitHeader != 0)
	if r.err != nil {
		return Submit{}, fmt.Errorf("read a submit: %w", r.err)
	}
	return s, nil
}

func flag(bit byte, on bool) byte {
	if on {
		return bit
	}
	return 0
}
