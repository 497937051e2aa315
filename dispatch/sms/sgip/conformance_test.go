package sgip

import (
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herald/dispatch"
	"herald/dispatch/conformance"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/link/linktest"
	"herald/hardware/sim/ismg"
	sim "herald/hardware/sim/sgip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answerWithin is how long a test's driver waits for an answer that comes.
const answerWithin = linktest.Patience

// silence is how long it waits for one that never comes, or comes late.
const silence = time.Second

// TestSessionsKeepTheContract where a repetition is answered as the protocol
// has it, and where the gateway takes it for a mistake.
func TestSessionsKeepTheContract(t *testing.T) {
	for name, refuses := range map[string]bool{"repetitions are discarded": false, "repetitions are refused": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, func(t *testing.T, answerWithin time.Duration) conformance.Peer {
				return newPeer(t, refuses, answerWithin)
			})
		})
	}
}

// startSim starts a gateway that knows one account.
func startSim(t *testing.T, cfg sim.Config) *sim.Gateway {
	t.Helper()
	cfg.Logins = map[string]string{"herald": "secret"}
	cfg.ClientName, cfg.ClientPassword = "smg", "unicom"
	g := sim.New(cfg)
	linktest.Start(t, g)
	return g
}

// accountAt is an account at a simulated gateway.
func accountAt(t *testing.T, addr string) Account {
	t.Helper()
	return Account{
		Name: "unicom", Host: "127.0.0.1", Port: linktest.Port(t, addr), LoginName: "herald", Password: "secret", NodeID: 3001012345, CorpID: "12345",
		SPNumber: "10655012345", ServiceType: "ALERT", Timing: link.Timing{Answer: answerWithin, Tries: 2},
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

// newPeer is the driver and a gateway that discards or refuses repetitions.
func newPeer(t *testing.T, refuses bool, answerWithin time.Duration) *linktest.Peer {
	g := startSim(t, sim.Config{RefuseRepeats: refuses})
	account := accountAt(t, g.Addr())
	account.Answer = answerWithin
	right := newGateway(t, account, linktest.NewStore())
	account.Password = "wrong"
	return &linktest.Peer{
		Gateway: g, Right: right, Wrong: newGateway(t, account, linktest.NewStore()), Prefix: "+",
		Conn: func(s dispatch.Session) *link.Conn { return s.(*session).Conn },
		Faults: map[conformance.Fault]ismg.Fault{
			conformance.Refusal:        {Kind: ismg.Refuse, Result: 23},
			conformance.AddressUnknown: {Kind: ismg.Refuse, Result: 29},
			conformance.Busy:           {Kind: ismg.Refuse, Result: 32},
			conformance.Throttle:       {Kind: ismg.Refuse, Result: 11},
			conformance.LostDuring:     {Kind: ismg.DropBefore},
			conformance.LostAfter:      {Kind: ismg.DropAfter},
			conformance.Silence:        {Kind: ismg.Lose},
			conformance.Away:           {Kind: ismg.Close},
		},
	}
}
