package modem

import (
	"context"
	"flag"
	"testing"

	"go.uber.org/goleak"

	"herald/e2e/peers"
	"herald/hardware/sim/simtest"
	"herald/hardware/sim/texts"
)

// TestMain lets many tests run at a time: the programs they wait for sleep
// most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "24"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T, cfg Config) *Modem {
	t.Helper()
	return simtest.Start(t, New(cfg))
}

func setFaults(t *testing.T, m *Modem, faults ...Fault) {
	t.Helper()
	if err := m.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
}

func deliver(t *testing.T, m *Modem, from, text string) {
	t.Helper()
	if err := m.Deliver(from, text); err != nil {
		t.Fatal(err)
	}
}

// until waits for what the network is to have.
func until(t *testing.T, m *Modem, enough func(kept []texts.Text, total int64) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), peers.Patience)
	defer cancel()
	if err := m.Texts().WaitFor(ctx, enough); err != nil {
		t.Fatalf("the network has %+v: %v", m.Texts().All(), err)
	}
}
