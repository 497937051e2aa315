package smsc

import (
	"context"
	"fmt"
	"slices"
	"time"

	"herald/dispatch/sms/smpp/pdu"
	"herald/hardware/sim"
)

// Unit is one submit_sm or data_sm as it was taken.
type Unit struct {
	At      time.Time
	Account string
	ID      string // as the answer has it
	Message pdu.Message

	final pdu.State // what becomes of it
	due   time.Time // when
}

// WaitFor returns nil as soon as enough says so of the units kept, or ctx's
// error when ctx ends first. enough is asked at once and after every arrival.
func (s *SMSC) WaitFor(ctx context.Context, enough func([]Unit) bool) error {
	return s.units.WaitFor(ctx, func(kept []Unit, _ int64) bool { return enough(kept) })
}

// Units are the submitted units kept, the oldest first. They are shared: read
// them only.
func (s *SMSC) Units() []Unit { return s.units.All() }

// Count is how many units were taken since the start, forgotten ones included.
func (s *SMSC) Count() int64 { return s.units.Count() }

// befalling are the faults of a unit, and fates what becomes of it when it was
// taken; it may have one of each.
var (
	befalling = []FaultKind{Refuse, DropBefore, DropAfter, Lose, Delay, EndSession}
	fates     = []FaultKind{Undelivered, NoReceipt}
)

// take answers a submit_sm or data_sm.
func (c *session) take(h pdu.Header, body []byte) error {
	s := c.smsc
	parse := pdu.ParseMessage
	if h.Command == pdu.DataSM {
		parse = pdu.ParseData
	}
	m, err := parse(body)
	if err != nil {
		c.refuse(h, pdu.RINVMSGLEN)
		return nil
	}
	now := s.cfg.Now()
	fault, _ := s.fault(m.Destination.Number, befalling...)
	switch {
	case fault.Kind == Refuse:
		c.refuse(h, fault.Status)
		return nil
	case fault.Kind == DropBefore:
		return errOver
	case fault.Kind == EndSession:
		c.refuse(h, fault.Status)
		c.said = pdu.AppendBare(c.said, pdu.Unbind, pdu.OK, c.sequence())
		return nil
	case m.Destination.Number == "":
		c.refuse(h, pdu.RINVDSTADR)
		return nil
	case !s.pace.Allows(now):
		c.refuse(h, pdu.RTHROTTLED)
		return nil
	}
	// The unit outlives the reader's buffer.
	m.ShortMessage, m.Options = slices.Clone(m.ShortMessage), slices.Clone(m.Options)
	number := s.ids.Add(1)
	unit := Unit{At: now, Account: c.name(), ID: s.cfg.Receipts.IDs.inAnswer(number), Message: m, final: pdu.Delivered, due: now.Add(s.cfg.Receipts.Delay)}
	fate, _ := s.fault(m.Destination.Number, fates...)
	if fate.Kind == Undelivered {
		unit.final, _ = pdu.ParseState(fate.State)
	}
	s.units.Add(unit)
	s.join(unit)
	receipt := c.receiptOf(unit, number, fate)
	if receipt != nil && s.cfg.Receipts.First {
		c.giveFirst(receipt)
		receipt = nil
	}
	if receipt != nil {
		c.receipts = append(c.receipts, receipt)
	}
	return c.grant(h, unit, fault)
}

// giveFirst returns when a receipt was written, or nobody takes it.
func (c *session) giveFirst(receipt *parcel) {
	written := make(chan struct{})
	receipt.written = written
	c.outbox.add(receipt)
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-written:
	case <-timer.C:
	case <-c.smsc.closing:
	}
}

// grant answers that a unit was taken, unless a fault stands against it.
func (c *session) grant(h pdu.Header, u Unit, fault Fault) (err error) {
	switch fault.Kind {
	case DropAfter:
		return errOver
	case Lose:
		return nil
	case Delay:
		answer, err := pdu.AppendMessageResp(nil, h.Command, h.Sequence, u.ID)
		if err != nil {
			return err
		}
		c.others.Go(func() {
			if sim.Pause(time.Duration(fault.Delay), c.over) {
				_ = c.write(answer) // serve sees it
			}
		})
		return nil
	}
	c.said, err = pdu.AppendMessageResp(c.said, h.Command, h.Sequence, u.ID)
	return err
}

// query answers what became of a unit.
func (c *session) query(h pdu.Header, body []byte) (err error) {
	q, err := pdu.ParseQuery(body)
	if err != nil {
		c.refuse(h, pdu.RINVMSGID)
		return nil
	}
	for _, u := range slices.Backward(c.smsc.Units()) {
		if u.ID != q.MessageID || u.Account != c.name() {
			continue
		}
		r := pdu.QueryResp{MessageID: u.ID, State: pdu.Enroute}
		if !c.smsc.cfg.Now().Before(u.due) {
			r.State, r.FinalDate = u.final, u.due.UTC().Format("060102150405")+"000+"
		}
		c.said, err = pdu.AppendQueryResp(c.said, h.Sequence, r)
		return err
	}
	c.refuse(h, pdu.RINVMSGID)
	return nil
}

// inAnswer is an id as answers have it.
func (f IDs) inAnswer(id uint64) string {
	if f == HexDecimal {
		return fmt.Sprintf("%X", id)
	}
	return fmt.Sprintf("%d", id)
}

// inReceipt is an id as receipts have it.
func (f IDs) inReceipt(id uint64) string {
	if f == DecimalHex {
		return fmt.Sprintf("%x", id)
	}
	return fmt.Sprintf("%d", id)
}
