package smpp

import (
	"errors"
	"slices"
	"strings"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/smpp/pdu"
)

// The data codings that are sent (section 5.2.19).
const (
	codingDefault = 0
	codingUCS2    = 8
)

// writer makes units of messages. It keeps its memory, so that the usual
// message costs none; it belongs to one goroutine.
type writer struct {
	client   *Client
	composer sms.Composer
	text     []byte
	options  []byte
	// validity is the last one written, and what it was written from: the
	// messages of a campaign have the same.
	validity string
	expires  time.Time
}

var (
	errNumber  = errors.New("the address is no international number such as +8613800000000")
	errExpired = errors.New("the message expired before its turn")
)

// number is a recipient's as the centre wants it: digits.
func number(address string) (string, error) {
	digits := strings.TrimPrefix(address, "+")
	if len(digits) == len(address) || len(digits) < 4 || len(digits) > 20 || !isDigits(digits) {
		return "", errNumber
	}
	return digits, nil
}

func (c *Client) options() sms.Options {
	return sms.Options{Transliterate: c.cfg.Transliterate, Languages: c.cfg.Languages, WideReference: c.cfg.WideReference}
}

// compose cuts a text as this account sends it.
func (c *Client) compose(composer *sms.Composer, text string) (sms.Composition, error) {
	o := c.options()
	composed, err := composer.Compose(text, o)
	if err != nil || composed.Encoding == sms.UCS2 || c.fits(composed.Text) {
		return composed, err
	}
	o.UCS2Only = true
	return composer.Compose(text, o)
}

// fits reports whether data_coding 0 has all characters of a text that GSM-7 has.
func (c *Client) fits(text string) bool {
	var highest rune
	switch c.cfg.Alphabet {
	case alphabetLatin1:
		highest = 0xFF
	case alphabetASCII:
		highest = 0x7F
	default:
		return true
	}
	for _, r := range text {
		if r > highest {
			return false
		}
	}
	return true
}

// portion is what one unit says: a part of a message, or all of it.
type portion struct {
	composed  sms.Composition
	part      int    // from 0
	concat    uint16 // the reference of its message
	reference uint16 // user_message_reference; 0: none
}

// append appends the submit_sm that hands a portion of m over.
func (w *writer) append(dst []byte, sequence uint32, m *dispatch.Message, p portion) ([]byte, error) {
	c := w.client
	digits, err := number(m.Address)
	if err != nil {
		return dst, err
	}
	if err := w.setValidity(m.ExpiresAt); err != nil {
		return dst, err
	}
	submit := pdu.Message{
		ServiceType: c.cfg.ServiceType, Source: c.source,
		Destination: pdu.Address{TON: pdu.TON(*c.cfg.DestinationTON), NPI: pdu.NPI(*c.cfg.DestinationNPI), Number: digits},
		Validity:    w.validity, DataCoding: codingDefault,
	}
	if p.composed.Encoding == sms.UCS2 {
		submit.DataCoding = codingUCS2
	}
	if !c.cfg.NoReceipts && c.cfg.Bind != bindTransmitter {
		submit.RegisteredDelivery = 1 // the final outcome, whatever it is
	}
	w.options = w.options[:0]
	w.setText(&submit, p)
	if p.reference != 0 {
		w.options = pdu.AppendOption16(w.options, pdu.UserMessageReference, p.reference)
	}
	submit.Options = w.options
	return pdu.AppendMessage(dst, pdu.SubmitSM, sequence, &submit)
}

// setText writes the text of a portion as the account's centre wants it.
func (w *writer) setText(submit *pdu.Message, p portion) {
	several := len(p.composed.Parts) > 1
	w.text = w.text[:0]
	switch how := w.client.cfg.LongMessages; {
	case several && how == longPayload:
		var all []byte
		for _, part := range p.composed.Parts {
			all = append(all, part...)
		}
		w.text = w.appendData(w.text, p.composed, all)
		w.options = pdu.AppendOption(w.options, pdu.MessagePayload, w.text)
		return
	case several && how == longSAR:
		w.options = pdu.AppendOption16(w.options, pdu.SARReference, p.concat)
		w.options = pdu.AppendOption(w.options, pdu.SARTotal, []byte{byte(len(p.composed.Parts))})
		w.options = pdu.AppendOption(w.options, pdu.SARSegment, []byte{byte(p.part + 1)})
		w.text = w.appendData(w.text, p.composed, p.composed.Parts[p.part])
	default:
		if w.text = p.composed.AppendHeader(w.text, p.concat, p.part); len(w.text) > 0 {
			submit.ESMClass = pdu.ESMHeader
		}
		w.text = w.appendData(w.text, p.composed, p.composed.Parts[p.part])
	}
	submit.ShortMessage = w.text
}

// appendData appends what a part says behind its header.
func (w *writer) appendData(dst []byte, c sms.Composition, data []byte) []byte {
	if c.Encoding == sms.UCS2 {
		return append(dst, data...)
	}
	switch w.client.cfg.Alphabet {
	case alphabetPacked:
		return appendPacked(dst, data)
	case alphabetLatin1, alphabetASCII:
		for _, r := range sms.DecodeGSM7(data, c.Locking, c.Shift) {
			dst = append(dst, byte(r)) // fits saw to that
		}
		return dst
	}
	return append(dst, data...)
}

// appendPacked packs septets behind a header, from where the next septet would
// begin. How many there are is only told by the octets: where a whole septet
// of nothing, which is an @, would be left at the end, it is a carriage return
// (3GPP TS 23.038, section 6.1.2.3.1).
func appendPacked(dst, septets []byte) []byte {
	fill := (7 - len(dst)*8%7) % 7
	if (fill+7*len(septets))%8 == 1 {
		septets = append(slices.Clone(septets), '\r')
	}
	return sms.AppendPack(dst, septets, fill)
}

// validityForm is an absolute time, in UTC (section 7.1.1).
const validityForm = "060102150405"

func (w *writer) setValidity(expires time.Time) error {
	if expires.IsZero() {
		w.validity, w.expires = "", expires
		return nil
	}
	if !w.client.now().Before(expires) {
		return errExpired
	}
	if !expires.Equal(w.expires) {
		w.validity, w.expires = expires.UTC().Format(validityForm)+"000+", expires
	}
	return nil
}
