package cmpp

import (
	"context"
	"errors"
	"fmt"

	"herald/dispatch"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/wire"
)

// session is one signed-in connection.
type session struct {
	link.Courier
	gateway *Gateway
	version byte
	began   int64
}

var (
	_ dispatch.BatchSession = (*session)(nil)
	_ dispatch.LiveSession  = (*session)(nil)
)

// Alive asks the gateway whether it is there, by ACTIVE_TEST.
func (s *session) Alive(ctx context.Context) error {
	if err := s.Conn.Probe(ctx); err != nil {
		s.Conn.End(err)
		return &dispatch.SendError{Class: dispatch.SessionFatal, Account: s.gateway.cfg.Name, Err: err}
	}
	return nil
}

// compose says how a message is written.
func (g *Gateway) compose(m *dispatch.Message) (wire.Letter, error) {
	if _, can := g.cfg.phone(m.Address); !can {
		return wire.Letter{}, errors.New("the recipient has no number of China's mainland")
	}
	return g.cfg.Writing.Compose(m.Content.Text)
}

// submit is the SUBMIT of a part.
func (s *session) submit(m *dispatch.Message, l wire.Letter, reference uint16, part int) link.Request {
	cfg := &s.gateway.cfg
	to, _ := cfg.phone(m.Address) // compose saw that it has one
	return link.Request{Command: submit, Body: cfg.appendSubmit(nil, s.version, submission{
		total: byte(l.Parts()), number: byte(part + 1), //nolint:gosec // 255 at most
		format: l.Format(), hasUDH: l.Parts() > 1, content: l.Part(reference, part),
		to: to, until: wire.Until(m.ExpiresAt, s.gateway.now()),
	})}
}

// What the gateway is answered to a DELIVER (section 8.4.5.2).
const (
	resultOK      = 0
	resultNoSense = 1
	resultTooFast = 8 // it is told again
)

// asked hears what the gateway asks. It must not wait.
func (s *session) asked(c *link.Conn, u wire.PDU) {
	switch u.Command {
	case deliver:
		s.told(c, u)
	case activeTest:
		s.tell(c, wire.PDU{Command: activeTest | answer, Sequence: u.Sequence, Body: []byte{0}})
	case terminate:
		s.tell(c, wire.PDU{Command: terminate | answer, Sequence: u.Sequence})
		c.End(link.ErrSignedOut)
	default: // routes and the like are for gateways among themselves (section 8.6)
	}
}

// tell answers the gateway. When that fails the connection is broken, and the
// gateway asks again on another.
func (s *session) tell(c *link.Conn, u wire.PDU) { _ = c.Tell(u) }

// told keeps what a DELIVER says until somebody took it, and answers then.
func (s *session) told(c *link.Conn, u wire.PDU) {
	reply := func(id uint64, result byte) {
		s.tell(c, wire.PDU{Command: deliver | answer, Sequence: u.Sequence, Body: deliveredBody(s.version, id, result)})
	}
	d, err := parseDelivery(u.Body, s.version)
	if err != nil {
		s.gateway.logger.Warn("a DELIVER cannot be read", "error", err)
		reply(0, resultNoSense)
		return
	}
	kept := false
	if d.isReport {
		r, rerr := parseReport(d.content)
		if rerr != nil {
			s.gateway.logger.Warn("a report cannot be read", "error", rerr)
			reply(d.id, resultNoSense)
			return
		}
		kept = s.gateway.keepReport(r, func() { reply(d.id, resultOK) })
	} else {
		kept = s.gateway.keepWritten(d, s.key(d, u), func() { reply(d.id, resultOK) })
	}
	if !kept {
		reply(d.id, resultTooFast)
	}
}

// key tells a DELIVER that is told twice. One without an id is told again with
// the same sequence, on the same connection.
func (s *session) key(d delivery, u wire.PDU) string {
	if d.id != 0 {
		return idText(d.id)
	}
	return fmt.Sprintf("%d-%d", s.began, u.Sequence[2])
}

func (g *Gateway) keepReport(r report, taken func()) bool {
	key := idText(r.id) + " " + r.stat
	return g.intake.PutReport(dispatch.Report{
		Account: g.cfg.Name, Channel: g.Channel(), ProviderID: idText(r.id), Key: key,
		Event: eventOf(r.stat), Code: r.stat, At: r.done,
	}, taken)
}

func (g *Gateway) keepWritten(d delivery, key string, taken func()) bool {
	from := d.from
	if !d.pseudo {
		from = wire.Address(from)
	}
	p, readable := link.Piece(d.format, d.hasUDH, d.content)
	if !readable {
		g.logger.Info("a message came that is for no reader", "format", d.format)
		taken()
		return true
	}
	p.Key, p.From, p.To, p.At = key, from, d.to, g.now()
	return g.intake.PutPiece(p, taken)
}
