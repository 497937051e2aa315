package sgip

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"herald/dispatch/sms/wire"
	"herald/hardware/sim/ismg"
)

// The commands.
const (
	bind    = 0x00000001
	unbind  = 0x00000002
	submit  = 0x00000003
	deliver = 0x00000004
	report  = 0x00000005
	answer  = 0x80000000
)

var protocol = wire.Protocol{Words: 3, Longest: 2048}

// The results that it gives.
const (
	resultOK       = 0
	resultLogin    = 1
	resultTooMany  = 3
	resultKind     = 4
	resultFormat   = 5
	resultNumber   = 6
	resultRepeated = 9
	resultBusy     = 11
)

// stateFailed is the state of a message that will not arrive, and codeAway the
// usual reason: the phone is off, or out of reach.
const (
	stateFailed = 2
	codeAway    = 25
)

// reportedCode is the error code that a fault names; else codeAway.
func reportedCode(state string) byte {
	if n, err := strconv.ParseUint(state, 10, 8); err == nil {
		return byte(n)
	}
	return codeAway
}

func resultBody(result byte) []byte { return append([]byte{result}, make([]byte, 8)...) }

// login is SGIP_BIND.
type login struct {
	kind           byte
	name, password string
}

func parseLogin(body []byte) (login, error) {
	f := wire.Fields{Rest: body}
	l := login{f.Uint8(), f.Text(16), f.Text(16)}
	f.Bytes(8)
	return l, f.Err("BIND")
}

func (l login) body() []byte {
	return wire.Text(wire.Text(wire.Text([]byte{l.kind}, l.name, 16), l.password, 16), "", 8)
}

// submission is SGIP_SUBMIT, as far as it matters here.
type submission struct {
	from       string
	to         []string
	registered bool
	hasUDH     bool
	format     wire.Format
	content    []byte
}

func parseSubmission(body []byte) (submission, error) {
	f := wire.Fields{Rest: body}
	s := submission{from: f.Text(21)}
	f.Bytes(21) // ChargeNumber
	for range f.Uint8() {
		s.to = append(s.to, f.Text(21))
	}
	f.Bytes(5 + 10 + 1 + 6 + 6 + 3 + 16 + 16) // whose, the fee, the times
	s.registered = f.Uint8() == 1
	f.Bytes(1) // TP_pid
	s.hasUDH = f.Uint8()&1 == 1
	s.format = wire.Format(f.Uint8())
	f.Bytes(1) // MessageType
	s.content = f.Bytes(int(f.Uint32()))
	f.Bytes(8)
	if err := f.Err("SUBMIT"); err != nil {
		return submission{}, err
	}
	if len(f.Rest) > 0 || len(s.to) == 0 || len(s.to) > 100 || len(s.content) > 160 {
		return submission{}, fmt.Errorf("%w: SUBMIT", wire.ErrMalformed)
	}
	return s, nil
}

// reachable reports whether all recipients' numbers have the country's code.
func (s submission) reachable() bool {
	for _, to := range s.to {
		if !strings.HasPrefix(to, "86") {
			return false
		}
	}
	return true
}

// telling is what the client must be told: what a phone wrote, or what became
// of a message.
type telling struct {
	sequence wire.Sequence // the same, however often it is told
	from, to string
	written  ismg.Written

	isReport    bool
	about       wire.Sequence
	state, code byte
}

// pdu is SGIP_DELIVER or SGIP_REPORT.
func (t telling) pdu() wire.PDU {
	if t.isReport {
		var b []byte
		for _, word := range t.about {
			b = wire.Uint32(b, word)
		}
		b = wire.Text(append(b, 0), t.from, 21)
		return wire.PDU{Command: report, Sequence: t.sequence, Body: append(append(b, t.state, t.code), make([]byte, 8)...)}
	}
	b := wire.Text(wire.Text(nil, t.from, 21), t.to, 21)
	var hasUDH byte
	if t.written.HasUDH {
		hasUDH = 1
	}
	b = append(b, 0, hasUDH, byte(t.written.Format))
	b = wire.Uint32(b, uint32(len(t.written.Content))) //nolint:gosec // 160 at most
	return wire.PDU{Command: deliver, Sequence: t.sequence, Body: append(append(b, t.written.Content...), make([]byte, 8)...)}
}

var beijing = time.FixedZone("UTC+8", 8*60*60)

// next is the sequence of the gateway's next request.
func (g *Gateway) next() wire.Sequence {
	when, err := strconv.ParseUint(g.cfg.Now().In(beijing).Format("0102150405"), 10, 32)
	if err != nil {
		when = 0 // it has ten figures, and begins with 12 at most
	}
	return wire.Sequence{g.cfg.NodeID, uint32(when), g.counter.Add(1)}
}
