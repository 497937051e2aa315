package app

import (
	"testing"

	"herald/app/config"
)

func TestTextsAreForetoldAsAllAccountsWriteThem(t *testing.T) {
	yes := config.Writing{Transliterate: true}
	for name, c := range map[string]struct {
		accounts config.SMS
		want     bool
	}{
		"no account": {config.SMS{}, false},
		"all": {config.SMS{
			SMPP: []config.SMPPAccount{{Transliterate: true}}, CMPP: []config.CMPPAccount{{Writing: yes}}, SGIP: []config.SGIPAccount{{Writing: yes}},
			Gateways: []config.GatewayAccount{{Transliterate: true}}, Modems: []config.ModemAccount{{Transliterate: true}},
		}, true},
		"all but one": {config.SMS{CMPP: []config.CMPPAccount{{Writing: yes}}, Modems: []config.ModemAccount{{}}}, false},
	} {
		if got := writing(c.accounts).Transliterate; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
