package modem

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"herald/hardware/gsm"
	sim "herald/hardware/sim/modem"
)

func TestDeviceStateHasNoNumber(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, func(a *Account) { a.DailyQuota, a.MonthlyQuota, a.TimeZone = 1, 500, "Asia/Shanghai" })
	if _, err := open(t, b.Sender).Send(t.Context(), message(1, "hello")); err != nil {
		t.Fatal(err)
	}
	d, err := b.DeviceState(t.Context())
	if err != nil || !d.Works() || d.Registration != "home" || d.SignalDBm == 0 || d.Model == "" || d.Operator == "" {
		t.Errorf("%+v, %v", d, err)
	}
	if d.Today != 1 || d.ThisMonth != 1 || d.DailyQuota != 1 || d.MonthlyQuota != 500 || d.QuotaUntil == nil || !d.QuotaUntil.After(time.Now()) {
		t.Errorf("the day's quota is used up: %+v", d)
	}
	if len([]rune(d.SIM)) > 5 {
		t.Errorf("the SIM is shown as %q", d.SIM)
	}
}

func TestTraceCoversWhatTellsOfPeople(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, nil)
	b.SwitchTrace(true)
	if _, err := open(t, b.Sender).Send(t.Context(), message(1, "hello")); err != nil {
		t.Fatal(err)
	}
	b.SwitchTrace(false)
	whole, covered := "", ""
	for _, l := range b.TraceLines() {
		whole += l.Text + "\n"
		covered += l.Covered + "\n"
	}
	if !strings.Contains(whole, "0D9168") || strings.Contains(covered, "0D9168") || !strings.Contains(covered, "AT+CMGS=") || !strings.Contains(covered, " octets›") {
		t.Errorf("the trace:\n%s\ncovered:\n%s", whole, covered)
	}
	for line, want := range map[string]string{
		`+CUSD: 0,"Your number is 138, 12.50 left",15`: `+CUSD: 0,"‹text›",15`,
		`AT+CUSD=1,"*100#",15`:                         `AT+CUSD=1,"‹text›",15`,
		`460001234567890`:                              `…90`,
		`+CCID: 89860012345678901234`:                  `+CCID: …34`,
		`+CSCA: "+8613800100500",145`:                  `+CSCA: "+…00",145`,
		`+CMS ERROR: 500`:                              `+CMS ERROR: 500`,
		`+CSQ: 23,99`:                                  `+CSQ: 23,99`,
		`0011000D91683108108300F00008FF0648656C␚`:      `‹19 octets›␚`,
	} {
		if got := cover(line); got != want {
			t.Errorf("%s is covered as %s, want %s", line, got, want)
		}
	}
}

func TestNoNumberIsLeftUncovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`[1-9][0-9]{7,14}`).Draw(t, "number")
		line := rapid.StringMatching(`[+A-Z: ,"]{0,12}`).Draw(t, "before") + number + rapid.StringMatching(`[",: ]{0,5}`).Draw(t, "after")
		if got := cover(line); strings.Contains(got, number) {
			t.Errorf("%s is covered as %s", line, got)
		}
	})
}

func TestRegistrationInWords(t *testing.T) {
	for r, want := range map[gsm.Registration]string{
		gsm.Home: "home", gsm.HomeSMSOnly: "home", gsm.RoamSMSOnly: "roaming", gsm.SearchingNet: "searching", gsm.Denied: "denied", gsm.Emergency: "none",
	} {
		if got := registration(r); got != want {
			t.Errorf("%d is %s, want %s", r, got, want)
		}
	}
}
