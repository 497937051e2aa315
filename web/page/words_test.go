package page

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func catalogue(t *testing.T) *Catalogue {
	t.Helper()
	c, err := LoadCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBothLanguagesHaveTheSameKeys(t *testing.T) {
	c := catalogue(t)
	if diff := cmp.Diff(c.In("en").Keys(), c.In("zh-CN").Keys()); diff != "" {
		t.Errorf("-en +zh:\n%s", diff)
	}
}

func TestNumbersAndMoney(t *testing.T) {
	l := catalogue(t).In("en")
	for got, want := range map[string]string{
		l.Number(1234567):        "1,234,567",
		l.Number(999):            "999",
		l.Number(-1234.5):        "−1,234.5",
		l.Number(0.005):          "0.01",
		l.Number("x"):            "x",
		l.Money(499.0, "CNY"):    "¥499",
		l.Money(4.5, "USD"):      "$4.50",
		l.Money(-12345.0, "CHF"): "−CHF\u00a012,345",
		l.Measure(5.0, "%"):      "5%",
		l.Measure(3.0, ""):       "3",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAddressesAreMasked(t *testing.T) {
	l := catalogue(t).In("en")
	for address, want := range map[string]string{
		"+8613800138000":  "+86 138 •••• 8000",
		"wei@example.com": "w•••@example.com",
		"+12025550123":    "+1 202-•••-0123",
		"":                "",
	} {
		if got := l.Masked(address); got != want {
			t.Errorf("%q is masked %q, want %q", address, got, want)
		}
	}
}

func TestTimesAreTold(t *testing.T) {
	c := catalogue(t)
	shanghai := zoneOr("Asia/Shanghai")
	en := Reader{Locale: c.In("en"), Zone: shanghai, Now: moment}
	zh := Reader{Locale: c.In("zh-CN"), Zone: shanghai, Now: moment}
	for name, c := range map[string]struct{ got, want string }{
		"now":          {string(en.Ago(moment.Add(-5 * time.Second))), "just now"},
		"minutes":      {string(en.Ago(moment.Add(-3 * time.Minute))), "3 minutes ago"},
		"one hour":     {string(en.Ago(moment.Add(-time.Hour))), "an hour ago"},
		"days":         {string(zh.Ago(moment.Add(-49 * time.Hour))), "2 天前"},
		"ahead":        {string(en.Ago(moment.Add(2 * time.Hour))), "in 2 hours"},
		"exact":        {string(en.Ago(moment)), `title="Tue 3 Mar 2026 09:12:04 CST"`},
		"exact in zh":  {string(zh.Ago(moment)), `title="2026年3月3日周二 09:12:04 CST"`},
		"machine's":    {string(en.Ago(moment)), `datetime="2026-03-03T01:12:04Z"`},
		"minute":       {string(en.When(moment)), "Tue 3 Mar 09:12"},
		"another year": {string(en.When(moment.AddDate(-1, 0, 0))), "Mon 3 Mar 2025 09:12"},
		"none":         {string(en.When((*time.Time)(nil))), ""},
	} {
		if !strings.Contains(c.got, c.want) || (c.want == "" && c.got != "") {
			t.Errorf("%s: got %s, want %s", name, c.got, c.want)
		}
	}
}

func TestLanguagesAndActorsHaveNames(t *testing.T) {
	c := catalogue(t)
	en, zh := c.In("en"), c.In("zh-CN")
	for got, want := range map[string]string{
		en.Language("zh-CN"): "Chinese (China)",
		zh.Language("zh-CN"): "中文 (中国)",
		zh.Language("en"):    "英语",
		en.Language("tlh-x"): "tlh-x",
		en.Language("xx"):    "xx",
		en.Language(""):      "",

		en.Actor("operator:ann"):  "operator ann",
		zh.Actor("key:the shop"):  "接口密钥 the shop",
		zh.Actor("herald"):        "Herald 自动",
		en.Actor("5.1.1 no: who"): "5.1.1 no: who",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestChoicesAreInTheOrderOfTheirWords(t *testing.T) {
	want := []Choice{{"false", "no"}, {"true", "yes"}}
	if diff := cmp.Diff(want, catalogue(t).In("en").Choices("boolean")); diff != "" {
		t.Error(diff)
	}
}

func TestDurations(t *testing.T) {
	en := catalogue(t).In("en")
	for d, want := range map[time.Duration]string{
		0:                                  "0 ms",
		time.Millisecond:                   "1 ms",
		3 * time.Millisecond:               "3 ms",
		5200 * time.Millisecond:            "5.2 s",
		24 * time.Hour:                     "1 day",
		90 * time.Minute:                   "1 hour 30 minutes",
		49*time.Hour + 3*time.Second:       "2 days 1 hour",
		time.Minute + 500*time.Microsecond: "1 minute",
	} {
		if got := en.Duration(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
