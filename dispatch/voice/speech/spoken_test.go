package speech

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestSpoken(t *testing.T) {
	for _, c := range []struct{ locale, text, want string }{
		{"en", "It costs $49.50.", "It costs 49.5 dollars."},
		{"", "It costs £1,299.00, not £1,300.", "It costs 1,299 pounds, not 1,300 pounds."},
		{"en-GB", "¥49", "49 yuan"},
		{"en", "20% at 3:05", "20% at 3:05"},
		{"en", "Call 02079460123.", "Call 0 2 0 7 9 4 6 0 1 2 3."},
		{"en", "Order 123456 of 2026", "Order 123456 of 2026"},
		{"en", "1,234,567 and 1234567.5", "1,234,567 and 1234567.5"},
		{"zh-CN", "现在¥49.00，原价￥ 59.90。", "现在49元，原价59点9元。"},
		{"zh", "$5,999.00", "5,999美元"},
		{"zh_Hans_CN", "汇率7.1，涨了0.5%", "汇率7点1，涨了百分之0点5"},
		{"yue", "15:05到16:00", "15点05分到16点"},
		{"zh", "请致电13800138000", "请致电1 3 8 0 0 1 3 8 0 0 0"},
		{"de", "49,50 € und $5", "49,50 € und $5"},
		{"de", "12345678", "1 2 3 4 5 6 7 8"},
	} {
		if got := spoken(c.text, c.locale); got != c.want {
			t.Errorf("%s: %q is spoken as %q, want %q", c.locale, c.text, got, c.want)
		}
	}
}

// Every digit is said, but for those of whole sums.
func TestSpokenLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([ a¥$%.,:0-9元]|\d{2,12}){0,20}`).Draw(t, "text")
		locale := rapid.SampledFrom([]string{"en", "zh", "de"}).Draw(t, "locale")
		got := spoken(text, locale)
		digits := func(s string) string {
			return strings.Map(func(r rune) rune {
				if r < '1' || r > '9' {
					return -1
				}
				return r
			}, s)
		}
		if digits(got) != digits(text) || !utf8.ValidString(got) {
			t.Fatalf("%q is spoken as %q", text, got)
		}
	})
}
