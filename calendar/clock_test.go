package calendar

import (
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"pgregory.net/rapid"
)

// transitions are the instants from 1990 to 2040 at which a zone's clock is
// changed.
func transitions(zone *time.Location) []time.Time {
	end := time.Date(2040, time.January, 1, 0, 0, 0, 0, time.UTC)
	var list []time.Time
	for at := time.Date(1990, time.January, 1, 0, 0, 0, 0, zone); ; {
		_, next := at.ZoneBounds()
		if next.IsZero() || next.After(end) {
			return list
		}
		list = append(list, next)
		at = next
	}
}

// shows reports whether the clock of a zone ever shows a date.
func shows(date Date, zone *time.Location) bool {
	for at := date.midnight().Add(-15 * time.Hour); at.Before(date.midnight().Add(40 * time.Hour)); at = at.Add(15 * time.Minute) {
		if DateOf(at.In(zone)) == date {
			return true
		}
	}
	return false
}

// firstShown is the first instant, by minutes, at which the clock of a zone
// shows a wall clock; found by looking at every minute.
func firstShown(wall time.Time, zone *time.Location) (time.Time, bool) {
	for at := wall.Add(-16 * time.Hour); at.Before(wall.Add(16 * time.Hour)); at = at.Add(time.Minute) {
		if wallClock(at.In(zone)).Equal(wall) {
			return at, true
		}
	}
	return time.Time{}, false
}

func TestNoDateIsTooEarlyOrTooLateInAnyZone(t *testing.T) {
	names := lines(t, "zones.txt")
	checked := 0
	for _, name := range names {
		location := zone(t, name)
		for _, change := range transitions(location) {
			for day := -1; day <= 1; day++ {
				date := DateOf(change.In(location)).AddDays(day)
				for _, minute := range []int{0, 1, 30, 59, 60, 61, 119, 120, 150, 180, 9 * 60, 12 * 60, 22*60 + 30, 23*60 + 30, 24*60 - 1} {
					at := onDate(date, minute, location)
					checked++
					if DateOf(at.In(location)) == date {
						continue
					}
					if shows(date, location) {
						t.Errorf("%s: %02d:%02d of %s is told at %s", name, minute/60, minute%60, date, at.In(location))
					} else if DateOf(at.In(location)) != date.AddDays(1) {
						t.Errorf("%s left %s out, and tells it on %s", name, date, at.In(location))
					}
				}
			}
		}
	}
	t.Logf("%d hours of %d zones", checked, len(names))
	if checked < 100_000 {
		t.Errorf("only %d hours were looked at", checked)
	}
}

func TestHoursOfADate(t *testing.T) {
	tests := map[string]struct{ hour, date, zone, want string }{
		"ahead of the world": {"09:00", "2026-03-02", "Pacific/Kiritimati", "2026-03-01T19:00:00Z"},
		"behind the world":   {"09:00", "2026-03-02", "Etc/GMT+12", "2026-03-02T21:00:00Z"},
		"a half hour":        {"09:00", "2026-03-02", "Asia/Kolkata", "2026-03-02T03:30:00Z"},
		"three quarters":     {"09:00", "2026-03-02", "Pacific/Chatham", "2026-03-01T19:15:00Z"},
		"an hour that is left out is told as much later": {"02:30", "2026-03-08", "America/New_York", "2026-03-08T07:30:00Z"},
		"an hour that comes twice is told once":          {"01:30", "2026-11-01", "America/New_York", "2026-11-01T05:30:00Z"},
		"midnight is left out":                           {"00:30", "2026-09-06", "America/Santiago", "2026-09-06T04:30:00Z"},
		"a change of half an hour":                       {"02:15", "2026-10-04", "Australia/Lord_Howe", "2026-10-03T15:45:00Z"},
		"the last hour is left out, and is told earlier": {"23:30", "2025-03-29", "America/Scoresbysund", "2025-03-30T00:30:00Z"},
		"Samoa had no 30 December 2011":                  {"09:00", "2011-12-30", "Pacific/Apia", "2011-12-30T19:00:00Z"},
		"the day after in Samoa is told with it":         {"09:00", "2011-12-31", "Pacific/Apia", "2011-12-30T19:00:00Z"},
		"the day before in Samoa":                        {"23:59", "2011-12-29", "Pacific/Apia", "2011-12-30T09:59:00Z"},
		"Kwajalein had no 21 August 1993":                {"09:00", "1993-08-21", "Pacific/Kwajalein", "1993-08-21T21:00:00Z"},
		"Kiritimati had no 31 December 1994":             {"09:00", "1994-12-31", "Pacific/Kiritimati", "1994-12-31T19:00:00Z"},
	}
	for name, test := range tests {
		minute, err := ParseHour(test.hour)
		if err != nil {
			t.Fatal(err)
		}
		date, err := ParseDate(test.date)
		if err != nil {
			t.Fatal(err)
		}
		if got := onDate(date, minute, zone(t, test.zone)); !got.Equal(instant(t, test.want)) {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestEveryShownMinuteIsToldWhenItIsFirstShown(t *testing.T) {
	names := lines(t, "zones.txt")
	rapid.Check(t, func(t *rapid.T) {
		location, err := LoadZone(rapid.SampledFrom(names).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		near := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 50*365*24*60).Draw(t, "minute")) * time.Minute)
		if changes := transitions(location); len(changes) > 0 && rapid.Bool().Draw(t, "near a change") {
			near = rapid.SampledFrom(changes).Draw(t, "change").Add(time.Duration(rapid.IntRange(-26*60, 26*60).Draw(t, "off")) * time.Minute)
		}
		wall := wallClock(near.In(location)).Truncate(time.Minute)
		got := InstantOf(wall, location)
		want, shown := firstShown(wall, location)
		if shown && !got.Equal(want) {
			t.Fatalf("%s in %s: %s, want %s", wall, location, got, want)
		}
		if !shown {
			t.Fatalf("%s was shown in %s", wall, location)
		}
	})
}

// Go's own bounds of that day end before it.
func TestTheLastDayOfALeapYearPasses(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Shanghai"} {
		location := zone(t, name)
		for hour := -30; hour < 60; hour++ {
			wall := time.Date(2040, time.December, 31, hour, 30, 0, 0, time.UTC)
			if next := NextChange(wall.In(location)); !next.IsZero() && !next.After(wall) {
				t.Fatalf("%s: after %s the clock is changed at %s", name, wall, next)
			}
			if at := InstantOf(wall, location); !wallClock(at.In(location)).Equal(wall) {
				t.Errorf("%s: %s is told at %s", name, wall, at.In(location))
			}
		}
	}
}

