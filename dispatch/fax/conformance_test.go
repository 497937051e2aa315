package fax

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/conformance"
	"herald/hardware/fax"
	"herald/hardware/sim/hfaxd"
)

func TestSessionsKeepTheContract(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T, answerWithin time.Duration) conformance.Peer {
		return &peer{bench: start(t, func(a *Account, _ *settings) { a.Timeout = answerWithin })}
	})
}

// peer lets the suite of dispatch try the driver against the simulator.
type peer struct {
	*bench
	wrong bool // the sender has a wrong password
}

func (p *peer) Open(ctx context.Context) (dispatch.Session, error) { return p.Sender.Open(ctx) }

func (p *peer) Message(i int) dispatch.Message { return p.message(i, 1) }

func (p *peer) Inject(_ *testing.T, f conformance.Fault, m dispatch.Message) bool {
	switch f {
	case conformance.Refusal:
		p.faults(hfaxd.Fault{Kind: hfaxd.RefuseJob, Number: m.Address})
	case conformance.LostBefore:
		p.wire.at("STOT", breaks)
	case conformance.LostDuring:
		p.faults(hfaxd.Fault{Kind: hfaxd.DropBefore, Number: m.Address})
	case conformance.LostAfter: // and it cannot be looked for
		p.faults(hfaxd.Fault{Kind: hfaxd.DropAfter, Number: m.Address})
		p.wire.at("JSUBM", func(*conn) error { return nil })
	case conformance.Silence:
		p.wire.at("JSUBM", deafens)
	case conformance.Gone:
		p.sim.Restart(false)
	case conformance.Away:
		p.wire.close()
	case conformance.WrongCredentials:
		p.Sender, p.wrong = p.another(func(a *Account, _ *settings) { a.Password = "wrong" }), true
	default:
		return false
	}
	return true
}

func (p *peer) Heal(*testing.T) {
	p.faults()
	p.wire.heal()
	if p.wrong {
		p.Sender, p.wrong = p.another(nil), false
	}
}

// Taken is how many jobs the server has of a message, or had.
func (p *peer) Taken(m dispatch.Message) (n int) {
	conn, err := fax.Open(p.t.Context(), fax.Config{Address: p.sim.Addr(), Username: "shop", Password: "secret"})
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it was only asked
	all, err := conn.List(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, job := range all {
		if strings.HasPrefix(job.Info, m.WireID) {
			n++
		}
	}
	return n
}

func (p *peer) AwaitTaken(ctx context.Context, m dispatch.Message) error {
	return p.sim.Faxes().WaitFor(ctx, func(kept []hfaxd.Fax, _ int64) bool {
		return slices.ContainsFunc(kept, func(f hfaxd.Fax) bool { return strings.HasPrefix(f.Info, m.WireID) })
	})
}
