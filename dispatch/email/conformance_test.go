package email

import (
	"context"
	"fmt"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/conformance"
	"herald/hardware/sim/smtp"
)

// answerWithin is how long a test's driver waits for an answer that comes.
const answerWithin = 30 * time.Second

// TestSessionsKeepTheContract against a server of every kind there is.
func TestSessionsKeepTheContract(t *testing.T) {
	for name, f := range map[string]struct{ pipelining, eager, late bool }{
		"with pipelining":                         {pipelining: true},
		"with pipelining, content without anyone": {pipelining: true, eager: true},
		"with pipelining, refusing late":          {pipelining: true, late: true},
		"in turns":                                {},
		"in turns, refusing late":                 {late: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, func(t *testing.T, answerWithin time.Duration) conformance.Peer {
				return newFarEndPeer(t, answerWithin, &farEnd{pipelining: f.pipelining, eager: f.eager, late: f.late})
			})
		})
	}
	t.Run("the simulator", func(t *testing.T) {
		t.Parallel()
		conformance.Run(t, func(t *testing.T, answerWithin time.Duration) conformance.Peer { return newSimPeer(t, answerWithin) })
	})
}

// simPeer lets the suite of dispatch try the driver against the simulator.
type simPeer struct {
	t      *testing.T
	within time.Duration // for an answer
	server *smtp.Server
	mailer *Mailer
}

func newSimPeer(t *testing.T, answerWithin time.Duration) *simPeer {
	p := &simPeer{t: t, within: answerWithin, server: startSim(t, smtp.Config{Username: "herald", Password: "secret"})}
	p.mailer = p.mailerWith(t, "secret")
	return p
}

func (p *simPeer) mailerWith(t *testing.T, password string) *Mailer {
	t.Helper()
	account := accountAt(t, "sim", p.server.Addr())
	account.Timeout, account.Username, account.Password = p.within, "herald", password
	m, err := NewMailer(account, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (p *simPeer) Open(ctx context.Context) (dispatch.Session, error) { return p.mailer.Open(ctx) }

func (p *simPeer) Message(i int) dispatch.Message {
	return to(fmt.Sprintf("m%d@example.com", i))
}

func (p *simPeer) Inject(t *testing.T, f conformance.Fault, m dispatch.Message) bool {
	fault, known := map[conformance.Fault]smtp.Fault{
		conformance.Refusal:        {Kind: smtp.RefuseData, Text: "5.7.1 spam"},
		conformance.AddressUnknown: {Kind: smtp.Refuse},
		conformance.Busy:           {Kind: smtp.Temporary},
		conformance.Throttle:       {Kind: smtp.Temporary, Code: 451, Text: "4.7.28 slow down"},
		conformance.LostBefore:     {Kind: smtp.DropBeforeData},
		conformance.LostDuring:     {Kind: smtp.DropInData},
		conformance.LostAfter:      {Kind: smtp.Doubt},
		conformance.Silence:        {Kind: smtp.Delay, Delay: smtp.Duration(time.Hour)},
		conformance.Away:           {Kind: smtp.Close},
	}[f]
	switch {
	case known:
		fault.Recipient = m.Address
		setFaults(t, p.server, fault)
	case f == conformance.WrongCredentials:
		p.mailer = p.mailerWith(t, "wrong")
	case f == conformance.Gone:
		addr := p.server.Addr()
		if err := p.server.Close(); err != nil {
			t.Fatal(err)
		}
		p.server = startSim(p.t, smtp.Config{Addr: addr, Username: "herald", Password: "secret"})
	default:
		return false
	}
	return true
}

func (p *simPeer) Heal(t *testing.T) {
	setFaults(t, p.server)
	p.mailer = p.mailerWith(t, "secret")
}

func (p *simPeer) Taken(m dispatch.Message) (n int) {
	for _, mail := range p.server.Messages() {
		if len(mail.To) == 1 && mail.To[0] == m.Address {
			n++
		}
	}
	return n
}

func (p *simPeer) AwaitTaken(ctx context.Context, m dispatch.Message) error {
	return p.server.WaitFor(ctx, func([]smtp.Mail) bool { return p.Taken(m) > 0 })
}
