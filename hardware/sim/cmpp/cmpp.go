// Package cmpp plays China Mobile's gateway, spoken to by CMPP 2.0 or 3.0, so
// that texts can be watched arriving without a contract with the operator, and
// so that tests can make a gateway fail on purpose.
//
// Clients connect over a socket and submit; what they submit is decoded, its
// parts are joined, kept up to a limit and handed out by Texts, a JSON API and
// a page (package texts). Reports, and what phones write (Say), go to the
// account's connections, again and again until they are acknowledged. Faults,
// which may be changed at any time, make it refuse, find clients too fast,
// delay, forget to answer or drop.
//
// The sections named here are those of "China Mobile Peer to Peer, V3.0.0".
package cmpp

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"herald/dispatch/sms/wire"
	"herald/hardware/sim/ismg"
	"herald/hardware/sim/texts"
	"herald/problem"
)

// Config says how the gateway behaves. Its zero value takes everybody in, on a
// free port of the loopback address, and reports at once.
type Config struct {
	// Addr is where it listens, such as "127.0.0.1:7890". Empty: a free port of
	// 127.0.0.1.
	Addr string
	// Accounts are those who may connect: secrets by company's code. Empty:
	// everybody.
	Accounts map[string]string
	// Highest is the highest version it has, "2.0" or "3.0" (also when empty).
	Highest string
	// MostConnections is how many an account may have at a time. 0: any number.
	MostConnections int
	// Keep is how many texts it keeps, and how many submitted messages; older
	// ones are forgotten, but still counted. 0: 10,000.
	Keep int
	// PerSecond is how many messages it takes of all; above that it answers
	// result 8. 0: any number.
	PerSecond int
	// Code is the gateway's, in every Msg_Id. 0: 106577.
	Code uint32
	// ReportAfter is how long after a message its report comes.
	ReportAfter time.Duration
	// NarrowReports writes the number in a report with 21 octets in 3.0, too,
	// as some gateways do.
	NarrowReports bool
	// Window is how many reports and texts may wait for a client's answer. 0: 16.
	Window int
	// RetryAfter is when something that a client refused for now, or did not
	// answer, is told it again. 0: a second.
	RetryAfter time.Duration
	// ActiveEvery is how often it asks whether a client is there; one that does
	// not answer three times is dropped. 0: never.
	ActiveEvery time.Duration
	// Deaf lets it leave ACTIVE_TEST unanswered.
	Deaf bool
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger hears of connections that break. Nil: nobody does.
	Logger *slog.Logger
}

// Gateway is the simulated gateway. It is safe for many goroutines.
type Gateway struct {
	cfg    Config
	faults ismg.Faults
	pace   ismg.Pace
	phones *ismg.Phones
	door   ismg.Door
	last   atomic.Uint32 // sequence of the latest Msg_Id, and reference of what phones write

	mu        sync.Mutex
	accounts  map[string]*account   // guarded by mu
	latest    *account              // guarded by mu: who connected last
	sessions  map[*session]struct{} // guarded by mu: those that are let in
	submitted []ismg.Message        // guarded by mu
	count     int64                 // guarded by mu
}

// account is a client, across its connections.
type account struct {
	name        string
	outbox      ismg.Outbox[telling]
	connections int // guarded by Gateway.mu
}

// New makes a gateway that does not listen yet.
func New(cfg Config) *Gateway {
	orDefault(&cfg.Addr, "127.0.0.1:0")
	orDefault(&cfg.Highest, "3.0")
	orDefault(&cfg.Keep, 10_000)
	orDefault(&cfg.Code, 106577)
	orDefault(&cfg.Window, 16)
	orDefault(&cfg.RetryAfter, time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{cfg: cfg, phones: ismg.NewPhones(cfg.Keep), accounts: map[string]*account{}, sessions: map[*session]struct{}{}}
	g.pace.PerSecond = cfg.PerSecond
	g.door.Name, g.door.Faults, g.door.Logger, g.door.Serve = "simulated CMPP gateway", &g.faults, cfg.Logger, g.serve
	return g
}

func orDefault[T comparable](v *T, usual T) {
	var zero T
	if *v == zero {
		*v = usual
	}
}

// Start listens and serves until Close. It may be called once.
func (g *Gateway) Start(ctx context.Context) error { return g.door.Open(ctx, g.cfg.Addr) }

// Addr is where it listens, as host:port; empty before Start.
func (g *Gateway) Addr() string { return g.door.Addr() }

// Close stops listening, drops every connection and returns when all are gone.
// What was kept can still be read. Closing again does nothing.
func (g *Gateway) Close() error { return g.door.Close() }

// DropAll breaks every connection, now; new ones are let in.
func (g *Gateway) DropAll() { g.door.DropAll() }

// TerminateAll signs every client out, politely.
func (g *Gateway) TerminateAll() {
	g.mu.Lock()
	all := slices.Collect(maps.Keys(g.sessions))
	g.mu.Unlock()
	for _, s := range all {
		_ = s.say(wire.PDU{Command: terminate, Sequence: wire.Sequence{2: s.next()}}) // its reader notices
	}
}

// Connections is how many there are.
func (g *Gateway) Connections() int { return g.door.Inside() }

// SetFaults replaces the faults; it fails with problem.Invalid and changes
// nothing when one of them is not complete.
func (g *Gateway) SetFaults(list ...ismg.Fault) error { return g.faults.Set(list...) }

// Texts are the texts that clients submitted and those that phones wrote.
func (g *Gateway) Texts() *texts.Box { return g.phones.Box }

// Submitted are the short messages that were taken, the oldest first, as far
// as they are kept. They are shared: read them only.
func (g *Gateway) Submitted() []ismg.Message {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.submitted[max(0, len(g.submitted)-g.cfg.Keep):len(g.submitted):len(g.submitted)]
}

// Count is how many short messages were taken since the start, forgotten ones
// included.
func (g *Gateway) Count() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}

