package subscriptions

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestPeriodEnds(t *testing.T) {
	for _, c := range []struct {
		rule, repeats, zone string
		first               string // in the zone
		want                []string
	}{
		{
			"the 31st becomes the month's last day and comes back", "monthly", "Asia/Shanghai", "2026-01-31T09:00:00+08:00",
			[]string{"2026-02-28T09:00:00+08:00", "2026-03-31T09:00:00+08:00", "2026-04-30T09:00:00+08:00", "2026-05-31T09:00:00+08:00"},
		},
		{
			"29 February becomes the 28th and comes back", "yearly", "UTC", "2024-02-29T00:00:00Z",
			[]string{"2025-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z"},
		},
		{
			"a month goes over the year", "monthly", "UTC", "2026-11-30T00:00:00Z",
			[]string{"2026-12-30T00:00:00Z", "2027-01-30T00:00:00Z", "2027-02-28T00:00:00Z"},
		},
		{
			"a day keeps its hour when clocks go forward, though it has none", "daily", "Europe/Berlin", "2026-03-28T02:30:00+01:00",
			[]string{"2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"},
		},
		{
			"a day keeps its hour when clocks go back, the first of two", "daily", "Europe/Berlin", "2026-10-24T02:30:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"},
		},
		{
			"so it is west of Greenwich", "daily", "America/New_York", "2026-03-07T02:30:00-05:00",
			[]string{"2026-03-08T03:30:00-04:00", "2026-03-09T02:30:00-04:00"},
		},
		{
			"and there when clocks go back", "daily", "America/New_York", "2026-10-31T01:30:00-04:00",
			[]string{"2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"},
		},
		{
			"a week keeps its hour too", "weekly", "America/New_York", "2026-03-05T09:00:00-05:00",
			[]string{"2026-03-12T09:00:00-04:00", "2026-03-19T09:00:00-04:00"},
		},
	} {
		t.Run(c.rule, func(t *testing.T) {
			first, err := time.Parse(time.RFC3339, c.first)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range c.want {
				if got := periodEnd(c.repeats, first.UTC(), i+1, zone(t, c.zone)).Format(time.RFC3339); got != want {
					t.Errorf("end %d is %s, want %s", i+1, got, want)
				}
			}
		})
	}
}

func TestNextPeriod(t *testing.T) {
	first := time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC)
	at := func(month time.Month, day, hour int) time.Time {
		return time.Date(2026, month, day, hour, 0, 0, 0, time.UTC)
	}
	for _, c := range []struct {
		rule              string
		until, now        time.Time
		wantFrom, wantEnd time.Time
	}{
		{"at the very end of the first", first, first, first, at(2, 28, 9)},
		{"a moment late", first, at(2, 1, 0), first, at(2, 28, 9)},
		{"from the second, the day comes back", at(2, 28, 9), at(2, 28, 9), at(2, 28, 9), at(3, 31, 9)},
		{"long after, the period that holds now", first, at(6, 15, 0), at(5, 31, 9), at(6, 30, 9)},
		{"long after, at an end exactly", first, at(5, 31, 9), at(5, 31, 9), at(6, 30, 9)},
		{"used up early, the period after", at(2, 28, 9), at(2, 10, 0), at(2, 28, 9), at(3, 31, 9)},
	} {
		t.Run(c.rule, func(t *testing.T) {
			from, end := nextPeriod("monthly", first, c.until, c.now, time.UTC)
			if !from.Equal(c.wantFrom) || !end.Equal(c.wantEnd) {
				t.Errorf("from %s until %s, want from %s until %s", from, end, c.wantFrom, c.wantEnd)
			}
		})
	}
}

// A follow-up always holds now or the moment after, never overlaps the one it
// follows, and chains of them leave no gap while somebody looks in time.
func TestNextPeriodHoldsNow(t *testing.T) {
	zones := []*time.Location{time.UTC, zone(t, "Asia/Shanghai"), zone(t, "Europe/Berlin"), zone(t, "America/St_Johns"), zone(t, "Australia/Lord_Howe")}
	rapid.Check(t, func(t *rapid.T) {
		repeats := rapid.SampledFrom(repetitions[1:]).Draw(t, "repeats")
		z := rapid.SampledFrom(zones).Draw(t, "zone")
		first := time.Unix(rapid.Int64Range(1.7e9, 1.9e9).Draw(t, "first"), 0)
		until, now := first, first
		for range 20 {
			late := time.Duration(rapid.Int64Range(0, int64(100*24*time.Hour)).Draw(t, "late"))
			now = until.Add(late)
			from, end := nextPeriod(repeats, first, until, now, z)
			if from.Before(until) || from.After(now) || !end.After(now) {
				t.Fatalf("after %s, at %s: from %s until %s", until, now, from, end)
			}
			if end.Sub(from) > longest[repeats] {
				t.Fatalf("from %s until %s is longer than %s", from, end, repeats)
			}
			until = end
		}
	})
}
