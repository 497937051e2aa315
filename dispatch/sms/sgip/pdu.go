package sgip

import (
	"fmt"
	"strings"
	"time"

	"herald/dispatch/sms/wire"
)

// The commands (SGIP 1.2, table of commands).
const (
	bind    = 0x00000001
	unbind  = 0x00000002
	submit  = 0x00000003
	deliver = 0x00000004
	report  = 0x00000005
	answer  = 0x80000000 // of any of them
)

// protocol is SGIP below its fields: a unit has at most 2 kB, and there is no
// question whether the other side is there.
var protocol = wire.Protocol{Words: 3, Longest: 2048, Leave: unbind}

// stamp is the second word of a sequence: MMDDHHMMSS as a number.
func stamp(at time.Time) uint32 {
	at = at.In(wire.Beijing)
	n := int(at.Month())
	for _, part := range []int{at.Day(), at.Hour(), at.Minute(), at.Second()} {
		n = n*100 + part
	}
	return uint32(n) //nolint:gosec // ten figures that begin with at most 12
}

// sequenceText is a sequence as we record it; the gateway reports by it.
func sequenceText(s wire.Sequence) string { return fmt.Sprintf("%d-%010d-%d", s[0], s[1], s[2]) }

// Who signs in: Login Type of Bind.
const (
	weSignIn      = 1
	gatewaySignIn = 2
)

// login is SGIP_BIND.
type login struct {
	kind           byte
	name, password string
}

func (l login) body() []byte {
	b := wire.Text([]byte{l.kind}, l.name, 16)
	return wire.Text(wire.Text(b, l.password, 16), "", 8)
}

func parseLogin(body []byte) (login, error) {
	f := wire.Fields{Rest: body}
	l := login{f.Uint8(), f.Text(16), f.Text(16)}
	return l, f.Err("BIND")
}

// resultBody is every answer's but UNBIND_RESP's, which has none: a Result and
// a Reserve.
func resultBody(result byte) []byte { return append([]byte{result}, make([]byte, 8)...) }

func parseResult(body []byte) (byte, error) {
	f := wire.Fields{Rest: body} // some gateways leave the reserve out
	result := f.Uint8()
	return result, f.Err("an answer")
}

// submission is what of SGIP_SUBMIT differs from message to message.
type submission struct {
	format  wire.Format
	hasUDH  bool
	content []byte
	to      string
	until   time.Time // zero: the gateway's default
}

// Of SGIP_SUBMIT: nobody asked for the message, and whatever becomes of it is
// to be reported, or nothing.
const (
	unasked      = 2 // MorelatetoMTFlag
	reportAlways = 1 // ReportFlag
	reportNever  = 2
)

// submitBody is SGIP_SUBMIT, 144 octets and the content, behind the header.
func (a *Account) submitBody(s submission) []byte {
	charge := strings.Repeat("0", 21) // we pay
	switch a.Fee.Payer {
	case "recipient":
		charge = ""
	case "number":
		charge = "86" + a.Fee.Number
	}
	flag := byte(reportAlways)
	if a.NoReports {
		flag = reportNever
	}
	b := wire.Text(make([]byte, 0, 144+len(s.content)), a.SPNumber, 21)
	b = append(wire.Text(b, charge, 21), 1)
	b = wire.Text(b, s.to, 21)
	b = wire.Text(b, a.CorpID, 5)
	b = wire.Text(b, a.ServiceType, 10)
	b = append(b, byte(a.Fee.Type)) //nolint:gosec // 1 to 5
	b = wire.Text(b, a.Fee.Value, 6)
	b = wire.Text(b, "0", 6)     // GivenValue
	b = append(b, 0, unasked, 0) // AgentFlag, MorelatetoMTFlag, Priority
	b = wire.Text(b, wire.Validity(s.until), 16)
	b = wire.Text(b, "", 16) // ScheduleTime: now
	b = append(b, flag, 0, wire.Bit(s.hasUDH), byte(s.format), 0)
	b = wire.Uint32(b, uint32(len(s.content))) //nolint:gosec // 160 at most
	return append(append(b, s.content...), make([]byte, 8)...)
}

// delivery is SGIP_DELIVER: what somebody wrote.
type delivery struct {
	from, to string
	hasUDH   bool
	format   wire.Format
	content  []byte
}

func parseDelivery(body []byte) (delivery, error) {
	f := wire.Fields{Rest: body}
	d := delivery{from: f.Text(21), to: f.Text(21)}
	f.Bytes(1) // TP_pid
	d.hasUDH = f.Uint8()&1 == 1
	d.format = wire.Format(f.Uint8())
	d.content = f.Bytes(int(f.Uint32()))
	return d, f.Err("DELIVER")
}

// news is SGIP_REPORT: what became of a message.
type news struct {
	about       wire.Sequence // the SUBMIT's
	ofDeliver   bool          // it is about something that gateways forwarded
	state, code byte
}

func parseNews(body []byte) (news, error) {
	f := wire.Fields{Rest: body}
	n := news{about: wire.Sequence{f.Uint32(), f.Uint32(), f.Uint32()}}
	n.ofDeliver = f.Uint8() != 0
	f.Bytes(21) // UserNumber
	n.state, n.code = f.Uint8(), f.Uint8()
	return n, f.Err("REPORT")
}
