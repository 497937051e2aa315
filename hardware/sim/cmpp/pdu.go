package cmpp

import (
	"crypto/md5" //nolint:gosec // section 8.4.1.1 wants it
	"fmt"
	"time"

	"herald/dispatch/sms/wire"
)

// The commands (section 8.7.1).
const (
	connect    = 0x00000001
	terminate  = 0x00000002
	submit     = 0x00000004
	deliver    = 0x00000005
	activeTest = 0x00000008
	answer     = 0x80000000
)

var protocol = wire.Protocol{Words: 1, Longest: 4096}

// The results and statuses that it gives (sections 8.4.1.2 and 8.4.3.2).
const (
	resultOK        = 0
	resultStructure = 1
	resultCommand   = 2
	resultDuplicate = 3
	resultTooFast   = 8
	resultOther     = 9
	statusNobody    = 2
	statusSecret    = 3
	statusVersion   = 4
	statusOther     = 5
)

// login is CMPP_CONNECT (section 8.4.1.1).
type login struct {
	name    string
	digest  [md5.Size]byte
	version byte
	stamp   uint32
}

func parseLogin(body []byte) (login, error) {
	f := wire.Fields{Rest: body}
	l := login{name: f.Text(6)}
	copy(l.digest[:], f.Bytes(md5.Size))
	l.version, l.stamp = f.Uint8(), f.Uint32()
	return l, f.Err("CONNECT")
}

// knows reports whether the digest was made with the secret.
func (l login) knows(secret string) bool {
	said := l.name + string(make([]byte, 9)) + secret + fmt.Sprintf("%010d", l.stamp)
	return md5.Sum([]byte(said)) == l.digest //nolint:gosec // section 8.4.1.1
}

// appendStatus writes a status or result: one octet in 2.0, four in 3.0.
func appendStatus(dst []byte, version byte, status uint32) []byte {
	if version < 0x30 {
		return append(dst, byte(status)) //nolint:gosec // cut on purpose
	}
	return wire.Uint32(dst, status)
}

// loginBody is CMPP_CONNECT_RESP (section 8.4.1.2).
func loginBody(version byte, status uint32, l login, secret string, highest byte) []byte {
	body := appendStatus(nil, version, status)
	var digest [md5.Size]byte
	if status == resultOK {
		digest = md5.Sum(append(append(append([]byte{}, body...), l.digest[:]...), secret...)) //nolint:gosec // as above
	}
	return append(append(body, digest[:]...), highest)
}

// submission is CMPP_SUBMIT (section 8.4.3.1), as far as it matters here.
type submission struct {
	total, number byte
	registered    bool
	service       string
	hasUDH        bool
	format        wire.Format
	company       string
	from          string
	to            []string
	content       []byte
}

func parseSubmission(body []byte, version byte) (submission, error) {
	number, types, tail := 21, 0, 8
	if version >= 0x30 {
		number, types, tail = 32, 1, 20
	}
	f := wire.Fields{Rest: body}
	f.Bytes(8) // Msg_Id
	s := submission{total: f.Uint8(), number: f.Uint8(), registered: f.Uint8() == 1}
	f.Bytes(1) // Msg_level
	s.service = f.Text(10)
	f.Bytes(1 + number + types + 1) // the payer, TP_pId
	s.hasUDH = f.Uint8()&1 == 1
	s.format = wire.Format(f.Uint8())
	s.company = f.Text(6)
	f.Bytes(2 + 6 + 17 + 17) // the fee, the validity
	s.from = f.Text(21)
	for range f.Uint8() {
		s.to = append(s.to, f.Text(number))
	}
	f.Bytes(types)
	s.content = f.Bytes(int(f.Uint8()))
	f.Bytes(tail)
	if err := f.Err("SUBMIT"); err != nil {
		return submission{}, err
	}
	if len(f.Rest) > 0 || len(s.to) == 0 || len(s.to) > 99 || s.number == 0 || s.number > s.total {
		return submission{}, fmt.Errorf("%w: SUBMIT", wire.ErrMalformed)
	}
	return s, nil
}

// telling is what a client must be told: what a phone wrote, or, with a stat,
// what became of a message.
type telling struct {
	id       uint64 // of the DELIVER; of a report, that of the SUBMIT
	from, to string
	format   wire.Format
	hasUDH   bool
	content  []byte
	stat     string
	at       time.Time // the SUBMIT's
}

// body is CMPP_DELIVER (section 8.4.5.1).
func (t telling) body(version byte, done time.Time, narrow bool) []byte {
	number, types, tail := 21, 0, 8
	if version >= 0x30 {
		number, types, tail = 32, 1, 20
	}
	content, isReport := t.content, byte(0)
	if t.stat != "" {
		isReport = 1
		content = wire.Text(wire.Uint64(nil, t.id), t.stat, 7)
		content = append(content, t.at.In(beijing).Format("0601021504")...)
		content = append(content, done.In(beijing).Format("0601021504")...)
		width := number
		if narrow {
			width = 21
		}
		content = wire.Uint32(wire.Text(content, t.from, width), 1)
	}
	var hasUDH byte
	if t.hasUDH {
		hasUDH = 1
	}
	b := wire.Text(wire.Uint64(nil, t.id), t.to, 21)
	b = wire.Text(b, "", 10)
	b = append(b, 0, hasUDH, byte(t.format))
	b = wire.Text(b, t.from, number)
	b = append(b, make([]byte, types)...)
	b = append(b, isReport, byte(len(content))) //nolint:gosec // 160 at most
	b = append(b, content...)
	return append(b, make([]byte, tail)...)
}

// toldResult is CMPP_DELIVER_RESP's result (section 8.4.5.2).
func toldResult(body []byte, version byte) uint32 {
	f := wire.Fields{Rest: body}
	f.Bytes(8)
	if version < 0x30 {
		return uint32(f.Uint8())
	}
	return f.Uint32()
}
