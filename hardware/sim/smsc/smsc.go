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
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"herald/hardware/sim"
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
	cfg     Config
	box     *texts.Box
	units   *sim.Box[Unit]
	faults  *sim.Faults[Fault]
	pace    sim.Pace
	door    sim.Door
	closing chan struct{} // closed by Close
	once    sync.Once     // of Close
	ids     atomic.Uint64
	joining joining

	mu       sync.Mutex
	sessions map[*session]struct{} // guarded by mu
	accounts map[string]*outbox    // guarded by mu, by system_id
	latest   *outbox               // guarded by mu: of whom bound last to receive
}

// firstID has letters in hexadecimal from the start.
const firstID = 0x1A2B3C00

// New makes a centre that does not listen yet.
func New(cfg Config) *SMSC {
	cfg.Addr = cmp.Or(cfg.Addr, "127.0.0.1:0")
	cfg.SystemID = cmp.Or(cfg.SystemID, "smsc")
	cfg.Keep = cmp.Or(cfg.Keep, 10_000)
	cfg.Alphabet = cmp.Or(cfg.Alphabet, GSM7)
	cfg.Receipts.Form = cmp.Or(cfg.Receipts.Form, TextAndTLV)
	cfg.Receipts.IDs = cmp.Or(cfg.Receipts.IDs, SameIDs)
	cfg.LongTexts = cmp.Or(cfg.LongTexts, "udh")
	cfg.Window = cmp.Or(cfg.Window, 10)
	cfg.RetryAfter = cmp.Or(cfg.RetryAfter, time.Second)
	cfg.EnquireEvery = cmp.Or(cfg.EnquireEvery, 30*time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &SMSC{
		cfg: cfg, box: texts.NewBox(cfg.Keep), units: sim.NewBox[Unit](cfg.Keep, nil), pace: sim.Pace{PerSecond: cfg.PerSecond},
		faults:  sim.NewFaults((*Fault).complete, func(f *Fault) *int { return &f.Times }),
		closing: make(chan struct{}), joining: joining{waiting: map[message]*pieces{}},
		sessions: map[*session]struct{}{}, accounts: map[string]*outbox{},
	}
	s.door.Name, s.door.TLS, s.door.Logger, s.door.Serve = "simulated SMSC", cfg.TLS, cfg.Logger, sim.Each(s.serve)
	s.door.Shut = func() bool {
		_, found := s.fault("", Close)
		return found
	}
	s.ids.Store(firstID)
	return s
}

// Start listens and serves until Close. It may be called once.
func (s *SMSC) Start(ctx context.Context) error { return s.door.Open(ctx, s.cfg.Addr) }

// serve speaks on a connection until it ends.
func (s *SMSC) serve(conn net.Conn) {
	c := newSession(s, conn)
	s.mu.Lock()
	s.sessions[c] = struct{}{}
	s.mu.Unlock()
	c.serve()
	s.mu.Lock()
	delete(s.sessions, c)
	s.mu.Unlock()
}

// Addr is where it listens, as host:port; empty before Start.
func (s *SMSC) Addr() string { return s.door.Addr() }

// Close stops listening, drops every connection and returns when all are
// gone. What was kept can still be read. Closing again does nothing.
func (s *SMSC) Close() error {
	s.once.Do(func() { close(s.closing) })
	return s.door.Close()
}

// DropAll breaks every connection, now; new ones are let in.
func (s *SMSC) DropAll() { s.door.DropAll() }

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
func (s *SMSC) Handler() http.Handler { return texts.Handler(s.box, s) }
