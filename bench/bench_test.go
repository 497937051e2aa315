package bench

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"herald/e2e/peers"
)

func where(smtp string) Where {
	return Where{SMTP: smtp, Sessions: 3, Log: slog.New(slog.DiscardHandler)}
}

func TestEmailMeasuresAWholeCampaign(t *testing.T) {
	r, err := Email(t.Context(), EmailOptions{Where: where(peers.SMTPSink(t)), Recipients: 300})
	if err != nil {
		t.Fatal(err)
	}
	if r.Ledger.Targeted != 300 || r.Ledger.Accepted != 300 || !r.Ledger.Balanced {
		t.Errorf("ledger %+v", r.Ledger)
	}
	if r.MessagesPerSecond <= 0 || r.FloorPerSecond <= 0 || r.PlainPerSecond <= 0 || r.PreparedPerSecond <= 0 || r.CPUSeconds <= 0 || r.DatabaseCPUSeconds <= 0 || r.PeakRSS <= 0 {
		t.Errorf("figures are missing: %+v", r)
	}
}

func TestAlertTimesAlertsAloneAndBesideACampaign(t *testing.T) {
	r, err := Alert(t.Context(), AlertOptions{Where: where(peers.SMTPSink(t)), Alerts: 5, Recipients: 300})
	if err != nil {
		t.Fatal(err)
	}
	if r.Idle.Alerts != 5 || r.Idle.P50 <= 0 || r.Idle.P99 < r.Idle.P50 {
		t.Errorf("idle: %+v", r.Idle)
	}
	if r.BesideCampaign.Alerts == 0 || r.BesideCampaign.P50 <= 0 || r.CampaignPerSecond <= 0 {
		t.Errorf("beside a campaign: %+v, %v a second", r.BesideCampaign, r.CampaignPerSecond)
	}
}

func TestAMailServerThatIsNotThereIsSaid(t *testing.T) {
	_, err := Email(t.Context(), EmailOptions{Where: where(peers.Address(t)), Recipients: 10})
	if err == nil || !strings.Contains(err.Error(), "measure the floor") {
		t.Errorf("err = %v", err)
	}
	if _, err := Email(t.Context(), EmailOptions{Where: where("nowhere")}); err == nil || !strings.Contains(err.Error(), "the address of the mail server") {
		t.Errorf("err = %v", err)
	}
}

// The text and the DATA may come in any number of pieces.
func TestRelaySeesATextPassHoweverItIsCut(t *testing.T) {
	const said = "MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\nTo: <x@y>\r\n\r\nDATA\r\n.\r\nRCPT TO:<other@y>\r\nDATA\r\n"
	for cut := 1; cut < len(said); cut++ {
		r := &relay{text: []byte("RCPT TO:<x@y>"), passed: make(chan time.Time, 10)}
		var passed bytes.Buffer
		r.pass(&passed, io.MultiReader(strings.NewReader(said[:cut]), strings.NewReader(said[cut:])))
		if passed.String() != said {
			t.Fatalf("cut at %d it passed on %q", cut, &passed)
		}
		if n := len(r.passed); n != 1 {
			t.Fatalf("cut at %d it told %d times", cut, n)
		}
	}
}

func TestRelayEndsWithItsFarEnd(t *testing.T) {
	r := &relay{text: []byte("x"), passed: make(chan time.Time, 1)}
	r.pass(broken{}, strings.NewReader("hello"))
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestLatencies(t *testing.T) {
	if got := latencyOf(nil); got != (Latency{}) {
		t.Errorf("of nothing: %+v", got)
	}
	times := make([]time.Duration, 100)
	for i := range times {
		times[i] = time.Duration(100-i) * time.Millisecond
	}
	got := latencyOf(times)
	if got.Alerts != 100 || math.Abs(got.P50-51) > 1 || math.Abs(got.P99-100) > 1 || got.Max != 100 {
		t.Errorf("got %+v", got)
	}
}
