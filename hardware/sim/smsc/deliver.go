package smsc

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"herald/dispatch/sms"
	"herald/dispatch/sms/smpp/pdu"
	"herald/hardware/sim/texts"
	"herald/problem"
)

// Receipts says how receipts look and when they come.
type Receipts struct {
	// Delay is how long after the message.
	Delay time.Duration
	// First makes a receipt come before the answer to its message.
	First bool
	// Form is how the receipt says it. Empty: TextAndTLV.
	Form Form
	// IDs is how ids are written. Empty: SameIDs.
	IDs IDs
}

// Form is how a receipt says what it says.
type Form string

// The forms.
const (
	TextAndTLV Form = "both"
	TextOnly   Form = "text"
	TLVOnly    Form = "tlv"
)

// IDs is how the ids of messages are written.
type IDs string

// The ways to write ids.
const (
	SameIDs    IDs = "same"        // alike
	HexDecimal IDs = "hex_decimal" // hexadecimal in the answer, decimal in the receipt
	DecimalHex IDs = "decimal_hex" // decimal in the answer, hexadecimal in the receipt
)

// parcel is a unit for a client that must acknowledge it.
type parcel struct {
	message pdu.Message
	due     time.Time
	written chan struct{} // closed when it was written once; nil: nobody waits for that
}

// outbox is what waits for an account's sessions.
type outbox struct {
	mu      sync.Mutex
	waiting []*parcel     // guarded by mu, in the order of their due
	changed chan struct{} // guarded by mu: closed and replaced when something is added
}

// mostWaiting is how much an outbox holds.
const mostWaiting = 200_000

// outboxOf is the account's.
func (s *SMSC) outboxOf(account string, receives bool) *outbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.accounts[account]
	if o == nil {
		o = &outbox{changed: make(chan struct{})}
		s.accounts[account] = o
	}
	if receives {
		s.latest = o
	}
	return o
}

// boundBy is how many sessions the account has.
func (s *SMSC) boundBy(account string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		if c.name() == account {
			n++
		}
	}
	return n
}

func (o *outbox) add(p *parcel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) >= mostWaiting {
		return // it is lost
	}
	at := len(o.waiting)
	for at > 0 && o.waiting[at-1].due.After(p.due) {
		at--
	}
	o.waiting = append(o.waiting, nil)
	copy(o.waiting[at+1:], o.waiting[at:])
	o.waiting[at] = p
	if at == 0 {
		close(o.changed)
		o.changed = make(chan struct{})
	}
}

// next is the first that is due, or how long until then; it waits for changed
// when that is below zero.
func (o *outbox) next(now time.Time) (p *parcel, in time.Duration, changed chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return nil, -1, o.changed
	}
	if in := o.waiting[0].due.Sub(now); in > 0 {
		return nil, in, o.changed
	}
	p = o.waiting[0]
	o.waiting[0] = nil
	o.waiting = o.waiting[1:]
	return p, 0, nil
}

// deliver gives the client what waits for its account.
func (c *session) deliver() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case c.free <- struct{}{}:
		case <-c.over:
			return
		}
		var p *parcel
		for p == nil {
			found, in, changed := c.outbox.next(time.Now())
			if p = found; p != nil {
				break
			}
			if in < 0 {
				in = time.Hour
			}
			timer.Reset(in)
			select {
			case <-changed:
			case <-timer.C:
			case <-c.over:
				return
			}
		}
		c.send(p)
	}
}

func (c *session) send(p *parcel) {
	sequence := c.sequence()
	c.mu.Lock()
	c.pending[sequence] = p
	c.mu.Unlock()
	unit, err := pdu.AppendMessage(nil, pdu.DeliverSM, sequence, &p.message)
	if err == nil {
		_ = c.write(unit) // serve sees it, and gives the parcel back
	}
	if p.written != nil {
		close(p.written)
		p.written = nil
	}
}

// settle reads the client's answer to a parcel. It comes again unless it was
// acknowledged, or refused for good.
func (c *session) settle(h pdu.Header) {
	c.mu.Lock()
	p := c.pending[h.Sequence]
	delete(c.pending, h.Sequence)
	c.mu.Unlock()
	if p == nil {
		return // an answer to enquire_link
	}
	<-c.free
	if h.Status == pdu.RXTAPPN || h.Status == pdu.RMSGQFUL || h.Status == pdu.RTHROTTLED || h.Status == pdu.RSYSERR {
		c.again(p)
	}
}

func (c *session) again(p *parcel) {
	p.due = time.Now().Add(c.smsc.cfg.RetryAfter)
	c.outbox.add(p)
}

