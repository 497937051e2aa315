package gsm_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/hardware/gsm"
	"herald/hardware/gsm/tpdu"
	sim "herald/hardware/sim/modem"
)

// These tests drive the simulated modem, which programs that are not ours have
// proven, over a pseudo terminal.

// bench is a driver at work on a simulated modem.
type bench struct {
	*gsm.Modem
	sim *sim.Modem

	mu       sync.Mutex
	messages []tpdu.Deliver
	reports  []tpdu.StatusReport
}

func start(t *testing.T, at sim.Config, cfg gsm.Config) *bench {
	t.Helper()
	at.Link = t.TempDir() + "/modem" // as in /dev/serial/by-id
	if at.ReportAfter == 0 {
		at.ReportAfter = 10 * time.Millisecond
	}
	b := &bench{sim: sim.New(at)}
	if err := b.sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg.Open = gsm.Serial(b.sim.Path(), 0)
	cfg.Timeout, cfg.BackoffFirst, cfg.CheckEvery = 500*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond
	cfg.Messages = func(_ context.Context, messages []tpdu.Deliver) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.messages = append(b.messages, messages...)
		return nil
	}
	cfg.Reports = func(_ context.Context, reports []tpdu.StatusReport) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.reports = append(b.reports, reports...)
		return nil
	}
	m, err := gsm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Modem = m
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = m.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := b.sim.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) ready(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), peers.Patience)
	defer cancel()
	if err := b.Ready(ctx); err != nil {
		t.Fatalf("%v: %+v", err, b.Health())
	}
}

func (b *bench) setFaults(t *testing.T, faults ...sim.Fault) {
	t.Helper()
	if err := b.sim.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
}

// until asks again until it is so.
func (b *bench) until(t *testing.T, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(peers.Patience); ; <-tick.C {
		b.mu.Lock()
		ok := so()
		b.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not come to that: %+v", b.Health())
		}
	}
}

func hello(reference byte) tpdu.Submit {
	return tpdu.Submit{
		Reference: reference, Report: true, To: tpdu.Address{Type: tpdu.International, Digits: "8613800138000"},
		UserData: tpdu.UserData{DCS: tpdu.UCS2, Length: 4, Data: []byte{0x4f, 0x60, 0x59, 0x7d}},
	}
}

func TestTheSimulatedModemSendsAndReceives(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{SIM: sim.SIM{PIN: "1234"}}, gsm.Config{PIN: "1234"})
	b.ready(t)
	sent, err := b.Submit(t.Context(), hello(5))
	if err != nil || sent.Reference != 5 || sent.Own {
		t.Fatalf("sent as %+v, %v", sent, err)
	}
	if got := b.sim.Texts().All(); len(got) != 1 || got[0].Text != "你好" || got[0].To != "+8613800138000" {
		t.Errorf("arrived is %+v", got)
	}
	if err := b.sim.Deliver("+8613900139000", "TD"); err != nil {
		t.Fatal(err)
	}
	b.until(t, func() bool { return len(b.reports) == 1 && len(b.messages) == 1 })
	if r := b.reports[0]; r.Reference != 5 || r.Status.Fate() != tpdu.Delivered {
		t.Errorf("reported is %+v", r)
	}
	if d := b.messages[0]; d.From.Number() != "+8613900139000" {
		t.Errorf("came in as %+v", d)
	}
	b.until(t, func() bool { return b.sim.Status().Memories["SM"] == 0 && b.sim.Held() == 0 })
	if u, err := b.USSD(t.Context(), "*100#"); err != nil || !strings.Contains(u.Text, "12.50") {
		t.Errorf("the operator says %+v, %v", u, err)
	}
	b.until(t, func() bool { return b.Health().Signal != 0 }) // which it asks for now and then
	if h := b.Health(); h.Operator != "Simulated Mobile" || h.Capacity == 0 || !h.HasCentre || h.Registration != gsm.Home {
		t.Errorf("its health is %+v", h)
	}
}

// Pitfalls 17 and 34: the device comes back under another number, and the
// lasting name leads there; an end of file is no end of everything.
func TestAModemThatIsPulledOutIsFoundAgain(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, gsm.Config{})
	b.ready(t)
	for range 3 {
		b.setFaults(t, sim.Fault{Kind: sim.Unplug, Delay: sim.Duration(100 * time.Millisecond), Times: 1})
		starts := b.Health().Starts
		b.until(t, func() bool { return b.Health().Starts > starts })
		b.ready(t)
		if _, err := b.Submit(t.Context(), hello(1)); err != nil {
			t.Fatal(err)
		}
	}
}

