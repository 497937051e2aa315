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
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"herald/dispatch/sms/wire"
	"herald/hardware/sim"
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
	ismg.Front
	cfg    Config
	faults ismg.Faults
	pace   sim.Pace
	phones *ismg.Phones
	door   sim.Door
	last   atomic.Uint32 // sequence of the latest Msg_Id, and reference of what phones write

	mu       sync.Mutex
	accounts map[string]*account   // guarded by mu
	latest   *account              // guarded by mu: who connected last
	sessions map[*session]struct{} // guarded by mu: those that are let in
}

// account is a client, across its connections.
type account struct {
	name        string
	outbox      ismg.Outbox[telling]
	connections int // guarded by Gateway.mu
}

// New makes a gateway that does not listen yet.
func New(cfg Config) *Gateway {
	cfg.Addr = cmp.Or(cfg.Addr, "127.0.0.1:0")
	cfg.Highest = cmp.Or(cfg.Highest, "3.0")
	cfg.Keep = cmp.Or(cfg.Keep, 10_000)
	cfg.Code = cmp.Or(cfg.Code, 106577)
	cfg.Window = cmp.Or(cfg.Window, 16)
	cfg.RetryAfter = cmp.Or(cfg.RetryAfter, time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	g := &Gateway{
		cfg: cfg, faults: ismg.NewFaults(), phones: ismg.NewPhones(cfg.Keep), pace: sim.Pace{PerSecond: cfg.PerSecond},
		accounts: map[string]*account{}, sessions: map[*session]struct{}{},
	}
	g.door.Name, g.door.Logger, g.door.Serve = "simulated CMPP gateway", cfg.Logger, sim.Each(g.serve)
	g.Front = ismg.NewFront(g.faults, g.phones, &g.door)
	return g
}

// Start listens and serves until Close. It may be called once.
func (g *Gateway) Start(ctx context.Context) error { return g.door.Open(ctx, g.cfg.Addr) }

// Close stops listening, drops every connection and returns when all are gone.
// What was kept can still be read. Closing again does nothing.
func (g *Gateway) Close() error { return g.door.Close() }

// TerminateAll signs every client out, politely.
func (g *Gateway) TerminateAll() {
	g.mu.Lock()
	all := slices.Collect(maps.Keys(g.sessions))
	g.mu.Unlock()
	for _, s := range all {
		_ = s.say(wire.PDU{Command: terminate, Sequence: wire.Sequence{2: s.next()}}) // its reader notices
	}
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
func (g *Gateway) Handler() http.Handler { return texts.Handler(g.Texts(), g) }

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
	now := g.cfg.Now()
	said := texts.Text{At: now, From: from, To: to, Text: text, Account: a.name}
	return g.phones.Say(said, uint16(g.last.Add(1)), func(w ismg.Written) { //nolint:gosec // it goes round
		a.outbox.Add(telling{id: g.id(now), from: from, to: to, format: w.Format, hasUDH: w.HasUDH, content: w.Content}, time.Now())
	})
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
	g.phones.Get(m)
	if !registered || fault.Kind == ismg.NoReport {
		return
	}
	stat := "DELIVRD"
	if fault.Kind == ismg.Undelivered {
		stat = cmp.Or(fault.State, "UNDELIV")
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
