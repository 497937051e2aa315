package gateway

import (
	"context"
	"errors"
	"time"

	"herald/dispatch"
)

// session is one connection that messages go out on. It belongs to one
// goroutine at a time.
type session struct {
	gateway *Gateway
	link    *link
}

var _ dispatch.LiveSession = (*session)(nil)

var errBroken = errors.New("the session is broken")

// Send hands one message over, in as many requests as the description says.
func (s *session) Send(ctx context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	c, err := s.gateway.compose(m)
	if err != nil {
		return dispatch.Receipt{}, &dispatch.SendError{Class: dispatch.Permanent, Code: "too_long", Account: s.gateway.cfg.Name, Err: err}
	}
	view := s.gateway.view(m, c)
	if len(c.Parts) > 1 && s.gateway.description.inParts() {
		return s.sendParts(ctx, m, c, view)
	}
	return s.hand(ctx, view)
}

// hand makes one request, and once more where a repetition does no harm.
func (s *session) hand(ctx context.Context, v message) (dispatch.Receipt, error) {
	r, err := s.gateway.request(v)
	if err != nil {
		return dispatch.Receipt{}, s.gateway.failure(dispatch.Configuration, err)
	}
	wire, err := r.wire()
	if err != nil {
		return dispatch.Receipt{}, s.gateway.failure(dispatch.Configuration, err)
	}
	receipt, failure := s.try(ctx, r.method, wire)
	if failure != nil && failure.Class == dispatch.Doubt && s.gateway.description.spec.Request.Idempotent && ctx.Err() == nil {
		if again, err := s.gateway.dial(ctx); err == nil {
			_ = s.link.close() // it was of no use any more
			s.link = again
			if second, failed := s.try(ctx, r.method, wire); failed == nil { // a refusal would say nothing of the first
				receipt, failure = second, nil
			}
		}
	}
	if failure != nil {
		return dispatch.Receipt{}, failure
	}
	return receipt, nil
}

// try makes one request on the connection as it is.
func (s *session) try(ctx context.Context, method string, wire []byte) (dispatch.Receipt, *dispatch.SendError) {
	g, l := s.gateway, s.link
	if ctx.Err() != nil {
		return dispatch.Receipt{}, g.failure(dispatch.Transient, context.Cause(ctx))
	}
	if !l.alive() {
		l.broken = true
		return dispatch.Receipt{}, g.failure(dispatch.SessionFatal, errBroken)
	}
	if err := l.conn.SetDeadline(time.Now().Add(g.cfg.Timeout)); err != nil { // the network's time, not our clock's
		l.broken = true
		return dispatch.Receipt{}, g.failure(dispatch.SessionFatal, err)
	}
	stop := context.AfterFunc(ctx, l.cut)
	answer, failure := s.converse(method, wire)
	if !stop() {
		l.broken = true
	}
	if failure != nil {
		return dispatch.Receipt{}, failure
	}
	if err := l.conn.SetDeadline(time.Time{}); err != nil {
		l.broken = true
	}
	receipt, refused := g.description.read(answer, g.now())
	if refused != nil {
		refused.Account = g.cfg.Name
		l.broken = l.broken || refused.Class == dispatch.SessionFatal || refused.Class == dispatch.Doubt
		return dispatch.Receipt{}, refused
	}
	receipt.Account = g.cfg.Name
	return receipt, nil
}

// converse says the request and hears its answer.
func (s *session) converse(method string, wire []byte) (*said, *dispatch.SendError) {
	sent, err := s.link.write(wire)
	if err != nil {
		s.link.broken = true
		if !sent {
			return nil, s.gateway.failure(dispatch.SessionFatal, err)
		}
		return nil, s.gateway.failure(dispatch.Doubt, err)
	}
	answer, err := s.link.read(method)
	if err != nil {
		s.link.broken = true
		return nil, s.gateway.failure(dispatch.Doubt, err)
	}
	return answer, nil
}

// Broken reports whether nothing more can be said on the session.
func (s *session) Broken() bool { return s.link.broken }

// Alive looks whether the provider has closed the connection. HTTP has no word
// to ask by.
func (s *session) Alive(context.Context) error {
	if !s.link.alive() {
		s.link.broken = true
		return s.gateway.failure(dispatch.SessionFatal, errBroken)
	}
	return nil
}

// Close ends the connection.
func (s *session) Close(context.Context) error { return s.link.close() }

// failure is an error of the account.
func (g *Gateway) failure(class dispatch.Class, err error) *dispatch.SendError {
	return &dispatch.SendError{Class: class, Account: g.cfg.Name, Err: err}
}
