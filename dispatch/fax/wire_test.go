package fax

import (
	"bytes"
	"context"
	"net"
	"sync"
)

// wire makes connections that break, or fall silent, at a command.
type wire struct {
	mu      sync.Mutex
	command string            // guarded by mu
	act     func(*conn) error // guarded by mu; nil: nothing goes wrong
	shut    bool              // guarded by mu: no new connection is made
}

// conn is a connection of a wire.
type conn struct {
	net.Conn
	wire *wire
	once sync.Once
	deaf chan struct{} // closed when it is to hear nothing more
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	shut := w.shut
	w.mu.Unlock()
	if shut {
		return nil, net.ErrClosed
	}
	under, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: under, wire: w, deaf: make(chan struct{})}, nil
}

// at does something when a command is about to be said; from then on, nobody
// is let in.
func (w *wire) at(command string, act func(*conn) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.command, w.act = command, act
}

func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut = true
}

func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.command, w.act, w.shut = "", nil, false
}

func (c *conn) Write(b []byte) (int, error) {
	c.wire.mu.Lock()
	act := c.wire.act
	if act == nil || !bytes.HasPrefix(b, []byte(c.wire.command)) {
		c.wire.mu.Unlock()
		return c.Conn.Write(b)
	}
	c.wire.act, c.wire.shut = nil, true
	c.wire.mu.Unlock()
	if err := act(c); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		select {
		case <-c.deaf:
			if err == nil {
				continue
			}
		default:
		}
		return n, err
	}
}

// breaks closes the connection instead of saying the command.
func breaks(c *conn) error {
	_ = c.Close()
	return net.ErrClosed
}

// deafens says the command, and hears no answer.
func deafens(c *conn) error {
	c.once.Do(func() { close(c.deaf) })
	return nil
}
