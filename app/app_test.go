package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"herald/app/config"
	"herald/hardware/sim/smtp"
	"herald/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// settings are those of a node on a database of its own.
func settings(t *testing.T) config.Config {
	cfg := config.Default()
	cfg.Database.URL = pgtest.URL(t)
	cfg.Database.MaxConnections = 10
	cfg.SecretKey = strings.Repeat("k", 32)
	cfg.HTTP.Listen = "127.0.0.1:0"
	cfg.DataDir = t.TempDir()
	return cfg
}

var quiet = slog.New(slog.DiscardHandler)

func TestStartAnswersAndStopLeavesNothingRunning(t *testing.T) {
	cfg := settings(t)
	cfg.SMS = unreachable(t)
	cfg.SMS.SMPP[0].MinSessions, cfg.SMS.SGIP[0].Reception = 1, config.Reception{Listen: "127.0.0.1:0", LoginName: "smg"}
	before := goleak.IgnoreCurrent()
	a, err := New(t.Context(), cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]int{
		"/": 200, "/console/sign-in": 200, "/openapi.json": 200, "/healthz": 200, "/metrics": 200, "/no-such-page": 404, "/api/v1/whoami": 401,
	} {
		if status, _ := get(t, client, a.URL()+path); status != want {
			t.Errorf("GET %s = %d, want %d", path, status, want)
		}
	}
	waitUntilReady(t, client, a.URL())
	if _, text := get(t, client, a.URL()+"/metrics"); !strings.Contains(text, `herald_web_requests_total{face="api",status="401"} 1`) {
		t.Errorf("metrics do not count the request that was refused:\n%.2000s", text)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Errorf("Stop = %v", err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Errorf("second Stop = %v", err)
	}
	if err := goleak.Find(before, kept); err != nil {
		t.Error(err)
	}
}

func TestNodeThatOnlyDispatchesTellsItsHealthAndNothingElse(t *testing.T) {
	cfg := settings(t)
	cfg.Roles = []string{"dispatch"}
	cfg.HTTP.PublicURL = "https://herald.example.com"
	a, err := New(t.Context(), cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Stop(context.WithoutCancel(t.Context())) }()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	base := "http://" + a.listen.Addr().String()
	waitUntilReady(t, http.DefaultClient, base)
	for path, want := range map[string]int{"/healthz": 200, "/metrics": 200, "/": 404, "/console": 404, "/api/v1/whoami": 404} {
		if status, _ := get(t, http.DefaultClient, base+path); status != want {
			t.Errorf("GET %s = %d, want %d", path, status, want)
		}
	}
}

// waitUntilReady waits until the node has told the others that it lives.
func waitUntilReady(t *testing.T, client *http.Client, url string) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	limit := time.After(time.Minute)
	for {
		status, text := get(t, client, url+"/readyz")
		if status == http.StatusOK {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("GET /readyz = %d %s, want 200", status, text)
		}
	}
}

// kept is the tidying of a store that scs.New makes and we replace: it cannot
// be stopped without a race of its own.
var kept = goleak.IgnoreAnyFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup")

