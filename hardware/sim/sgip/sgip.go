// Package sgip plays China Unicom's gateway, spoken to by SGIP 1.2, so that
// texts can be watched arriving without a contract with the operator, and so
// that tests can make a gateway fail on purpose.
//
// Clients bind over a socket and submit; what they submit is decoded, its
// parts are joined, kept up to a limit and handed out by Texts, a JSON API and
// a page (package texts). Reports, and what phones write (Say), it tells the
// client on a connection of its own, again and again until they are
// acknowledged. Faults, which may be changed at any time, make it refuse, find
// clients too fast, delay, forget to answer or drop.
package sgip

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strings"
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
// free port of the loopback address, and tells nobody anything.
type Config struct {
	// Addr is where it listens, such as "127.0.0.1:8801". Empty: a free port of
	// 127.0.0.1.
	Addr string
	// Logins are those who may bind: passwords by name. Empty: everybody.
	Logins map[string]string
	// MostConnections is how many there may be at a time. 0: any number.
	MostConnections int
	// Client is where the client listens for reports and texts, as host:port.
	// Empty: nothing is told.
	Client string
	// ClientName and ClientPassword sign in there.
	ClientName, ClientPassword string
	// NodeID is the gateway's own number. 0: 100101.
	NodeID uint32
	// Keep is how many texts it keeps, and how many submitted messages; older
	// ones are forgotten, but still counted. 0: 10,000.
	Keep int
	// PerSecond is how many messages it takes of all; above that it answers
	// result 11. 0: any number.
	PerSecond int
	// RefuseRepeats answers a repeated sequence with result 9, and not, as the
	// protocol has it, as the first time.
	RefuseRepeats bool
	// ReportAfter is how long after a message its report comes.
	ReportAfter time.Duration
	// Window is how many reports and texts may wait for a client's answer. 0: 16.
	Window int
	// RetryAfter is when something that a client refused for now, or did not
	// answer, is told it again. 0: a second.
	RetryAfter time.Duration
	// IdleAfter is when it ends a silent connection. 0: 60 seconds.
	IdleAfter time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger hears of connections that break. Nil: nobody does.
	Logger *slog.Logger
}

// Gateway is the simulated gateway. It is safe for many goroutines.
type Gateway struct {
	ismg.Front
	cfg     Config
	faults  ismg.Faults
	pace    sim.Pace
	phones  *ismg.Phones
	door    sim.Door
	outbox  ismg.Outbox[telling]
	counter atomic.Uint32
	closing chan struct{}
	calling sync.WaitGroup

	mu       sync.Mutex
	closed   bool                   // guarded by mu
	inside   int                    // guarded by mu: who signed in
	answered map[wire.Sequence]byte // guarded by mu: the latest SUBMITs, and what they were answered
	order    []wire.Sequence        // guarded by mu: of answered
}

// New makes a gateway that does not listen yet.
func New(cfg Config) *Gateway {
	cfg.Addr = cmp.Or(cfg.Addr, "127.0.0.1:0")
	cfg.NodeID = cmp.Or(cfg.NodeID, 100101)
	cfg.Keep = cmp.Or(cfg.Keep, 10_000)
	cfg.Window = cmp.Or(cfg.Window, 16)
	cfg.RetryAfter = cmp.Or(cfg.RetryAfter, time.Second)
	cfg.IdleAfter = cmp.Or(cfg.IdleAfter, time.Minute)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	g := &Gateway{
		cfg: cfg, faults: ismg.NewFaults(), phones: ismg.NewPhones(cfg.Keep), pace: sim.Pace{PerSecond: cfg.PerSecond},
		outbox: ismg.Outbox[telling]{Most: cfg.Keep}, closing: make(chan struct{}), answered: map[wire.Sequence]byte{},
	}
	g.door.Name, g.door.Logger, g.door.Serve = "simulated SGIP gateway", cfg.Logger, sim.Each(g.serve)
	g.Front = ismg.NewFront(g.faults, g.phones, &g.door)
	return g
}

// Start listens and serves until Close. It may be called once.
func (g *Gateway) Start(ctx context.Context) error {
	if err := g.door.Open(ctx, g.cfg.Addr); err != nil {
		return err
	}
	if g.cfg.Client != "" {
		g.calling.Go(g.call)
	}
	return nil
}

// Close stops listening, drops every connection and returns when all are gone.
// What was kept can still be read. Closing again does nothing.
func (g *Gateway) Close() error {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.closing)
	}
	g.mu.Unlock()
	g.calling.Wait()
	return g.door.Close()
}

// Untold is how many reports and texts the client has not acknowledged yet.
func (g *Gateway) Untold() int { return g.outbox.Len() }

// Handler shows the texts, takes faults and lets phones write; see texts.Handler.
func (g *Gateway) Handler() http.Handler { return texts.Handler(g.Texts(), g) }

// Say lets the phone with the number from write to our number to. It fails
// with problem.Unavailable when no client is to be told, and with
// problem.Invalid when the text is too long.
func (g *Gateway) Say(from, to, text string) error {
	if g.cfg.Client == "" {
		return problem.New(problem.Unavailable, "there is no client to be told")
	}
	said := texts.Text{At: g.cfg.Now(), From: from, To: to, Text: text}
	from = "86" + strings.TrimPrefix(strings.TrimPrefix(from, "+"), "86")
	return g.phones.Say(said, uint16(g.counter.Add(1)), func(w ismg.Written) { //nolint:gosec // it goes round
		g.outbox.Add(telling{sequence: g.next(), from: from, to: to, written: w}, time.Now())
	})
}

// enter lets somebody in; false: there are too many.
func (g *Gateway) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cfg.MostConnections > 0 && g.inside >= g.cfg.MostConnections {
		return false
	}
	g.inside++
	return true
}

func (g *Gateway) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
}

// before is what a SUBMIT with the sequence was answered.
func (g *Gateway) before(s wire.Sequence) (result byte, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	result, known = g.answered[s]
	return result, known
}

// keep notes a message that was taken, and has it reported.
func (g *Gateway) keep(s wire.Sequence, m ismg.Message, registered bool, fault ismg.Fault) {
	g.mu.Lock()
	if len(g.order) == g.cfg.Keep {
		delete(g.answered, g.order[0])
		g.order = g.order[1:]
	}
	g.answered[s] = resultOK
	g.order = append(g.order, s)
	g.mu.Unlock()
	g.phones.Get(m)
	if registered && fault.Kind != ismg.NoReport && g.cfg.Client != "" {
		t := telling{sequence: g.next(), about: s, from: m.To, isReport: true}
		if fault.Kind == ismg.Undelivered {
			t.state, t.code = stateFailed, reportedCode(fault.State)
		}
		g.outbox.Add(t, time.Now().Add(g.cfg.ReportAfter))
	}
}
