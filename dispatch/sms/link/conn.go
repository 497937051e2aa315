// Package link keeps a connection to an operator's gateway that is spoken to
// in PDUs with sequences, and hands messages over on it.
//
// Requests of ours go out in order, at most a window of them unanswered, and
// again with the same sequence when no answer comes; what the gateway asks is
// given to its protocol at once, whatever waits. A Courier makes parts of
// dispatch's messages and hands them over on a Conn; an Intake keeps what a
// gateway told until somebody took it, and only then is the gateway answered.
package link

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"herald/dispatch/sms/wire"
)

// Conn is one connection to a gateway. Its own goroutines read, and ask a
// silent gateway whether it is there; what we ask, one goroutine at a time
// does, by Ask or Exchange.
type Conn struct {
	protocol wire.Protocol
	timing   Timing
	conn     net.Conn
	next     func() wire.Sequence
	asked    func(*Conn, wire.PDU)

	writing sync.Mutex // held while something is written

	mu      sync.Mutex
	waiting map[wire.Sequence]struct{} // guarded by mu: requests of ours without an answer
	probed  chan struct{}              // guarded by mu: closed when something is heard; nil: nobody waits
	spoken  time.Time                  // guarded by mu: when the wire was last used, by either side
	why     error                      // guarded by mu: of ended

	answers chan wire.PDU // to requests in waiting
	ended   chan struct{} // closed when nothing more can be said
	running sync.WaitGroup
}

// NewConn speaks protocol on conn. next gives the sequence of each request;
// asked is called for each request of the gateway, by the goroutine that
// reads, and must not wait.
func NewConn(conn net.Conn, protocol wire.Protocol, timing Timing, next func() wire.Sequence, asked func(*Conn, wire.PDU)) *Conn {
	c := &Conn{
		protocol: protocol, timing: timing, conn: conn, next: next, asked: asked,
		waiting: map[wire.Sequence]struct{}{}, spoken: time.Now(),
		answers: make(chan wire.PDU, timing.Window+1), // as many as can be waited for
		ended:   make(chan struct{}),
	}
	c.running.Go(c.read)
	if timing.Idle > 0 {
		c.running.Go(c.keep)
	}
	return c
}

var (
	// ErrClosed is why a connection ended that we closed.
	ErrClosed = errors.New("the connection is closed")
	// ErrIdle is why a connection ended that nobody used.
	ErrIdle = errors.New("the connection was silent for too long")
	// ErrSilent is why a connection ended whose other side answers nothing.
	ErrSilent = errors.New("the gateway does not answer")
	// ErrSignedOut is why a connection ended whose other side took its leave.
	ErrSignedOut = errors.New("the gateway signed us out")
)

// Ended is closed when nothing more can be said.
func (c *Conn) Ended() <-chan struct{} { return c.ended }

// Broken reports whether nothing more can be said.
func (c *Conn) Broken() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// Why is the reason of the end; nil before it.
func (c *Conn) Why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}

// End breaks the connection; the first reason stays.
func (c *Conn) End(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return
	}
	c.why = why
	close(c.ended)
	_ = c.conn.Close() // what it says then is no news
}

// goodbye is how long a gateway may take to answer that we leave.
const goodbye = time.Second

// Leave takes leave of the gateway, where that is still possible, and closes.
func (c *Conn) Leave(ctx context.Context) {
	if !c.Broken() && ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, goodbye)
		_, _ = c.Ask(ctx, c.protocol.Leave, nil) // it is over either way
		cancel()
	}
	c.Close()
}

// Close breaks the connection and waits for its goroutines. It, or Leave, must
// be called, whatever broke the connection before.
func (c *Conn) Close() {
	c.End(ErrClosed)
	c.running.Wait()
}

func (c *Conn) read() {
	in := bufio.NewReader(c.conn)
	for {
		u, err := c.protocol.Read(in)
		if err != nil {
			c.End(err)
			return
		}
		c.touch(true)
		switch {
		case !u.IsAnswer():
			c.asked(c, u)
		case c.forget(u.Sequence):
			c.answers <- u // there is room for everything in waiting
		}
	}
}

