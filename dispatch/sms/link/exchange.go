package link

import (
	"context"
	"errors"
	"slices"
	"time"

	"herald/dispatch/sms/wire"
)

// Request is a PDU of ours on its way.
type Request struct {
	// Of and Part are the sender's names for it.
	Of, Part int
	Command  uint32
	Body     []byte
	// Sequence is the one it was sent with; zero: a new one is given to it.
	Sequence wire.Sequence
	// Again is how often it came back because the gateway found us too fast.
	Again int

	order  int
	sent   int  // times
	before bool // it was sent with its sequence on another connection
	due    time.Time
}

func (r *Request) pdu() wire.PDU {
	return wire.PDU{Command: r.Command, Sequence: r.Sequence, Body: r.Body}
}

// Repeated reports whether it was sent more than once with its sequence, on
// this connection or before.
func (r *Request) Repeated() bool { return r.sent > 1 || r.before }

var (
	// ErrUnsent says of a request that the gateway has not heard of it.
	ErrUnsent = errors.New("the connection ended before the request's turn")
	// ErrUnanswered says of a request that the gateway may have heard it.
	ErrUnanswered = errors.New("there was no answer")
)

// exchange is one call of Exchange.
type exchange struct {
	*Conn
	more  func() *Request
	heard func(*Request, wire.PDU, error) time.Duration

	dry      bool // more had none when it was last asked
	given    int
	open     []*Request // sent and unanswered, in the order they were sent in
	again    []*Request // to be sent again, in their order
	hold     time.Time  // nothing new is sent before
	stopping bool       // nothing new is sent any more
	said     []byte
}

// Exchange sends the requests that more gives, in their order, until it gives
// nil and nothing is open: it is asked again after each answer. It calls heard
// once for each, from the calling goroutine: with its answer, or with an error
// that wraps ErrUnsent or ErrUnanswered. When heard returns a time, the request
// was refused for now: after that time it is sent again, with a new sequence
// and before all that stand behind it, and heard is called for it again.
//
// A request without an answer is sent again with its sequence (CMPP 3.0,
// section 7.1; SGIP does the same). When there is none in the end, the rest
// is waited for and the connection is broken; it is broken at once when ctx
// ends. Requests that more was not asked for are the caller's.
func (c *Conn) Exchange(ctx context.Context, more func() *Request, heard func(r *Request, answer wire.PDU, err error) (again time.Duration)) {
	e := &exchange{Conn: c, more: more, heard: heard}
	if ctx.Err() != nil {
		c.End(context.Cause(ctx))
	}
	defer context.AfterFunc(ctx, func() { c.End(context.Cause(ctx)) })()
	for {
		e.send()
		if len(e.open) == 0 && (e.Broken() || e.stopping || e.dry && len(e.again) == 0) {
			break
		}
		e.wait()
	}
	for _, r := range e.again {
		e.heard(r, wire.PDU{}, errors.Join(ErrUnsent, c.Why()))
	}
	if e.stopping {
		c.End(ErrSilent)
	}
}

// send fills the window.
func (e *exchange) send() {
	e.said, e.dry = e.said[:0], false
	var ends []int // of each request in said
	first := len(e.open)
	for !e.Broken() && !e.stopping && len(e.open) < e.timing.Window && !time.Now().Before(e.hold) {
		r := e.following()
		if r == nil {
			break
		}
		r.before = r.sent == 0 && r.Sequence != (wire.Sequence{})
		if !r.before {
			r.Sequence = e.next()
		}
		r.sent, r.due = 1, time.Now().Add(e.timing.Answer)
		e.expect(r.Sequence)
		e.open = append(e.open, r)
		e.said = e.protocol.Append(e.said, r.pdu())
		ends = append(ends, len(e.said))
	}
	if len(ends) == 0 {
		return
	}
	n, err := e.write(e.said)
	if err == nil {
		return
	}
	// A request that did not leave whole was not heard.
	for i, end := range slices.Backward(ends) {
		if end > n {
			r := e.open[first+i]
			e.open = slices.Delete(e.open, first+i, first+i+1)
			e.forget(r.Sequence)
			defer e.heard(r, wire.PDU{}, errors.Join(ErrUnsent, err)) // in their order
		}
	}
}

// following is the request whose turn it is; nil: there is none.
func (e *exchange) following() *Request {
	if len(e.again) > 0 {
		r := e.again[0]
		e.again = e.again[1:]
		return r
	}
	r := e.more()
	if r == nil {
		e.dry = true
		return nil
	}
	e.given++
	r.order = e.given
	return r
}

// wait hears one answer, or sees that one does not come.
func (e *exchange) wait() {
	select { // what was answered before the end counts
	case u := <-e.answers:
		e.answered(u)
		return
	default:
	}
	timer := time.NewTimer(time.Until(e.until()))
	defer timer.Stop()
	select {
	case u := <-e.answers:
		e.answered(u)
	case <-timer.C:
		e.overdue(time.Now())
	case <-e.ended:
		select {
		case u := <-e.answers:
			e.answered(u)
		default:
			e.giveUp(func(*Request) bool { return true }, e.Why())
		}
	}
}

// until is when something must be done.
func (e *exchange) until() time.Time {
	at := time.Now().Add(e.timing.Answer)
	for _, r := range e.open {
		if r.due.Before(at) {
			at = r.due
		}
	}
	if now := time.Now(); e.hold.After(now) && e.hold.Before(at) && len(e.open) < e.timing.Window {
		at = e.hold
	}
	return at
}

func (e *exchange) answered(u wire.PDU) {
	i := slices.IndexFunc(e.open, func(r *Request) bool { return r.Sequence == u.Sequence })
	if i < 0 {
		return // it was waited for by somebody who has given up
	}
	r := e.open[i]
	e.open = slices.Delete(e.open, i, i+1)
	if again := e.heard(r, u, nil); again > 0 {
		r.Again++
		if hold := time.Now().Add(again); hold.After(e.hold) {
			e.hold = hold
		}
		at, _ := slices.BinarySearchFunc(e.again, r, func(x, y *Request) int { return x.order - y.order })
		e.again = slices.Insert(e.again, at, r)
	}
}

// overdue sends again what has waited too long for its answer, and gives up
// what was sent often enough.
func (e *exchange) overdue(now time.Time) {
	e.giveUp(func(r *Request) bool { return r.sent >= e.timing.Tries && !now.Before(r.due) }, ErrSilent)
	e.said = e.said[:0]
	for _, r := range e.open {
		if now.Before(r.due) {
			continue
		}
		r.sent++
		r.due = now.Add(e.timing.Answer)
		e.said = e.protocol.Append(e.said, r.pdu())
	}
	if len(e.said) > 0 {
		_, _ = e.write(e.said) // after a failure the connection is broken, and that is seen next
	}
}

func (e *exchange) giveUp(which func(*Request) bool, why error) {
	var given []*Request
	e.open = slices.DeleteFunc(e.open, func(r *Request) bool {
		if !which(r) {
			return false
		}
		given = append(given, r)
		return true
	})
	for _, r := range given {
		e.stopping = true
		e.forget(r.Sequence)
		e.heard(r, wire.PDU{}, errors.Join(ErrUnanswered, why))
	}
}
