package demo

import (
	"strings"
	"testing"
	"time"

	"herald/dispatch"
)

func TestReportFindsWhatIsWrong(t *testing.T) {
	right := Report{Ledger: dispatch.Ledger{Targeted: 2, Accepted: 2, Balanced: true}, Channels: Channels{Email: Channel{2, 2}, SMSGateway: Channel{3, 3}, SMSModem: Channel{4, 4}, Voice: Channel{5, 5}, Fax: Channel{6, 6}}, Oracle: Oracle{Expected: 2}}
	if err := right.Err(); err != nil {
		t.Errorf("Err = %v, want nil", err)
	}
	tests := map[string]struct {
		spoil func(*Report)
		want  string
	}{
		"an unbalanced ledger":    {func(r *Report) { r.Ledger.Balanced = false }, "does not balance"},
		"a delivery not done":     {func(r *Report) { r.Ledger.Deferred = 1 }, "1 deliveries are not done"},
		"a mail that went astray": {func(r *Report) { r.Channels.Email.Received = 1 }, "2 mails were recorded and 1 received"},
		"a text too many":         {func(r *Report) { r.Channels.SMSGateway.Received = 4 }, "3 texts by the gateway were recorded and 4 received"},
		"a text the modem lost":   {func(r *Report) { r.Channels.SMSModem.Received = 0 }, "4 texts by the modem were recorded and 0 received"},
		"a call that nobody had":  {func(r *Report) { r.Channels.Voice.Received = 4 }, "5 calls were recorded and 4 received"},
		"half a fax":              {func(r *Report) { r.Channels.Fax.Received = 5 }, "6 faxes were recorded and 5 received"},
		"somebody not told":       {func(r *Report) { r.Oracle.Missing = 1 }, "1 notifications are missing"},
		"somebody told for none":  {func(r *Report) { r.Oracle.Unexpected = 1 }, "1 unexpected"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := right
			tt.spoil(&r)
			if err := r.Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Err = %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestExpectedHoldsLimits(t *testing.T) {
	now := time.Now()
	var events []event
	for _, p := range []float64{50, 49, 48, 60, 47} {
		events = append(events, priceChanged(product{ID: "kettle", Price: p}, "en", 50, p, now.Add(time.Duration(len(events)))))
	}
	wait := order{Trigger: "price_drop", Params: map[string]any{"product": "kettle", "target": 49.0}}
	capped := wait
	capped.MaxNotifications = 2
	got := expected([]wish{{order: wait, id: 1}, {order: capped, id: 2}, {order: wait, id: 3, once: true}}, events)
	want := map[pair]bool{
		{events[1].ID, 1}: true, {events[2].ID, 1}: true, {events[4].ID, 1}: true,
		{events[1].ID, 2}: true, {events[2].ID, 2}: true,
		{events[1].ID, 3}: true,
	}
	if o := compare(want, got); o.Missing > 0 || o.Unexpected > 0 {
		t.Errorf("expected = %v, want %v", got, want)
	}
	if o := compare(want, map[pair]bool{{"other", 9}: true}); o.Missing != 6 || o.Unexpected != 1 {
		t.Errorf("compare = %+v, want 6 missing and 1 unexpected", o)
	}
}

func TestTheDemonstrationKeepsItsHandsOffARealDatabase(t *testing.T) {
	t.Setenv("HERALD_DATABASE_URL", "postgres://herald@db.example/herald")
	t.Setenv("HERALD_HTTP_PUBLIC_URL", "https://herald.example")
	t.Setenv("HERALD_ROLES", "[dispatch]")
	t.Setenv("HERALD_SMS_SMPP", `[{name: earnest, host: smsc.example, system_id: shop}]`)
	t.Setenv("HERALD_DISPATCH_WORKERS", "7")
	cfg, err := configuration(Options{Listen: "127.0.0.1:0"}, addresses{smtp: "127.0.0.1:2525", smpp: "127.0.0.1:2775", sip: "127.0.0.1:5060", fax: "127.0.0.1:4559", device: "/dev/pts/0"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Database.URL != "" || cfg.HTTP.PublicURL != "" || !cfg.Has("web") {
		t.Errorf("database %q, public URL %q, roles %v", cfg.Database.URL, cfg.HTTP.PublicURL, cfg.Roles)
	}
	if len(cfg.SMS.SMPP) != 1 || cfg.SMS.SMPP[0].Host != "127.0.0.1" {
		t.Errorf("texts go by %+v", cfg.SMS.SMPP)
	}
	if cfg.Dispatch.Workers != 7 {
		t.Errorf("%d workers, want those of the variable", cfg.Dispatch.Workers)
	}
}

func TestPricesAreTheWholeSeriesInOrder(t *testing.T) {
	prices, err := Prices()
	if err != nil {
		t.Fatal(err)
	}
	if len(prices) != 560 {
		t.Errorf("%d prices, want 560", len(prices))
	}
	for i := 1; i < len(prices); i++ {
		if prices[i].Date.Before(prices[i-1].Date) {
			t.Fatalf("price %d is before the one before it", i)
		}
	}
}
