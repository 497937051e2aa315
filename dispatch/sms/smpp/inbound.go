package smpp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/smpp/pdu"
)

// Receive gives what people write to take, until ctx ends: what take has, or
// what is kept until the other parts of its message are there, is
// acknowledged. While nobody calls Receive the centre is asked to bring it
// again.
func (c *Client) Receive(ctx context.Context, take func(context.Context, []dispatch.Inbound) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	overdue := make(chan struct{})
	go func() {
		defer close(overdue)
		if err := parts.LookOverdue(ctx, c.parts, c.cfg.Name, take); err != nil {
			cancel(err)
		}
	}()
	err := c.inbound.run(ctx, func(ctx context.Context, pieces []sms.Piece) error {
		return c.parts.Collect(ctx, c.cfg.Name, pieces, take)
	})
	cancel(err)
	<-overdue
	return fmt.Errorf("account %s: incoming messages: %w", c.cfg.Name, errors.Join(err, context.Cause(ctx)))
}

// written is what somebody wrote; false: it is no text.
func (c *Client) written(m *pdu.Message, now time.Time) (p sms.Piece, ok bool) {
	p = sms.Piece{From: international(m.Source), To: m.Destination.Number, At: now}
	octets := m.Text()
	if m.ESMClass&pdu.ESMHeader != 0 {
		if header, rest, err := sms.ParseHeader(octets); err == nil { // or else it is ignored, 3GPP TS 23.040, section 9.2.3.24
			p.Header, octets = header, rest
		}
	}
	if reference, found := m.Options.Number(pdu.SARReference); found {
		of, _ := m.Options.Number(pdu.SARTotal)
		part, _ := m.Options.Number(pdu.SARSegment)
		if part > 0 && part <= of && of <= 255 {
			p.Header.Ref, p.Header.Wide, p.Header.Of, p.Header.Part = reference, true, byte(of), byte(part)
		}
	}
	if p.Header.ToPort != 0 {
		return p, false // for a program
	}
	octets = append([]byte(nil), octets...) // they are the reader's
	switch alphabetOf(m.DataCoding, c.cfg.Alphabet) {
	case alphabetUCS2:
		p.Encoding, p.Data = sms.UCS2, octets
	case alphabetGSM7:
		p.Data = octets
	case alphabetPacked:
		p.Data = sms.Unpack(octets, max(0, len(octets)*8-p.Header.Fill())/7, p.Header.Fill())
	case alphabetLatin1, alphabetASCII:
		p.Encoding, p.Data = sms.UCS2, make([]byte, 0, 2*len(octets))
		for _, b := range octets { // ISO 8859-1 is the beginning of Unicode
			p.Data = append(p.Data, 0, b)
		}
	default:
		return p, false
	}
	return p, true
}

const alphabetUCS2 = "ucs2"

// alphabetOf is what a data_coding says (section 5.2.19); usual is what 0
// means. Empty: it is for no text.
func alphabetOf(coding byte, usual string) string {
	switch {
	case coding == codingDefault, coding >= 0xF0 && coding&0x04 == 0, coding >= 0x10 && coding <= 0x13:
		return usual // with a message class or without, 3GPP TS 23.038, section 4
	case coding == 1, coding == 3:
		return alphabetLatin1 // and ASCII, which it begins with
	case coding == codingUCS2, coding >= 0x18 && coding <= 0x1B:
		return alphabetUCS2
	}
	return ""
}

// leastInternational is how many digits a number has that is taken for an
// international one though the centre does not say so.
const leastInternational = 10

// international is a phone's number as contact points have it, where that can
// be told.
func international(a pdu.Address) string {
	digits := strings.TrimPrefix(a.Number, "+")
	digits = strings.TrimPrefix(digits, "00")
	if !isDigits(digits) {
		return a.Number
	}
	if a.TON == pdu.International || digits != a.Number || a.TON == pdu.UnknownNumber && len(digits) >= leastInternational && digits[0] != '0' {
		return "+" + digits
	}
	return a.Number
}
