package sgip

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"herald/dispatch/sms/link"
	"herald/dispatch/sms/wire"
)

// reception is where the gateway connects to. It is open while it has users:
// Reports and Receive.
type reception struct {
	gateway *Gateway

	mu    sync.Mutex
	users int   // guarded by mu
	hall  *hall // guarded by mu; nil: it is closed, or there is no address
}

// open begins to listen, if nobody does yet.
func (r *reception) open(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	address := r.gateway.cfg.Reception.Listen
	if r.users == 0 && address != "" {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("listen for the gateway: %w", err)
		}
		r.hall = &hall{gateway: r.gateway, listener: listener, inside: map[*link.Conn]struct{}{}}
		r.hall.serving.Go(r.hall.accept)
	}
	r.users++
	return nil
}

// close ends it when its last user leaves.
func (r *reception) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users--; r.users == 0 && r.hall != nil {
		r.hall.close()
		r.hall = nil
	}
}

// addr is where it listens, as host:port; empty while it does not.
func (r *reception) addr() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hall == nil {
		return ""
	}
	return r.hall.listener.Addr().String()
}

// hall is a listener and the connections that came in by it.
type hall struct {
	gateway  *Gateway
	listener net.Listener
	serving  sync.WaitGroup

	mu     sync.Mutex
	closed bool                    // guarded by mu
	inside map[*link.Conn]struct{} // guarded by mu
}

// close ends all connections and returns when they are gone.
func (h *hall) close() {
	h.mu.Lock()
	h.closed = true
	_ = h.listener.Close() // nobody comes any more
	for c := range h.inside {
		c.End(link.ErrClosed)
	}
	h.mu.Unlock()
	h.serving.Wait()
}

// acceptPause is how long is waited after the machine could not take a
// connection.
const acceptPause = 100 * time.Millisecond

func (h *hall) accept() {
	for {
		conn, err := h.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			h.gateway.logger.Warn("a gateway's connection cannot be taken", "error", err)
			<-time.After(acceptPause)
			continue
		}
		from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err != nil || !h.gateway.cfg.Reception.lets(from.Addr()) {
			h.gateway.logger.Warn("somebody from elsewhere than the gateway's network was not let in", "from", from.Addr())
			_ = conn.Close() // they see
			continue
		}
		h.enter(conn)
	}
}

// mostInside is how many connections gateways may have at a time.
const mostInside = 64

func (h *hall) enter(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.inside) >= mostInside {
		_ = conn.Close() // they see
		return
	}
	v := &visitor{gateway: h.gateway}
	cfg := &h.gateway.cfg
	// We ask nothing there. Who says nothing is left, signed in or not.
	timing := link.Timing{Window: 1, Answer: cfg.Answer, Tries: 1, Idle: cfg.Idle}
	c := link.NewConn(conn, protocol, timing, h.gateway.next, v.asked)
	h.inside[c] = struct{}{}
	h.serving.Go(func() {
		<-c.Ended()
		c.Close()
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.inside, c)
	})
}

// visitor is a connection of the gateway's. It belongs to the goroutine that
// reads it.
type visitor struct {
	gateway  *Gateway
	signedIn bool
}

// asked hears what the gateway says. It must not wait.
func (v *visitor) asked(c *link.Conn, u wire.PDU) {
	reply := func(result byte) {
		// When that fails the connection is broken, and the gateway says it
		// again on another.
		_ = c.Tell(wire.PDU{Command: u.Command | answer, Sequence: u.Sequence, Body: resultBody(result)})
	}
	switch {
	case u.Command == bind:
		result := v.signIn(u.Body)
		reply(result)
		if !v.signedIn {
			v.gateway.logger.Warn("the gateway was not let in", "result", result)
			c.End(link.ErrClosed)
		}
	case u.Command == unbind:
		asked(c, u)
	case !v.signedIn:
		reply(resultLogin)
		c.End(link.ErrClosed)
	case u.Command == deliver:
		v.written(u, reply)
	case u.Command == report:
		v.reported(u, reply)
	default: // routes and the like are for gateways among themselves
		reply(resultFormat)
	}
}

// signIn checks a BIND of the gateway's.
func (v *visitor) signIn(body []byte) byte {
	const twice = 2
	cfg := &v.gateway.cfg.Reception
	l, err := parseLogin(body)
	same := subtle.ConstantTimeCompare([]byte(l.name+"\x00"+l.password), []byte(cfg.LoginName+"\x00"+cfg.Password)) == 1
	switch {
	case err != nil:
		return resultFormat
	case v.signedIn:
		return twice
	case l.kind != gatewaySignIn:
		return resultKind
	case !same:
		return resultLogin
	}
	v.signedIn = true
	return resultOK
}

// written keeps what somebody wrote until it was taken, and answers then.
func (v *visitor) written(u wire.PDU, reply func(byte)) {
	d, err := parseDelivery(u.Body)
	if err != nil {
		v.gateway.logger.Warn("a DELIVER cannot be read", "error", err)
		reply(resultFormat)
		return
	}
	p, readable := link.Piece(d.format, d.hasUDH, d.content)
	if !readable {
		v.gateway.logger.Info("a message came that is for no reader", "format", d.format)
		reply(resultOK)
		return
	}
	p.Key, p.From, p.To, p.At = sequenceText(u.Sequence), wire.Address(d.from), d.to, v.gateway.now()
	if !v.gateway.intake.PutPiece(p, func() { reply(resultOK) }) {
		reply(resultBusy)
	}
}

// reported keeps what became of a message until it was taken, and answers then.
func (v *visitor) reported(u wire.PDU, reply func(byte)) {
	n, err := parseNews(u.Body)
	if err != nil {
		v.gateway.logger.Warn("a REPORT cannot be read", "error", err)
		reply(resultFormat)
		return
	}
	if n.ofDeliver { // between gateways
		reply(resultOK)
		return
	}
	r := n.report()
	r.Account, r.Channel = v.gateway.cfg.Name, v.gateway.Channel()
	if !v.gateway.intake.PutReport(r, func() { reply(resultOK) }) {
		reply(resultBusy)
	}
}
