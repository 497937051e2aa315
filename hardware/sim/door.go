package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
)

// Door lets connections in and knows who is inside.
type Door struct {
	// Name is what errors and logs call it.
	Name string
	// TLS, when set, is spoken from the first byte.
	TLS *tls.Config
	// Shut reports whether the next connection is closed before a word.
	Shut func() bool
	// Serve speaks with those whom the listener lets in, until it is closed.
	Serve  func(net.Listener) error
	Logger *slog.Logger

	mu       sync.Mutex
	listener net.Listener          // guarded by mu; nil before Open
	inside   map[*visitor]struct{} // guarded by mu
	closed   bool                  // guarded by mu
	serving  sync.WaitGroup
}

// Each speaks with every visitor in a goroutine of its own: it is a Door's
// Serve. serve speaks on a connection until it ends.
func Each(serve func(net.Conn)) func(net.Listener) error {
	return func(l net.Listener) error {
		var serving sync.WaitGroup
		defer serving.Wait()
		for {
			conn, err := l.Accept()
			if err != nil {
				return err
			}
			serving.Go(func() {
				defer conn.Close() //nolint:errcheck // it may be closed already
				serve(conn)
			})
		}
	}
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
	if d.TLS != nil {
		listener = tls.NewListener(listener, d.TLS)
	}
	d.listener, d.inside = listener, map[*visitor]struct{}{}
	d.serving.Go(func() {
		if err := d.Serve(entrance{listener, d}); err != nil && !errors.Is(err, net.ErrClosed) {
			d.Logger.Error(d.Name+" stopped", "error", err)
		}
	})
	return nil
}

// entrance is the listener that whoever serves sees.
type entrance struct {
	net.Listener
	door *Door
}

func (e entrance) Accept() (net.Conn, error) {
	for {
		conn, err := e.Listener.Accept()
		if err != nil {
			return nil, err
		}
		v := &visitor{conn, e.door}
		if e.door.Shut() || !e.door.enter(v) {
			_ = conn.Close() // the far end sees a broken connection, as it should
			continue
		}
		return v, nil
	}
}

// enter is false when the door is closed.
func (d *Door) enter(v *visitor) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.inside[v] = struct{}{}
	}
	return !d.closed
}

// visitor is a connection that is inside until it is closed.
type visitor struct {
	net.Conn
	door *Door
}

func (v *visitor) Close() error {
	v.door.mu.Lock()
	delete(v.door.inside, v)
	v.door.mu.Unlock()
	return v.Conn.Close()
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
	for v := range d.inside {
		_ = v.Conn.Close() // one that is closed already is as good
	}
}

// Close stops listening, drops every connection and returns when all are gone.
// Closing again does nothing.
func (d *Door) Close() error {
	d.mu.Lock()
	listener, again := d.listener, d.closed
	d.closed = true
	d.mu.Unlock()
	if listener == nil || again {
		return nil
	}
	err := listener.Close()
	d.DropAll()
	d.serving.Wait()
	return err
}
