package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/wire"
)

// Parts keeps what must be known of messages in several parts; *parts.Store
// does.
type Parts interface {
	Begin(ctx context.Context, account string, messages []parts.Start) ([]parts.Progress, error)
	Accepted(ctx context.Context, account string, taken ...parts.Part) error
	Reports(ctx context.Context, reports []dispatch.Report) ([]dispatch.Report, error)
	Collect(ctx context.Context, account string, pieces []sms.Piece, take func(context.Context, []dispatch.Inbound) error) error
	Overdue(ctx context.Context, account string, take func(context.Context, []dispatch.Inbound) error) error
}

// Courier hands messages over on a connection, part by part: it is what a
// dispatch.BatchSession does. It belongs to one goroutine at a time.
type Courier struct {
	Conn    *Conn
	Account string
	Parts   Parts
	// Compose says how a message is written. An error is the message's: it
	// will never be sent.
	Compose func(m *dispatch.Message) (wire.Letter, error)
	// Submit is the request that carries a part of a message.
	Submit func(m *dispatch.Message, l wire.Letter, reference uint16, part int) Request
	// Judge says what the answer to a part means.
	Judge func(r *Request, answer wire.PDU) Verdict
	// Settled is told of each part that was sent, and whether it is known what
	// became of it. May be nil.
	Settled func(m *dispatch.Message, r *Request, known bool)
}

// Verdict is what a gateway said of a part.
type Verdict struct {
	ProviderID string         // when it took it
	Detail     string         // then
	Class      dispatch.Class // when it did not; empty: it did
	// AddressDead says that nobody has the number.
	AddressDead bool
	Code        string
	Err         error
}

// A gateway that finds us too fast is given a pause, then twice as long a one,
// before it has the same part again, and everything behind it; the last
// refusal is the message's, and dispatch slows the account.
const (
	firstPause = 250 * time.Millisecond
	pauses     = 2
)

// parcel is a message on its way.
type parcel struct {
	message   *dispatch.Message
	letter    wire.Letter
	reference uint16
	ids       []string // of each part
	taken     []bool   // each part
	next      int      // the part whose turn it is
	open      int      // parts on their way: one at most
	fresh     []parts.Part
	code      string
	detail    string
	failure   *dispatch.SendError
	settled   bool
}

// round is one call of SendBatch.
type round struct {
	*Courier
	ctx     context.Context
	parcels []parcel
	done    func(int, dispatch.Receipt, error)
	turn    int // of the first parcel that is not sent whole
}

// Send hands one message over.
func (c *Courier) Send(ctx context.Context, m dispatch.Message) (r dispatch.Receipt, err error) {
	one := [1]dispatch.Message{m}
	c.SendBatch(ctx, one[:], func(_ int, receipt dispatch.Receipt, failure error) { r, err = receipt, failure })
	return r, err
}

// Broken reports whether nothing more can be said.
func (c *Courier) Broken() bool { return c.Conn.Broken() }

// Close takes leave of the gateway, where that is still possible.
func (c *Courier) Close(ctx context.Context) error {
	c.Conn.Leave(ctx)
	return nil
}

// SendBatch hands messages over in their order, with a window.
func (c *Courier) SendBatch(ctx context.Context, ms []dispatch.Message, done func(i int, r dispatch.Receipt, err error)) {
	b := round{Courier: c, ctx: ctx, parcels: make([]parcel, len(ms)), done: done}
	if !c.Conn.Broken() && ctx.Err() == nil {
		b.compose(ms)
		c.Conn.Exchange(ctx, b.following, b.heard)
	}
	for i := range b.parcels {
		if p := &b.parcels[i]; !p.settled {
			b.fail(p, Verdict{Class: dispatch.SessionFatal, Err: errors.Join(ErrUnsent, c.Conn.Why(), ctx.Err())})
			b.settle(i)
		}
	}
}

// compose writes the messages, and asks what is known of those in several parts.
func (b *round) compose(ms []dispatch.Message) {
	var starts []parts.Start
	var of []int
	for i := range ms {
		p := &b.parcels[i]
		p.message = &ms[i]
		letter, err := b.Compose(p.message)
		if err != nil {
			b.fail(p, Verdict{Class: dispatch.Permanent, Err: err})
			b.settle(i)
			continue
		}
		p.letter, p.ids, p.taken = letter, make([]string, letter.Parts()), make([]bool, letter.Parts())
		if letter.Parts() > 1 {
			starts = append(starts, parts.Start{DeliveryID: ms[i].DeliveryID, Address: ms[i].Address, Of: letter.Parts(), Text: ms[i].Content.Text})
			of = append(of, i)
		}
	}
	if len(starts) == 0 {
		return
	}
	progress, err := b.Parts.Begin(b.ctx, b.Account, starts)
	for n, i := range of {
		p := &b.parcels[i]
		if err != nil {
			b.fail(p, Verdict{Class: dispatch.Transient, Err: fmt.Errorf("ask what is known of the parts: %w", err)})
			b.settle(i)
			continue
		}
		p.reference = progress[n].Reference
		copy(p.ids, progress[n].ProviderIDs)
		copy(p.taken, progress[n].Accepted)
		if p.skip(); p.next == len(p.ids) { // all were taken before
			b.settle(i)
		}
	}
}

