package console_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/limits"
	"herald/subscriptions"
)

// tells writes what a node says of an account.
func (s *stand) tells(node, account string, ch subscriptions.Channel, circuit string, setup dispatch.AccountSetup, device *dispatch.DeviceState) {
	s.t.Helper()
	text, err := json.Marshal(setup)
	must(s.t, err)
	var state []byte
	if device != nil {
		state, err = json.Marshal(device)
		must(s.t, err)
	}
	s.exec(`INSERT INTO nodes (name) VALUES ($1) ON CONFLICT DO NOTHING`, node)
	s.exec(`INSERT INTO account_states (node, account, channel, sessions, in_use, share, maximum, waiting, circuit, next_try, failure, at, failing_since, setup, device)
VALUES ($1, $2, $3, 2, 1, 5, 8, 0, $4, now() + interval '1 minute', 'configuration 535', now(), CASE WHEN $4 <> 'closed' THEN now() - interval '2 hours' END, $5, $6)`,
		node, account, string(ch), circuit, text, state)
}

func (s *stand) exec(sql string, args ...any) {
	s.t.Helper()
	_, err := s.pool.Exec(s.t.Context(), sql, args...)
	must(s.t, err)
}

// someAccounts are one of each kind.
func (s *stand) someAccounts() {
	s.t.Helper()
	balance := 12.5
	now := time.Now()
	s.tells("node-1", "smtp-1", subscriptions.Email, "closed", dispatch.AccountSetup{
		Purposes: []subscriptions.Purpose{subscriptions.Marketing}, Weight: 1,
		Limits: limits.Rules{Rate: limits.Rate{Max: 100, Per: "second", Burst: 1}, Domains: map[string]limits.Rate{"gmail.com": {Max: 20, Per: "minute"}}},
	}, nil)
	s.tells("node-1", "smsc-cm", subscriptions.SMS, "open", dispatch.AccountSetup{Cost: 0.04, Weight: 3, Recipients: []string{"+86139"}}, nil)
	s.tells("node-2", "modem-1", subscriptions.SMS, "closed", dispatch.AccountSetup{Weight: 1, Device: true}, &dispatch.DeviceState{
		State: "ready", Since: now, Model: "SIMCOM SIM800", SIM: "…1234", Registration: "home", Operator: "CHINA MOBILE", SignalDBm: -71,
		Today: 312, ThisMonth: 4_100, DailyQuota: 500, Balance: &balance, BalanceAt: &now, BalanceLow: true,
	})
	s.tells("node-2", "modem-2", subscriptions.SMS, "closed", dispatch.AccountSetup{Weight: 1, Device: true}, &dispatch.DeviceState{
		State: "searching", Since: now.Add(-time.Hour), Registration: "denied", LastError: "the modem says +CMS ERROR: 331", LastErrorAt: &now,
	})
	s.tells("node-2", "modem-3", subscriptions.SMS, "closed", dispatch.AccountSetup{Weight: 1, Device: true}, &dispatch.DeviceState{
		State: "ready", Since: now, Today: 50, DailyQuota: 50, QuotaUntil: at(now.Add(time.Hour)),
	})
	s.tells("node-2", "modem-4", subscriptions.SMS, "closed", dispatch.AccountSetup{Weight: 1, Device: true}, nil)
	s.tells("node-1", "pausing", subscriptions.Email, "closed", dispatch.AccountSetup{Weight: 1}, nil)
	s.exec(`UPDATE account_states SET paused_until = now() + interval '10 minutes' WHERE account = 'pausing'`)
}

func at(t time.Time) *time.Time { return &t }

func TestTheAccountsPageSaysHowEachStands(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("bob")
	v.get("/console/accounts").is(http.StatusOK).has("No node that sends has told of its accounts", `aria-current="page"`)
	s.someAccounts()
	month := time.Now().UTC().Format("2006-01-02")
	s.exec(`INSERT INTO account_days VALUES ($1, 'modem-1', 120001)`, month)
	a := v.get("/console/accounts").is(http.StatusOK)
	a.has("5 accounts take no messages now", "2 open, 1 in use, at most 8", "100 per second", "120,001", "−71 dBm", "fails", "account misconfigured <code>535</code>", "2 hours ago",
		"modem not ready", "looking for a network", "331", "quota used up", "paused by the provider", "No node has told how the modem stands",
		"The modems sent 120,001 parts this month, more than 100,000", `href="/console/accounts/modem-1"`)
	v.get("/console").is(http.StatusOK).has("The modems sent 120,001 parts this month", `href="/console/accounts"`, "The modem of account modem-2 is not ready.",
		"The SIM of account modem-1 has little money left.", "Account smsc-cm fails: configuration 535.", "looking for a network").lacks("modem-4 is not ready")
	v.get("/console/accounts?lang=zh-CN").is(http.StatusOK).has("5 个账号暂不能发送", "本月调制解调器已发送 120,001 条", "调制解调器未就绪")
}

func TestAnAccountsPageShowsItsHardware(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.someAccounts()
	v := s.signedIn("bob")
	v.get("/console/accounts/modem-1").is(http.StatusOK).has("CHINA MOBILE", "home network", "…1234", "312 of 500", "4,100", "12.5", "low", "SIMCOM SIM800", "Watch for 10 minutes")
	v.get("/console/accounts/modem-2").is(http.StatusOK).has("refused by the network", "Last error")
	v.get("/console/accounts/modem-4").is(http.StatusOK).has("disabled")
	v.get("/console/accounts/smtp-1").is(http.StatusOK).has("gmail.com", "20 per minute", "marketing").lacks("Watch for")
	v.get("/console/accounts/smsc-cm").is(http.StatusOK).has("86139", "cost 0.04, weight 3")
	v.get("/console/accounts/nothing").is(http.StatusNotFound)
	s.visitor().get("/console/accounts").is(http.StatusOK).at("/console/sign-in")
}

func TestAnOperatorWatchesAModemsLine(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.someAccounts()
	bob, ann := s.signedIn("bob"), s.signedIn("ann")
	const page = "/console/accounts/modem-1"
	bob.post(page+"/trace", url.Values{"watch": {"true"}}).is(http.StatusOK).at(page).has("being watched", "appear here", "operator bob", "Stop watching")
	lines, err := json.Marshal([]dispatch.TraceLine{{At: time.Now(), Sent: true, Text: "0011000D9168AB", Covered: "‹7 octets›"}})
	must(t, err)
	s.exec(`UPDATE account_traces SET lines = $1`, lines)
	bob.get(page).is(http.StatusOK).has("‹7 octets›", "an admin sees them").lacks("0D9168")
	ann.get(page).is(http.StatusOK).has("0011000D9168AB").lacks("an admin sees them")
	bob.post(page+"/trace", url.Values{"watch": {"false"}}).is(http.StatusOK).has("Watch for 10 minutes", "operator bob").lacks("being watched")
	bob.post("/console/accounts/smtp-1/trace", url.Values{"watch": {"true"}}).is(http.StatusNotFound)
	s.visitor().post(page+"/trace", url.Values{"watch": {"true"}}).at("/console/sign-in")
}
