package sgip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"herald/dispatch"
	"herald/dispatch/sms/link/linktest"
	"herald/dispatch/sms/wire"
	"herald/e2e/peers"
	"herald/hardware/sim/ismg"
	sim "herald/hardware/sim/sgip"
)

// receiving is an account whose gateway knows where it listens.
func receiving(t *testing.T, cfg sim.Config) (*sim.Gateway, *Gateway) {
	t.Helper()
	cfg.Client = peers.Address(t)
	cfg.RetryAfter = 100 * time.Millisecond
	g := startSim(t, cfg)
	account := accountAt(t, g.Addr())
	account.Reception = Reception{Listen: cfg.Client, LoginName: "smg", Password: "unicom"}
	return g, newGateway(t, account, linktest.NewStore())
}

func TestReportsSayWhatBecameOfEachPart(t *testing.T) {
	t.Parallel()
	g, d := receiving(t, sim.Config{})
	reports := linktest.Listen(t, d.Reports)
	s := openSession(t, d)
	linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.Undelivered, State: "29", Number: "8613800130002"}, ismg.Fault{Kind: ismg.Undelivered, Number: "8613800130003"})
	for i, text := range []string{linktest.Long, "降价", "降价", "降价"} {
		if _, err := s.Send(linktest.Within(t), linktest.Message(i, text)); err != nil {
			t.Fatal(err)
		}
	}
	var want []dispatch.Report
	for i, m := range g.Submitted() {
		r := dispatch.Report{Account: "unicom", Channel: "sms", ProviderID: m.ID, Event: dispatch.ReportDelivered, Code: "0", Key: m.ID + " 0 0"}
		switch i {
		case 4:
			r.Event, r.Code, r.Detail, r.AddressDead, r.Key = dispatch.ReportBounced, "29", "nobody has the number", true, m.ID+" 2 29"
		case 5:
			r.Event, r.Code, r.Detail, r.Key = dispatch.ReportExpired, "25", "the phone is off, or out of reach", m.ID+" 2 25"
		}
		want = append(want, r)
	}
	byID := cmpopts.SortSlices(func(x, y dispatch.Report) bool { return x.ProviderID < y.ProviderID })
	if diff := cmp.Diff(want, reports.Await(t, 6), byID); diff != "" {
		t.Error(diff)
	}
	linktest.Settled(t, g)
}

func TestWhatPeopleWriteIsPutTogether(t *testing.T) {
	t.Parallel()
	g, d := receiving(t, sim.Config{})
	inbox := linktest.Listen(t, d.Receive)
	for i, text := range []string{"TD", linktest.Long, "退订"} {
		if err := g.Say(fmt.Sprintf("1380013800%d", i), "10655012345", text); err != nil {
			t.Fatal(err)
		}
		got := inbox.Await(t, i+1)[i]
		if got.Text != text || got.From != fmt.Sprintf("+861380013800%d", i) || got.To != "10655012345" || got.Key == "" {
			t.Errorf("somebody wrote %+v", got)
		}
	}
	linktest.Settled(t, g)
}

// TestNothingIsAcknowledgedBeforeItWasTaken: the gateway cannot reach us while
// nobody listens, and tells it again while who listens fails.
func TestNothingIsAcknowledgedBeforeItWasTaken(t *testing.T) {
	t.Parallel()
	g, d := receiving(t, sim.Config{})
	s := openSession(t, d)
	if _, err := s.Send(linktest.Within(t), linktest.Message(1, "降价")); err != nil {
		t.Fatal(err)
	}
	if err := g.Say("13800138000", "10655012345", "TD"); err != nil {
		t.Fatal(err)
	}
	failing := errors.New("the database is away")
	for range 3 {
		if err := d.Reports(linktest.Within(t), func(context.Context, []dispatch.Report) error { return failing }); !errors.Is(err, failing) {
			t.Fatalf("it gives %v", err)
		}
		if err := d.Receive(linktest.Within(t), func(context.Context, []dispatch.Inbound) error { return failing }); !errors.Is(err, failing) {
			t.Fatalf("it gives %v", err)
		}
		if g.Untold() != 2 {
			t.Fatalf("%d are not acknowledged, want the report and the text", g.Untold())
		}
	}
	reports, inbox := linktest.Listen(t, d.Reports), linktest.Listen(t, d.Receive)
	reports.Await(t, 1)
	inbox.Await(t, 1)
	linktest.Settled(t, g)
	// What was taken, but could not be acknowledged any more, comes again: the
	// key tells.
	all := reports.Await(t, 1)
	for _, r := range all {
		if r.Key != all[0].Key {
			t.Errorf("heard was %+v, too", r)
		}
	}
	written := inbox.Await(t, 1)
	for _, w := range written {
		if w.Key != written[0].Key || w.Text != "TD" {
			t.Errorf("heard was %+v", w)
		}
	}
}

