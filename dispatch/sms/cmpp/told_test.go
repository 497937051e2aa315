package cmpp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/dispatch"
	"herald/dispatch/sms/link/linktest"
	sim "herald/hardware/sim/cmpp"
	"herald/hardware/sim/ismg"
)

func TestReportsSayWhatBecameOfEachPart(t *testing.T) {
	for _, c := range []struct {
		version string
		narrow  bool
	}{{"2.0", false}, {"3.0", false}, {"3.0", true}} {
		now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
		g := startSim(t, sim.Config{Highest: c.version, NarrowReports: c.narrow, Now: func() time.Time { return now }})
		d := newGateway(t, accountAt(t, g.Addr()), linktest.NewStore())
		s := openSession(t, d)
		reports := linktest.Listen(t, d.Reports)
		linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.Undelivered, State: "MB:0001", Number: "13800130002"})
		for i, text := range []string{linktest.Long, "降价", "降价"} {
			if _, err := s.Send(linktest.Within(t), linktest.Message(i, text)); err != nil {
				t.Fatal(err)
			}
		}
		var want []dispatch.Report
		for i, m := range g.Submitted() {
			r := dispatch.Report{Account: "mobile", Channel: "sms", ProviderID: m.ID, Event: dispatch.ReportDelivered, Code: "DELIVRD", Key: m.ID + " DELIVRD", At: now.Truncate(time.Minute)}
			if i == 4 {
				r.Event, r.Code, r.Key = dispatch.ReportBounced, "MB:0001", m.ID+" MB:0001"
			}
			want = append(want, r)
		}
		if diff := cmp.Diff(want, reports.Await(t, 5)); diff != "" {
			t.Errorf("%+v:\n%s", c, diff)
		}
		linktest.Settled(t, g)
	}
}

func TestStat(t *testing.T) {
	for stat, event := range map[string]dispatch.ReportEvent{
		"DELIVRD": dispatch.ReportDelivered, "ACCEPTD": dispatch.ReportDelayed, "EXPIRED": dispatch.ReportExpired,
		"UNKNOWN": dispatch.ReportExpired, "DELETED": dispatch.ReportBounced, "UNDELIV": dispatch.ReportBounced,
		"REJECTD": dispatch.ReportBounced, "MA:0054": dispatch.ReportExpired, "MB:1042": dispatch.ReportBounced,
		"MC:0001": dispatch.ReportDelayed, "IC:0001": dispatch.ReportDelayed, "IA:0001": dispatch.ReportExpired,
		"CB:0007": dispatch.ReportBounced, "MK:0001": dispatch.ReportBounced, "": dispatch.ReportBounced,
	} {
		if got := eventOf(stat); got != event {
			t.Errorf("%s is %s, want %s", stat, got, event)
		}
	}
}

func TestWhatPeopleWriteIsPutTogether(t *testing.T) {
	for _, version := range []string{"2.0", "3.0"} {
		g := startSim(t, sim.Config{Highest: version})
		d := newGateway(t, accountAt(t, g.Addr()), linktest.NewStore())
		openSession(t, d)
		inbox := linktest.Listen(t, d.Receive)
		for i, text := range []string{"TD", linktest.Long, "退订"} {
			if err := g.Say("1380013800"+fmt.Sprint(i), "10657012345", text); err != nil {
				t.Fatal(err)
			}
			got := inbox.Await(t, i+1)[i]
			if got.Text != text || got.From != fmt.Sprintf("+861380013800%d", i) || got.To != "10657012345" || got.Key == "" {
				t.Errorf("%s: somebody wrote %+v", version, got)
			}
		}
		linktest.Settled(t, g)
	}
}

