package smpp

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/conformance"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/smpp/pdu"
	"herald/hardware/sim/smsc"
	"herald/templates"
)

// answerWithin is how long a test's driver waits for an answer that comes.
const answerWithin = 30 * time.Second

// silence is how long it waits for one that never comes, or comes late; it is
// longer than one before it needs.
const silence = 2 * time.Second

// accountAt is an account at a centre of a test.
func accountAt(t testing.TB, addr string) Account {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return Account{Name: "operator", Host: host, Port: n, SystemID: "herald", Password: "secret", Source: "SHOP", Timeout: answerWithin}
}

// newClient is a client; with nil it can send no message of several parts.
func newClient(t testing.TB, account Account, keeper Parts) *Client {
	t.Helper()
	if keeper == nil {
		keeper = parts.NewStore(nil)
	}
	c, err := NewClient(account, keeper)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func startSMSC(t testing.TB, cfg smsc.Config) *smsc.SMSC {
	t.Helper()
	if cfg.Accounts == nil {
		cfg.Accounts = map[string]string{"herald": "secret"}
	}
	s := smsc.New(cfg)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func setFaults(t testing.TB, s *smsc.SMSC, faults ...smsc.Fault) {
	t.Helper()
	if err := s.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
}

// to is a message for a number.
func to(address, text string) dispatch.Message {
	return dispatch.Message{DeliveryID: uuid.Must(uuid.NewV7()), Address: address, Content: templates.Content{Text: text}}
}

// TestSessionsKeepTheContract of dispatch, with every kind of bind that sends.
func TestSessionsKeepTheContract(t *testing.T) {
	t.Parallel()
	for _, bind := range []string{bindTransceiver, bindPair, bindTransmitter} {
		t.Run(bind, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, func(t *testing.T, answerWithin time.Duration) conformance.Peer {
				return newSimPeer(t, bind, answerWithin)
			})
		})
	}
}

// simPeer lets the suite of dispatch try the driver against the simulator.
type simPeer struct {
	t      *testing.T
	bind   string
	within time.Duration // for an answer
	smsc   *smsc.SMSC
	client *Client
	opened []dispatch.Session
}

func newSimPeer(t *testing.T, bind string, answerWithin time.Duration) *simPeer {
	p := &simPeer{t: t, bind: bind, within: answerWithin, smsc: startSMSC(t, smsc.Config{})}
	p.client = p.clientWith("secret")
	return p
}

func (p *simPeer) clientWith(password string) *Client {
	p.t.Helper()
	account := accountAt(p.t, p.smsc.Addr())
	account.Bind, account.Password, account.UnknownNumber, account.Timeout = p.bind, password, []string{"0x0B"}, p.within
	return newClient(p.t, account, nil)
}

func (p *simPeer) Open(ctx context.Context) (dispatch.Session, error) {
	s, err := p.client.Open(ctx)
	if err == nil {
		p.opened = append(p.opened, s)
	}
	return s, err
}

func (p *simPeer) Message(i int) dispatch.Message {
	return to(fmt.Sprintf("+86138000%05d", i), "hello")
}

func (p *simPeer) Inject(t *testing.T, f conformance.Fault, m dispatch.Message) bool {
	fault, known := map[conformance.Fault]smsc.Fault{
		conformance.Refusal:        {Kind: smsc.Refuse, Status: pdu.RSUBMITFAIL},
		conformance.AddressUnknown: {Kind: smsc.Refuse, Status: pdu.RINVDSTADR},
		conformance.Busy:           {Kind: smsc.Refuse, Status: pdu.RSYSERR},
		conformance.Throttle:       {Kind: smsc.Refuse, Status: pdu.RTHROTTLED},
		conformance.EndsSession:    {Kind: smsc.EndSession},
		conformance.LostDuring:     {Kind: smsc.DropBefore},
		conformance.LostAfter:      {Kind: smsc.DropAfter},
		conformance.Silence:        {Kind: smsc.Lose},
		conformance.Away:           {Kind: smsc.Close},
	}[f]
	switch {
	case known:
		if m.Address != "" {
			fault.Number = m.Address[1:]
		}
		setFaults(t, p.smsc, fault)
	case f == conformance.WrongCredentials:
		p.client = p.clientWith("wrong")
	case f == conformance.Gone:
		p.smsc.DropAll()
		for _, s := range p.opened { // which they notice by themselves
			<-s.(*session).link.down
		}
	default: // LostBefore: a message is one write, and on its way before anybody heard of it
		return false
	}
	return true
}

func (p *simPeer) Heal(t *testing.T) {
	setFaults(t, p.smsc)
	p.client = p.clientWith("secret")
}

func (p *simPeer) Taken(m dispatch.Message) (n int) {
	for _, u := range p.smsc.Units() {
		if "+"+u.Message.Destination.Number == m.Address {
			n++
		}
	}
	return n
}

func (p *simPeer) AwaitTaken(ctx context.Context, m dispatch.Message) error {
	return p.smsc.WaitFor(ctx, func(units []smsc.Unit) bool {
		return slices.ContainsFunc(units, func(u smsc.Unit) bool { return "+"+u.Message.Destination.Number == m.Address })
	})
}
