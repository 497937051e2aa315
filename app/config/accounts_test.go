package config

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"herald/dispatch/limits"
)

const accountYAML = `
- name: bulk
  host: smtp.example.com
  from: news@example.com
  purposes: [service, marketing]
  recipients: [example.com, example.org]
  weight: 3
  cost: 0.25
  min_sessions: 2
  idle_timeout: 30s
  check_after: 1m
  limits:
    rate: {max: 100, burst: 5}
    counts: messages
    domains:
      gmail.com: {max: 600, per: minute}
      "*.example.com": {max: 0.5}
      "*": {max: 10}
    warm_up: {start: 2026-03-01, first: 50, growth: 1.5}
    time_zone: Asia/Shanghai
`

// What an account may use is the same from a file and from a variable.
func TestLoadTakesWhatAnAccountIsFor(t *testing.T) {
	want := EmailAccount{
		Name: "bulk", Host: "smtp.example.com", Port: 587, TLS: "starttls", From: "news@example.com",
		Timeout: 30 * time.Second,
		Use: Use{
			MinSessions: 2, MaxSessions: 10, IdleTimeout: 30 * time.Second, CheckAfter: time.Minute,
			Purposes: []string{"service", "marketing"}, Recipients: []string{"example.com", "example.org"}, Weight: 3, Cost: 0.25,
			Limits: limits.Rules{
				Rate: limits.Rate{Max: 100, Per: "second", Burst: 5}, Counts: "messages", TimeZone: "Asia/Shanghai",
				Domains: map[string]limits.Rate{
					"gmail.com":     {Max: 600, Per: "minute", Burst: 1},
					"*.example.com": {Max: 0.5, Per: "second", Burst: 1},
					"*":             {Max: 10, Per: "second", Burst: 1},
				},
				Prefixes: map[string]limits.Rate{},
				WarmUp:   limits.WarmUp{Start: "2026-03-01", First: 50, Growth: 1.5, Full: 96 * 24 * 60 * 60, Spread: 8},
			},
		},
	}
	file := write(t, "email:\n  accounts:"+strings.ReplaceAll(accountYAML, "\n", "\n    "))
	for name, load := range map[string]func() (Config, error){
		"file":     func() (Config, error) { return Load(file, nil) },
		"variable": func() (Config, error) { return Load("", []string{"HERALD_EMAIL_ACCOUNTS=" + accountYAML}) },
	} {
		t.Run(name, func(t *testing.T) {
			got, err := load()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]EmailAccount{want}, got.Email.Accounts); diff != "" {
				t.Errorf("accounts (-want +got):\n%s", diff)
			}
			var printed strings.Builder
			if err := got.Print(&printed); err != nil {
				t.Fatal(err)
			}
			again, err := Load(write(t, printed.String()), nil)
			if diff := cmp.Diff(got, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("what was printed is read as something else: %v\n%s", err, diff)
			}
		})
	}
}

