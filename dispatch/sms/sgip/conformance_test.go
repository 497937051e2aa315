package sgip

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
	"go.uber.org/goleak"

	"herald/dispatch"
	"herald/dispatch/conformance"
	"herald/dispatch/sms"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/parts"
	"herald/hardware/sim/ismg"
	sim "herald/hardware/sim/sgip"
	"herald/hardware/sim/texts"
	"herald/templates"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answerWithin is how long a test's driver waits for an answer that never comes.
const answerWithin = 600 * time.Millisecond

// TestSessionsKeepTheContract where a repetition is answered as the protocol
// has it, and where the gateway takes it for a mistake.
func TestSessionsKeepTheContract(t *testing.T) {
	for name, refuses := range map[string]bool{"repetitions are discarded": false, "repetitions are refused": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, func(t *testing.T) conformance.Peer { return newPeer(t, refuses) })
		})
	}
}

// startSim starts a gateway that knows one account.
func startSim(t *testing.T, cfg sim.Config) *sim.Gateway {
	t.Helper()
	cfg.Logins = map[string]string{"herald": "secret"}
	cfg.ClientName, cfg.ClientPassword = "smg", "unicom"
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
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return Account{
		Name: "unicom", Host: host, Port: n, LoginName: "herald", Password: "secret", NodeID: 3001012345, CorpID: "12345",
		SPNumber: "10655012345", ServiceType: "ALERT", Timing: link.Timing{Answer: answerWithin, Tries: 2},
	}
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
	s, failure := g.dial(t.Context())
	if failure != nil {
		t.Fatal(failure)
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

func newPeer(t *testing.T, refuses bool) *peer {
	p := &peer{sim: startSim(t, sim.Config{RefuseRepeats: refuses})}
	account := accountAt(t, p.sim.Addr())
	p.gateway = newGateway(t, account, newMemory())
	account.Password = "wrong"
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
		conformance.Refusal:        {Kind: ismg.Refuse, Result: 23},
		conformance.AddressUnknown: {Kind: ismg.Refuse, Result: 29},
		conformance.Busy:           {Kind: ismg.Refuse, Result: 32},
		conformance.Throttle:       {Kind: ismg.Refuse, Result: 11},
		conformance.LostDuring:     {Kind: ismg.DropBefore},
		conformance.LostAfter:      {Kind: ismg.DropAfter},
		conformance.Silence:        {Kind: ismg.Lose},
		conformance.Away:           {Kind: ismg.Close},
	}[f]
	switch {
	case known:
		if m.Address != "" {
			fault.Number = m.Address[1:]
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
		// A SUBMIT is one unit, so nothing is heard of it before it is there.
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
		if "+"+s.To == m.Address {
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
