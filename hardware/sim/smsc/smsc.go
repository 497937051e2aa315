// Package smsc plays an operator's short message centre that is spoken to by
// SMPP 3.4, so that texts can be watched arriving without a contract with an
// operator, and so that tests can make an operator fail on purpose.
//
// Clients bind over a socket and submit; what they submit is decoded, its
// parts are joined, kept up to a limit and handed out by Texts, a JSON API and
// a page (package texts). Receipts, and what phones write (Say), go to the
// account's sessions that receive, again and again until they are
// acknowledged. Faults, which may be changed at any time, make it refuse,
// throttle, delay, forget to answer or drop.
package smsc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"herald/hardware/sim/texts"
)

// Config says how the centre behaves. Its zero value takes everybody in, on a
// free port of the loopback address, and gives receipts at once.
type Config struct {
	// Addr is where it listens, such as "127.0.0.1:2775". Empty: a free port
	// of 127.0.0.1.
	Addr string
	// SystemID is what it calls itself. Empty: "smsc".
	SystemID string
	// Accounts are those who may bind, passwords by system_id. Empty: everybody.
	Accounts map[string]string
	// MostSessions is how many an account may have at a time. 0: any number.
	MostSessions int
	// Keep is how many texts it keeps, and how many submitted units; older
	// ones are forgotten, but still counted. 0: 10,000.
	Keep int
	// TLS, when set, is spoken from the first byte.
	TLS *tls.Config
	// Alphabet is what data_coding 0 means. Empty: GSM7.
	Alphabet Alphabet
	// PerSecond is how many units it takes of all; above that it answers
	// RTHROTTLED. 0: any number.
	PerSecond int
	// Receipts says how receipts look and when they come.
	Receipts Receipts
	// LongTexts is how what phones write comes when it is long: "udh" (also
	// when empty), "sar" or "payload".
	LongTexts string
	// Window is how many units may wait for a client's answer. 0: 10.
	Window int
	// RetryAfter is when a unit that a client refused for now, or did not
	// answer, is given to it again. 0: a second.
	RetryAfter time.Duration
	// EnquireEvery is how often it asks whether a client is there. 0: 30 seconds.
	EnquireEvery time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger hears of connections that break. Nil: nobody does.
	Logger *slog.Logger
}

// Alphabet is what data_coding 0 means.
type Alphabet string

// The alphabets.
const (
	GSM7       Alphabet = "gsm7"        // one septet in each octet
	GSM7Packed Alphabet = "gsm7_packed" // eight septets in seven octets
	Latin1     Alphabet = "latin1"      // ISO 8859-1
)

// SMSC is the simulated centre. It is safe for many goroutines.
type SMSC struct {
	cfg    Config
	box    *texts.Box
	faults faults
	pace   pace

	mu       sync.Mutex
	listener net.Listener          // guarded by mu; nil before Start
	sessions map[*session]struct{} // guarded by mu
	accounts map[string]*outbox    // guarded by mu, by system_id
	latest   *outbox               // guarded by mu: of whom bound last to receive
	closing  chan struct{}         // closed by Close
	serving  sync.WaitGroup
	ids      atomic.Uint64
	units    units
	joining  joining
}

// firstID has letters in hexadecimal from the start.
const firstID = 0x1A2B3C00

// New makes a centre that does not listen yet.
func New(cfg Config) *SMSC {
	set(&cfg.Addr, "127.0.0.1:0")
	set(&cfg.SystemID, "smsc")
	set(&cfg.Keep, 10_000)
	set(&cfg.Alphabet, GSM7)
	set(&cfg.Receipts.Form, TextAndTLV)
	set(&cfg.Receipts.IDs, SameIDs)
	set(&cfg.LongTexts, "udh")
	set(&cfg.Window, 10)
	set(&cfg.RetryAfter, time.Second)
	set(&cfg.EnquireEvery, 30*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &SMSC{
		cfg: cfg, box: texts.NewBox(cfg.Keep), pace: pace{perSecond: cfg.PerSecond},
		sessions: map[*session]struct{}{}, accounts: map[string]*outbox{}, closing: make(chan struct{}),
		units: units{keep: cfg.Keep}, joining: joining{waiting: map[message]*pieces{}},
	}
	s.ids.Store(firstID)
	return s
}

func set[T comparable](to *T, usual T) {
	var zero T
	if *to == zero {
		*to = usual
	}
}

// Start listens and serves until Close. It may be called once.
func (s *SMSC) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return errors.New("simulated SMSC: started before")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("simulated SMSC: %w", err)
	}
	if s.cfg.TLS != nil {
		listener = tls.NewListener(listener, s.cfg.TLS)
	}
	s.listener = listener
	s.serving.Go(func() { s.accept(listener) })
	return nil
}

func (s *SMSC) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.cfg.Logger.Error("simulated SMSC stopped", "error", err)
			}
			return
		}
		if _, found := s.faults.take("", Close); found {
			_ = conn.Close() // the far end sees a broken connection, as it should
			continue
		}
		c := newSession(s, conn)
		if !s.enter(c) {
			_ = conn.Close()
			return
		}
		s.serving.Go(func() {
			defer s.leave(c)
			c.serve()
		})
	}
}

// enter is false when the centre is closing.
func (s *SMSC) enter(c *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		return false
	default:
		s.sessions[c] = struct{}{}
		return true
	}
}

func (s *SMSC) leave(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
}

// Addr is where it listens, as host:port; empty before Start.
func (s *SMSC) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Close stops listening, drops every connection and returns when all are
// gone. What was kept can still be read. Closing again does nothing.
func (s *SMSC) Close() error {
	s.mu.Lock()
	listener := s.listener
	select {
	case <-s.closing:
		s.mu.Unlock()
		return nil
	default:
		close(s.closing)
	}
	s.mu.Unlock()
	if listener == nil {
		return nil
	}
	err := listener.Close()
	s.DropAll()
	s.serving.Wait()
	return err
}

// DropAll breaks every connection, now; new ones are let in.
func (s *SMSC) DropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		_ = c.conn.Close() // one that is closed already is as good
	}
}

// UnbindAll asks every client to end its session.
func (s *SMSC) UnbindAll() {
	s.mu.Lock()
	all := make([]*session, 0, len(s.sessions))
	for c := range s.sessions {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.unbind()
	}
}

// Sessions is how many connections there are.
func (s *SMSC) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Texts are the texts that clients submitted and those that phones wrote.
func (s *SMSC) Texts() *texts.Box { return s.box }

// Handler shows the texts, takes faults and lets phones write; see texts.Handler.
func (s *SMSC) Handler() http.Handler { return texts.Handler(s.box, desk{s}) }
