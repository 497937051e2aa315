package smpp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"herald/dispatch/sms/smpp/pdu"
)

// link is one bound connection. Its reader hears all that the centre says,
// whether anybody submits or not; its keeper writes what the reader has to
// answer, and asks a silent centre whether it is there. Who submits does so
// through the window.
type link struct {
	client  *Client
	conn    net.Conn
	in      *pdu.Reader // of the reader
	out     out
	submits bool
	version byte          // of SMPP, as the centre says; 0: it does not
	kick    chan struct{} // the keeper is to write
	wake    chan struct{} // who submits is to look
	down    chan struct{} // closed when nothing more can be said
	running sync.WaitGroup

	heard atomic.Int64 // when something was, as nanoseconds since the epoch

	mu       sync.Mutex
	window   window                 // guarded by mu
	sequence uint32                 // guarded by mu: the last
	calls    map[uint32]chan answer // guarded by mu: other requests that wait
	leaving  uint32                 // guarded by mu: of the centre's unbind; 0: it has not asked
	why      error                  // guarded by mu: of down
}

// answer is what the centre says to a request that is no submit_sm.
type answer struct {
	status pdu.Status
	body   []byte
}

var (
	errClosed  = errors.New("the session is closed")
	errSilent  = errors.New("the centre is silent")
	errUnbound = errors.New("the centre ended the session")
	errTheirs  = errors.New("the centre closed the connection")
	errBroken  = errors.New("the session is broken")
	errDeaf    = errors.New("the centre asks, and reads no answers")
)

// begin starts the goroutines of a link that is bound.
func (l *link) begin() {
	l.heard.Store(time.Now().UnixNano())
	l.client.enter(l)
	l.running.Go(l.read)
	l.running.Go(l.keep)
}

// end makes the link of no use; the first reason counts.
func (l *link) end(why error) {
	if l.retire(why) {
		// Not while mu is held: TLS says goodbye first, to a centre that may not read.
		_ = l.conn.Close() // it is of no use either way
	}
}

// retire notes why the link is of no use; false: that was known.
func (l *link) retire(why error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why != nil {
		return false
	}
	l.why = why
	close(l.down)
	for sequence, call := range l.calls {
		close(call)
		delete(l.calls, sequence)
	}
	l.client.leave(l)
	l.nudge(l.wake)
	return true
}

// reason is why it is down; nil: it is not.
func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

// isGood reports whether something new may be submitted.
func (l *link) isGood() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why == nil && l.leaving == 0
}

func (l *link) nudge(who chan struct{}) {
	select {
	case who <- struct{}{}:
	default: // it is about to look
	}
}

// read hears the centre until the connection ends.
func (l *link) read() {
	for {
		h, body, err := l.in.Next()
		if err == nil {
			err = l.hear(h, body)
		}
		if err != nil {
			l.end(plain(err))
			return
		}
		if l.in.Buffered() {
			continue
		}
		l.heard.Store(time.Now().UnixNano())
		replies, busy := l.out.waits()
		if replies > mostReplies {
			l.end(errDeaf)
			return
		}
		if replies > 0 && !busy {
			l.nudge(l.kick)
		}
		if l.answered() {
			l.nudge(l.wake)
		}
	}
}

// hear takes one unit. What it answers is written by the keeper, so that the
// reader never waits for a centre that does not read.
func (l *link) hear(h pdu.Header, body []byte) error {
	switch h.Command {
	case pdu.SubmitSM.Response(), pdu.DataSM.Response():
		l.settle(h, body)
	case pdu.GenericNack:
		if !l.settle(h, nil) {
			l.hand(h, nil)
		}
	case pdu.DeliverSM, pdu.DataSM:
		l.deliver(h, body)
	case pdu.EnquireLink:
		l.out.add(pdu.AppendBare(nil, pdu.EnquireLink.Response(), pdu.OK, h.Sequence))
	case pdu.Unbind:
		return l.leave(h.Sequence)
	default:
		if h.Command.IsResponse() {
			l.hand(h, body)
			return nil
		}
		l.out.add(pdu.AppendBare(nil, pdu.GenericNack, pdu.RINVCMDID, h.Sequence))
	}
	return nil
}

// leave does what the centre asks: nothing more is submitted, and as soon as
// nothing waits for an answer the session ends.
func (l *link) leave(sequence uint32) error {
	l.mu.Lock()
	l.leaving = max(1, sequence)
	waits := l.window.used > 0
	l.mu.Unlock()
	if !waits {
		return l.goodbye()
	}
	l.nudge(l.wake)
	return nil
}

// goodbye answers the centre's unbind.
func (l *link) goodbye() error {
	l.mu.Lock()
	sequence := l.leaving
	l.mu.Unlock()
	l.write(pdu.AppendBare(nil, pdu.Unbind.Response(), pdu.OK, sequence))
	l.end(errUnbound)
	return errUnbound
}

// hand gives an answer to who asked.
func (l *link) hand(h pdu.Header, body []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	call, known := l.calls[h.Sequence]
	if !known {
		return // nobody waits for it any more
	}
	delete(l.calls, h.Sequence)
	call <- answer{h.Status, append([]byte(nil), body...)}
}

