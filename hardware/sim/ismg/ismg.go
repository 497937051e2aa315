// Package ismg is what the simulated gateways of China's operators have in
// common (they call them ISMG or SMG): the door, the faults, the pace, the
// texts that phones have, and what clients must be told.
//
// A protocol's simulator, such as hardware/sim/cmpp, serves connections that a
// Door lets in, asks the Faults what befalls a message, gives what it took to
// a Phones, and what it must tell to an Outbox, from which Tellers take it.
package ismg

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"herald/problem"
)

// Door lets connections in and knows who is inside.
type Door struct {
	// Name is what errors and logs call it.
	Name   string
	Faults *Faults
	Logger *slog.Logger
	// Serve speaks on a connection until it ends.
	Serve func(net.Conn)

	mu       sync.Mutex
	listener net.Listener          // guarded by mu; nil before Open
	inside   map[net.Conn]struct{} // guarded by mu
	closed   bool                  // guarded by mu
	serving  sync.WaitGroup
}

// Open listens at address, such as "127.0.0.1:7890", and serves until Close.
// It may be called once.
func (d *Door) Open(ctx context.Context, address string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener != nil || d.closed {
		return fmt.Errorf("%s: started before", d.Name)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%s: %w", d.Name, err)
	}
	d.listener, d.inside = listener, map[net.Conn]struct{}{}
	d.serving.Go(func() { d.accept(listener) })
	return nil
}

func (d *Door) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				d.Logger.Error(d.Name+" stopped", "error", err)
			}
			return
		}
		if _, found := d.Faults.Take("", Close); found || !d.enter(conn) {
			_ = conn.Close() // the far end sees a broken connection, as it should
			continue
		}
		d.serving.Go(func() {
			defer d.leave(conn)
			d.Serve(conn)
		})
	}
}

// enter is false when the door is closed.
func (d *Door) enter(conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.inside[conn] = struct{}{}
	}
	return !d.closed
}

func (d *Door) leave(conn net.Conn) {
	_ = conn.Close() // it may be closed already
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.inside, conn)
}

// Addr is where it listens, as host:port; empty before Open.
func (d *Door) Addr() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener == nil {
		return ""
	}
	return d.listener.Addr().String()
}

// Inside is how many connections there are.
func (d *Door) Inside() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.inside)
}

// DropAll breaks every connection, now; new ones are let in.
func (d *Door) DropAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.inside {
		_ = conn.Close() // one that is closed already is as good
	}
}

// Close stops listening, drops every connection and returns when all are gone.
// Closing again does nothing.
func (d *Door) Close() error {
	d.mu.Lock()
	listener := d.listener
	if d.closed || listener == nil {
		d.closed = true
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.mu.Unlock()
	err := listener.Close()
	d.DropAll()
	d.serving.Wait()
	return err
}

// Page lets the page of a simulator act on it; it is a texts.Simulator.
type Page struct {
	Simulated *Faults
	Write     func(from, to, text string) error
}

// Faults are those in force.
func (p Page) Faults() any { return p.Simulated.All() }

// SetFaults replaces them; it fails with problem.Invalid.
func (p Page) SetFaults(list json.RawMessage) error {
	var faults []Fault
	body := json.NewDecoder(bytes.NewReader(list))
	body.DisallowUnknownFields()
	if err := body.Decode(&faults); err != nil {
		return problem.New(problem.Invalid, "the faults cannot be read: %v", err)
	}
	return p.Simulated.Set(faults...)
}

// Say hands over what a phone writes.
func (p Page) Say(_ context.Context, from, to, text string) error { return p.Write(from, to, text) }

// Pace counts what may be taken in a second; its zero value takes all.
type Pace struct {
	PerSecond int

	mu    sync.Mutex
	since time.Time // guarded by mu
	taken int       // guarded by mu, since then
}

// Allows reports whether one more may be taken now.
func (p *Pace) Allows(now time.Time) bool {
	if p.PerSecond == 0 {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.since) >= time.Second {
		p.since, p.taken = now, 0
	}
	p.taken++
	return p.taken <= p.PerSecond
}
