package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"herald/problem"
)

// plugged is a sender over hardware that does what the test says.
type plugged struct {
	*scripted
	mu      sync.Mutex
	state   DeviceState
	failure error
	asked   int
	on      bool
	lines   []TraceLine
}

func (p *plugged) Weight() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.Works() {
		return 1
	}
	return 0
}

func (p *plugged) DeviceState(context.Context) (DeviceState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return p.state, p.failure
}

func (p *plugged) SwitchTrace(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = on
}

func (p *plugged) TraceLines() []TraceLine {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

func (p *plugged) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

// newPlugged is a node with a modem, and its bookkeeper.
func newPlugged(t *testing.T) (*bench, *plugged, *Bookkeeper) {
	t.Helper()
	b := newIdleBench(t)
	modem := &plugged{scripted: named("modem"), state: DeviceState{State: "ready", Operator: "CMCC", SignalDBm: -71}}
	_, w := b.newWorkerOf("node-2", []AccountConfig{{Sender: modem, MaxSessions: 1, Cost: 2, tune: patient}})
	keeper := NewBookkeeper(b.store, BookkeeperConfig{Node: "node-2", Logger: slog.New(slog.DiscardHandler), Accounts: w.accounts})
	return b, modem, keeper
}

func (b *bench) told(k *Bookkeeper) AccountState {
	b.t.Helper()
	if err := k.tellAccounts(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	list, err := b.store.Accounts(b.t.Context())
	if err != nil || len(list) != 1 {
		b.t.Fatalf("%+v, %v", list, err)
	}
	return list[0]
}

func TestHardwareIsToldToTheOtherNodes(t *testing.T) {
	b, modem, keeper := newPlugged(t)
	if a := b.told(keeper); a.Device == nil || a.Device.Operator != "CMCC" || !a.Setup.Device || a.Setup.Cost != 2 || a.Setup.Weight != 1 || a.FailingSince != nil {
		t.Errorf("%+v", a)
	}
	modem.change(func() { modem.state.Operator = "CUCC" })
	if a := b.told(keeper); a.Device.Operator != "CMCC" || modem.asked != 1 {
		t.Errorf("asked %d times at once: %+v", modem.asked, a.Device)
	}
	modem.change(func() { modem.state.State = "searching" })
	if a := b.told(keeper); a.Device.Operator != "CUCC" || a.Device.Works() {
		t.Errorf("a change is told at once, not %+v", a.Device)
	}
	modem.change(func() { modem.failure = errors.New("the database is away") })
	b.clock.advance(hearEvery)
	if a := b.told(keeper); a.Device == nil || a.Device.Operator != "CUCC" {
		t.Errorf("what cannot be known keeps what was: %+v", a.Device)
	}
}

func TestTheNodeThatHasTheHardwareTellsOfIt(t *testing.T) {
	state := func(s string) *DeviceState { return &DeviceState{State: s} }
	for _, tt := range []struct {
		one, other *DeviceState
		want       bool
	}{
		{state("ready"), state("waiting"), true},
		{state("searching"), state("opening"), true},
		{state("waiting"), state("ready"), false},
		{state("waiting"), nil, true},
		{nil, state("closed"), false},
	} {
		if got := tt.one.nearer(tt.other); got != tt.want {
			t.Errorf("%+v is nearer than %+v: %v", tt.one, tt.other, got)
		}
	}
}

func TestFailingSinceIsKeptWhileItFails(t *testing.T) {
	b, _, keeper := newPlugged(t)
	b.told(keeper)
	b.exec(`UPDATE account_states SET circuit = 'open', failing_since = now() - interval '1 hour'`)
	list, err := b.store.Accounts(t.Context())
	if err != nil || list[0].FailingSince == nil {
		t.Fatalf("%+v, %v", list, err)
	}
	if a := b.told(keeper); a.FailingSince != nil {
		t.Errorf("it works again, and fails since %v", a.FailingSince)
	}
	keeper.cfg.Accounts.list[0].pool.SetLimit(0)
	before := *list[0].FailingSince
	b.exec(`UPDATE account_states SET circuit = 'open', failing_since = $1`, before)
	b.exec(`INSERT INTO account_states (node, account, channel, sessions, in_use, share, maximum, waiting, circuit, failure, at, failing_since)
VALUES ('node-1', 'modem', 'email', 0, 0, 0, 1, 0, 'open', '', now(), now())`)
	if list, err = b.store.Accounts(t.Context()); err != nil || !list[0].FailingSince.Equal(before) || list[0].Device == nil {
		t.Errorf("the first of the nodes' counts, and the device is that of the one that has it: %+v, %v", list, err)
	}
}

func TestAnOperatorWatchesTheLine(t *testing.T) {
	b, modem, keeper := newPlugged(t)
	ctx := t.Context()
	if err := b.store.BeginTrace(ctx, "modem", "operator:ann"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("nobody told of a modem yet: %v", err)
	}
	b.told(keeper)
	turn := func(on bool) {
		t.Helper()
		if err := keeper.followTraces(ctx); err != nil {
			t.Fatal(err)
		}
		if modem.on != on {
			t.Fatalf("the trace is on: %v", modem.on)
		}
	}
	newest := func() Trace {
		t.Helper()
		list, err := b.store.Traces(ctx, "modem")
		if err != nil || len(list) == 0 {
			t.Fatalf("%+v, %v", list, err)
		}
		return list[0]
	}
	turn(false)
	if err := b.store.BeginTrace(ctx, "modem", "operator:ann"); err != nil {
		t.Fatal(err)
	}
	turn(true)
	for i := range traceLines + 5 {
		modem.lines = append(modem.lines, TraceLine{At: time.Now().Add(time.Duration(i)), Sent: true, Text: "AT+CSQ\x00", Covered: "AT+CSQ"})
	}
	turn(true)
	if seen := newest(); len(seen.Lines) != traceLines || seen.Lines[0].Text != "AT+CSQ" || seen.AskedBy != "operator:ann" {
		t.Errorf("%d lines by %s: %+v", len(seen.Lines), seen.AskedBy, seen.Lines[:1])
	}
	// Another asks: it begins anew, and both are remembered.
	if err := b.store.BeginTrace(ctx, "modem", "operator:bob"); err != nil {
		t.Fatal(err)
	}
	modem.change(func() { modem.lines = nil })
	turn(true)
	if list, err := b.store.Traces(ctx, "modem"); err != nil || len(list) != 2 || list[0].AskedBy != "operator:bob" || list[1].Lines != nil {
		t.Errorf("%+v, %v", list, err)
	}
	b.clock.advance(traceFor)
	turn(false)
	if err := keeper.tidy(ctx); err != nil || scalar[int](b, `SELECT count(*) FROM account_traces WHERE lines IS NOT NULL`) != 1 {
		t.Errorf("lines are erased too soon: %v", err)
	}
	b.clock.advance(keepTrace + time.Minute)
	if err := keeper.tidy(ctx); err != nil || scalar[int](b, `SELECT count(*) FROM account_traces WHERE lines IS NOT NULL`) != 0 {
		t.Errorf("lines are kept: %v", err)
	}
	if n := scalar[int](b, `SELECT count(*) FROM account_traces`); n != 2 {
		t.Errorf("%d are remembered, want who asked and when of both", n)
	}
}

func TestATraceEndsWithItsOperatorOrNode(t *testing.T) {
	b, modem, keeper := newPlugged(t)
	ctx := t.Context()
	b.told(keeper)
	for name, end := range map[string]func() error{
		"operator": func() error {
			if err := b.store.EndTrace(ctx, "modem"); err != nil {
				return err
			}
			return keeper.followTraces(ctx)
		},
		"node": func() error { keeper.endTraces(); return nil },
	} {
		if err := b.store.BeginTrace(ctx, "modem", "operator:ann"); err != nil {
			t.Fatal(err)
		}
		if err := keeper.followTraces(ctx); err != nil || !modem.on {
			t.Fatalf("on: %v, %v", modem.on, err)
		}
		if err := end(); err != nil || modem.on {
			t.Errorf("%s: on: %v, %v", name, modem.on, err)
		}
	}
}
