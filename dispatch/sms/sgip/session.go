package sgip

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/wire"
)

// session is one signed-in connection.
type session struct {
	gateway *Gateway
	conn    *link.Conn
	courier link.Courier
}

var _ dispatch.BatchSession = (*session)(nil)

// dial connects and signs in.
func (g *Gateway) dial(ctx context.Context) (*session, *dispatch.SendError) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Answer)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(g.cfg.Host, strconv.Itoa(g.cfg.Port)))
	if err != nil {
		return nil, &dispatch.SendError{Class: dispatch.Transient, Err: err}
	}
	if failure := g.signIn(ctx, conn); failure != nil {
		_ = conn.Close() // the failure says more
		return nil, failure
	}
	s := &session{gateway: g}
	timing := link.Timing{Window: g.cfg.Window, Answer: g.cfg.Answer, Tries: g.cfg.Tries, Idle: g.cfg.Idle}
	s.conn = link.NewConn(conn, protocol, timing, g.next, asked)
	s.courier = link.Courier{
		Conn: s.conn, Account: g.cfg.Name, Parts: g.parts,
		Compose: g.compose, Submit: g.submit, Judge: judge,
		Settled: g.settled,
	}
	return s, nil
}

// signIn says BIND.
func (g *Gateway) signIn(ctx context.Context, conn net.Conn) *dispatch.SendError {
	body := login{weSignIn, g.cfg.LoginName, g.cfg.Password}.body()
	u, err := link.Greet(ctx, conn, protocol, wire.PDU{Command: bind, Sequence: g.next(), Body: body})
	if err != nil {
		return &dispatch.SendError{Class: dispatch.Transient, Err: err}
	}
	result, err := parseResult(u.Body)
	switch {
	case err != nil || u.Command != bind|answer:
		return &dispatch.SendError{Class: dispatch.Transient, Err: errors.Join(errNonsense, err)}
	case result != resultOK:
		return refusal(result)
	}
	return nil
}

// asked hears what the gateway asks on our connection, which is only to leave.
func asked(c *link.Conn, u wire.PDU) {
	if u.Command == unbind {
		_ = c.Tell(wire.PDU{Command: unbind | answer, Sequence: u.Sequence}) // it is over either way
		c.End(link.ErrSignedOut)
	}
}

// Send hands one message over.
func (s *session) Send(ctx context.Context, m dispatch.Message) (r dispatch.Receipt, err error) {
	one := [1]dispatch.Message{m}
	s.SendBatch(ctx, one[:], func(_ int, receipt dispatch.Receipt, failure error) { r, err = receipt, failure })
	return r, err
}

// SendBatch hands messages over in their order, with a window.
func (s *session) SendBatch(ctx context.Context, ms []dispatch.Message, done func(i int, r dispatch.Receipt, err error)) {
	s.courier.SendBatch(ctx, ms, done)
}

// Broken reports whether nothing more can be said on the session.
func (s *session) Broken() bool { return s.conn.Broken() }

// goodbye is how long a gateway may take to answer UNBIND.
const goodbye = time.Second

// Close ends the session, with UNBIND where that is still possible.
func (s *session) Close(ctx context.Context) error {
	if !s.conn.Broken() && ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, goodbye)
		_, _ = s.conn.Ask(ctx, unbind, nil) // it is over either way
		cancel()
	}
	s.conn.Close()
	return nil
}

// compose says how a message is written.
func (g *Gateway) compose(m *dispatch.Message) (wire.Letter, error) {
	if _, can := phone(m.Address); !can {
		return wire.Letter{}, errors.New("the recipient has no number of China's mainland")
	}
	return g.cfg.Writing.Compose(m.Content.Text)
}

// until is when a message is worth nothing any more; zero: when the gateway
// would give up by itself.
func (g *Gateway) until(m *dispatch.Message) time.Time {
	if m.ExpiresAt.Sub(g.now()) > gatewaysPatience {
		return time.Time{}
	}
	return m.ExpiresAt
}

// gatewaysPatience is how long gateways try at most.
const gatewaysPatience = 48 * time.Hour

// submit is the SUBMIT of a part; one that was sent before, and was not
// answered, has its sequence.
func (g *Gateway) submit(m *dispatch.Message, l wire.Letter, reference uint16, part int) link.Request {
	to, _ := phone(m.Address) // compose saw that it has one
	return link.Request{Command: submit, Sequence: g.doubts.of(m.DeliveryID, part), Body: g.cfg.submitBody(submission{
		format: l.Format(), hasUDH: l.Parts() > 1, content: l.Part(reference, part), to: to, until: g.until(m),
	})}
}
