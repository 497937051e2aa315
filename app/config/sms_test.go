package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"herald/dispatch/limits"
)

const smsYAML = `
sms:
  smpp:
    - {name: operator, host: smsc.example.net, system_id: herald, password: hunter2, min_sessions: 0, source_ton: 5, languages: [1]}
  cmpp:
    - name: mobile
      host: 192.0.2.10
      sp_id: "901234"
      secret: hunter3
      source_number: "10690001"
      fee: {payer: destination}
      recipients: ["+86"]
      limits: {prefixes: {"+86139": {max: 3}}}
  sgip:
    - {name: unicom, host: 192.0.2.20, node_id: 3075512345, reception: {listen: "127.0.0.1:0", password: hunter4}}
  gateways:
    - {name: web, description: generic, settings: {url: "https://sms.example.com"}, secrets: {token: hunter5}}
  modems:
    - {name: sim-1, device: /dev/ttyUSB0, pin: "1234", balance: {code: "*100#", every: 12h}}
`

// What an account leaves out has its default, and what it sets to nothing has none.
func TestLoadOfAccountsForSMS(t *testing.T) {
	use := func(min, max int) Use {
		return Use{MinSessions: min, MaxSessions: max, Weight: 1, Limits: limits.Rules{}.Defaults()}
	}
	mobile := use(1, 1)
	mobile.Recipients = []string{"+86"}
	mobile.Limits.Prefixes = map[string]limits.Rate{"+86139": {Max: 3, Per: "second", Burst: 1}}
	web := use(0, 10)
	web.CheckAfter = time.Second
	name := byte(5)
	want := SMS{
		SMPP: []SMPPAccount{{Name: "operator", Host: "smsc.example.net", SystemID: "herald", Password: "hunter2", SourceTON: &name, Languages: []int{1}, Use: use(0, 1)}},
		CMPP: []CMPPAccount{{
			Name: "mobile", Host: "192.0.2.10", SPID: "901234", Secret: "hunter3", SourceNumber: "10690001", Fee: CMPPFee{Payer: "destination"}, Use: mobile,
		}},
		SGIP:     []SGIPAccount{{Name: "unicom", Host: "192.0.2.20", NodeID: 3_075_512_345, Reception: Reception{Listen: "127.0.0.1:0", Password: "hunter4"}, Use: use(0, 1)}},
		Gateways: []GatewayAccount{{Name: "web", Description: "generic", Settings: map[string]string{"url": "https://sms.example.com"}, Secrets: map[string]string{"token": "hunter5"}, Use: web}},
		Modems:   []ModemAccount{{Name: "sim-1", Device: "/dev/ttyUSB0", PIN: "1234", Balance: BalanceCheck{Code: "*100#", Every: 12 * time.Hour}, Use: use(0, 1)}},
	}
	got, err := Load(write(t, smsYAML), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.SMS); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	variable, err := Load("", []string{`HERALD_SMS_MODEMS=[{"name": "sim-1", "device": "/dev/ttyUSB0", "pin": "1234", "balance": {"code": "*100#", "every": "12h"}}]`})
	if diff := cmp.Diff(want.Modems, variable.SMS.Modems); err != nil || diff != "" {
		t.Errorf("from a variable: %v\n%s", err, diff)
	}

	var printed strings.Builder
	if err := got.Print(&printed); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter", "1234\n", `"1234"`} {
		if strings.Contains(printed.String(), secret) {
			t.Errorf("%q is shown:\n%s", secret, printed.String())
		}
	}
	if got.SMS.Gateways[0].Secrets["token"] != "hunter5" {
		t.Error("printing changed the configuration")
	}
	again, err := Load(write(t, printed.String()), nil)
	hide := cmp.FilterValues(func(a, b string) bool { return a == hidden || b == hidden }, cmp.Ignore())
	if diff := cmp.Diff(got, again, cmpopts.EquateEmpty(), hide); err != nil || diff != "" {
		t.Errorf("what was printed is read as something else: %v\n%s", err, diff)
	}
}

func TestLoadSaysWhereAnAccountForSMSIsWrong(t *testing.T) {
	const lead = "sms:\n  smpp:\n    - name: a\n      host: h\n      "
	tests := map[string]struct{ file, want string }{
		"a domain for numbers":     {lead + "recipients: [example.com]\n", `:5: sms.smpp[0].recipients[0] is "example.com" and must be + and the first digits`},
		"digits alone":             {lead + "recipients: [86]\n", `:5: sms.smpp[0].recipients[0] is "86"`},
		"limits of domains":        {lead + "limits: {domains: {gmail.com: {max: 1}}}\n", ":5: sms.smpp[0].limits.domains is for e-mail"},
		"an unknown setting":       {lead + "sorce: Shop\n", `:5:7: unknown field "sorce"`},
		"a type that is none":      {lead + "source_ton: many\n", ":5:19: source_ton must be a whole number"},
		"a language that is none":  {lead + "languages: [14]\n", ":5: sms.smpp[0].languages[0] is 14"},
		"a name of another kind's": {"sms:\n  cmpp:\n    - {name: a}\n  modems:\n    - {name: a}\n", ":5: sms.modems[0].name another account has this name"},
		"a name of e-mail's":       {"email:\n  accounts:\n    - {name: a, host: h, from: a@b.c}\n  \nsms:\n  sgip:\n    - {name: a}\n", ":7: sms.sgip[0].name another account has this name"},
		"two sessions of a modem":  {"sms:\n  modems:\n    - {name: a, max_sessions: 2}\n", ":3: sms.modems[0].max_sessions must be 1"},
		"settings in a row":        {"sms:\n  gateways:\n    - name: a\n      settings: url\n", ":4:17: "},
		"a zone of nowhere":        {"sms:\n  time_zone: Mars/North\n", ":2: sms.time_zone must be a time zone"},
		"a price below nothing":    {"sms:\n  price_per_part: -1\n", ":2: sms.price_per_part is -1"},
		"a currency in words":      {"sms:\n  currency: euro\n", ":2: sms.currency must be three capitals"},
		"less than no parts":       {"sms:\n  gateway_from: -2\n", ":2: sms.gateway_from is -2"},
		"no sessions":              {lead + "max_sessions: 0\n", ":5: sms.smpp[0].max_sessions is 0 and must be from 1"},
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