// Untold is how many reports and texts no client has acknowledged yet.
func (g *Gateway) Untold() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range g.accounts {
		n += a.outbox.Len()
	}
	return n
}

// Handler shows the texts, takes faults and lets phones write; see texts.Handler.
func (g *Gateway) Handler() http.Handler {
	return texts.Handler(g.phones.Box, ismg.Page{Simulated: &g.faults, Write: g.Say})
}

// Say lets the phone with the number from write to our number to: the account
// that connected last is told. It fails with problem.Unavailable when there is
// none, and with problem.Invalid when the text is too long.
func (g *Gateway) Say(from, to, text string) error {
	g.mu.Lock()
	a := g.latest
	g.mu.Unlock()
	if a == nil {
		return problem.New(problem.Unavailable, "nobody has connected")
	}
	written, err := ismg.Write(text, uint16(g.last.Add(1))) //nolint:gosec // it goes round
	if err != nil {
		return problem.New(problem.Invalid, "the text is too long")
	}
	now := g.cfg.Now()
	for _, w := range written {
		a.outbox.Add(telling{id: g.id(now), from: from, to: to, format: w.Format, hasUDH: w.HasUDH, content: w.Content}, time.Now())
	}
	g.phones.Box.Add(texts.Text{At: now, From: from, To: to, Text: text, Parts: len(written), Account: a.name, Reply: true})
	return nil
}

// id makes a Msg_Id (section 8.4.3.2).
func (g *Gateway) id(at time.Time) uint64 {
	at = at.In(beijing)
	when := uint64(at.Month())<<22 | uint64(at.Day())<<17 | uint64(at.Hour())<<12 | uint64(at.Minute())<<6 | uint64(at.Second()) //nolint:gosec // small
	return when<<38 | uint64(g.cfg.Code&(1<<22-1))<<16 | uint64(g.last.Add(1)&(1<<16-1))
}

var beijing = time.FixedZone("UTC+8", 8*60*60)

// keep notes a message that was taken, and has it reported.
func (g *Gateway) keep(a *account, m ismg.Message, id uint64, registered bool, fault ismg.Fault) {
	g.mu.Lock()
	g.count++
	g.submitted = append(g.submitted, m)
	if len(g.submitted) >= 2*g.cfg.Keep { // copied seldom, so that adding stays cheap
		g.submitted = append([]ismg.Message{}, g.submitted[len(g.submitted)-g.cfg.Keep:]...)
	}
	g.mu.Unlock()
	g.phones.Get(m)
	if !registered || fault.Kind == ismg.NoReport {
		return
	}
	stat := "DELIVRD"
	if fault.Kind == ismg.Undelivered {
		stat = fault.State
		orDefault(&stat, "UNDELIV")
	}
	a.outbox.Add(telling{id: id, from: m.To, to: m.From, stat: stat, at: m.At}, time.Now().Add(g.cfg.ReportAfter))
}

// enter lets a client's connection in; false: it has too many.
func (g *Gateway) enter(s *session, name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.accounts[name]
	if a == nil {
		a = &account{name: name}
		a.outbox.Most = g.cfg.Keep
		g.accounts[name] = a
	}
	if g.cfg.MostConnections > 0 && a.connections >= g.cfg.MostConnections {
		return false
	}
	a.connections++
	g.latest, s.account = a, a
	g.sessions[s] = struct{}{}
	return true
}

func (g *Gateway) leave(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.account.connections--
	delete(g.sessions, s)
}
