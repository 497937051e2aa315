package limits

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"herald/problem"
)

func account(t *testing.T, name string, r Rules) *Account {
	t.Helper()
	a, err := NewAccount(name, r.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWantsOfAMessage(t *testing.T) {
	mail := account(t, "main", Rules{
		Rate:     Rate{Max: 100},
		Domains:  map[string]Rate{"gmail.com": {Max: 20}, "*.example.com": {Max: 5, Per: "minute"}, "*": {Max: 1}, "free.example": {}},
		WarmUp:   WarmUp{Start: "2026-03-01", First: 50},
		TimeZone: "Asia/Shanghai",
	})
	sms := account(t, "smsc", Rules{
		Counts:   "parts",
		Prefixes: map[string]Rate{"+86": {Max: 50}, "+86139": {Max: 10}},
	})
	tests := map[string]struct {
		account *Account
		address string
		want    []string
	}{
		"a domain of its own":        {mail, "a@GMail.com", []string{"account:main", "warmup:main", "domain:main:gmail.com"}},
		"a subdomain":                {mail, "a@x.y.example.com", []string{"account:main", "warmup:main", "domain:main:x.y.example.com"}},
		"not the domain above":       {mail, "a@example.com", []string{"account:main", "warmup:main", "domain:main:example.com"}},
		"any other":                  {mail, "a@b.cn", []string{"account:main", "warmup:main", "domain:main:b.cn"}},
		"one that has no limit":      {mail, "a@free.example", []string{"account:main", "warmup:main"}},
		"a quoted at":                {mail, `"a@b"@gmail.com`, []string{"account:main", "warmup:main", "domain:main:gmail.com"}},
		"the longest prefix":         {sms, "+8613912345678", []string{"prefix:smsc:+86139"}},
		"a shorter one":              {sms, "+8618612345678", []string{"prefix:smsc:+86"}},
		"no prefix":                  {sms, "+4915112345678", nil},
		"an account without a limit": {account(t, "free", Rules{}), "a@b.cn", nil},
	}
	at := time.Date(2026, 3, 1, 16, 0, 0, 0, time.UTC) // the second day in Shanghai
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var keys []string
			for _, w := range tt.account.Wants(tt.address, 3, at) {
				keys = append(keys, w.Key)
				if units := map[bool]int{true: 3, false: 1}[tt.account == sms]; w.Units != units {
					t.Errorf("%s: %d units, want %d", w.Key, w.Units, units)
				}
				if strings.HasPrefix(w.Key, "warmup") && w.Quota.Max != 100 {
					t.Errorf("quota %+v, want 100", w.Quota)
				}
				if err := w.check(); err != nil {
					t.Errorf("%s: %v", w.Key, err)
				}
			}
			if diff := cmp.Diff(tt.want, keys); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckNamesEveryMistake(t *testing.T) {
	tests := map[string]struct {
		rules Rules
		want  []string // paths
	}{
		"nothing at all":    {Rules{}, nil},
		"a slow modem":      {Rules{Rate: Rate{Max: 6, Per: "minute"}, Counts: "parts"}, nil},
		"a half a second":   {Rules{Rate: Rate{Max: 0.5}}, nil},
		"an unknown period": {Rules{Rate: Rate{Max: 6, Per: "week"}}, []string{"x.rate.per"}},
		"a negative rate":   {Rules{Rate: Rate{Max: -1}}, []string{"x.rate.max"}},
		"too fast":          {Rules{Rate: Rate{Max: 1e9}}, []string{"x.rate.max"}},
		"all in one burst":  {Rules{Rate: Rate{Max: 10, Burst: 6}}, []string{"x.rate.burst"}},
		"unknown units":     {Rules{Counts: "bytes"}, []string{"x.counts"}},
		"no such zone":      {Rules{TimeZone: "Mars/Base"}, []string{"x.time_zone"}},
		"the machine's":     {Rules{TimeZone: "Local"}, []string{"x.time_zone"}},
		"bad domains": {
			Rules{Domains: map[string]Rate{"Gmail.com": {}, "a@b": {}, "*.ok.example": {Max: 1, Per: "year"}}},
			[]string{"x.domains[*.ok.example].per", "x.domains[Gmail.com]", "x.domains[a@b]"},
		},
		"bad prefixes":              {Rules{Prefixes: map[string]Rate{"86139": {Max: 1}}}, []string{"x.prefixes[86139]"}},
		"a warm-up without an end":  {Rules{WarmUp: WarmUp{Start: "2026-03-01", First: 50}}, []string{"x.warm_up.full"}},
		"a warm-up to the rate":     {Rules{Rate: Rate{Max: 1}, WarmUp: WarmUp{Start: "2026-03-01", First: 50}}, nil},
		"a warm-up without a start": {Rules{WarmUp: WarmUp{Start: "March", Days: []int{1}}}, []string{"x.warm_up.start"}},
		"one that does not grow":    {Rules{WarmUp: WarmUp{Start: "2026-03-01", First: 1, Full: 9, Growth: 1}}, []string{"x.warm_up.growth"}},
		"one of negative days":      {Rules{WarmUp: WarmUp{Start: "2026-03-01", Days: []int{1, -1}}}, []string{"x.warm_up.days"}},
		"one of long days":          {Rules{WarmUp: WarmUp{Start: "2026-03-01", Days: []int{1}, Spread: 25}}, []string{"x.warm_up.spread"}},
		"one from nothing":          {Rules{WarmUp: WarmUp{Start: "2026-03-01", Full: 9}}, []string{"x.warm_up.first"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var paths []string
			for _, field := range tt.rules.Defaults().Check("x") {
				paths = append(paths, field.Path)
			}
			if !slices.Equal(paths, tt.want) {
				t.Errorf("%v, want %v", paths, tt.want)
			}
		})
	}
	if _, err := NewAccount("a", Rules{Counts: "bytes"}.Defaults()); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("NewAccount of wrong rules: %v", err)
	}
}

// TestARateHoldsInEveryStretch gives as much as the limit lets through, as
// early as it may, and counts it in the stretch that holds most.
func TestARateHoldsInEveryStretch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 500).Draw(t, "max")
		per := rapid.SampledFrom([]string{"second", "minute", "hour", "day"}).Draw(t, "per")
		burst := rapid.IntRange(1, max(1, most/2)).Draw(t, "burst")
		limit := Rate{Max: float64(most), Per: per, Burst: burst}.Limit()
		length := periods[per].Seconds()
		count := 0
		for n := 0; ; n++ { // the n-th unit after a pause
			at := float64(max(0, n-burst+1)) / limit.PerSecond
			if at >= length*(1-1e-9) {
				break
			}
			count++
		}
		if count != most {
			t.Fatalf("%d in a %s, want %d", count, per, most)
		}
	})
}
