package cmpp

import (
	"crypto/md5" //nolint:gosec // section 8.4.1.1 wants it
	"fmt"
	"strconv"
	"time"

	"herald/dispatch/sms/wire"
)

// The commands (CMPP 3.0, section 8.7.1; 2.0 has the same).
const (
	connect    = 0x00000001
	terminate  = 0x00000002
	submit     = 0x00000004
	deliver    = 0x00000005
	activeTest = 0x00000008
	answer     = 0x80000000 // of any of them
)

// protocol is CMPP below its fields (section 8.3). The longest PDU there is, a
// SUBMIT to 99 phones, has less than 4 kB.
var protocol = wire.Protocol{Words: 1, Longest: 4096, Probe: activeTest, Leave: terminate}

// widths are what the versions differ in: 2.0 | 3.0.
type widths struct {
	number int // of a phone's number: 21 | 32
	status int // of a status or result: 1 | 4
	types  int // of the octet that says whether a number is a pseudonym: 0 | 1
	tail   int // of Reserve | LinkID
}

func widthsOf(version byte) widths {
	if version >= v30 {
		return widths{number: 32, status: 4, types: 1, tail: 20}
	}
	return widths{number: 21, status: 1, types: 0, tail: 8}
}

// authenticator is AuthenticatorSource (section 8.4.1.1): MD5 of the company's
// code, nine zeros, the secret and the time as ten figures.
func authenticator(spID, secret, stamp string) [md5.Size]byte {
	return md5.Sum([]byte(spID + "\x00\x00\x00\x00\x00\x00\x00\x00\x00" + secret + stamp)) //nolint:gosec // as above
}

// gatewayAuthenticator is AuthenticatorISMG (section 8.4.1.2): MD5 of the
// status as it stands in the answer, AuthenticatorSource and the secret.
func gatewayAuthenticator(status []byte, source [md5.Size]byte, secret string) [md5.Size]byte {
	said := append(append(append([]byte{}, status...), source[:]...), secret...)
	return md5.Sum(said) //nolint:gosec // as above
}

// connectBody is CMPP_CONNECT (section 8.4.1.1). at is written MMDDHHMMSS, as
// figures in the digest and as a number here.
func connectBody(spID, secret string, version byte, at time.Time) (body []byte, source [md5.Size]byte) {
	stamp := at.In(wire.Beijing).Format("0102150405")
	source = authenticator(spID, secret, stamp)
	body = append(wire.Text(nil, spID, 6), source[:]...)
	var number uint32
	for _, figure := range stamp {
		number = number*10 + uint32(figure-'0') //nolint:gosec // a figure
	}
	return wire.Uint32(append(body, version), number), source
}

// connection is CMPP_CONNECT_RESP (section 8.4.1.2).
type connection struct {
	status        uint32
	said          []byte // status, as it stood there
	authenticator [md5.Size]byte
	version       byte // the highest the gateway has
	form          byte // the version of the answer itself: v20 or v30
}

// parseConnection reads an answer of either version, which its length tells.
func parseConnection(body []byte) (connection, error) {
	c := connection{form: v30}
	if len(body) == 1+md5.Size+1 {
		c.form = v20
	}
	f := wire.Fields{Rest: body}
	c.said = f.Bytes(widthsOf(c.form).status)
	for _, octet := range c.said {
		c.status = c.status<<8 | uint32(octet)
	}
	copy(c.authenticator[:], f.Bytes(md5.Size))
	c.version = f.Uint8()
	return c, f.Err("CONNECT_RESP")
}

// submission is what of CMPP_SUBMIT differs from message to message.
type submission struct {
	total, number byte // of the parts, from 1
	format        wire.Format
	hasUDH        bool
	content       []byte
	to            string
	until         time.Time // zero: the gateway's default
}

