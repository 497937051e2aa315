package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// symbols are the signs of currencies as both languages write them; others
// are shown by their ISO 4217 code.
var symbols = map[string]string{
	"CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£", "HKD": "HK$", "TWD": "NT$",
	"JPY": "JP¥", "KRW": "₩", "SGD": "S$", "AUD": "A$", "INR": "₹",
}

// Number writes a number with its thousands grouped by commas, as both English
// and Chinese do, and at most two decimals. What is no number is shown as it is.
func (l *Locale) Number(v any) string {
	f, ok := figure(v)
	if !ok {
		return fmt.Sprint(v)
	}
	s := strconv.FormatFloat(f, 'f', 2, 64)
	s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	return group(s)
}

// Money writes an amount with its currency: ¥499, $4.50, CHF 12. Whole amounts
// have no decimals.
func (l *Locale) Money(v any, currency string) string {
	f, ok := figure(v)
	if !ok {
		return fmt.Sprint(v)
	}
	s := strconv.FormatFloat(math.Abs(f), 'f', 2, 64)
	s = group(strings.TrimSuffix(s, ".00"))
	sign := ""
	if f < 0 {
		sign = "−"
	}
	if symbol, ok := symbols[currency]; ok {
		return sign + symbol + s
	}
	return sign + currency + "\u00a0" + s
}

// Symbol is the sign of a currency, or its code where it has none.
func (l *Locale) Symbol(currency string) string {
	if symbol, ok := symbols[currency]; ok {
		return symbol
	}
	return currency
}

// IsCurrency reports whether a unit is a currency: three capital letters.
func IsCurrency(unit string) bool {
	return len(unit) == 3 && strings.ToUpper(unit) == unit && strings.IndexFunc(unit, func(r rune) bool { return r < 'A' || r > 'Z' }) < 0
}

// Measure writes a value with the unit that a trigger's definition gives it: a
// currency, "%", or a word such as "pieces".
func (l *Locale) Measure(v any, unit string) string {
	switch {
	case IsCurrency(unit):
		return l.Money(v, unit)
	case unit == "%":
		return l.Number(v) + "%"
	case unit != "":
		return l.Number(v) + "\u00a0" + l.Word("unit", unit)
	}
	return l.Number(v)
}

// group puts commas between the thousands of a decimal number.
func group(s string) string {
	whole, rest, _ := strings.Cut(s, ".")
	if rest != "" {
		rest = "." + rest
	}
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "−", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return sign + whole + rest
}

// figure is v as a number.
func figure(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, !math.IsNaN(n) && !math.IsInf(n, 0)
	}
	return 0, false
}

// whole is v as what decides a plural: an integer, or a decimal in digits.
func whole(v any) any {
	f, ok := figure(v)
	switch {
	case !ok:
		return 0
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return int64(math.Abs(f))
	}
	return strconv.FormatFloat(math.Abs(f), 'f', -1, 64)
}

// Phone writes an E.164 number as people do: "+86 138 0013 8000". What is no
// number is shown as it is.
func (l *Locale) Phone(address string) string {
	n, err := phonenumbers.Parse(address, "")
	if err != nil {
		return address
	}
	return phonenumbers.Format(n, phonenumbers.INTERNATIONAL)
}

// Address writes an address of any channel as people do.
func (l *Locale) Address(address string) string {
	if strings.HasPrefix(address, "+") {
		return l.Phone(address)
	}
	return address
}

// Masked writes an address so that its owner knows it and nobody else learns
// it: "+86 138 •••• 8000", "w•••@example.com".
func (l *Locale) Masked(address string) string {
	if at := strings.LastIndexByte(address, '@'); at > 0 {
		first := []rune(address[:at])[0]
		return string(first) + "•••" + address[at:]
	}
	return maskDigits(l.Phone(address))
}

// maskDigits hides every digit but the country code with the group after it
// and the last four.
func maskDigits(shown string) string {
	runes := []rune(shown)
	digits := 0
	for _, r := range runes {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	seen, groups := 0, 0
	for i, r := range runes {
		if r == ' ' || r == '-' {
			groups++
		}
		if r < '0' || r > '9' {
			continue
		}
		seen++
		if (groups >= 2 || digits-seen < digits/2) && digits-seen >= min(4, digits/2) {
			runes[i] = '•'
		}
	}
	return string(runes)
}

// dictionaries name languages in the words of each of Languages.
var dictionaries = map[string]*display.Dictionary{"en": display.English, "zh-CN": display.SimplifiedChinese}

// Language names a language by its BCP 47 tag: "Chinese (China)". What is no
// tag, or one without a name, is shown as it is.
func (l *Locale) Language(tag string) string {
	parsed, err := language.Parse(tag)
	if err != nil || parsed == language.Und {
		return tag
	}
	if base, _ := parsed.Base(); dictionaries[l.Tag].Languages().Name(base) == "" {
		return tag
	}
	return dictionaries[l.Tag].Tags().Name(parsed)
}

// Actor words who did something, as histories name them: "operator:ann",
// "key:shop", "herald". What is named otherwise is shown as it is.
func (l *Locale) Actor(actor string) string {
	kind, name, _ := strings.Cut(actor, ":")
	if key := "actor." + kind; l.Has(key) {
		return l.T(key, "name", name)
	}
	return actor
}

// Duration says a length of time in the largest unit it fills, two at most:
// "1 day", "1 hour 30 minutes", "5.2 s".
func (l *Locale) Duration(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	switch {
	case d < time.Second:
		return l.T("duration.milliseconds", "count", d.Milliseconds())
	case d < 10*time.Second:
		return l.T("duration.short_seconds", "seconds", l.Number(math.Round(d.Seconds()*10)/10))
	}
	d = d.Round(time.Second)
	units := []struct {
		key  string
		size time.Duration
	}{{"duration.days", 24 * time.Hour}, {"duration.hours", time.Hour}, {"duration.minutes", time.Minute}, {"duration.seconds", time.Second}}
	for i, u := range units {
		if d < u.size {
			continue
		}
		out := l.T(u.key, "count", int64(d/u.size))
		if rest := d % u.size; i+1 < len(units) && rest >= units[i+1].size {
			out += l.T("duration.and") + l.T(units[i+1].key, "count", int64(rest/units[i+1].size))
		}
		return out
	}
	return l.T("duration.seconds", "count", 0)
}
