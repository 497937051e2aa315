package smpp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms/smpp/pdu"
)

// dial connects, binds and begins to listen. It fails with *dispatch.SendError.
func (c *Client) dial(ctx context.Context, kind pdu.Command) (*link, *dispatch.SendError) {
	l, err := c.connect(ctx, kind)
	if err != nil {
		return nil, err
	}
	l.begin()
	return l, nil
}

// connect connects and binds. It fails with *dispatch.SendError.
func (c *Client) connect(ctx context.Context, kind pdu.Command) (*link, *dispatch.SendError) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(c.cfg.Host, strconv.Itoa(c.cfg.Port)))
	if err != nil {
		return nil, c.unbound(fmt.Errorf("connect: %w", plain(err)))
	}
	l := &link{
		client: c, conn: conn, submits: kind != pdu.BindReceiver, kick: make(chan struct{}, 1), wake: make(chan struct{}, 1), down: make(chan struct{}),
		window: newWindow(c.cfg.Window), calls: map[uint32]chan answer{},
	}
	l.out.idle = sync.NewCond(&l.out.mu)
	if c.tls != nil {
		l.conn = tls.Client(conn, c.tls)
	}
	l.in = pdu.NewReader(l.conn)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // a closed one needs none
	err = l.bind(kind)
	if !stop() && err == nil { // the deadline fell with the answer
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close() // it is of no use
		return nil, c.unbound(err)
	}
	return l, nil
}

// refusal is a bind that was refused.
type refusal struct{ status pdu.Status }

func (r refusal) Error() string { return "bind: " + r.status.String() }

// bind signs in. Nothing but its answer may come before it, but for questions
// whether we are there.
func (l *link) bind(kind pdu.Command) error {
	cfg := &l.client.cfg
	unit, err := pdu.AppendBind(nil, kind, l.nextSequence(), pdu.Bind{
		SystemID: cfg.SystemID, Password: cfg.Password, SystemType: cfg.SystemType,
		InterfaceVersion: pdu.Version34, AddressRange: cfg.AddressRange,
	})
	if err != nil {
		return err
	}
	if _, err := l.conn.Write(unit); err != nil {
		return fmt.Errorf("bind: %w", misconfigured(err))
	}
	for {
		h, body, err := l.in.Next()
		switch {
		case err != nil:
			return fmt.Errorf("bind: %w", plain(err))
		case h.Command == pdu.EnquireLink:
			if _, err := l.conn.Write(pdu.AppendBare(nil, pdu.EnquireLink.Response(), pdu.OK, h.Sequence)); err != nil {
				return fmt.Errorf("bind: %w", plain(err))
			}
		case h.Command != kind.Response() && h.Command != pdu.GenericNack:
			return fmt.Errorf("bind: %w: a %v", errNonsense, h.Command)
		case h.Status != pdu.OK || h.Command == pdu.GenericNack:
			return refusal{h.Status}
		default:
			_, l.version, err = pdu.ParseBindResp(body)
			if err != nil { // some centres leave fields out; they have bound us
				l.version = 0
			}
			return nil
		}
	}
}

var errNonsense = errors.New("the centre gives no answer that is allowed")

// errTrust is about what trying again does not mend.
var errTrust = errors.New("the centre's certificate is refused")

// misconfigured tells what trying again does not mend.
func misconfigured(err error) error {
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	if errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &name) || errors.As(err, &record) {
		return fmt.Errorf("%w: %w", errTrust, err)
	}
	return plain(err)
}

// unbound says what it means that there is no session.
func (c *Client) unbound(err error) *dispatch.SendError {
	failure := &dispatch.SendError{Class: dispatch.Transient, Account: c.cfg.Name, Err: err}
	var refused refusal
	switch {
	case errors.As(err, &refused):
		failure.Class, failure.Code = bindOutcome(refused.status), refused.status.String()
	case errors.Is(err, errTrust):
		failure.Class = dispatch.Configuration
	}
	return failure
}
