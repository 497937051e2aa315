package bench

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/hardware/sim/smsc"
)

func smsOptions(smsc string, receipts bool) SMSOptions {
	return SMSOptions{
		SMSC: smsc, Sessions: 2, Window: 10, Recipients: 300, Receipts: receipts,
		Line: LineOptions{Messages: 3, PartTime: 20 * time.Millisecond}, Log: slog.New(slog.DiscardHandler),
	}
}

func TestSMSMeasuresAWholeCampaignAndALine(t *testing.T) {
	centre := smsc.New(smsc.Config{Keep: 10})
	if err := centre.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := centre.Close(); err != nil {
			t.Error(err)
		}
	})
	r, err := SMS(t.Context(), smsOptions(centre.Addr(), true))
	if err != nil {
		t.Fatal(err)
	}
	if r.Ledger.Targeted != 300 || r.Ledger.Delivered != 300 || !r.Ledger.Balanced {
		t.Errorf("ledger %+v", r.Ledger)
	}
	if r.MessagesPerSecond <= 0 || r.BareDriverPerSecond <= 0 || r.FloorPerSecond <= 0 || r.PreparedPerSecond <= 0 ||
		r.CPUSeconds <= 0 || r.DatabaseCPUSeconds <= 0 || r.CPUMicrosecondsPerMessage <= 0 || r.PeakRSS <= 0 {
		t.Errorf("figures are missing: %+v", r)
	}
	if m := r.Modem; m.Messages != 3 || m.LinePerSecond != 50 || m.ReachedPerSecond <= 0 || m.ReachedPerSecond > m.LinePerSecond {
		t.Errorf("modem %+v", m)
	}
}

func TestACentreThatIsNotThereIsSaid(t *testing.T) {
	for address, want := range map[string]string{peers.Address(t): "measure the floor", "nowhere": "the address of the message centre"} {
		if _, err := SMS(t.Context(), smsOptions(address, false)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
	o := smsOptions("", false)
	o.Program = "/nowhere"
	if _, err := SMS(t.Context(), o); err == nil || !strings.Contains(err.Error(), "the simulator") {
		t.Errorf("err = %v", err)
	}
}

func TestALineNeedsTwoMessages(t *testing.T) {
	if _, err := startLine(t.Context(), LineOptions{Messages: 1, PartTime: time.Second}); err == nil {
		t.Error("one is enough")
	}
}

// A far end is a process of its own, whose time is not the database's.
func TestFarEnd(t *testing.T) {
	f, err := startFarEnd(t.Context(), "SMPP at ", "sh", "-c", `echo "SMPP at 127.0.0.1:2775, its phones somewhere"; i=0; while :; do i=$((i+1)); done`)
	if err != nil {
		t.Fatal(err)
	}
	if f.address != "127.0.0.1:2775" {
		t.Errorf("it is at %q", f.address)
	}
	usage := beginUsage(f.pid())
	for used := (used{}); used.farEnd == 0; {
		if used, err = usage.end(); err != nil {
			t.Fatal(err)
		}
		if used.database > 0 {
			t.Fatal("its time is the database's")
		}
	}
	if err := f.stop(); err != nil {
		t.Error(err)
	}
	for _, script := range []string{"echo something else", "exit 1"} {
		if _, err := startFarEnd(t.Context(), "SMPP at ", "sh", "-c", script); err == nil || !strings.Contains(err.Error(), "instead of its address") {
			t.Errorf("%s: err = %v", script, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := startFarEnd(ended, "SMPP at ", "sh"); err == nil {
		t.Error("it started though nobody wants it any more")
	}
}
