package modem

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/hardware/gsm"
	"herald/problem"
)

func TestFailuresAreSorted(t *testing.T) {
	cms := func(code int) error { return fmt.Errorf("x: %w", &gsm.Error{Domain: gsm.CMS, Code: code}) }
	for _, c := range []struct {
		err  error
		want dispatch.Class
		dead bool
		code string
	}{
		{cms(1), dispatch.Permanent, true, "CMS 1"},
		{cms(8), dispatch.Configuration, false, "CMS 8"},
		{cms(21), dispatch.Transient, false, "CMS 21"},
		{cms(38), dispatch.SessionFatal, false, "CMS 38"},
		{cms(42), dispatch.Throttled, false, "CMS 42"},
		{cms(195), dispatch.Permanent, true, "CMS 195"},
		{cms(304), dispatch.Permanent, false, "CMS 304"},
		{cms(330), dispatch.Configuration, false, "CMS 330"},
		{cms(331), dispatch.SessionFatal, false, "CMS 331"},
		{cms(332), dispatch.Doubt, false, "CMS 332"},
		{cms(500), dispatch.Transient, false, "CMS 500"},
		{cms(538), dispatch.Transient, false, "CMS 538"},
		{&gsm.Error{Domain: gsm.CME, Code: 10}, dispatch.Configuration, false, "CME 10"},
		{&gsm.Error{Domain: gsm.CME, Code: 30}, dispatch.SessionFatal, false, "CME 30"},
		{&gsm.Error{}, dispatch.Transient, false, ""},
		{fmt.Errorf("%w: %w", gsm.ErrUnanswered, gsm.ErrGone), dispatch.Doubt, false, ""},
		{fmt.Errorf("%w: %w", gsm.ErrNotReady, gsm.ErrLocked), dispatch.Configuration, false, ""},
		{fmt.Errorf("%w: %w", gsm.ErrNotReady, gsm.ErrNoNetwork), dispatch.SessionFatal, false, ""},
		{gsm.ErrGone, dispatch.SessionFatal, false, ""},
		{errors.New("something else"), dispatch.Transient, false, ""},
	} {
		got := classify(c.err)
		if got.Class != c.want || got.AddressDead != c.dead || got.Code != c.code || !errors.Is(got, c.err) {
			t.Errorf("%v is %+v, want %s", c.err, got, c.want)
		}
	}
}

// Pitfall 20: every modem writes the operator's answer in its own way.
func TestTheOperatorsAnswerIsRead(t *testing.T) {
	for _, c := range []struct {
		said   gsm.USSD
		coding string
		want   string
	}{
		{gsm.USSD{Text: "Balance: 12.50", DCS: 15}, "", "Balance: 12.50"},
		{gsm.USSD{Text: "12", DCS: 15}, "", "12"},
		{gsm.USSD{Text: "1234567890", DCS: 15}, "", "1234567890"},
		{gsm.USSD{Text: "00420061006C0061006E00630065003A002000310032002E00350030", DCS: 15}, "", "Balance: 12.50"},
		{gsm.USSD{Text: "4F59989D00200031003200205143", DCS: 72}, "", "余额 12 元"},
		{gsm.USSD{Text: "4F59989D003100320020514300 ", DCS: 15}, "", "4F59989D003100320020514300 "},
		{gsm.USSD{Text: "C2309B1D76979741F19944A70ACB01"[:0] + hexPacked("Balance: 12.50"), DCS: 15}, "", "Balance: 12.50"},
		{gsm.USSD{Text: hexPacked("12.50"), DCS: -1}, codingPacked, "12.50"},
		{gsm.USSD{Text: "00310032", DCS: -1}, codingUCS2, "12"},
		{gsm.USSD{Text: "CAFE", DCS: 15}, codingText, "CAFE"},
	} {
		if got := readAnswer(c.said, c.coding); got != c.want {
			t.Errorf("%+v as %q is %q, want %q", c.said, c.coding, got, c.want)
		}
	}
	if got := codeFor("*100#", codingPacked); got != "AA180C3602" {
		t.Errorf("packed, *100# is %s", got)
	}
	if got := codeFor("*1#", codingUCS2); got != "002A00310023" {
		t.Errorf("in UCS-2, *1# is %s", got)
	}
}

func hexPacked(text string) string {
	septets, _ := sms.EncodeGSM7(text, 0, 0)
	return fmt.Sprintf("%X", sms.Pack(septets, 0))
}

func TestTheAmountIsRead(t *testing.T) {
	for answer, want := range map[string]float64{
		"Your balance is 12.50 USD.": 12.5, "余额：88.8元": 88.8, "Saldo 1.234,56 EUR": 1234.56, "1,250 left": 1250,
		"12,50 kr": 12.5, "-3.20": -3.2, "1,234,567.8": 1234567.8, "7": 7,
	} {
		var mistakes problem.Fields
		_, _, pattern := Account{}.complete(&mistakes)
		got := (&Sender{amount: pattern}).amountIn(answer)
		if got == nil || *got != want {
			t.Errorf("%q has %v, want %v", answer, got, want)
		}
	}
	b := BalanceCheck{Pattern: `main: ([\d.]+)`}
	var mistakes problem.Fields
	if got := (&Sender{amount: b.complete(&mistakes)}).amountIn("bonus: 3.00 main: 4.25"); got == nil || *got != 4.25 {
		t.Errorf("by a pattern it is %v", got)
	}
	if got := (&Sender{amount: b.complete(&mistakes)}).amountIn("try again later"); got != nil {
		t.Errorf("without an amount it is %v", *got)
	}
}

func TestAnAccountIsChecked(t *testing.T) {
	for field, a := range map[string]Account{
		"name":            {Device: "/dev/x"},
		"device":          {Name: "m"},
		"baud":            {Name: "m", Device: "/dev/x", Baud: -1},
		"pin":             {Name: "m", Device: "/dev/x", PIN: "12"},
		"centre":          {Name: "m", Device: "/dev/x", Centre: "operator"},
		"memory":          {Name: "m", Device: "/dev/x", Memory: "XX"},
		"daily_quota":     {Name: "m", Device: "/dev/x", DailyQuota: -1},
		"monthly_quota":   {Name: "m", Device: "/dev/x", MonthlyQuota: -1},
		"time_zone":       {Name: "m", Device: "/dev/x", TimeZone: "Local"},
		"submit_timeout":  {Name: "m", Device: "/dev/x", SubmitTimeout: -time.Second},
		"balance.code":    {Name: "m", Device: "/dev/x", Balance: BalanceCheck{Code: "ATD"}},
		"balance.coding":  {Name: "m", Device: "/dev/x", Balance: BalanceCheck{Coding: "ebcdic"}},
		"balance.pattern": {Name: "m", Device: "/dev/x", Balance: BalanceCheck{Pattern: "no group"}},
	} {
		_, err := New(a, &Store{now: time.Now}, nil, nil)
		var p *problem.Error
		if !errors.As(err, &p) || len(p.Fields) != 1 || p.Fields[0].Path != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