// ask sends a request that is no submit_sm, and waits for its answer. write
// appends it.
func (l *link) ask(ctx context.Context, write func(dst []byte, sequence uint32) ([]byte, error)) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, l.client.cfg.Timeout)
	defer cancel()
	l.mu.Lock()
	if l.why != nil {
		l.mu.Unlock()
		return answer{}, l.why
	}
	sequence := l.nextSequence()
	call := make(chan answer, 1)
	l.calls[sequence] = call
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.calls, sequence)
	}()
	unit, err := write(nil, sequence)
	if err != nil {
		return answer{}, err
	}
	l.write(unit)
	select {
	case a, told := <-call:
		if !told {
			return answer{}, l.reason()
		}
		return a, nil
	case <-ctx.Done():
		if ctx.Err() == context.DeadlineExceeded {
			return answer{}, errSilent
		}
		return answer{}, ctx.Err()
	}
}

// nextSequence wants mu held.
func (l *link) nextSequence() uint32 {
	if l.sequence++; l.sequence > pdu.MaxSequence {
		l.sequence = 1
	}
	return l.sequence
}

func enquiry(dst []byte, sequence uint32) ([]byte, error) {
	return pdu.AppendBare(dst, pdu.EnquireLink, pdu.OK, sequence), nil
}

// keep writes what the reader has to answer, and asks a silent centre whether
// it is there, though the window be full.
func (l *link) keep() {
	every := l.client.cfg.EnquireEvery
	timer := time.NewTimer(every)
	defer timer.Stop()
	var asked time.Time // zero: it is not being asked
	for {
		select {
		case <-l.down:
			return
		case <-l.kick:
			l.write(nil)
		case now := <-timer.C:
			heard := time.Unix(0, l.heard.Load())
			switch {
			case heard.After(asked) && now.Sub(heard) < every:
				asked = time.Time{}
				timer.Reset(every - now.Sub(heard))
			case asked.IsZero() || heard.After(asked):
				asked = now
				l.mu.Lock()
				sequence := l.nextSequence()
				l.mu.Unlock()
				l.write(pdu.AppendBare(nil, pdu.EnquireLink, pdu.OK, sequence))
				timer.Reset(l.client.cfg.Timeout)
			default:
				l.end(errSilent)
				return
			}
		}
	}
}

// lastWords is how long a centre that we cannot write to any more may take to
// say what it had to say.
const lastWords = 500 * time.Millisecond

// write writes units behind those that wait, and is where they begin among all
// that was ever written. When it cannot, the reader ends the link soon.
func (l *link) write(units []byte) (begin uint64) {
	begin, err := l.out.write(l.conn, units, l.client.cfg.Timeout)
	if err != nil {
		if err := l.conn.SetReadDeadline(time.Now().Add(lastWords)); err != nil {
			l.end(plain(err))
		}
	}
	return begin
}

// mostReplies is how many octets of answers may wait for a centre that does not
// read: those to 65,000 questions.
const mostReplies = 1 << 20

// out is what is written. One goroutine writes at a time; what others add
// meanwhile it writes next, together.
type out struct {
	mu      sync.Mutex
	idle    *sync.Cond // of mu: nobody writes any more
	waiting []byte     // guarded by mu
	replies int        // guarded by mu: octets of waiting that add left there
	spare   []byte     // guarded by mu: the other buffer
	busy    bool       // guarded by mu: somebody writes
	added   uint64     // guarded by mu: octets, ever
	written uint64     // guarded by mu: octets that left this process, ever
	armed   time.Time  // guarded by mu: when the deadline was set
	err     error      // guarded by mu: nothing can be written any more
}

// add leaves units to whoever writes next.
func (o *out) add(units []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, units...)
	o.replies += len(units)
	o.added += uint64(len(units))
}

// waits is how many octets add left that wait, and whether somebody writes.
func (o *out) waits() (replies int, busy bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.replies, o.busy
}

// write adds units and writes all that waits, unless somebody is writing, who
// then does so.
func (o *out) write(conn net.Conn, units []byte, limit time.Duration) (begin uint64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	begin = o.added
	o.waiting = append(o.waiting, units...)
	o.added += uint64(len(units))
	if o.busy {
		return begin, nil
	}
	o.busy = true
	for len(o.waiting) > 0 && o.err == nil {
		now := o.waiting
		o.waiting, o.spare, o.replies = o.spare[:0], nil, 0
		arm := time.Since(o.armed) > limit/8
		if arm {
			o.armed = time.Now()
		}
		o.mu.Unlock()
		var n int
		var err error
		if arm {
			err = conn.SetWriteDeadline(time.Now().Add(limit))
		}
		if err == nil {
			n, err = conn.Write(now)
		}
		o.mu.Lock()
		o.written += uint64(n)
		if o.err = err; cap(now) <= mostKept {
			o.spare = now[:0]
		}
	}
	o.busy = false
	o.idle.Broadcast()
	return begin, o.err
}

// reached is how much left this process, once nobody writes any more: it does
// not wait long when the connection is closed.
func (o *out) reached() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.busy {
		o.idle.Wait()
	}
	return o.written
}

// plain keeps of an error what is of use, and no addresses.
func plain(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, net.ErrClosed):
		return errTheirs
	case errors.As(err, &timeout) && timeout.Timeout():
		return errSilent
	case errors.Is(err, pdu.ErrLength):
		return fmt.Errorf("what the centre says cannot be read: %w", err)
	}
	return err
}
