package limits

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones these tests name, on every machine

	"pgregory.net/rapid"
)

func zone(t interface{ Fatal(...any) }, name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestWarmUpGrowsDayByDay(t *testing.T) {
	doubling := WarmUp{Start: "2026-03-01", First: 50, Growth: 2, Full: 1000, Spread: 10}
	listed := WarmUp{Start: "2026-03-01", Days: []int{10, 0, 30}, Spread: 10}
	tests := map[string]struct {
		warmUp WarmUp
		at     string
		max    int64 // -1: over
	}{
		"the first day":              {doubling, "2026-03-01T12:00:00Z", 50},
		"the second":                 {doubling, "2026-03-02T12:00:00Z", 100},
		"the last below full":        {doubling, "2026-03-05T12:00:00Z", 800},
		"full":                       {doubling, "2026-03-06T12:00:00Z", -1},
		"years later":                {doubling, "2126-03-06T12:00:00Z", -1},
		"before the start":           {doubling, "2026-02-01T12:00:00Z", 50},
		"by the zone's day, not UTC": {doubling, "2026-03-01T16:00:00Z", 100},
		"a day of a list":            {listed, "2026-03-03T12:00:00Z", 30},
		"a day of rest":              {listed, "2026-03-02T12:00:00Z", 0},
		"after the list":             {listed, "2026-03-04T12:00:00Z", -1},
		"no warm-up":                 {WarmUp{}, "2026-03-04T12:00:00Z", -1},
	}
	shanghai := zone(t, "Asia/Shanghai")
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339, tt.at)
			if err != nil {
				t.Fatal(err)
			}
			quota, rate, ok := tt.warmUp.Day(at, shanghai)
			if tt.max < 0 {
				if ok {
					t.Fatalf("%+v, want none", quota)
				}
				return
			}
			if !ok || quota.Max != tt.max {
				t.Fatalf("%+v, %v, want %d", quota, ok, tt.max)
			}
			if want := float64(tt.max) / 36_000; rate.PerSecond != want {
				t.Errorf("rate %v, want %v", rate.PerSecond, want)
			}
		})
	}
}

func TestADayIsFromMidnightToMidnight(t *testing.T) {
	tests := map[string]struct{ zone, at, from, until string }{
		"a plain day":              {"Asia/Shanghai", "2026-03-01T12:00:00+08:00", "2026-03-01T00:00:00+08:00", "2026-03-02T00:00:00+08:00"},
		"23 hours":                 {"Europe/Berlin", "2026-03-29T12:00:00+02:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"},
		"25 hours":                 {"Europe/Berlin", "2026-10-25T12:00:00+01:00", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"},
		"midnight is skipped":      {"America/Sao_Paulo", "2018-11-04T12:00:00-02:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"},
		"before a skipped one":     {"America/Sao_Paulo", "2018-11-03T12:00:00-03:00", "2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00"},
		"midnight comes twice":     {"America/Havana", "2026-11-01T12:00:00-05:00", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"},
		"the evening comes twice":  {"America/Sao_Paulo", "2018-02-18T12:00:00-03:00", "2018-02-18T00:00:00-03:00", "2018-02-19T00:00:00-03:00"},
		"the last day of February": {"UTC", "2028-02-29T23:59:59Z", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var at [3]time.Time
			for i, s := range []string{tt.at, tt.from, tt.until} {
				var err error
				if at[i], err = time.Parse(time.RFC3339, s); err != nil {
					t.Fatal(err)
				}
			}
			quota, _, ok := WarmUp{Start: "2018-01-01", Days: make([]int, 10_000), Spread: 8}.Day(at[0], zone(t, tt.zone))
			if !ok || !quota.From.Equal(at[1]) || !quota.Until.Equal(at[2]) {
				t.Errorf("from %s until %s, want %s and %s", quota.From, quota.Until, at[1], at[2])
			}
		})
	}
}

func TestEveryMomentIsInItsDay(t *testing.T) {
	names := []string{"UTC", "Asia/Shanghai", "America/Sao_Paulo", "America/Havana", "Africa/Cairo", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia", "America/Asuncion"}
	rapid.Check(t, func(t *rapid.T) {
		where := zone(t, rapid.SampledFrom(names).Draw(t, "zone"))
		at := time.Unix(rapid.Int64Range(1.0e9, 2.2e9).Draw(t, "at"), 0)
		w := WarmUp{Start: "2000-01-01", First: 1, Growth: 1.0000001, Full: 1_000_000, Spread: 8}
		q, _, ok := w.Day(at, where)
		if !ok {
			t.Fatal("no day")
		}
		if at.Before(q.From) || !at.Before(q.Until) {
			t.Fatalf("%s is not from %s until %s", at.In(where), q.From, q.Until)
		}
		if q.From.In(where).Format(time.DateOnly) != q.Day || q.Until.Add(-time.Nanosecond).In(where).Format(time.DateOnly) != q.Day {
			t.Fatalf("%s is from %s until %s", q.Day, q.From.In(where), q.Until.In(where))
		}
		next, _, ok := w.Day(q.Until, where)
		if !ok || !next.From.Equal(q.Until) || next.Day <= q.Day {
			t.Fatalf("after %+v comes %+v", q, next)
		}
	})
}
