package cmpp

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync/atomic"

	"herald/dispatch"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/wire"
)

// open connects and signs in with the account's version, or else with the one
// that the gateway has.
func (g *Gateway) open(ctx context.Context) (*session, error) {
	version := versions[g.cfg.Version]
	s, failure := g.dial(ctx, version)
	if failure != nil && failure.Code == code(tooHigh) && g.cfg.Version == "" {
		s, failure = g.dial(ctx, v20) // gateways end the connection after a refusal
	}
	if failure != nil {
		failure.Account = g.cfg.Name
		return nil, failure
	}
	return s, nil
}

// dial signs in with one version. What the gateway says afterwards is of the
// version that its answer has.
func (g *Gateway) dial(ctx context.Context, version byte) (*session, *dispatch.SendError) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Answer)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(g.cfg.Host, strconv.Itoa(g.cfg.Port)))
	if err != nil {
		return nil, &dispatch.SendError{Class: dispatch.Transient, Err: err}
	}
	agreed, failure := g.signIn(ctx, conn, version)
	if failure != nil {
		_ = conn.Close() // the failure says more
		return nil, failure
	}
	return g.newSession(conn, agreed), nil
}

// firstSequence is CONNECT's.
const firstSequence = 1

// signIn says CONNECT, and settles the version by what comes back.
func (g *Gateway) signIn(ctx context.Context, conn net.Conn, version byte) (agreed byte, failure *dispatch.SendError) {
	body, source := connectBody(g.cfg.SPID, g.cfg.Secret, version, g.now())
	u, err := link.Greet(ctx, conn, protocol, wire.PDU{Command: connect, Sequence: wire.Sequence{2: firstSequence}, Body: body})
	if err != nil {
		return 0, &dispatch.SendError{Class: dispatch.Transient, Err: err}
	}
	c, err := parseConnection(u.Body)
	switch {
	case err != nil || u.Command != connect|answer:
		return 0, &dispatch.SendError{Class: dispatch.Transient, Err: errors.Join(errNonsense, err)}
	case c.status != taken:
		return 0, refusal(c.status)
	case c.form > version, c.form < version && g.cfg.Version != "":
		return 0, &dispatch.SendError{Class: dispatch.Configuration, Err: errors.New("the gateway speaks another version of CMPP than the account has")}
	case g.cfg.CheckGateway && c.authenticator != gatewayAuthenticator(c.said, source, g.cfg.Secret):
		return 0, &dispatch.SendError{Class: dispatch.Configuration, Err: errors.New("the gateway does not prove that it knows the secret")}
	}
	return c.form, nil
}

// newSession speaks on a connection that is signed in.
func (g *Gateway) newSession(conn net.Conn, version byte) *session {
	s := &session{gateway: g, version: version, began: g.now().UnixNano()}
	var last atomic.Uint32
	last.Store(firstSequence)
	next := func() wire.Sequence { return wire.Sequence{2: last.Add(1)} }
	s.Courier = link.Courier{
		Conn:    link.NewConn(conn, protocol, g.cfg.Timing, next, s.asked),
		Account: g.cfg.Name, Parts: g.parts, Compose: g.compose, Submit: s.submit,
		Judge: func(r *link.Request, reply wire.PDU) link.Verdict { return judge(r, reply, version) },
	}
	return s
}
