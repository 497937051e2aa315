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
	sim "herald/hardware/sim/cmpp"
	"herald/hardware/sim/ismg"
)

// listener takes what a gateway tells.
type listener[T any] struct {
	mu      sync.Mutex
	heard   []T
	failing error
	changed chan struct{}
}

func (l *listener[T]) take(_ context.Context, all []T) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failing != nil {
		return l.failing
	}
	l.heard = append(l.heard, all...)
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return nil
}

// listen runs what listens until the test ends.
func listen[T any](t *testing.T, run func(context.Context, func(context.Context, []T) error) error) *listener[T] {
	t.Helper()
	l := &listener[T]{changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx, l.take); !errors.Is(err, context.Canceled) {
			t.Errorf("listening ends with %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return l
}

// await gives what was heard as soon as it is n.
func (l *listener[T]) await(t *testing.T, n int) []T {
	t.Helper()
	ctx := within(t)
	for {
		l.mu.Lock()
		heard := append([]T{}, l.heard...)
		l.mu.Unlock()
		if len(heard) >= n {
			return heard
		}
		select {
		case <-l.changed:
		case <-ctx.Done():
			t.Fatalf("heard %d of %d: %+v", len(heard), n, heard)
		}
	}
}

// settled waits until the gateway has nothing to tell any more.
func settled(t *testing.T, g *sim.Gateway) {
	t.Helper()
	ctx := within(t)
	for g.Untold() > 0 {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%d were not acknowledged", g.Untold())
		}
	}
}

func TestReportsSayWhatBecameOfEachPart(t *testing.T) {
	for _, c := range []struct {
		version string
		narrow  bool
	}{{"2.0", false}, {"3.0", false}, {"3.0", true}} {
		now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
		g := startSim(t, sim.Config{Highest: c.version, NarrowReports: c.narrow, Now: func() time.Time { return now }})
		d := newGateway(t, accountAt(t, g.Addr()), newMemory())
		s := openSession(t, d)
		reports := listen(t, d.Reports)
		setFaults(t, g, ismg.Fault{Kind: ismg.Undelivered, State: "MB:0001", Number: "13800130002"})
		for i, text := range []string{long, "降价", "降价"} {
			if _, err := s.Send(within(t), message(i, text)); err != nil {
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
		if diff := cmp.Diff(want, reports.await(t, 5)); diff != "" {
			t.Errorf("%+v:\n%s", c, diff)
		}
		settled(t, g)
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
		d := newGateway(t, accountAt(t, g.Addr()), newMemory())
		openSession(t, d)
		inbox := listen(t, d.Receive)
		for i, text := range []string{"TD", long, "退订"} {
			if err := g.Say("1380013800"+fmt.Sprint(i), "10657012345", text); err != nil {
				t.Fatal(err)
			}
			got := inbox.await(t, i+1)[i]
			if got.Text != text || got.From != fmt.Sprintf("+861380013800%d", i) || got.To != "10657012345" || got.Key == "" {
				t.Errorf("%s: somebody wrote %+v", version, got)
			}
		}
		settled(t, g)
	}
}

// TestNothingIsAcknowledgedBeforeItWasTaken: while nobody listens, and while
// who listens fails, the gateway tells it again, and it is heard once.
func TestNothingIsAcknowledgedBeforeItWasTaken(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{RetryAfter: 50 * time.Millisecond})
	d := newGateway(t, accountAt(t, g.Addr()), newMemory())
	s := openSession(t, d)
	if _, err := s.Send(within(t), message(1, "降价")); err != nil {
		t.Fatal(err)
	}
	if err := g.Say("13800138000", "10657012345", "TD"); err != nil {
		t.Fatal(err)
	}
	failing := errors.New("the database is away")
	failed := 0
	for failed < 3 {
		err := d.Reports(within(t), func(context.Context, []dispatch.Report) error { failed++; return failing })
		if !errors.Is(err, failing) {
			t.Fatalf("it gives %v", err)
		}
		if err := d.Receive(within(t), func(context.Context, []dispatch.Inbound) error { return failing }); !errors.Is(err, failing) {
			t.Fatalf("it gives %v", err)
		}
		if g.Untold() != 2 {
			t.Fatalf("%d are not acknowledged, want the report and the text", g.Untold())
		}
	}
	reports, inbox := listen(t, d.Reports), listen(t, d.Receive)
	if n := len(reports.await(t, 1)); n != 1 {
		t.Errorf("%d reports were heard", n)
	}
	if got := inbox.await(t, 1); len(got) != 1 || got[0].Text != "TD" {
		t.Errorf("heard was %+v", got)
	}
	settled(t, g)
}

// TestBothSidesAskWhetherTheOtherIsThere (section 7.1), and end a connection
// whose other side does not say so.
func TestBothSidesAskWhetherTheOtherIsThere(t *testing.T) {
	t.Parallel()
	const every = 80 * time.Millisecond
	g := startSim(t, sim.Config{ActiveEvery: every})
	account := accountAt(t, g.Addr())
	account.Idle = 10 * time.Millisecond
	s := openSession(t, newGateway(t, account, newMemory()))
	again := time.NewTicker(every)
	defer again.Stop()
	for range 6 { // longer than it would be dropped after
		<-again.C
		if err := s.Alive(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	deaf := startSim(t, sim.Config{Deaf: true})
	account = accountAt(t, deaf.Addr())
	account.Idle, account.Answer = 10*time.Millisecond, answerWithin/2
	s = openSession(t, newGateway(t, account, newMemory()))
	select {
	case <-s.Conn.Ended():
	case <-within(t).Done():
		t.Error("a gateway that answers nothing is not found out")
	}
	if err := s.Alive(within(t)); err == nil {
		t.Error("a session that ended is alive")
	}
	account.Idle = time.Hour
	s = openSession(t, newGateway(t, account, newMemory()))
	if err := s.Alive(within(t)); err == nil || !s.Broken() {
		t.Errorf("a gateway that answers nothing gives %v", err)
	}
}

// TestReportsAreHeardWhileTheWindowIsFull: what the gateway asks is answered
// whatever we wait for.
func TestReportsAreHeardWhileTheWindowIsFull(t *testing.T) {
	g := startSim(t, sim.Config{})
	account := accountAt(t, g.Addr())
	account.Window, account.Answer, account.Tries = 1, 5*time.Second, 1
	d := newGateway(t, account, newMemory())
	s := openSession(t, d)
	reports := listen(t, d.Reports)
	setFaults(t, g, ismg.Fault{Kind: ismg.Lose})
	ctx, cancel := context.WithCancel(within(t))
	var sending sync.WaitGroup
	sending.Go(func() {
		if _, err := s.Send(ctx, message(1, "降价")); err == nil {
			t.Error("it was answered")
		}
	})
	reports.await(t, 1) // although its message is not answered yet
	settled(t, g)
	cancel()
	sending.Wait()
}

func TestGatewaySignsUsOut(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{})
	s := openSession(t, newGateway(t, accountAt(t, g.Addr()), newMemory()))
	g.TerminateAll()
	select {
	case <-s.Conn.Ended():
	case <-within(t).Done():
		t.Fatal("TERMINATE is not heard")
	}
	_, err := s.Send(within(t), message(1, "降价"))
	if failure := (*dispatch.SendError)(nil); !errors.As(err, &failure) || failure.Class != dispatch.SessionFatal {
		t.Errorf("it gives %v", err)
	}
}