// skip moves next over the parts that were taken before.
func (p *parcel) skip() {
	for p.next < len(p.ids) && p.taken[p.next] {
		p.next++
	}
}

// following is the next part to send; nil: there is none now. A message's
// second part is sent when its first was taken, so that none overtakes another
// whatever the gateway refuses; other messages fill the window meanwhile.
func (b *round) following() *Request {
	for i := b.turn; i < len(b.parcels); i++ {
		p := &b.parcels[i]
		switch {
		case p.settled || p.failure != nil || p.next == len(p.ids):
			if i == b.turn {
				b.turn++
			}
		case p.open == 0:
			r := b.Submit(p.message, p.letter, p.reference, p.next)
			r.Of, r.Part = i, p.next
			p.open++
			p.next++
			p.skip()
			return &r
		}
	}
	return nil
}

// heard takes the answer to a part, or that there is none.
func (b *round) heard(r *Request, answer wire.PDU, err error) (again time.Duration) {
	p := &b.parcels[r.Of]
	v := Verdict{Class: dispatch.Doubt, Err: err}
	switch {
	case errors.Is(err, ErrUnsent):
		v.Class = dispatch.SessionFatal
	case err == nil:
		v = b.Judge(r, answer)
	}
	if v.Class == dispatch.Throttled && r.Again < pauses && p.failure == nil {
		return firstPause << r.Again
	}
	if v.Class == "" {
		b.took(p, r, v)
	} else {
		b.fail(p, v)
	}
	if b.Settled != nil && v.Class != dispatch.SessionFatal {
		b.Settled(p.message, r, v.Class != dispatch.Doubt)
	}
	p.open--
	if p.open == 0 && (p.failure != nil || p.next == len(p.ids)) {
		b.settle(r.Of)
	}
	return 0
}

func (b *round) took(p *parcel, r *Request, v Verdict) {
	p.ids[r.Part], p.taken[r.Part] = v.ProviderID, true
	if p.code = v.Code; r.Part == 0 {
		p.detail = v.Detail // of the id that the receipt has
	}
	if len(p.ids) > 1 {
		p.fresh = append(p.fresh, parts.Part{DeliveryID: p.message.DeliveryID, Part: r.Part, ProviderID: v.ProviderID})
	}
}

// weight is how much the failure of a part says of its message: doubt most.
var weight = map[dispatch.Class]int{
	dispatch.SessionFatal: 1, dispatch.Transient: 2, dispatch.Throttled: 3,
	dispatch.Configuration: 4, dispatch.Permanent: 5, dispatch.Doubt: 6,
}

// fail notes why a message is not taken; of several reasons the weightiest.
func (b *round) fail(p *parcel, v Verdict) {
	if p.failure == nil || weight[v.Class] > weight[p.failure.Class] {
		p.failure = &dispatch.SendError{Class: v.Class, Code: v.Code, AddressDead: v.AddressDead, Account: b.Account, Err: v.Err}
	}
}

// settle says what came of a message. What was taken of it in parts is
// recorded first, so that a later attempt sends the others only.
func (b *round) settle(i int) {
	p := &b.parcels[i]
	p.settled = true
	if len(p.fresh) > 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), recordFor)
		defer cancel()
		if err := b.Parts.Accepted(ctx, b.Account, p.fresh...); err != nil && p.failure != nil {
			// Nobody will know which parts were taken.
			b.fail(p, Verdict{Class: dispatch.Doubt, Err: errors.Join(p.failure, fmt.Errorf("record the parts: %w", err))})
		}
	}
	if p.failure != nil {
		b.done(i, dispatch.Receipt{}, p.failure)
		return
	}
	b.done(i, dispatch.Receipt{ProviderID: p.ids[0], Account: b.Account, Code: p.code, Detail: p.detail}, nil)
}

// recordFor is how long the record of parts may take after the hand-over's
// time is up.
const recordFor = 5 * time.Second
