package modem

import (
	"regexp"
	"strings"
	"time"

	"herald/dispatch/sms"
	"herald/hardware/gsm"
	"herald/problem"
)

// Account is one modem with its SIM.
type Account struct {
	// Name is what logs, attempts and the console call it. Unique.
	Name string `yaml:"name" json:"name"`
	// Device is the serial line, best by its lasting name:
	// /dev/serial/by-id/….
	Device string `yaml:"device" json:"device"`
	// Baud is the line's speed. 0: 115200.
	Baud int `yaml:"baud" json:"baud"`
	// PIN unlocks the SIM; empty for one without. It is tried once.
	PIN string `yaml:"pin" json:"pin"`
	// Centre is the number of the service centre. Empty: the SIM's own.
	Centre string `yaml:"centre" json:"centre"`
	// Memory is where the modem stores what comes in: SM, ME or MT. Empty:
	// the SIM, if it can.
	Memory string `yaml:"memory" json:"memory"`
	// Notify are the settings of AT+CNMI to try in order. Empty: the usual.
	Notify []string `yaml:"notify" json:"notify"`

	// Transliterate writes characters that GSM-7 has not with others, where
	// the text then needs no UCS-2.
	Transliterate bool `yaml:"transliterate" json:"transliterate"`
	// Languages are those whose national tables may be used, by their number
	// in 3GPP TS 23.038: 1 Turkish, 2 Spanish, 3 Portuguese …
	Languages []sms.Language `yaml:"languages" json:"languages"`
	// NoReports asks for no status reports.
	NoReports bool `yaml:"no_reports" json:"no_reports"`
	// HoldDoubt leaves what is in doubt to its status report. Without it, it
	// is sent again under its old reference with the wish that a duplicate be
	// refused, if the modem is known to send our references; an operator whose
	// centre does not look for duplicates needs it.
	HoldDoubt bool `yaml:"hold_doubt" json:"hold_doubt"`

	// DailyQuota and MonthlyQuota are how many parts the SIM may send in a day
	// and a month of TimeZone (empty: UTC). 0: any number.
	DailyQuota   int    `yaml:"daily_quota" json:"daily_quota"`
	MonthlyQuota int    `yaml:"monthly_quota" json:"monthly_quota"`
	TimeZone     string `yaml:"time_zone" json:"time_zone"`

	Balance BalanceCheck `yaml:"balance" json:"balance"`

	// SubmitTimeout is how long the network may take for a part. 0: 150
	// seconds. Less than 120 leaves messages in doubt that are only slow.
	SubmitTimeout time.Duration `yaml:"submit_timeout" json:"submit_timeout"`
	// Timeout is how long the modem may take for any other command. 0: 30 seconds.
	Timeout time.Duration `yaml:"timeout" json:"timeout"`
	// RegisterWithin is how long the modem may look for a network before it is
	// reset. 0: 3 minutes.
	RegisterWithin time.Duration `yaml:"register_within" json:"register_within"`

	// tune lets a test be impatient with its modem.
	tune func(*gsm.Config)
}

// BalanceCheck asks the operator how much money is left, by USSD.
type BalanceCheck struct {
	// Code is what is asked, such as *100#. Empty: nothing.
	Code string `yaml:"code" json:"code"`
	// Pattern is a regular expression whose first group is the amount in the
	// answer. Empty: the first number in it.
	Pattern string `yaml:"pattern" json:"pattern"`
	// Coding is how the modem writes codes and answers: "text", "packed" or
	// "ucs2" (both in hexadecimal). Empty: text; an answer tells by itself.
	Coding string `yaml:"coding" json:"coding"`
	// Every is the time between two questions. 0: a day.
	Every time.Duration `yaml:"every" json:"every"`
	// Low is the amount below which the log and the console warn. 0: never.
	Low float64 `yaml:"low" json:"low"`
}

// anAmount is a number with or without decimals.
const anAmount = `([-+]?\d[\d.,]*)`

// leastTimeout is less than any modem needs, but a test.
const leastTimeout = 10 * time.Millisecond

// complete fills in the defaults and notes the mistakes.
func (a Account) complete(mistakes *problem.Fields) (Account, Quotas, *regexp.Regexp) {
	if a.Name == "" {
		mistakes.Add("name", "required", "give it a name")
	}
	if a.Device == "" {
		mistakes.Add("device", "required", "give the serial line, such as /dev/serial/by-id/usb-…")
	}
	if a.Baud < 0 || a.Baud > 4_000_000 {
		mistakes.Add("baud", "range", "use a speed such as 115200")
	}
	if strings.Trim(a.PIN, "0123456789") != "" || len(a.PIN) > 8 || a.PIN != "" && len(a.PIN) < 4 {
		mistakes.Add("pin", "format", "use 4 to 8 digits")
	}
	if number := strings.TrimPrefix(a.Centre, "+"); strings.Trim(number, "0123456789") != "" || len(number) > 20 {
		mistakes.Add("centre", "format", "use a number such as +8613800100500")
	}
	switch a.Memory {
	case "", "SM", "ME", "MT":
	default:
		mistakes.Add("memory", "one_of", "use SM, ME or MT")
	}
	if a.DailyQuota < 0 || a.DailyQuota >= unlimited {
		mistakes.Add("daily_quota", "range", "use the number of parts, or 0 for any")
	}
	if a.MonthlyQuota < 0 || a.MonthlyQuota >= unlimited {
		mistakes.Add("monthly_quota", "range", "use the number of parts, or 0 for any")
	}
	zone, err := time.LoadLocation(a.TimeZone)
	if err != nil || a.TimeZone == "Local" {
		mistakes.Add("time_zone", "time_zone", "use a time zone such as Asia/Shanghai")
	}
	for path, d := range map[string]time.Duration{"submit_timeout": a.SubmitTimeout, "timeout": a.Timeout, "register_within": a.RegisterWithin, "balance.every": a.Balance.Every} {
		if d != 0 && d < leastTimeout {
			mistakes.Add(path, "min", "use at least %v", leastTimeout)
		}
	}
	return a, Quotas{a.DailyQuota, a.MonthlyQuota, zone}, a.Balance.complete(mistakes)
}

func (b *BalanceCheck) complete(mistakes *problem.Fields) *regexp.Regexp {
	switch b.Coding {
	case "", codingText, codingPacked, codingUCS2:
	default:
		mistakes.Add("balance.coding", "one_of", `use "text", "packed" or "ucs2"`)
	}
	if strings.Trim(b.Code, "0123456789*#") != "" || len(b.Code) > 40 {
		mistakes.Add("balance.code", "format", "use a code such as *100#")
	}
	if b.Every == 0 {
		b.Every = 24 * time.Hour
	}
	if b.Pattern == "" {
		b.Pattern = anAmount
	}
	pattern, err := regexp.Compile(b.Pattern)
	if err != nil || pattern.NumSubexp() < 1 {
		mistakes.Add("balance.pattern", "format", `use a regular expression with a group, such as balance: ([\d.]+)`)
		return nil
	}
	return pattern
}