func get(t *testing.T, client *http.Client, url string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestNewThatFailsLetsEverythingGo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"a taken port": {func(c *config.Config) { c.HTTP.Listen = taken.Addr().String() }, "address already in use"},
		"no secret":    {func(c *config.Config) { c.SecretKey = "" }, "secret_key is not set"},
		"no database":  {func(c *config.Config) { c.Database.URL = "postgres://127.0.0.1:1/none?connect_timeout=1" }, "127.0.0.1"},
		"a bad mail host": {func(c *config.Config) {
			c.Email.Accounts = []config.EmailAccount{{Name: "x", Host: "bad host", From: "a@b.c"}}
		}, "host"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := settings(t)
			tt.change(&cfg)
			before := goleak.IgnoreCurrent()
			if _, err := New(t.Context(), cfg, quiet); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, want it to say %q", err, tt.want)
			}
			if err := goleak.Find(before, kept); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNotReadyWhenTheDatabaseIsAway(t *testing.T) {
	a, err := New(t.Context(), settings(t), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Stop(context.WithoutCancel(t.Context())) }()
	if err := a.ready(t.Context()); err == nil {
		t.Error("ready before the node has told the others that it lives")
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if err := a.DB.Pool().Ping(ended); err == nil {
		t.Fatal("the database answers a question whose time is over")
	}
	if err := a.ready(ended); err == nil {
		t.Error("ready although the database does not answer")
	}
}

func TestExamine(t *testing.T) {
	mail := smtp.New(smtp.Config{})
	if err := mail.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer mail.Close()
	center, phone := farEnds(t)

	well := settings(t)
	well.HTTP.PublicURL = "https://herald.example.com"
	well.Company.Name = "Example Shop"
	well.Email.Accounts = []config.EmailAccount{{Name: "sim", Host: "127.0.0.1", Port: mustPort(t, mail.Addr()), TLS: "none", From: "a@example.com", Timeout: time.Minute, Use: one}}
	well.SMS.SMPP = []config.SMPPAccount{{Name: "centre", Host: "127.0.0.1", Port: mustPort(t, center.Addr()), SystemID: "herald", Use: one}}
	well.SMS.Modems = []config.ModemAccount{{Name: "stick", Device: phone.Path(), Balance: config.BalanceCheck{Code: "*100#"}, Use: one}}
	if bad := notFine(Examine(t.Context(), well, quiet)); len(bad) > 0 {
		t.Errorf("findings = %v, want none", bad)
	}
	if mail.Count()+center.Count()+phone.Texts().Count() > 0 {
		t.Error("the doctor sent something")
	}

	ill := settings(t)
	ill.HTTP.PublicURL = ""
	ill.SecretKey = ""
	ill.Email.Accounts = []config.EmailAccount{{Name: "away", Host: "127.0.0.1", Port: 1, TLS: "none", From: "a@example.com", Timeout: time.Second, Use: one}}
	ill.SMS = unreachable(t)
	want := map[string]FindingState{"http.public_url": Warning, "secret_key": Broken, "email away": Broken, "sms smsc": Broken, "sms mobile": Broken, "sms unicom": Broken, "sms web": Broken, "sms stick": Broken}
	wantFindings(t, Examine(t.Context(), ill, quiet), want)

	ill.Database.URL = "postgres://127.0.0.1:1/none?connect_timeout=1"
	ill.SMS.CMPP[0].SPID = "9"
	want["database"], want["sms.cmpp[0].sp_id"], want["sms stick"] = Broken, Broken, Warning
	delete(want, "sms mobile")
	wantFindings(t, Examine(t.Context(), ill, quiet), want)

	ill.Email, ill.SMS = config.Email{}, config.SMS{}
	wantFindings(t, Examine(t.Context(), ill, quiet), map[string]FindingState{"accounts": Warning, "database": Broken, "http.public_url": Warning, "secret_key": Broken})
}

// one is the use of an account with a session.
var one = config.Use{MaxSessions: 1}

// unreachable are accounts of every kind whose far ends are away.
func unreachable(t *testing.T) config.SMS {
	return config.SMS{
		SMPP:     []config.SMPPAccount{{Name: "smsc", Host: "127.0.0.1", Port: 1, SystemID: "herald", Use: one}},
		CMPP:     []config.CMPPAccount{{Name: "mobile", Host: "127.0.0.1", Port: 1, SPID: "901234", Secret: "s", SourceNumber: "10690001", Use: one}},
		SGIP:     []config.SGIPAccount{{Name: "unicom", Host: "127.0.0.1", Port: 1, LoginName: "herald", NodeID: 3_075_512_345, CorpID: "12345", SPNumber: "10655001", Use: one}},
		Gateways: []config.GatewayAccount{{Name: "web", Description: "generic", Settings: map[string]string{"url": "http://127.0.0.1:1"}, Secrets: map[string]string{"token": "t", "signing_key": "k"}, Use: one}},
		Modems:   []config.ModemAccount{{Name: "stick", Device: filepath.Join(t.TempDir(), "none"), Use: one}},
	}
}

func wantFindings(t *testing.T, list []Finding, want map[string]FindingState) {
	t.Helper()
	got := map[string]FindingState{}
	for part, f := range notFine(list) {
		if got[part] = f.State; f.Advice == "" {
			t.Errorf("%s: %+v, want advice", part, f)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestExamineHoldsTheLedgerAgainstTheMessages(t *testing.T) {
	cfg := settings(t)
	stores, err := OpenStores(t.Context(), cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stores.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if f := examineLedger(t.Context(), stores.DB); f.State != Fine || !strings.Contains(f.Text, "balances: 0 messages") {
		t.Errorf("of an empty ledger: %+v", f)
	}
	_, err = stores.DB.Pool().Exec(t.Context(), `
INSERT INTO ledger_moves (hour, trigger, campaign_id, channel, state, reason, n)
VALUES (date_trunc('hour', now()), 'price_drop', 0, 'email', 'failed', 'refused', 3)`)
	if err != nil {
		t.Fatal(err)
	}
	f := examineLedger(t.Context(), stores.DB)
	if f.State != Warning || !strings.Contains(f.Text, "price_drop email failed refused (ledger 3, messages 0)") || f.Advice == "" {
		t.Errorf("of one that is wrong: %+v", f)
	}
}

func notFine(list []Finding) map[string]Finding {
	bad := map[string]Finding{}
	for _, f := range list {
		if f.State != Fine {
			bad[f.Part] = f
		}
	}
	return bad
}

func mustPort(t *testing.T, address string) int {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port
}
