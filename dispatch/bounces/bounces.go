// Package bounces receives what mail servers say later of mail that Herald
// sent: bounces, delays and complaints.
//
// Every mail leaves with a return address of its own (VERP),
// "bounce+{token}@bounces.shop.example", its token made by SignedTokens. A
// Listener is the mail server for that domain. What comes there is read as a delivery
// status notification (RFC 3464), a complaint (ARF, RFC 5965), or one of the
// forms that servers use which follow neither (Exim, qmail, Exchange), and
// goes out as dispatch.Report to the take given to Reports. The client hears
// 250 only after take has returned nil and 451 when it failed, and sends it
// again then: nothing is lost. An answer of an absent reader (RFC 3834), a
// reply, and all that is not understood are taken and counted, and say
// nothing of a delivery.
//
// # What is trusted
//
// Nobody proves who he is in this traffic: a bounce comes from any server of
// the world, without a sender. So what it says is believed only of the one
// delivery that its address names, and only when the address is one that
// Herald made: the token is a MAC of the delivery's id, and all other
// addresses are refused while the client names them (550 5.1.1). Whoever
// holds a mail with its headers, which is its reader and the servers it
// passed, can therefore report of this one mail, and nobody of any other; a
// forger can stop his own mail. Nothing in the message changes which delivery
// it is about: not the recipients it names, nor the headers it returns.
//
// The exception is Config.Complaints, an address for feedback loops whose
// operators know no return address. Only complaints count there. The delivery
// is that of a token in Original-Mail-From or in Return-Path of the returned
// mail, or else of its X-Herald-Delivery or Message-ID: an id of which 62 bits are
// random, so that only holders of that mail know it. ComplaintNetworks
// narrows the address down to the loop's own servers.
package bounces

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"herald/dispatch"
	"herald/problem"
)

// Config is where bounces come in, and how much at a time.
type Config struct {
	// Addr is where to listen, as host:port; port 0 takes a free one.
	Addr string
	// ReturnPaths are the return addresses of the accounts whose bounces come
	// here, with {token} where a delivery's token stands, such as
	// "bounce+{token}@bounces.shop.example". At least one. The MX of their
	// domains is this listener, or a server that passes mail on to it.
	ReturnPaths []string
	// Hello is the name it greets with. Empty: the domain of the first return
	// path.
	Hello string
	// Complaints is the address given to feedback loops, such as
	// "fbl@bounces.shop.example". Empty: there is none.
	Complaints string
	// ComplaintNetworks may send to Complaints. None: everybody may.
	ComplaintNetworks []netip.Prefix
	// TLS offers STARTTLS with its certificate. Nil: it is not offered.
	TLS *tls.Config
	// MaxBytes is the largest message taken; only its first 256 KiB are read
	// for meaning, and the rest is what is returned of our mail. 0: 10 MiB.
	MaxBytes int64
	// MaxRecipients is the most addresses of one message. 0: 10.
	MaxRecipients int
	// MaxConnections is the most at a time, and MaxConnectionsPerHost the
	// most from one IPv4 address or IPv6 /64. 0: 100 and 20.
	MaxConnections, MaxConnectionsPerHost int
	// Timeout is how long the client may be silent. 0: one minute; RFC 5321,
	// section 4.5.3.2.7, would have five, which strangers could hold for
	// nothing.
	Timeout time.Duration
	// MaxSession is how long a connection may last in all. 0: ten minutes.
	MaxSession time.Duration
	// TakeTimeout is how long take may need. 0: 30 seconds.
	TakeTimeout time.Duration
	Now         func() time.Time
	Logger      *slog.Logger
}

