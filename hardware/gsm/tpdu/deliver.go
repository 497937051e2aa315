package tpdu

import (
	"fmt"
	"time"
)

// Deliver is a message from the service centre (SMS-DELIVER, section 9.2.2.1).
type Deliver struct {
	More      bool // the centre has more for us (TP-MMS)
	Loop      bool // TP-LP
	ReplyPath bool // TP-RP
	Report    bool // its sender wants a status report (TP-SRI)
	From      Address
	PID       byte
	At        time.Time // when the centre took it (TP-SCTS); zero: it does not say
	UserData
}

// MarshalBinary writes the unit, without a centre before it.
func (d Deliver) MarshalBinary() ([]byte, error) {
	first := byte(TypeDeliver) | flag(bitMoreOrReject, !d.More) | flag(bitLoop, d.Loop)
	first |= flag(bitReport, d.Report) | flag(bitHeader, d.Header) | flag(bitReplyPath, d.ReplyPath)
	b := make([]byte, 0, 32+len(d.Data))
	b, err := d.From.append(append(b, first))
	if err == nil {
		b, err = appendTime(append(b, d.PID, byte(d.DCS)), d.At)
	}
	if err == nil {
		b, err = d.UserData.append(b)
	}
	if err != nil {
		return nil, fmt.Errorf("write a deliver: %w", err)
	}
	return b, nil
}

// ParseDeliver reads what MarshalBinary writes, and what centres send.
func ParseDeliver(unit []byte) (Deliver, error) {
	r, first := newReader(unit, TypeDeliver)
	d := Deliver{
		More: first&bitMoreOrReject == 0, Loop: first&bitLoop != 0,
		ReplyPath: first&bitReplyPath != 0, Report: first&bitReport != 0,
		From: r.address(), PID: r.octet(),
	}
	dcs := DCS(r.octet())
	d.At = r.time()
	d.UserData = r.userData(dcs, first&bitHeader != 0)
	if r.err != nil {
		return Deliver{}, fmt.Errorf("read a deliver: %w", r.err)
	}
	return d, nil
}
