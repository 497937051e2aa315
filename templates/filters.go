package templates

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/osteele/tuesday"
	"golang.org/x/text/currency"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
)

var errValueTooLong = fmt.Errorf("a text made on the way may have %d bytes", maxValue)

// ownFilters are the filters that Herald adds to Liquid's or puts in their place:
//
//	{{ event.price | money: event.currency }}           $1,299.00
//	{{ event.price | money: event.currency, "de" }}     1.299,00 €
//	{{ event.stock | number }}                          12,500
//	{{ event.at | date: "%-d %B %Y, %H:%M", "Asia/Shanghai" }}
//
// money and number follow the template's locale unless they are given one; an
// empty value prints nothing. date takes an RFC 3339 text, a "2006-01-02" or
// seconds since 1970, a strftime pattern and a zone of the IANA list (UTC when
// it is left out). The others are Liquid's own with a limit on the result.
func ownFilters(locale string) map[string]any {
	return map[string]any{
		"money": func(v any, code string, in func(string) string) (string, error) {
			return money(v, code, in(locale))
		},
		"number": func(v any, in func(string) string) (string, error) { return formatNumber(v, in(locale)) },
		"date": func(v any, pattern, zone func(string) string) (string, error) {
			return formatDate(v, pattern("%Y-%m-%d"), zone("UTC"))
		},
		"append": func(s, suffix string) (string, error) {
			return bounded(len(s)+len(suffix), func() string { return s + suffix })
		},
		"prepend": func(s, prefix string) (string, error) {
			return bounded(len(s)+len(prefix), func() string { return prefix + s })
		},
		"replace":       func(s, old, with string) (string, error) { return replace(s, old, with, strings.Count(s, old)) },
		"replace_first": func(s, old, with string) (string, error) { return replace(s, old, with, 1) },
		"join":          join,
		"concat":        concat,
		"json":          encode,
		"inspect":       encode,
	}
}

// printed is how a value reads: numbers without exponents, lists and objects as JSON.
func printed(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case verbatim:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case time.Time:
		return v.Format(time.RFC3339)
	case int, int64, int32, uint8, float32, json.Number:
		return fmt.Sprint(v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// toNumber reads a figure from data: a JSON number, or a text that is one.
// found is false for an empty value.
func toNumber(v any) (n float64, found bool, err error) {
	text := strings.TrimSpace(printed(v))
	if text == "" {
		return 0, false, nil
	}
	n, err = strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, false, errors.New("not a number")
	}
	return n, true, nil
}

// symbolAfter are the languages that write the currency behind the amount (CLDR
// currency formats); the others write it in front.
var symbolAfter = map[string]bool{
	"bg": true, "cs": true, "da": true, "de": true, "es": true, "et": true, "fi": true, "fr": true,
	"hr": true, "hu": true, "it": true, "lt": true, "lv": true, "nb": true, "pl": true, "pt": true,
	"ro": true, "ru": true, "sk": true, "sl": true, "sv": true, "uk": true, "vi": true,
}

// money writes an amount in a currency (ISO 4217) as the locale does.
func money(v any, code, locale string) (string, error) {
	n, found, err := toNumber(v)
	if err != nil {
		return "", err
	}
	if !found {
		return "", nil
	}
	tag := language.Make(locale)
	printer := message.NewPrinter(tag)
	unit, err := currency.ParseISO(strings.TrimSpace(code))
	if err != nil { // no currency, or none that is known: the amount and what was given
		return strings.TrimSpace(printer.Sprint(number.Decimal(n, number.Scale(2))) + " " + code), nil
	}
	digits, _ := currency.Standard.Rounding(unit)
	amount := printer.Sprint(number.Decimal(math.Abs(n), number.Scale(digits)))
	symbol := printer.Sprint(currency.NarrowSymbol(unit))
	sign := ""
	if n < 0 {
		sign = "-"
	}
	base, _ := tag.Base()
	if symbolAfter[base.String()] {
		return sign + amount + "\u00a0" + symbol, nil
	}
	if len(symbol) == len(code) && symbol == code { // "CHF 5.00": letters stand apart
		symbol += "\u00a0"
	}
	return sign + symbol + amount, nil
}

func formatNumber(v any, locale string) (string, error) {
	n, found, err := toNumber(v)
	if err != nil {
		return "", err
	}
	if !found {
		return "", nil
	}
	return message.NewPrinter(language.Make(locale)).Sprint(number.Decimal(n, number.MaxFractionDigits(6))), nil
}

func formatDate(v any, pattern, zone string) (string, error) {
	at, found, err := toTime(v)
	if err != nil || !found {
		return "", err
	}
	place, err := time.LoadLocation(zone)
	if err != nil {
		return "", fmt.Errorf("there is no time zone %q", zone)
	}
	text, err := tuesday.Strftime(pattern, at.In(place))
	if err != nil {
		return "", err
	}
	return bounded(len(text), func() string { return text })
}

func toTime(v any) (at time.Time, found bool, err error) {
	if t, isTime := v.(time.Time); isTime {
		return t, true, nil
	}
	text := strings.TrimSpace(printed(v))
	switch {
	case text == "":
		return time.Time{}, false, nil
	case text == "now":
		return time.Time{}, false, errors.New("now is not available, use a time from the data")
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly, time.DateTime} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true, nil
		}
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(seconds, 0), true, nil
	}
	return time.Time{}, false, errors.New("not a time")
}

// bounded makes a text unless it would be too long.
func bounded(size int, text func() string) (string, error) {
	if size > maxValue {
		return "", errValueTooLong
	}
	return text(), nil
}

func replace(s, old, with string, times int) (string, error) {
	return bounded(len(s)+times*max(0, len(with)-len(old)), func() string { return strings.Replace(s, old, with, times) })
}

func join(list []any, glue func(string) string) (string, error) {
	texts, size, between := make([]string, 0, len(list)), 0, glue(" ")
	for _, item := range list {
		if item == nil {
			continue
		}
		text := printed(item)
		if size += len(text) + len(between); size > maxValue {
			return "", errValueTooLong
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, between), nil
}

func concat(a, b []any) ([]any, error) {
	if len(a)+len(b) > maxValue {
		return nil, fmt.Errorf("a list may have %d elements", maxValue)
	}
	return append(append(make([]any, 0, len(a)+len(b)), a...), b...), nil
}

func encode(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return bounded(len(text), func() string { return string(text) })
}
