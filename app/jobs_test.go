package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/app/config"
	"herald/dispatch"
	"herald/dispatch/limits"
	"herald/subscriptions"
)

func TestWhatAnAccountMayBeUsedForIsAsConfigured(t *testing.T) {
	cfg, err := config.Load("", []string{
		"HERALD_SECRET_KEY=0123456789abcdef0123456789abcdef",
		`HERALD_EMAIL_ACCOUNTS=[{name: main, host: h, from: a@b.c, min_sessions: 1, max_sessions: 5, idle_timeout: 1m, check_after: 2m,
purposes: [service], recipients: [example.com], weight: 3, cost: 0.5, limits: {domains: {gmail.com: {max: 2}}}}]`,
		`HERALD_RECEIPTS=[{name: main, provider: sendgrid, secret: s}]`,
		`HERALD_DISPATCH_DOUBT=[{channel: email, purpose: transactional, policy: hold}, {channel: sms, policy: resend}]`,
	})
	if err != nil {
		t.Fatal(err)
	}
	made := makeAccounts(cfg, keeps{token: returnTokenLike, log: quiet})
	if len(made.mistakes) > 0 || len(made.list) != 1 {
		t.Fatalf("%d accounts, %v", len(made.list), made.mistakes)
	}
	got := made.list[0]
	if name := got.Sender.Account(); name != "main" {
		t.Errorf("it is called %s", name)
	}
	got.Sender = nil
	want := dispatch.AccountConfig{
		MinSessions: 1, MaxSessions: 5, IdleTimeout: time.Minute, CheckAfter: 2 * time.Minute, Receipts: true,
		Purposes: []subscriptions.Purpose{"service"}, Recipients: []string{"example.com"}, Weight: 3, Cost: 0.5,
		Rules: limits.Rules{Domains: map[string]limits.Rate{"gmail.com": {Max: 2}}}.Defaults(),
	}
	if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".tune" }, cmp.Ignore())); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	policies := dispatch.DoubtPolicies{
		{Channel: "email", Purpose: "transactional"}: dispatch.Hold,
		{Channel: "sms"}: dispatch.Resend,
	}
	if diff := cmp.Diff(policies, doubt(cfg)); diff != "" {
		t.Errorf("doubt (-want +got):\n%s", diff)
	}
}

func TestRiversDailyWorkIsNotLogged(t *testing.T) {
	for level, want := range map[slog.Level]string{slog.LevelDebug: "counts trouble", slog.LevelInfo: "trouble", slog.LevelError: ""} {
		var out bytes.Buffer
		handler := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})
		log := slog.New(atLeastWarn{handler}).With("client_id", "n1").WithGroup("job")
		log.Info("counts")
		log.Warn("trouble")
		var said []string
		for _, word := range []string{"counts", "trouble"} {
			if strings.Contains(out.String(), "msg="+word) {
				said = append(said, word)
			}
		}
		if got := strings.Join(said, " "); got != want {
			t.Errorf("at %v: %q, want %q", level, got, want)
		}
	}
}