// TestAddressIsTaken: another process listens there.
func TestAddressIsTaken(t *testing.T) {
	t.Parallel()
	_, d := receiving(t, sim.Config{})
	other, err := net.Listen("tcp", d.cfg.Reception.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := d.Reports(linktest.Within(t), nil); err == nil {
		t.Error("reports are heard where another listens")
	}
	if err := d.Receive(linktest.Within(t), nil); err == nil {
		t.Error("texts are heard where another listens")
	}
}

// caller is a gateway of a test's own.
type caller struct {
	t    *testing.T
	conn net.Conn
	last uint32
}

func call(t *testing.T, d *Gateway) *caller {
	t.Helper()
	linktest.Until(t, "it listens", func() bool { return d.reception.addr() != "" })
	conn, err := net.Dial("tcp", d.reception.addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(linktest.Patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &caller{t: t, conn: conn}
}

// ask gives the result of a request; 255: the connection ended.
func (c *caller) ask(command uint32, body []byte) byte {
	c.t.Helper()
	c.last++
	u := wire.PDU{Command: command, Sequence: wire.Sequence{100101, 1, c.last}, Body: body}
	if _, err := c.conn.Write(protocol.Append(nil, u)); err != nil {
		return 255
	}
	reply, err := protocol.Read(c.conn)
	if err != nil {
		return 255
	}
	if reply.Command != command|answer || reply.Sequence != u.Sequence {
		c.t.Fatalf("the answer is %+v", reply)
	}
	if len(reply.Body) == 0 {
		return resultOK
	}
	return reply.Body[0]
}

func TestWhoMayTell(t *testing.T) {
	t.Parallel()
	_, d := receiving(t, sim.Config{})
	linktest.Listen(t, d.Reports)
	right := login{gatewaySignIn, "smg", "unicom"}
	for name, c := range map[string]struct {
		login login
		want  byte
	}{
		"the gateway":        {right, resultOK},
		"a wrong password":   {login{gatewaySignIn, "smg", "wrong"}, resultLogin},
		"a wrong name":       {login{gatewaySignIn, "gms", "unicom"}, resultLogin},
		"another login type": {login{weSignIn, "smg", "unicom"}, resultKind},
	} {
		if got := call(t, d).ask(bind, c.login.body()); got != c.want {
			t.Errorf("%s is answered %d, want %d", name, got, c.want)
		}
	}
	if got := call(t, d).ask(report, make([]byte, 44)); got != resultLogin {
		t.Errorf("a report before the login is answered %d", got)
	}
	c := call(t, d)
	for i, step := range []struct {
		command uint32
		body    []byte
		want    byte
	}{
		{bind, []byte{2}, resultFormat},
		{bind, right.body(), 255}, // it was shown out
	} {
		if got := c.ask(step.command, step.body); got != step.want {
			t.Errorf("step %d is answered %d, want %d", i, got, step.want)
		}
	}
	c = call(t, d)
	for i, step := range []struct {
		command uint32
		body    []byte
		want    byte
	}{
		{bind, right.body(), resultOK},
		{bind, right.body(), 2},
		{deliver, []byte("half"), resultFormat},
		{report, []byte("half"), resultFormat},
		{0x1000, nil, resultFormat}, // trace
		{report, append(make([]byte, 12), append([]byte{1}, make([]byte, 31)...)...), resultOK}, // of a DELIVER between gateways
		{unbind, nil, resultOK},
		{report, nil, 255},
	} {
		if got := c.ask(step.command, step.body); got != step.want {
			t.Errorf("step %d is answered %d, want %d", i, got, step.want)
		}
	}
	c = call(t, d)
	if _, err := c.conn.Write([]byte{0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := protocol.Read(c.conn); err == nil {
		t.Error("a unit of two gigabytes is waited for")
	}
}

func TestNetworksThatMayTell(t *testing.T) {
	t.Parallel()
	_, d := receiving(t, sim.Config{})
	account := d.cfg
	account.Reception.Networks = []string{"10.1.2.0/24"}
	d = newGateway(t, account, linktest.NewStore())
	linktest.Listen(t, d.Receive)
	c := call(t, d)
	if got := c.ask(bind, login{gatewaySignIn, "smg", "unicom"}.body()); got != 255 {
		t.Errorf("somebody from elsewhere is answered %d", got)
	}
	for ip, lets := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.1.3.3": false, "127.0.0.1": false} {
		if got := d.cfg.Reception.lets(netip.MustParseAddr(ip)); got != lets {
			t.Errorf("%s: %v", ip, got)
		}
	}
}