func TestBetweenAndNextAgreeInAnyZone(t *testing.T) {
	names := lines(t, "zones.txt")
	specs := []string{"birthday", "02-29", "spring_festival", "qingming", "easter+39", "last monday of may", "cron:30 2 * * *", "cron:0 0,12 1 * *", "lunar:12-30", "2031-05-06"}
	rapid.Check(t, func(t *rapid.T) {
		location, err := LoadZone(rapid.SampledFrom(names).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		o, err := Parse(rapid.SampledFrom(specs).Draw(t, "occasion"))
		if err != nil {
			t.Fatal(err)
		}
		s := Schedule{
			Occasion: o, Minute: rapid.IntRange(0, 1439).Draw(t, "minute"), Lead: rapid.IntRange(0, 30).Draw(t, "lead"),
			LeapDay: rapid.SampledFrom([]LeapDay{"", February28, March1}).Draw(t, "leap day"),
		}
		after := time.Date(2005, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 25*365*24*60).Draw(t, "after")) * time.Minute)
		next := s.Next(after, location, 4)
		if len(next) == 0 {
			return
		}
		until := next[len(next)-1].At
		between := s.Between(after, until, location)
		if len(between) < len(next) {
			t.Fatalf("%v between, %v next", between, next)
		}
		// Cut anywhere, the parts are the whole: nothing is told twice or left out.
		middle := after.Add(time.Duration(rapid.Int64Range(0, int64(until.Sub(after))).Draw(t, "middle")))
		parts := append(s.Between(after, middle, location), s.Between(middle, until, location)...)
		if len(parts) != len(between) {
			t.Fatalf("in parts %v, whole %v", parts, between)
		}
		for i, m := range between {
			if i < len(next) && m != next[i] || m != parts[i] {
				t.Fatalf("moment %d: %v, next %v, in parts %v", i, m, next[min(i, len(next)-1)], parts[i])
			}
			if shown := DateOf(m.At.In(location)); m.Hour == "" && shown != m.Date.AddDays(-s.Lead) && shows(m.Date.AddDays(-s.Lead), location) {
				t.Fatalf("%s is told on %s, %d days before", m.Date, shown, s.Lead)
			}
		}
	})
}

func TestZonesThatAreNone(t *testing.T) {
	for _, name := range []string{"Local", "local", "Mars/Olympus"} {
		if _, err := LoadZone(name); err == nil {
			t.Errorf("%s is a zone", name)
		}
	}
}

func TestHoursThatAreNone(t *testing.T) {
	for _, hour := range []string{"", "24:00", "9", "09:00:00", "-1:00"} {
		if minute, err := ParseHour(hour); err == nil {
			t.Errorf("%q is minute %d", hour, minute)
		}
	}
	if minute, err := ParseHour("23:59"); err != nil || minute != 1439 {
		t.Errorf("23:59 is %d, %v", minute, err)
	}
}