// appendSubmit writes CMPP_SUBMIT (3.0, section 8.4.3.1; 2.0, section
// 7.4.3.1).
func (a *Account) appendSubmit(dst []byte, version byte, s submission) []byte {
	w := widthsOf(version)
	dst = wire.Uint64(dst, 0) // Msg_Id is the gateway's to give
	registered := byte(1)
	if a.NoReports {
		registered = 0
	}
	dst = append(dst, s.total, s.number, registered, 0) // Msg_level
	dst = wire.Text(dst, a.ServiceID, 10)
	dst = append(dst, payers[a.Fee.Payer])
	dst = wire.Text(dst, a.Fee.Number, w.number)
	dst = append(dst, make([]byte, w.types)...) // a real number
	dst = append(dst, 0, wire.Bit(s.hasUDH), byte(s.format))
	dst = wire.Text(dst, a.SPID, 6)
	dst = wire.Text(dst, a.Fee.Type, 2)
	dst = wire.Text(dst, a.Fee.Code, 6)
	dst = wire.Text(dst, wire.Validity(s.until), 17)
	dst = wire.Text(dst, "", 17) // At_Time: now
	dst = wire.Text(dst, a.SourceNumber, 21)
	dst = append(dst, 1)
	dst = wire.Text(dst, s.to, w.number)
	dst = append(dst, make([]byte, w.types)...)
	dst = append(dst, byte(len(s.content))) //nolint:gosec // 160 at most
	dst = append(dst, s.content...)
	return append(dst, make([]byte, w.tail)...)
}

// submitted is CMPP_SUBMIT_RESP (section 8.4.3.2).
type submitted struct {
	id     uint64
	result uint32
}

func parseSubmitted(body []byte, version byte) (submitted, error) {
	f := wire.Fields{Rest: body}
	s := submitted{id: f.Uint64()}
	for _, octet := range f.Bytes(widthsOf(version).status) {
		s.result = s.result<<8 | uint32(octet)
	}
	return s, f.Err("SUBMIT_RESP")
}

// delivery is CMPP_DELIVER (section 8.4.5.1): what somebody wrote, or a report.
type delivery struct {
	id       uint64
	to       string // our number
	hasUDH   bool
	format   wire.Format
	from     string
	pseudo   bool // from is no number, but stands for one
	isReport bool
	content  []byte
}

func parseDelivery(body []byte, version byte) (delivery, error) {
	w := widthsOf(version)
	f := wire.Fields{Rest: body}
	d := delivery{id: f.Uint64(), to: f.Text(21)}
	f.Bytes(10 + 1) // Service_Id, TP_pid
	d.hasUDH = f.Uint8()&1 == 1
	d.format = wire.Format(f.Uint8())
	d.from = f.Text(w.number)
	for _, octet := range f.Bytes(w.types) {
		d.pseudo = octet != 0
	}
	d.isReport = f.Uint8() == 1
	d.content = f.Bytes(int(f.Uint8()))
	// What follows (Reserve, LinkID) some gateways leave out.
	return d, f.Err("DELIVER")
}

// deliveredBody is CMPP_DELIVER_RESP (section 8.4.5.2).
func deliveredBody(version byte, id uint64, result byte) []byte {
	body := wire.Uint64(nil, id)
	body = append(body, make([]byte, widthsOf(version).status)...)
	body[len(body)-1] = result
	return body
}

// report is the content of a DELIVER that says what became of a message
// (section 8.4.5.1). Its last fields, the number and the centre's sequence,
// are not read: gateways disagree about the number's width there.
type report struct {
	id   uint64 // of the SUBMIT
	stat string
	done time.Time // zero: it cannot be read
}

func parseReport(content []byte) (report, error) {
	f := wire.Fields{Rest: content}
	r := report{id: f.Uint64(), stat: f.Text(7)}
	f.Bytes(10) // Submit_time
	done := f.Text(10)
	if err := f.Err("a report"); err != nil {
		return report{}, err
	}
	if t, err := time.ParseInLocation("0601021504", done, wire.Beijing); err == nil {
		r.done = t
	}
	return r, nil
}

// idText is a Msg_Id as we record it: its 64 bits as one number without sign.
func idText(id uint64) string { return strconv.FormatUint(id, 10) }

// idWords is a Msg_Id as operators speak of it (section 8.4.3.2): the time as
// MMDDHHMMSS, the gateway's code and the sequence.
func idWords(id uint64) string {
	return fmt.Sprintf("%02d%02d%02d%02d%02d-%d-%d", id>>60, id>>55&31, id>>50&31, id>>44&63, id>>38&63, id>>16&(1<<22-1), id&(1<<16-1))
}
