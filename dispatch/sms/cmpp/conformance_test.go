package cmpp

import (
	"log/slog"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/conformance"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/link/linktest"
	sim "herald/hardware/sim/cmpp"
	"herald/hardware/sim/ismg"
	"herald/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// answerWithin is how long a test's driver waits for an answer that comes.
const answerWithin = linktest.Patience

// silence is how long it waits for one that never comes, or comes late.
const silence = time.Second

// TestSessionsKeepTheContract with both versions.
func TestSessionsKeepTheContract(t *testing.T) {
	for _, version := range []string{"2.0", "3.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, func(t *testing.T, answerWithin time.Duration) conformance.Peer {
				return newPeer(t, version, answerWithin)
			})
		})
	}
}

// startSim starts a gateway that knows one account.
func startSim(t *testing.T, cfg sim.Config) *sim.Gateway {
	t.Helper()
	cfg.Accounts = map[string]string{"900001": "888888"}
	g := sim.New(cfg)
	linktest.Start(t, g)
	return g
}

// accountAt is an account at a simulated gateway.
func accountAt(t *testing.T, addr string) Account {
	t.Helper()
	return Account{
		Name: "mobile", Host: "127.0.0.1", Port: linktest.Port(t, addr), SPID: "900001", Secret: "888888", CheckGateway: true,
		SourceNumber: "10657012345", ServiceID: "ALERT", Timing: link.Timing{Answer: answerWithin, Tries: 2},
	}
}

// impatientAt is one that waits for no answer that does not come soon.
func impatientAt(t *testing.T, addr string) Account {
	t.Helper()
	account := accountAt(t, addr)
	account.Answer = silence
	return account
}

func newGateway(t *testing.T, cfg Account, store *linktest.Store) *Gateway {
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
	return linktest.Open(t, g).(*session)
}

// newPeer is the driver and a gateway of a version.
func newPeer(t *testing.T, version string, answerWithin time.Duration) *linktest.Peer {
	g := startSim(t, sim.Config{Highest: version})
	account := accountAt(t, g.Addr())
	account.Version, account.Answer = version, answerWithin
	right := newGateway(t, account, linktest.NewStore())
	account.Secret = "777777"
	return &linktest.Peer{
		Gateway: g, Right: right, Wrong: newGateway(t, account, linktest.NewStore()), Prefix: "+86",
		Conn: func(s dispatch.Session) *link.Conn { return s.(*session).Conn },
		// A number that nobody has is known from the report only.
		Faults: map[conformance.Fault]ismg.Fault{
			conformance.Refusal:    {Kind: ismg.Refuse, Result: 6},
			conformance.Busy:       {Kind: ismg.Refuse, Result: 99},
			conformance.Throttle:   {Kind: ismg.Refuse, Result: 8},
			conformance.LostDuring: {Kind: ismg.DropBefore},
			conformance.LostAfter:  {Kind: ismg.DropAfter},
			conformance.Silence:    {Kind: ismg.Lose},
			conformance.Away:       {Kind: ismg.Close},
		},
	}
}
