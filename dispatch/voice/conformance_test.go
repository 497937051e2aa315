package voice

import (
	"context"
	"fmt"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/conformance"
	"herald/hardware/sim/phone"
	"herald/hardware/sip/siptest"
)

func TestSessionsKeepTheContract(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T, _ time.Duration) conformance.Peer { // Silence is none of its faults
		t.Parallel()
		at, _ := siptest.Free(t) // where it comes back to
		p := phones(t, phone.Config{Addr: at})
		return &peer{start(t, p.Addr(), func(a *Account) { a.AskEvery, a.Response = 2*time.Second, 2*time.Second }, whistler{}), t, p}
	})
}

// peer lets the suite of dispatch try the sender against simulated phones.
type peer struct {
	*bench
	t      *testing.T
	phones *phone.Phone
}

func (p *peer) Message(i int) dispatch.Message {
	return p.message(p.t, fmt.Sprintf("+1555020%04d", i), "steps: [{say: Good day.}]")
}

// Inject has a number be what a fault wants. That the far end takes a call and
// says nothing more of it, or breaks off, is no fault of a call that was
// answered: it has said how far it came. TestNobodyKnows… has the rest.
func (p *peer) Inject(t *testing.T, f conformance.Fault, m dispatch.Message) bool {
	kind, known := map[conformance.Fault]phone.FaultKind{
		conformance.Refusal: phone.Decline, conformance.AddressUnknown: phone.NoNumber, conformance.Busy: phone.Busy,
	}[f]
	switch {
	case known:
		if err := p.phones.SetFaults(phone.Fault{Number: m.Address, Kind: kind}); err != nil {
			t.Fatal(err)
		}
	case f == conformance.Gone, f == conformance.Away:
		if err := p.phones.Close(); err != nil {
			t.Fatal(err)
		}
		p.untilReachable(false)
	default:
		return false
	}
	return true
}

// untilReachable waits until the trunk knows whether the phones are there.
func (p *peer) untilReachable(want bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for p.line != nil && p.Health().Reachable != want {
		<-tick.C
	}
}

func (p *peer) Heal(t *testing.T) {
	if err := p.phones.SetFaults(); err != nil {
		t.Fatal(err)
	}
	if p.line != nil && !p.Health().Reachable {
		p.phones = phones(p.t, phone.Config{Addr: p.server})
	} else if p.line == nil {
		p.phones = phones(p.t, phone.Config{Addr: p.server})
	}
	p.untilReachable(true)
}

func (p *peer) Taken(m dispatch.Message) (n int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	calls, err := p.deps.Store.calls(ctx, m.DeliveryID, p.cfg.Name)
	if err != nil {
		p.t.Error(err)
	}
	for _, c := range calls { // the phone knows it by the same name
		if c.Outcome != spoken {
			continue
		}
		_ = p.phones.Calls().WaitFor(ctx, func(kept []phone.Call, _ int64) bool { // it may be a moment later
			for _, k := range kept {
				if k.CallID == c.CallID && k.Answered {
					n++
					return true
				}
			}
			return false
		})
	}
	return n
}

func (p *peer) AwaitTaken(ctx context.Context, m dispatch.Message) error {
	return p.phones.Calls().WaitFor(ctx, func(kept []phone.Call, _ int64) bool {
		for _, c := range kept {
			if c.To == m.Address {
				return true
			}
		}
		return false
	})
}