// touch notes that something was heard, or said.
func (c *Conn) touch(heard bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoken = time.Now()
	if heard && c.probed != nil {
		close(c.probed)
		c.probed = nil
	}
}

// expect notes that an answer is waited for.
func (c *Conn) expect(s wire.Sequence) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[s] = struct{}{}
}

// forget notes that it is not any more; it is false when it was not.
func (c *Conn) forget(s wire.Sequence) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.waiting[s]
	delete(c.waiting, s)
	return known
}

// write says something; n is how much of it left this machine. A connection
// that takes nothing for as long as an answer may take is broken.
func (c *Conn) write(b []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.Broken() {
		return 0, c.Why()
	}
	if err = c.conn.SetWriteDeadline(time.Now().Add(c.timing.Answer)); err == nil {
		n, err = c.conn.Write(b)
	}
	if err != nil {
		c.End(err)
		return n, err
	}
	c.touch(false)
	return n, nil
}

// Tell sends a PDU that is not answered, such as an answer.
func (c *Conn) Tell(u wire.PDU) error {
	_, err := c.write(c.protocol.Append(nil, u))
	return err
}

// Ask sends a request and waits for its answer, once, as long as an answer may
// take. After an error the connection is broken.
func (c *Conn) Ask(ctx context.Context, command uint32, body []byte) (wire.PDU, error) {
	s := c.next()
	c.expect(s)
	if err := c.Tell(wire.PDU{Command: command, Sequence: s, Body: body}); err != nil {
		return wire.PDU{}, err
	}
	limit := time.NewTimer(c.timing.Answer)
	defer limit.Stop()
	for {
		select {
		case u := <-c.answers:
			if u.Sequence == s {
				return u, nil
			}
		case <-c.ended:
			return c.lastAnswer(s)
		case <-limit.C:
			c.End(ErrSilent)
			return wire.PDU{}, ErrSilent
		case <-ctx.Done():
			c.End(ctx.Err())
			return wire.PDU{}, ctx.Err()
		}
	}
}

// lastAnswer looks whether the answer came just before the end.
func (c *Conn) lastAnswer(s wire.Sequence) (wire.PDU, error) {
	for {
		select {
		case u := <-c.answers:
			if u.Sequence == s {
				return u, nil
			}
		default:
			return wire.PDU{}, c.Why()
		}
	}
}

// Probe asks whether the other side is there; whatever it says then is an
// answer.
func (c *Conn) Probe(ctx context.Context) error {
	c.mu.Lock()
	if c.probed == nil {
		c.probed = make(chan struct{})
	}
	answered := c.probed
	c.mu.Unlock()
	if err := c.Tell(wire.PDU{Command: c.protocol.Probe, Sequence: c.next()}); err != nil {
		return err
	}
	limit := time.NewTimer(c.timing.Answer)
	defer limit.Stop()
	select {
	case <-answered:
		return nil
	case <-c.ended:
		return c.Why()
	case <-limit.C:
		return ErrSilent
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keep asks a silent gateway whether it is there, Tries times in a row, or
// leaves it, until the connection ends.
func (c *Conn) keep() {
	for {
		c.mu.Lock()
		left := c.timing.Idle - time.Since(c.spoken)
		c.mu.Unlock()
		if left > 0 {
			if !c.rest(left) {
				return
			}
			continue
		}
		if c.protocol.Probe == 0 {
			_ = c.Tell(wire.PDU{Command: c.protocol.Leave, Sequence: c.next()}) // it is over either way
			c.End(ErrIdle)
			return
		}
		err := c.Probe(context.Background())
		for tries := 1; err != nil; tries++ {
			if tries >= c.timing.Tries || c.Broken() {
				c.End(ErrSilent)
				return
			}
			err = c.Probe(context.Background())
		}
	}
}

// rest waits; it is false when the connection ends meanwhile.
func (c *Conn) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ended:
		return false
	}
}
