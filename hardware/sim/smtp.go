// Package sim plays the far ends that Herald's senders talk to, so that a
// message can be watched arriving without an account at a provider, and so
// that tests can make a provider fail on purpose.
//
// SMTP is a mail server: mail comes in over a socket, is parsed, kept up to a
// limit and handed out by Messages, a JSON API and a page. Faults, which may
// be changed at any time, make it refuse, delay or drop.
package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// SMTPConfig says how the mail server behaves. Its zero value is a server on a
// free port of the loopback address.
type SMTPConfig struct {
	// Addr is where it listens, such as "127.0.0.1:2525". Empty: a free port
	// of 127.0.0.1.
	Addr string
	// Domain is the name it greets with. Empty: "sim.example".
	Domain string
	// Keep is how many messages it keeps; older ones are forgotten, but still
	// counted. 0: 10,000.
	Keep int
	// MaxMessageBytes is the largest message it takes. 0: 10 MiB.
	MaxMessageBytes int64
	// TLS, when set, offers STARTTLS with this certificate.
	TLS *tls.Config
	// Username and Password, when set, must be given by AUTH PLAIN before mail.
	Username, Password string
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger hears of connections that break. Nil: nobody does.
	Logger *slog.Logger
}

// SMTP is the simulated mail server. It is safe for many goroutines.
type SMTP struct {
	cfg    SMTPConfig
	inbox  *inbox
	faults *faults

	mu      sync.Mutex
	server  *smtp.Server  // guarded by mu; nil before Start
	door    *door         // guarded by mu; nil before Start
	closing chan struct{} // closed by Close: ends delays
	serving sync.WaitGroup
}

// NewSMTP makes a server that does not listen yet.
func NewSMTP(cfg SMTPConfig) *SMTP {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Domain == "" {
		cfg.Domain = "sim.example"
	}
	if cfg.Keep <= 0 {
		cfg.Keep = 10_000
	}
	if cfg.MaxMessageBytes <= 0 {
		cfg.MaxMessageBytes = 10 << 20
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &SMTP{cfg: cfg, inbox: newInbox(cfg.Keep), faults: &faults{}, closing: make(chan struct{})}
}

// Start listens and serves until Close. It may be called once.
func (s *SMTP) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return errors.New("simulated mail server: started before")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("simulated mail server: %w", err)
	}
	server := smtp.NewServer(smtp.BackendFunc(s.newSession))
	server.Domain = s.cfg.Domain
	server.MaxMessageBytes = s.cfg.MaxMessageBytes
	server.MaxRecipients = 1000
	server.EnableSMTPUTF8 = true
	server.TLSConfig = s.cfg.TLS
	server.AllowInsecureAuth = s.cfg.Username != ""
	server.ErrorLog = errorLog{s.cfg.Logger}
	s.server, s.door = server, newDoor(listener, s.faults)
	s.serving.Go(func() {
		if err := server.Serve(s.door); err != nil && !errors.Is(err, net.ErrClosed) {
			s.cfg.Logger.Error("simulated mail server stopped", "error", err)
		}
	})
	return nil
}

// Addr is where it listens, as host:port; empty before Start.
func (s *SMTP) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.door == nil {
		return ""
	}
	return s.door.Addr().String()
}

// Close stops listening, drops every connection and returns when all are
// gone. What was kept can still be read. Closing again does nothing.
func (s *SMTP) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		return nil
	default:
		close(s.closing)
	}
	if s.server == nil {
		return nil
	}
	err := s.door.Close()
	s.serving.Wait() // nobody comes in any more
	s.door.dropAll()
	// The connections are closed already, so this only waits for their goroutines.
	if serr := s.server.Shutdown(context.Background()); serr != nil && !errors.Is(serr, net.ErrClosed) {
		err = errors.Join(err, serr)
	}
	return err
}

// Messages are the mails kept, the oldest first. They are shared: read them only.
func (s *SMTP) Messages() []Mail { return s.inbox.all() }

// Count is how many mails were kept since the start or the last Clear,
// forgotten ones included.
func (s *SMTP) Count() int64 { return s.inbox.count() }

// Clear forgets all mails and counts from zero again.
func (s *SMTP) Clear() { s.inbox.clear() }

// WaitFor returns nil as soon as enough says so of the mails kept, or ctx's
// error when ctx ends first. enough is asked at once and after every arrival;
// it must read the mails only.
func (s *SMTP) WaitFor(ctx context.Context, enough func([]Mail) bool) error {
	return s.inbox.waitFor(ctx, func(kept []Mail, _ int64) bool { return enough(kept) })
}

// WaitForCount is WaitFor for a number of mails, which may exceed what is kept.
func (s *SMTP) WaitForCount(ctx context.Context, n int64) error {
	return s.inbox.waitFor(ctx, func(_ []Mail, total int64) bool { return total >= n })
}

// SetFaults replaces the faults; it fails with problem.Invalid and changes
// nothing when one of them is not complete.
func (s *SMTP) SetFaults(faults ...Fault) error { return s.faults.set(faults) }

// Faults are those in force, with what is left of their Times.
func (s *SMTP) Faults() []Fault { return s.faults.all() }

// errorLog takes go-smtp's complaints; its words name client addresses only.
type errorLog struct{ logger *slog.Logger }

func (l errorLog) Printf(format string, v ...any) { l.logger.Debug(fmt.Sprintf(format, v...)) }
func (l errorLog) Println(v ...any)               { l.logger.Debug(fmt.Sprint(v...)) }

// plain checks AUTH PLAIN against the configured name and password.
func (s *SMTP) plain(sess *session) sasl.Server {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != s.cfg.Username || password != s.cfg.Password {
			return smtp.ErrAuthFailed
		}
		sess.authenticated = true
		return nil
	})
}
