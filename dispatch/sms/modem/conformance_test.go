package modem

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/conformance"
	"herald/dispatch/sms/parts"
	"herald/hardware/gsm"
	sim "herald/hardware/sim/modem"
	"herald/hardware/sim/texts"
	"herald/postgres/pgtest"
	"herald/templates"
)

// answerWithin is how long a test's driver waits for an answer that comes.
const answerWithin = 30 * time.Second

// silence is how long it waits for the answer to a message that never comes, or
// comes late.
const silence = 2 * time.Second

func impatient(a *Account) { a.SubmitTimeout = silence }

func TestSessionsKeepTheContract(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T, answerWithin time.Duration) conformance.Peer { return newPeer(t, answerWithin) })
}

// startSim plugs a modem in.
func startSim(t *testing.T, cfg sim.Config) *sim.Modem {
	t.Helper()
	if cfg.ReportAfter == 0 {
		cfg.ReportAfter = 10 * time.Millisecond
	}
	cfg.Link = t.TempDir() + "/modem"
	m := sim.New(cfg)
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// bench is a sender at work on a simulated modem.
type bench struct {
	*Sender
	sim   *sim.Modem
	store *Store
	parts *parts.Store
}

func start(t *testing.T, at sim.Config, change func(*Account)) *bench {
	t.Helper()
	db := pgtest.New(t)
	b := &bench{sim: startSim(t, at), store: NewStore(db), parts: parts.NewStore(db)}
	b.Sender = b.another(t, change)
	return b
}

// another is a sender of another run, or node.
func (b *bench) another(t *testing.T, change func(*Account)) *Sender {
	t.Helper()
	cfg := Account{
		Name: "modem", Device: b.sim.Path(), SubmitTimeout: answerWithin, Timeout: answerWithin,
		tune: func(c *gsm.Config) { c.BackoffFirst, c.BackoffLongest = 50*time.Millisecond, 200*time.Millisecond },
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, b.store, b.parts, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (b *bench) setFaults(t *testing.T, faults ...sim.Fault) {
	t.Helper()
	if err := b.sim.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
}

func message(number int, text string) dispatch.Message {
	return dispatch.Message{
		DeliveryID: uuid.Must(uuid.NewV7()), Address: fmt.Sprintf("+861380013%04d", number),
		Content: templates.Content{Text: text}, ExpiresAt: time.Now().Add(time.Hour),
	}
}

// peer lets the suite of dispatch try the driver against the simulator.
type peer struct {
	*bench
	t *testing.T
}

func newPeer(t *testing.T, answerWithin time.Duration) *peer {
	return &peer{start(t, sim.Config{SIM: sim.SIM{PIN: "1234"}}, func(a *Account) { a.PIN, a.SubmitTimeout = "1234", answerWithin }), t}
}

func (p *peer) Message(i int) dispatch.Message { return message(i, fmt.Sprintf("降价 %d", i)) }

func (p *peer) Inject(t *testing.T, f conformance.Fault, m dispatch.Message) bool {
	away := sim.Duration(200 * time.Millisecond)
	fault, known := map[conformance.Fault]sim.Fault{
		conformance.Refusal:        {Kind: sim.Error, Command: "+CMGS", Code: 304},
		conformance.AddressUnknown: {Kind: sim.Error, Command: "+CMGS", Code: 1},
		conformance.Busy:           {Kind: sim.Error, Command: "+CMGS", Code: 41},
		conformance.Throttle:       {Kind: sim.Error, Command: "+CMGS", Code: 42},
		conformance.EndsSession:    {Kind: sim.Error, Command: "+CMGS", Code: 331},
		conformance.LostBefore:     {Kind: sim.Unplug, Command: ">", Delay: away},
		conformance.LostDuring:     {Kind: sim.Unplug, Command: "+CMGS", Delay: away},
		conformance.LostAfter:      {Kind: sim.Unplug, Command: "+CMGS", Done: true, Delay: away},
		conformance.Silence:        {Kind: sim.Lost, Command: "+CMGS"},
	}[f]
	switch {
	case known:
		if f != conformance.LostBefore {
			fault.Recipient = m.Address
		}
		p.setFaults(t, fault)
	case f == conformance.Gone:
		p.setFaults(t, sim.Fault{Kind: sim.Unplug, Delay: away, Times: 1})
		p.await(func() bool { return p.modem.Health().State != "ready" })
	case f == conformance.Away:
		p.setFaults(t, sim.Fault{Kind: sim.Unplug, Delay: sim.Duration(1500 * time.Millisecond), Times: 1})
		p.await(func() bool { return p.modem.Health().State != "ready" })
	case f == conformance.WrongCredentials:
		p.Sender.Close()
		p.sim = startSim(p.t, sim.Config{SIM: sim.SIM{PIN: "1234"}})
		p.Sender = p.another(p.t, func(a *Account) { a.PIN = "4321" })
	default:
		return false
	}
	return true
}

// await makes the modem notice by asking it, until it has.
func (p *peer) await(noticed func() bool) {
	for !noticed() {
		_, _ = p.modem.USSD(p.t.Context(), "*100#")
	}
}

func (p *peer) Heal(t *testing.T) {
	p.setFaults(t)
	if p.cfg.PIN == "4321" {
		p.Sender.Close()
		p.Sender = p.another(p.t, func(a *Account) { a.PIN = "1234" })
	}
	if err := p.modem.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (p *peer) Taken(m dispatch.Message) (n int) {
	for _, part := range p.sim.Parts() {
		if part.To == m.Address && !part.Refused {
			n++
		}
	}
	return n
}

func (p *peer) AwaitTaken(ctx context.Context, m dispatch.Message) error {
	return p.sim.Texts().WaitFor(ctx, func(kept []texts.Text, _ int64) bool {
		return slices.ContainsFunc(kept, func(text texts.Text) bool { return text.To == m.Address })
	})
}