// Pitfall 3, and noise: what gets in between is nobody's answer.
func TestTheLineMayBeNoisy(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, gsm.Config{})
	b.setFaults(t, sim.Fault{Kind: sim.Garbage}, sim.Fault{Kind: sim.Within})
	b.ready(t)
	for i := range 10 {
		b.setFaults(t, []sim.Fault{{Kind: sim.Garbage}, {Kind: sim.Within}, {Kind: sim.Within, Text: `+CMTI: "SM",1`}}[i%3])
		if _, err := b.Submit(t.Context(), hello(byte(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.sim.Texts().Count(); n != 10 {
		t.Errorf("%d arrived", n)
	}
}

// Pitfall 2: after a time-out every answer is that of its question.
func TestALostAnswerIsMissedByNobodyElse(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, gsm.Config{SubmitTimeout: 200 * time.Millisecond})
	b.ready(t)
	b.setFaults(t, sim.Fault{Kind: sim.Lost, Command: "+CMGS", Times: 1})
	if _, err := b.Submit(t.Context(), hello(1)); !errors.Is(err, gsm.ErrUnanswered) {
		t.Errorf("a lost answer: %v", err)
	}
	again := hello(1)
	again.RejectDuplicates = true
	var refusal *gsm.Error
	if _, err := b.Submit(t.Context(), again); !errors.As(err, &refusal) || refusal.Code != 197 {
		t.Errorf("sent again: %v", err)
	}
	b.setFaults(t, sim.Fault{Kind: sim.Late, Command: "+CMGS", Delay: sim.Duration(400 * time.Millisecond), Times: 1})
	if sent, err := b.Submit(t.Context(), hello(2)); err != nil || sent.Reference != 2 {
		t.Errorf("a late answer: %+v, %v", sent, err)
	}
	b.setFaults(t, sim.Fault{Kind: sim.Ignored, Command: ">", Times: 1}, sim.Fault{Kind: sim.Ignored, Command: "+CSQ", Times: 1})
	if _, err := b.Submit(t.Context(), hello(3)); err == nil {
		t.Error("what was ignored was taken")
	}
	if sent, err := b.Submit(t.Context(), hello(4)); err != nil || sent.Reference != 4 {
		t.Errorf("the next: %+v, %v", sent, err)
	}
}

func TestAModemThatHangsOrRestartsComesBack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sim.Fault{
		"hangs":                 {Kind: sim.Hang, Times: 1},
		"restarts and says so":  {Kind: sim.Reboot, Times: 1, Text: "RDY", Delay: sim.Duration(100 * time.Millisecond)},
		"restarts and is still": {Kind: sim.Reboot, Times: 1, Delay: sim.Duration(100 * time.Millisecond)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, sim.Config{}, gsm.Config{})
			b.ready(t)
			b.setFaults(t, fault)
			b.until(t, func() bool { return b.Health().Starts > 1 })
			b.ready(t)
			if _, err := b.Submit(t.Context(), hello(1)); err != nil {
				t.Fatal(err)
			}
			if err := b.sim.Deliver("+8613900139000", "TD"); err != nil {
				t.Fatal(err)
			}
			b.until(t, func() bool { return len(b.messages) == 1 && len(b.reports) == 1 })
		})
	}
}

// Pitfall 18: what waits for room comes as soon as there is some.
func TestAFullSIMTakesTheRestWhenItWasRead(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{SIM: sim.SIM{Capacity: 3}}, gsm.Config{})
	for i := range 12 {
		if err := b.sim.Deliver("+8613900139000", strings.Repeat("x", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	b.until(t, func() bool { return len(b.messages) >= 12 && b.sim.Held() == 0 })
	var lengths []int
	for _, d := range b.messages {
		lengths = append(lengths, d.Length)
	}
	slices.Sort(lengths)
	if lengths = slices.Compact(lengths); len(lengths) != 12 {
		t.Errorf("came in: %v", lengths)
	}
}

// Pitfall 19, with a SIM that counts.
func TestTheSIMIsNotLockedByUs(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{SIM: sim.SIM{PIN: "1234"}}, gsm.Config{PIN: "4321", BackoffLongest: 60 * time.Millisecond})
	b.until(t, func() bool { return b.Health().Starts > 5 })
	if b.sim.Status().PIN != "SIM PIN" {
		t.Errorf("after a wrong PIN it wants %s", b.sim.Status().PIN)
	}
	if err := b.Ready(t.Context()); !errors.Is(err, gsm.ErrLocked) && !errors.Is(err, gsm.ErrNotReady) {
		t.Errorf("it is %v", err)
	}
}

func TestWithoutANetworkNothingIsSent(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, gsm.Config{})
	b.ready(t)
	b.setFaults(t, sim.Fault{Kind: sim.NoNetwork})
	_, err := b.Submit(t.Context(), hello(1))
	if err == nil || errors.Is(err, gsm.ErrUnanswered) {
		t.Errorf("it is %v", err)
	}
	b.until(t, func() bool { return b.Health().State == gsm.Searching })
	b.setFaults(t)
	b.ready(t)
	if _, err := b.Submit(t.Context(), hello(2)); err != nil {
		t.Error(err)
	}
}