// complete fills in the defaults and reads the return paths; mistakes come back
// as problem.Invalid.
func (c Config) complete() (Config, []returnPath, error) {
	var mistakes problem.Fields
	if _, port, err := net.SplitHostPort(c.Addr); err != nil || port == "" {
		mistakes.Add("listen", "address", "must be host:port, such as 0.0.0.0:25")
	}
	if len(c.ReturnPaths) == 0 {
		mistakes.Add("return_paths", "required", "no account has a return path: nothing can come here")
	}
	var paths []returnPath
	for i, pattern := range c.ReturnPaths {
		path, err := newReturnPath(pattern)
		if err != nil {
			mistakes.Add(fmt.Sprintf("return_paths[%d]", i), "format", "%v", err)
		}
		paths = append(paths, path)
	}
	if c.Hello == "" && len(paths) > 0 {
		c.Hello = paths[0].domain
	}
	c.Complaints = strings.ToLower(c.Complaints)
	if local, domain, _ := strings.Cut(c.Complaints, "@"); c.Complaints != "" && (local == "" || domain == "") {
		mistakes.Add("complaints", "email", "use an address such as fbl@bounces.shop.example")
	}
	if c.Now == nil || c.Logger == nil {
		return c, nil, errors.New("bounces: now and logger are required")
	}
	c.MaxBytes = either(c.MaxBytes, 10<<20)
	c.MaxRecipients = either(c.MaxRecipients, 10)
	c.MaxConnections = either(c.MaxConnections, 100)
	c.MaxConnectionsPerHost = either(c.MaxConnectionsPerHost, 20)
	c.Timeout = either(c.Timeout, time.Minute)
	c.MaxSession = either(c.MaxSession, 10*time.Minute)
	c.TakeTimeout = either(c.TakeTimeout, 30*time.Second)
	return c, paths, mistakes.Err("the listener for bounces is not set up completely")
}

func either[T int | int64 | time.Duration](given, otherwise T) T {
	if given <= 0 {
		return otherwise
	}
	return given
}

// Listener is the mail server for return addresses.
type Listener struct {
	cfg     Config
	paths   []returnPath
	tokens  Tokens
	door    *door
	metrics metrics
}

// Listen opens the socket, so that a port that cannot be had is known at the
// start. Nobody is answered before Reports.
func Listen(ctx context.Context, cfg Config, tokens Tokens) (*Listener, error) {
	cfg, paths, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for bounces: %w", err)
	}
	l := &Listener{cfg: cfg, paths: paths, tokens: tokens, metrics: newMetrics()}
	l.door = newDoor(socket, cfg, func() { l.metrics.refused.WithLabelValues("connection").Inc() })
	return l, nil
}

// Addr is where it listens, as host:port.
func (l *Listener) Addr() string { return l.door.Addr().String() }

// Close stops listening, for a Listener whose Reports was never called.
func (l *Listener) Close() error {
	if err := l.door.stop(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the listener for bounces: %w", err)
	}
	return nil
}

// Reports serves until ctx ends; it may be called once. Every message that
// says something of a delivery is given to take, whose nil means that it is
// durable; the same report can be given again, with the same Key, when the
// client has not heard our answer. When ctx ends nobody is let in any more, what
// take has in hand is answered, and everybody is hung up on.
func (l *Listener) Reports(ctx context.Context, take func(context.Context, []dispatch.Report) error) error {
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{listener: l, take: take, ctx: context.WithoutCancel(ctx), host: hostOf(c.Conn().RemoteAddr())}, nil
	}))
	server.Domain = l.cfg.Hello
	server.TLSConfig = l.cfg.TLS
	server.MaxMessageBytes = l.cfg.MaxBytes
	server.MaxRecipients = l.cfg.MaxRecipients
	server.MaxLineLength = 64 << 10 // some bounces return HTML that was never folded
	server.ReadTimeout, server.WriteTimeout = l.cfg.Timeout, l.cfg.Timeout
	server.EnableSMTPUTF8 = true
	server.ErrorLog = errorLog{l.cfg.Logger}

	served := make(chan error, 1)
	go func() { served <- server.Serve(l.door) }()
	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("serve bounces: %w", err)
	case <-ctx.Done():
	}
	return errors.Join(err, l.shut(server))
}

// shut waits for answers that are due, and no longer than they may take.
func (l *Listener) shut(server *smtp.Server) error {
	err := l.Close()
	grace, cancel := context.WithTimeout(context.Background(), l.cfg.TakeTimeout+time.Second)
	defer cancel()
	if serr := server.Shutdown(grace); serr != nil && !errors.Is(serr, net.ErrClosed) {
		err = errors.Join(err, serr)
	}
	l.door.drop()
	return err
}

// errorLog takes go-smtp's complaints, which are about clients that do not
// speak SMTP and can quote what they wrote: only their kind is logged. A panic
// is ours, and logged in full.
type errorLog struct{ logger *slog.Logger }

func (l errorLog) Printf(format string, v ...any) {
	if strings.HasPrefix(format, "panic") {
		l.logger.Error("a message to a return address made us panic", "panic", fmt.Sprintf(format, v...))
		return
	}
	l.logger.Debug("a connection for bounces ended badly", "error", format)
}

func (l errorLog) Println(...any) { l.logger.Debug("a connection for bounces ended badly") }