// giveBack leaves to other sessions what the client did not answer.
func (c *session) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pending {
		c.again(p)
	}
	clear(c.pending)
}

// receiptOf is the receipt of a unit; nil: nobody wants one.
func (c *session) receiptOf(u Unit, number uint64, fault Fault) *parcel {
	wanted := u.Message.RegisteredDelivery & 0x03
	failed := u.final != pdu.Delivered
	if wanted == 0 || wanted == 2 && !failed || fault.Kind == NoReceipt {
		return nil
	}
	receipts := c.smsc.cfg.Receipts
	id, code, delivered := receipts.IDs.inReceipt(number), "000", "001"
	if failed {
		code, delivered = fault.Error, "000"
	}
	m := pdu.Message{Source: u.Message.Destination, Destination: u.Message.Source, ESMClass: pdu.ESMReceipt}
	if receipts.Form != TLVOnly {
		m.ShortMessage = fmt.Appendf(nil, "id:%s sub:001 dlvrd:%s submit date:%s done date:%s stat:%s err:%s text:",
			id, delivered, u.At.UTC().Format("0601021504"), u.due.UTC().Format("0601021504"), u.final, code)
	}
	if receipts.Form != TextOnly {
		m.Options = pdu.AppendOption(m.Options, pdu.ReceiptedMessageID, append([]byte(id), 0))
		m.Options = pdu.AppendOption(m.Options, pdu.MessageStateTag, []byte{byte(u.final)})
		if failed {
			m.Options = pdu.AppendOption(m.Options, pdu.NetworkErrorCode, append([]byte{3, 0}, code[2]-'0'))
		}
		if reference, found := u.Message.Options.Number(pdu.UserMessageReference); found {
			m.Options = pdu.AppendOption16(m.Options, pdu.UserMessageReference, reference)
		}
	}
	return &parcel{message: m, due: time.Now().Add(receipts.Delay)}
}

// Say hands over what a phone writes to the account that bound last to
// receive. It fails with problem.Unavailable when there is none.
func (s *SMSC) Say(from, to, text string) error {
	var mistakes problem.Fields
	if from = strings.TrimPrefix(from, "+"); from == "" {
		mistakes.Add("from", "required", "say whose phone writes")
	}
	if to = strings.TrimPrefix(to, "+"); len(to) > 20 || len(from) > 20 {
		mistakes.Add("to", "format", "use numbers of up to 20 digits")
	}
	composed, err := sms.Compose(text, sms.Options{})
	if err != nil {
		mistakes.Add("text", "max", "use fewer words")
	}
	if err := mistakes.Err("the message is not complete"); err != nil {
		return err
	}
	s.mu.Lock()
	o := s.latest
	s.mu.Unlock()
	if o == nil {
		return problem.New(problem.Unavailable, "nobody has bound to receive")
	}
	s.box.Add(texts.Text{At: s.cfg.Now(), From: from, To: to, Text: composed.Text, Encoding: composed.Encoding.String(), Parts: len(composed.Parts), Reply: true})
	for _, m := range s.written(composed, uint16(s.ids.Add(1))) { //nolint:gosec // the lower bits are reference enough
		m.Source, m.Destination = pdu.Address{TON: pdu.International, NPI: pdu.ISDN, Number: from}, pdu.Address{Number: to}
		o.add(&parcel{message: m, due: time.Now()})
	}
	return nil
}

// written is what a phone wrote, as units without addresses.
func (s *SMSC) written(c sms.Composition, reference uint16) (all []pdu.Message) {
	coding := byte(codingDefault)
	if c.Encoding == sms.UCS2 {
		coding = codingUCS2
	}
	if len(c.Parts) > 1 && s.cfg.LongTexts == "payload" {
		var whole []byte
		for _, part := range c.Parts {
			whole = append(whole, part...)
		}
		return []pdu.Message{{DataCoding: coding, Options: pdu.AppendOption(nil, pdu.MessagePayload, whole)}}
	}
	for i, part := range c.Parts {
		m := pdu.Message{DataCoding: coding, ShortMessage: part}
		switch {
		case len(c.Parts) == 1:
		case s.cfg.LongTexts == "sar":
			m.Options = pdu.AppendOption16(nil, pdu.SARReference, reference)
			m.Options = pdu.AppendOption(m.Options, pdu.SARTotal, []byte{byte(len(c.Parts))})
			m.Options = pdu.AppendOption(m.Options, pdu.SARSegment, []byte{byte(i + 1)})
		default:
			m.ESMClass = pdu.ESMHeader
			m.ShortMessage = append(c.Header(reference, i), part...)
		}
		all = append(all, m)
	}
	return all
}
