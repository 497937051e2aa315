package cmpp

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/conformance"
	"herald/dispatch/sms"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/parts"
	sim "herald/hardware/sim/cmpp"
	"herald/hardware/sim/ismg"
	"herald/hardware/sim/texts"
	"herald/postgres/pgtest"
	"herald/templates"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// answerWithin is how long a test's driver waits for an answer that never comes.
const answerWithin = 600 * time.Millisecond

// TestSessionsKeepTheContract with both versions.
func TestSessionsKeepTheContract(t *testing.T) {
	for _, version := range []string{"2.0", "3.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, func(t *testing.T) conformance.Peer { return newPeer(t, version) })
		})
	}
}

// startSim starts a gateway that knows one account.
func startSim(t *testing.T, cfg sim.Config) *sim.Gateway {
	t.Helper()
	cfg.Accounts = map[string]string{"900001": "888888"}
	g := sim.New(cfg)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// accountAt is an account at a simulated gateway.
func accountAt(t *testing.T, addr string) Account {
	t.Helper()
	return Account{
		Name: "mobile", Host: "127.0.0.1", Port: portOf(t, addr), SPID: "900001", Secret: "888888", CheckGateway: true,
		SourceNumber: "10657012345", ServiceID: "ALERT", Timing: link.Timing{Answer: answerWithin, Tries: 2},
	}
}

func portOf(t testing.TB, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func newGateway(t *testing.T, cfg Account, store *memory) *Gateway {
	t.Helper()
	g, err := New(cfg, store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// openSession is a session that is closed at the end of the test.
func openSession(t *testing.T, g *Gateway) *session {
	t.Helper()
	s, err := g.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func message(number int, text string) dispatch.Message {
	return dispatch.Message{
		DeliveryID: uuid.Must(uuid.NewV7()), Address: fmt.Sprintf("+861380013%04d", number),
		Content: templates.Content{Text: text},
	}
}

// memory is a store of parts without a database.
type memory struct {
	mu      sync.Mutex
	taken   map[uuid.UUID]*parts.Progress
	begun   uint16
	pieces  *sms.Collector
	failing error
}

func newMemory() *memory {
	return &memory{taken: map[uuid.UUID]*parts.Progress{}, pieces: sms.NewCollector(time.Hour, 100)}
}

func (m *memory) Collect(ctx context.Context, _ string, pieces []sms.Piece, take func(context.Context, []dispatch.Inbound) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range pieces {
		for _, w := range m.pieces.Add(p, time.Now()) {
			if err := take(ctx, []dispatch.Inbound{{Key: w.Key, From: w.From, To: w.To, Text: w.Text}}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) Overdue(context.Context, string, func(context.Context, []dispatch.Inbound) error) error {
	return nil
}

func (m *memory) Begin(_ context.Context, _ string, starts []parts.Start) ([]parts.Progress, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []parts.Progress
	for _, s := range starts {
		p := m.taken[s.DeliveryID]
		if p == nil {
			m.begun++
			p = &parts.Progress{Reference: m.begun, Accepted: make([]bool, s.Of), ProviderIDs: make([]string, s.Of)}
			m.taken[s.DeliveryID] = p
		}
		all = append(all, *p)
	}
	return all, m.failing
}

func (m *memory) Accepted(_ context.Context, _ string, taken ...parts.Part) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range taken {
		m.taken[p.DeliveryID].Accepted[p.Part] = true
		m.taken[p.DeliveryID].ProviderIDs[p.Part] = p.ProviderID
	}
	return m.failing
}

func (m *memory) Reports(_ context.Context, reports []dispatch.Report) ([]dispatch.Report, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return reports, m.failing
}

// peer lets the suite of dispatch try the driver against the simulator.
type peer struct {
	sim      *sim.Gateway
	gateway  *Gateway
	wrong    *Gateway
	current  *Gateway
	sessions []*session
}

func newPeer(t *testing.T, version string) *peer {
	p := &peer{sim: startSim(t, sim.Config{Highest: version})}
	account := accountAt(t, p.sim.Addr())
	account.Version = version
	p.gateway = newGateway(t, account, newMemory())
	account.Secret = "777777"
	p.wrong = newGateway(t, account, newMemory())
	p.current = p.gateway
	return p
}

func (p *peer) Open(ctx context.Context) (dispatch.Session, error) {
	s, err := p.current.Open(ctx)
	if err == nil {
		p.sessions = append(p.sessions, s.(*session))
	}
	return s, err
}

func (p *peer) Message(i int) dispatch.Message { return message(i, fmt.Sprintf("降价 %d", i)) }

func (p *peer) Inject(t *testing.T, f conformance.Fault, m dispatch.Message) bool {
	fault, known := map[conformance.Fault]ismg.Fault{
		conformance.Refusal:    {Kind: ismg.Refuse, Result: 6},
		conformance.Busy:       {Kind: ismg.Refuse, Result: 99},
		conformance.Throttle:   {Kind: ismg.Refuse, Result: 8},
		conformance.LostDuring: {Kind: ismg.DropBefore},
		conformance.LostAfter:  {Kind: ismg.DropAfter},
		conformance.Silence:    {Kind: ismg.Lose},
		conformance.Away:       {Kind: ismg.Close},
	}[f]
	switch {
	case known:
		if m.Address != "" {
			fault.Number = m.Address[len("+86"):]
		}
		setFaults(t, p.sim, fault)
	case f == conformance.WrongCredentials:
		p.current = p.wrong
	case f == conformance.Gone:
		p.sim.DropAll()
		for _, s := range p.sessions {
			<-s.Conn.Ended()
		}
	default:
		// A number that nobody has is known from the report only; a SUBMIT is
		// one unit, so nothing is heard of it before it is there.
		return false
	}
	return true
}

func (p *peer) Heal(t *testing.T) {
	setFaults(t, p.sim)
	p.current = p.gateway
}

func (p *peer) Taken(m dispatch.Message) (n int) {
	for _, s := range p.sim.Submitted() {
		if "+86"+s.To == m.Address {
			n++
		}
	}
	return n
}

func (p *peer) AwaitTaken(ctx context.Context, m dispatch.Message) error {
	return p.sim.Texts().WaitFor(ctx, func(_ []texts.Text, _ int64) bool { return p.Taken(m) > 0 })
}

func setFaults(t *testing.T, g *sim.Gateway, faults ...ismg.Fault) {
	t.Helper()
	if err := g.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
}
