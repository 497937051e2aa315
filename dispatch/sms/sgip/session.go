package sgip

import (
	"context"
	"errors"
	"net"
	"strconv"

	"herald/dispatch"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/wire"
)

// session is one signed-in connection.
type session struct{ link.Courier }

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
	return &session{link.Courier{
		Conn:    link.NewConn(conn, protocol, g.cfg.Timing, g.next, asked),
		Account: g.cfg.Name, Parts: g.parts,
		Compose: g.compose, Submit: g.submit, Judge: judge,
		Settled: g.settled,
	}}, nil
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

// compose says how a message is written.
func (g *Gateway) compose(m *dispatch.Message) (wire.Letter, error) {
	if _, can := phone(m.Address); !can {
		return wire.Letter{}, errors.New("the recipient has no number of China's mainland")
	}
	return g.cfg.Writing.Compose(m.Content.Text)
}

// submit is the SUBMIT of a part; one that was sent before, and was not
// answered, has its sequence.
func (g *Gateway) submit(m *dispatch.Message, l wire.Letter, reference uint16, part int) link.Request {
	to, _ := phone(m.Address) // compose saw that it has one
	return link.Request{Command: submit, Sequence: g.doubts.of(m.DeliveryID, part), Body: g.cfg.submitBody(submission{
		format: l.Format(), hasUDH: l.Parts() > 1, content: l.Part(reference, part), to: to, until: wire.Until(m.ExpiresAt, g.now()),
	})}
}
