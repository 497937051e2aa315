// Package smtp plays a mail server: mail comes in over a socket, is parsed,
// kept up to a limit and handed out by Messages, a JSON API and a page. Faults,
// which may be changed at any time, make it refuse, delay or drop.
package smtp

import (
	"cmp"
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

	"herald/hardware/sim"
)

// Config says how the mail server behaves. Its zero value is a server on a
// free port of the loopback address.
type Config struct {
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

// Server is the simulated mail server. It is safe for many goroutines.
type Server struct {
	cfg     Config
	inbox   *sim.Box[Mail]
	faults  *sim.Faults[Fault]
	door    sim.Door
	server  *smtp.Server
	closing chan struct{} // closed by Close: ends delays
	once    sync.Once     // of Close
}

// New makes a server that does not listen yet.
func New(cfg Config) *Server {
	cfg.Addr = cmp.Or(cfg.Addr, "127.0.0.1:0")
	cfg.Domain = cmp.Or(cfg.Domain, "sim.example")
	cfg.MaxMessageBytes = cmp.Or(cfg.MaxMessageBytes, 10<<20)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Keep <= 0 {
		cfg.Keep = 10_000
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		cfg: cfg, closing: make(chan struct{}),
		inbox:  sim.NewBox(cfg.Keep, func(m *Mail, id int64) { m.ID = id }),
		faults: sim.NewFaults((*Fault).complete, func(f *Fault) *int { return &f.Times }),
	}
	s.server = smtp.NewServer(smtp.BackendFunc(s.newSession))
	s.server.Domain = cfg.Domain
	s.server.MaxMessageBytes = cfg.MaxMessageBytes
	s.server.MaxRecipients = 1000
	s.server.EnableSMTPUTF8 = true
	s.server.TLSConfig = cfg.TLS
	s.server.AllowInsecureAuth = cfg.Username != ""
	s.server.ErrorLog = errorLog{cfg.Logger}
	s.door.Name, s.door.Logger, s.door.Serve = "simulated mail server", cfg.Logger, s.server.Serve
	s.door.Shut = func() bool {
		_, found := s.fault("", Close)
		return found
	}
	return s
}

// Start listens and serves until Close. It may be called once.
func (s *Server) Start(ctx context.Context) error { return s.door.Open(ctx, s.cfg.Addr) }

// Addr is where it listens, as host:port; empty before Start.
func (s *Server) Addr() string { return s.door.Addr() }

// Close stops listening, drops every connection and returns when all are
// gone. What was kept can still be read. Closing again does nothing.
func (s *Server) Close() (err error) {
	s.once.Do(func() {
		close(s.closing)
		err = s.door.Close()
		// The connections are closed already, so this only waits for their goroutines.
		if serr := s.server.Shutdown(context.Background()); !errors.Is(serr, net.ErrClosed) {
			err = errors.Join(err, serr)
		}
	})
	return err
}

// Messages are the mails kept, the oldest first. They are shared: read them only.
func (s *Server) Messages() []Mail { return s.inbox.All() }

// Count is how many mails were kept since the start or the last Clear,
// forgotten ones included.
func (s *Server) Count() int64 { return s.inbox.Count() }

// Clear forgets all mails and counts from zero again.
func (s *Server) Clear() { s.inbox.Clear() }

// WaitFor returns nil as soon as enough says so of the mails kept, or ctx's
// error when ctx ends first. enough is asked at once and after every arrival;
// it must read the mails only.
func (s *Server) WaitFor(ctx context.Context, enough func([]Mail) bool) error {
	return s.inbox.WaitFor(ctx, func(kept []Mail, _ int64) bool { return enough(kept) })
}

// WaitForCount is WaitFor for a number of mails, which may exceed what is kept.
func (s *Server) WaitForCount(ctx context.Context, n int64) error {
	return s.inbox.WaitFor(ctx, func(_ []Mail, total int64) bool { return total >= n })
}

// SetFaults replaces the faults; it fails with problem.Invalid and changes
// nothing when one of them is not complete.
func (s *Server) SetFaults(faults ...Fault) error { return s.faults.Set(faults...) }

// Faults are those in force, with what is left of their Times.
func (s *Server) Faults() []Fault { return s.faults.All() }

// errorLog takes go-smtp's complaints; its words name client addresses only.
type errorLog struct{ logger *slog.Logger }

func (l errorLog) Printf(format string, v ...any) { l.logger.Debug(fmt.Sprintf(format, v...)) }
func (l errorLog) Println(v ...any)               { l.logger.Debug(fmt.Sprint(v...)) }

// plain checks AUTH PLAIN against the configured name and password.
func (s *Server) plain(sess *session) sasl.Server {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != s.cfg.Username || password != s.cfg.Password {
			return smtp.ErrAuthFailed
		}
		sess.authenticated = true
		return nil
	})
}