// TestNothingIsAcknowledgedBeforeItWasTaken: while nobody listens, and while
// who listens fails, the gateway tells it again, and it is heard once.
func TestNothingIsAcknowledgedBeforeItWasTaken(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{RetryAfter: 50 * time.Millisecond})
	d := newGateway(t, accountAt(t, g.Addr()), linktest.NewStore())
	s := openSession(t, d)
	if _, err := s.Send(linktest.Within(t), linktest.Message(1, "降价")); err != nil {
		t.Fatal(err)
	}
	if err := g.Say("13800138000", "10657012345", "TD"); err != nil {
		t.Fatal(err)
	}
	failing := errors.New("the database is away")
	failed := 0
	for failed < 3 {
		err := d.Reports(linktest.Within(t), func(context.Context, []dispatch.Report) error { failed++; return failing })
		if !errors.Is(err, failing) {
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
	if n := len(reports.Await(t, 1)); n != 1 {
		t.Errorf("%d reports were heard", n)
	}
	if got := inbox.Await(t, 1); len(got) != 1 || got[0].Text != "TD" {
		t.Errorf("heard was %+v", got)
	}
	linktest.Settled(t, g)
}

// TestBothSidesAskWhetherTheOtherIsThere (section 7.1), and end a connection
// whose other side does not say so.
func TestBothSidesAskWhetherTheOtherIsThere(t *testing.T) {
	t.Parallel()
	const every = 80 * time.Millisecond
	g := startSim(t, sim.Config{ActiveEvery: every})
	account := accountAt(t, g.Addr())
	account.Idle = 10 * time.Millisecond
	s := openSession(t, newGateway(t, account, linktest.NewStore()))
	again := time.NewTicker(every)
	defer again.Stop()
	for range 6 { // longer than it would be dropped after
		<-again.C
		if err := s.Alive(linktest.Within(t)); err != nil {
			t.Fatal(err)
		}
	}
	deaf := startSim(t, sim.Config{Deaf: true})
	account = accountAt(t, deaf.Addr())
	account.Idle, account.Answer = 10*time.Millisecond, silence
	s = openSession(t, newGateway(t, account, linktest.NewStore()))
	select {
	case <-s.Conn.Ended():
	case <-linktest.Within(t).Done():
		t.Error("a gateway that answers nothing is not found out")
	}
	if err := s.Alive(linktest.Within(t)); err == nil {
		t.Error("a session that ended is alive")
	}
	account.Idle = time.Hour
	s = openSession(t, newGateway(t, account, linktest.NewStore()))
	if err := s.Alive(linktest.Within(t)); err == nil || !s.Broken() {
		t.Errorf("a gateway that answers nothing gives %v", err)
	}
}

// TestReportsAreHeardWhileTheWindowIsFull: what the gateway asks is answered
// whatever we wait for.
func TestReportsAreHeardWhileTheWindowIsFull(t *testing.T) {
	g := startSim(t, sim.Config{})
	account := accountAt(t, g.Addr())
	account.Window, account.Tries = 1, 1
	d := newGateway(t, account, linktest.NewStore())
	s := openSession(t, d)
	reports := linktest.Listen(t, d.Reports)
	linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.Lose})
	ctx, cancel := context.WithCancel(linktest.Within(t))
	var sending sync.WaitGroup
	sending.Go(func() {
		if _, err := s.Send(ctx, linktest.Message(1, "降价")); err == nil {
			t.Error("it was answered")
		}
	})
	reports.Await(t, 1) // although its message is not answered yet
	linktest.Settled(t, g)
	cancel()
	sending.Wait()
}

func TestGatewaySignsUsOut(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{})
	s := openSession(t, newGateway(t, accountAt(t, g.Addr()), linktest.NewStore()))
	g.TerminateAll()
	select {
	case <-s.Conn.Ended():
	case <-linktest.Within(t).Done():
		t.Fatal("TERMINATE is not heard")
	}
	_, err := s.Send(linktest.Within(t), linktest.Message(1, "降价"))
	if failure := (*dispatch.SendError)(nil); !errors.As(err, &failure) || failure.Class != dispatch.SessionFatal {
		t.Errorf("it gives %v", err)
	}
}