func TestLoadSaysWhereAnAccountIsWrong(t *testing.T) {
	const lead = "email:\n  accounts:\n    - name: a\n      host: h\n      from: a@b.c\n      "
	tests := map[string]struct{ file, want string }{
		"an unknown purpose":         {lead + "purposes: [adverts]\n", `:6: email.accounts[0].purposes[0] is "adverts" and must be one of: transactional`},
		"an address for domain":      {lead + "recipients: [wei@example.com]\n", `:6: email.accounts[0].recipients[0] is "wei@example.com" and must be a domain`},
		"a negative cost":            {lead + "cost: -1\n", ":6: email.accounts[0].cost is -1 and must be from 0"},
		"a cost in words":            {lead + "cost: dear\n", ":6:13: cost must be a number"},
		"too much weight":            {lead + "weight: 5000\n", ":6: email.accounts[0].weight is 5000 and must be from 1"},
		"a negative time":            {lead + "idle_timeout: -1s\n", ":6: email.accounts[0].idle_timeout is -1s"},
		"more at least than at most": {lead + "min_sessions: 11\n", ":6: email.accounts[0].min_sessions is 11 and must be from 0 to 10"},
		"a rate per fortnight":       {lead + "limits:\n        rate: {max: 1, per: fortnight}\n", ":7: email.accounts[0].limits.rate.per must be second"},
		"a rate of a domain":         {lead + "limits:\n        domains:\n          gmail.com: {max: 1, per: fortnight}\n", ":8: email.accounts[0].limits.domains[gmail.com].per must be second"},
		"a domain in capitals":       {lead + "limits:\n        domains:\n          Gmail.com: {max: 1}\n", "limits.domains[Gmail.com] must be a domain in lower case"},
		"a list of domains":          {lead + "limits:\n        domains: [gmail.com]\n", ":7:18: sequence was used where mapping is expected"},
		"numbers":                    {lead + "limits:\n        prefixes: {\"+86\": {max: 1}}\n", ":7: email.accounts[0].limits.prefixes is for numbers"},
		"a warm-up without end":      {lead + "limits:\n        warm_up: {start: 2026-03-01, first: 5}\n", ":7: email.accounts[0].limits.warm_up.full must be at least first"},
		"a zone of nowhere":          {lead + "limits:\n        time_zone: Mars/North\n", ":7: email.accounts[0].limits.time_zone must be a time zone"},
		"an unknown limit":           {lead + "limits:\n        rates: 1\n", `:7:9: unknown field "rates"`},
		"doubt without channel":      {"dispatch:\n  doubt:\n    - {policy: hold}\n", `:3: dispatch.doubt[0].channel is "" and must be one of: email`},
		"doubt without a policy":     {"dispatch:\n  doubt:\n    - {channel: fax, purpose: advert, policy: burn}\n", `dispatch.doubt[0].policy is "burn" and must be one of: resend`},
		"doubt said twice":           {"dispatch:\n  doubt:\n    - {channel: fax, policy: hold}\n    - {channel: fax, policy: resend}\n", ":4: dispatch.doubt[1].purpose an entry above speaks of the same"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Load(write(t, tt.file), nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error does not say %q:\n%v", tt.want, err)
			}
		})
	}
}

// Whoever takes the comment signs away has a configuration that works.
func TestExampleItemsAreValid(t *testing.T) {
	var b strings.Builder
	if err := Example(&b); err != nil {
		t.Fatal(err)
	}
	_, lists, _ := strings.Cut(b.String(), "\nemail:")
	lists, _, _ = strings.Cut(lists, "\nbounces:")
	lists = regexp.MustCompile(`(?m)^  # ((?:accounts|smpp|cmpp|sgip|gateways|modems|trunks|servers):|  )`).ReplaceAllString(lists, "  $1")
	cfg, err := Load(write(t, "email:"+lists), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, lists)
	}
	var names []string
	for _, a := range cfg.accounts() {
		names = append(names, a.name)
	}
	if diff := cmp.Diff([]string{"main", "operator", "mobile", "unicom", "web", "sim-1", "trunk", "fax"}, names); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	if got := cfg.Email.Accounts[0].Limits.Domains["gmail.com"].Max; got != 600 {
		t.Errorf("gmail.com gets %v a minute", got)
	}
	if got := cfg.SMS.SMPP[0].Limits.Prefixes["+4415"].Max; got != 5 {
		t.Errorf("numbers of +4415 get %v a second", got)
	}
	if diff := cmp.Diff(exampleItems()[:8], []any{
		cfg.Email.Accounts[0], cfg.SMS.SMPP[0], cfg.SMS.CMPP[0], cfg.SMS.SGIP[0], cfg.SMS.Gateways[0], cfg.SMS.Modems[0],
		cfg.Voice.Trunks[0], cfg.Fax.Servers[0],
	}, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("what the example shows is read as something else (-want +got):\n%s", diff)
	}
}
