package sgip

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"herald/dispatch/sms/wire"
	"herald/hardware/sim"
	"herald/hardware/sim/ismg"
)

// call connects to the client whenever there is something to tell, until the
// gateway closes.
func (g *Gateway) call() {
	for g.outbox.Await(g.closing) {
		if err := g.callOnce(); err != nil {
			g.cfg.Logger.Debug("the client cannot be told", "error", err)
			sim.Pause(g.cfg.RetryAfter, g.closing)
		}
	}
}

// mostWait is how long a client may take to let the gateway in.
const mostWait = 30 * time.Second

// callOnce tells on one connection until it ends, or was silent for too long.
func (g *Gateway) callOnce() error {
	ctx, cancel := context.WithTimeout(context.Background(), mostWait)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", g.cfg.Client)
	if err != nil {
		return err
	}
	over := make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	defer conn.Close() //nolint:errcheck // it is over
	running.Go(func() {
		select {
		case <-g.closing:
			_ = conn.Close() // its reader notices
		case <-over:
		}
	})
	defer close(over)
	in := bufio.NewReader(conn)
	if err := g.signIn(conn, in); err != nil {
		return err
	}
	return g.tell(conn, in)
}

func (g *Gateway) signIn(conn net.Conn, in *bufio.Reader) error {
	if err := conn.SetDeadline(time.Now().Add(mostWait)); err != nil {
		return err
	}
	u := wire.PDU{Command: bind, Sequence: g.next(), Body: login{2, g.cfg.ClientName, g.cfg.ClientPassword}.body()}
	if _, err := conn.Write(protocol.Append(nil, u)); err != nil {
		return err
	}
	reply, err := protocol.Read(in)
	if err != nil {
		return err
	}
	if reply.Command != bind|answer || reply.Sequence != u.Sequence || len(reply.Body) != 9 || reply.Body[0] != resultOK {
		return fmt.Errorf("the client lets the gateway not in: %x", reply.Body)
	}
	return conn.SetDeadline(time.Time{})
}

// tell tells until the connection ends, or was silent for too long.
func (g *Gateway) tell(conn net.Conn, in *bufio.Reader) error {
	var writing sync.Mutex
	say := func(u wire.PDU) error {
		writing.Lock()
		defer writing.Unlock()
		_, err := conn.Write(protocol.Append(nil, u))
		return err
	}
	teller := ismg.Teller[telling]{
		Outbox: &g.outbox, Window: g.cfg.Window, Again: g.cfg.RetryAfter,
		Number: func(t telling) uint32 { return t.sequence[2] },
		Send:   func(_ uint32, t telling) error { return say(t.pdu()) },
	}
	over := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { teller.Run(over) })
	defer running.Wait()
	defer close(over)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(g.cfg.IdleAfter)); err != nil {
			return err
		}
		u, err := protocol.Read(in)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return say(wire.PDU{Command: unbind, Sequence: g.next()})
		}
		if err != nil {
			return err
		}
		switch u.Command {
		case deliver | answer, report | answer:
			teller.Answered(u.Sequence[2], len(u.Body) > 0 && u.Body[0] == resultOK)
		case unbind:
			return say(wire.PDU{Command: unbind | answer, Sequence: u.Sequence})
		}
	}
}
