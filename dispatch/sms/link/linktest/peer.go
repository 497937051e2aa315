package linktest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"herald/dispatch"
	"herald/dispatch/conformance"
	"herald/dispatch/sms/link"
	"herald/hardware/sim/ismg"
	"herald/hardware/sim/texts"
)

// Peer lets the suite of dispatch try a driver against its simulator.
type Peer struct {
	Gateway Gateway
	// Right signs in; Wrong has another secret.
	Right, Wrong dispatch.Sender
	// Faults are those that the gateway has. Nothing is lost before the gateway
	// heard of it: a SUBMIT is one unit.
	Faults map[conformance.Fault]ismg.Fault
	// Prefix stands before a number in an address, and not on the wire.
	Prefix string
	// Conn is a session's.
	Conn func(s dispatch.Session) *link.Conn

	signsWrongly bool
	opened       []dispatch.Session
}

var _ conformance.Peer = (*Peer)(nil)

// Open opens a session of the driver.
func (p *Peer) Open(ctx context.Context) (dispatch.Session, error) {
	sender := p.Right
	if p.signsWrongly {
		sender = p.Wrong
	}
	s, err := sender.Open(ctx)
	if err == nil {
		p.opened = append(p.opened, s)
	}
	return s, err
}

// Message is the i-th message.
func (p *Peer) Message(i int) dispatch.Message { return Message(i, fmt.Sprintf("降价 %d", i)) }

// Inject makes the gateway do f.
func (p *Peer) Inject(t *testing.T, f conformance.Fault, m dispatch.Message) bool {
	fault, known := p.Faults[f]
	switch {
	case known:
		fault.Number = strings.TrimPrefix(m.Address, p.Prefix)
		SetFaults(t, p.Gateway, fault)
	case f == conformance.WrongCredentials:
		p.signsWrongly = true
	case f == conformance.Gone:
		p.Gateway.DropAll()
		for _, s := range p.opened { // which they notice by themselves
			<-p.Conn(s).Ended()
		}
	default:
		return false
	}
	return true
}

// Heal ends the fault.
func (p *Peer) Heal(t *testing.T) {
	SetFaults(t, p.Gateway)
	p.signsWrongly = false
}

// Taken is how often the gateway took m.
func (p *Peer) Taken(m dispatch.Message) (n int) {
	for _, s := range p.Gateway.Submitted() {
		if p.Prefix+s.To == m.Address {
			n++
		}
	}
	return n
}

// AwaitTaken returns nil as soon as the gateway took m.
func (p *Peer) AwaitTaken(ctx context.Context, m dispatch.Message) error {
	return p.Gateway.Texts().WaitFor(ctx, func(_ []texts.Text, _ int64) bool { return p.Taken(m) > 0 })
}
