package timing

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"herald/problem"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func clock(hour, minute int) int { return hour*60 + minute }

// at reads a moment with its offset.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

var (
	night = Quiet{From: clock(22, 0), Until: clock(8, 0)}
	early = Quiet{From: clock(22, 0), Until: clock(2, 30)} // ends where clocks are moved
)

func TestQuietHoursEnd(t *testing.T) {
	for name, c := range map[string]struct {
		zone  string
		quiet Quiet
		at    string
		until string // empty: not quiet
	}{
		"over midnight, before it":               {"Asia/Shanghai", night, "2026-03-02T23:15:00+08:00", "2026-03-03T08:00:00+08:00"},
		"over midnight, after it":                {"Asia/Shanghai", night, "2026-03-03T00:00:00+08:00", "2026-03-03T08:00:00+08:00"},
		"the first minute is quiet":              {"Asia/Shanghai", night, "2026-03-02T22:00:00+08:00", "2026-03-03T08:00:00+08:00"},
		"the moment before it is not":            {"Asia/Shanghai", night, "2026-03-02T21:59:59.999999999+08:00", ""},
		"the minute Until is not":                {"Asia/Shanghai", night, "2026-03-03T08:00:00+08:00", ""},
		"the moment before it is":                {"Asia/Shanghai", night, "2026-03-03T07:59:59.999999999+08:00", "2026-03-03T08:00:00+08:00"},
		"a siesta":                               {"Europe/Berlin", Quiet{clock(12, 30), clock(14, 0)}, "2026-06-01T13:00:00+02:00", "2026-06-01T14:00:00+02:00"},
		"equal ones are none":                    {"Europe/Berlin", Quiet{clock(7, 0), clock(7, 0)}, "2026-06-01T07:00:00+02:00", ""},
		"the zero value is none":                 {"Europe/Berlin", Quiet{}, "2026-06-01T00:00:00+02:00", ""},
		"until midnight":                         {"Europe/Berlin", Quiet{clock(20, 0), 0}, "2026-06-01T23:59:00+02:00", "2026-06-02T00:00:00+02:00"},
		"three quarters of an hour off":          {"Asia/Kathmandu", night, "2026-03-02T16:20:00Z", "2026-03-03T02:15:00Z"},
		"a night an hour shorter":                {"Europe/Berlin", night, "2026-03-28T23:00:00+01:00", "2026-03-29T08:00:00+02:00"},
		"a night an hour longer":                 {"Europe/Berlin", night, "2026-10-24T23:00:00+02:00", "2026-10-25T08:00:00+01:00"},
		"the end is left out: when clocks move":  {"Europe/Berlin", early, "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		"the end comes twice: the first one":     {"Europe/Berlin", early, "2026-10-25T02:29:00+02:00", "2026-10-25T02:30:00+02:00"},
		"the hour that comes again is quiet too": {"Europe/Berlin", early, "2026-10-25T02:10:00+01:00", "2026-10-25T02:30:00+01:00"},
		"all quiet hours are left out":           {"Europe/Berlin", Quiet{clock(2, 0), clock(3, 0)}, "2026-03-29T03:00:00+02:00", ""},
		"clocks move into quiet hours":           {"Europe/Berlin", Quiet{clock(2, 30), clock(2, 45)}, "2026-10-25T02:40:00+01:00", "2026-10-25T02:45:00+01:00"},
		"midnight is left out":                   {"America/Sao_Paulo", Quiet{clock(21, 0), 0}, "2018-11-03T23:30:00-03:00", "2018-11-04T01:00:00-02:00"},
		"an hour before midnight comes twice":    {"America/Sao_Paulo", Quiet{clock(23, 0), clock(6, 0)}, "2018-02-17T23:30:00-02:00", "2018-02-18T06:00:00-03:00"},
		"a whole day is left out":                {"Pacific/Apia", night, "2011-12-29T23:00:00-10:00", "2011-12-31T08:00:00+14:00"},
		"clocks move by two hours":               {"Antarctica/Troll", early, "2026-03-29T00:30:00Z", "2026-03-29T03:00:00+02:00"},
	} {
		t.Run(name, func(t *testing.T) {
			moment := at(t, c.at)
			until, quiet := EndOfQuiet(moment, zone(t, c.zone), c.quiet)
			if want := c.until != ""; quiet != want {
				t.Fatalf("quiet is %t, until %s, want %t", quiet, until, want)
			}
			want := moment
			if c.until != "" {
				want = at(t, c.until)
			}
			if !until.Equal(want) {
				t.Errorf("until %s, want %s", until, want)
			}
		})
	}
}

func TestDigestsAreDue(t *testing.T) {
	for name, c := range map[string]struct {
		zone string
		kind Digest
		hour int
		at   string
		due  string
	}{
		"no digest: at once":                     {"Asia/Shanghai", "", 9, "2026-03-02T10:20:00+08:00", "2026-03-02T10:20:00+08:00"},
		"hourly":                                 {"Asia/Shanghai", Hourly, 9, "2026-03-02T10:20:00+08:00", "2026-03-02T11:00:00+08:00"},
		"a full hour is now":                     {"Asia/Shanghai", Hourly, 9, "2026-03-02T10:00:00+08:00", "2026-03-02T10:00:00+08:00"},
		"the member's full hour":                 {"Asia/Kathmandu", Hourly, 9, "2026-03-02T10:20:00Z", "2026-03-02T11:15:00Z"},
		"half an hour is left out":               {"Australia/Lord_Howe", Hourly, 9, "2026-10-04T01:40:00+10:30", "2026-10-04T03:00:00+11:00"},
		"daily, before the hour":                 {"Asia/Shanghai", Daily, 9, "2026-03-02T08:59:00+08:00", "2026-03-02T09:00:00+08:00"},
		"daily, at the hour":                     {"Asia/Shanghai", Daily, 9, "2026-03-02T09:00:00+08:00", "2026-03-02T09:00:00+08:00"},
		"daily, after it: tomorrow":              {"Asia/Shanghai", Daily, 9, "2026-03-02T09:00:01+08:00", "2026-03-03T09:00:00+08:00"},
		"daily, over the end of a year":          {"Asia/Shanghai", Daily, 0, "2026-12-31T12:00:00+08:00", "2027-01-01T00:00:00+08:00"},
		"the hour is left out: when clocks move": {"Europe/Berlin", Daily, 2, "2026-03-28T12:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		"and only then":                          {"Europe/Berlin", Daily, 2, "2026-03-29T03:00:01+02:00", "2026-03-30T02:00:00+02:00"},
		"the hour comes twice: the first":        {"Europe/Berlin", Daily, 2, "2026-10-24T12:00:00+02:00", "2026-10-25T02:00:00+02:00"},
		"and not again":                          {"Europe/Berlin", Daily, 2, "2026-10-25T02:00:00+01:00", "2026-10-26T02:00:00+01:00"},
		"midnight is left out":                   {"America/Sao_Paulo", Daily, 0, "2018-11-03T12:00:00-03:00", "2018-11-04T01:00:00-02:00"},
		"the last hour before midnight twice":    {"America/Sao_Paulo", Daily, 23, "2018-02-17T23:00:00-03:00", "2018-02-18T23:00:00-03:00"},
		"the last hour of a day is left out":     {"America/Nuuk", Daily, 23, "2024-03-30T12:00:00-02:00", "2024-03-31T00:00:00-01:00"},
		"a day that is left out has none":        {"Pacific/Apia", Daily, 9, "2011-12-29T10:00:00-10:00", "2011-12-31T09:00:00+14:00"},
		"clocks move by two hours":               {"Antarctica/Troll", Daily, 2, "2026-03-28T12:00:00Z", "2026-03-29T03:00:00+02:00"},
	} {
		t.Run(name, func(t *testing.T) {
			if due := DigestAt(at(t, c.at), c.kind, c.hour, zone(t, c.zone)); !due.Equal(at(t, c.due)) {
				t.Errorf("due %s, want %s", due, c.due)
			}
		})
	}
}

func TestWishesAreKeptTogether(t *testing.T) {
	berlin := "Europe/Berlin"
	for name, c := range map[string]struct {
		zone   string
		quiet  Quiet
		digest Digest
		hour   int
		at     string
		want   string
		reason Reason
		shift  bool
	}{
		"nothing asked: at once":              {berlin, Quiet{}, "", 9, "2026-06-01T23:00:00+02:00", "2026-06-01T23:00:00+02:00", "", false},
		"quiet hours alone":                   {berlin, night, "", 9, "2026-06-01T23:00:00+02:00", "2026-06-02T08:00:00+02:00", QuietHours, true},
		"by day at once":                      {berlin, night, "", 9, "2026-06-01T12:00:00+02:00", "2026-06-01T12:00:00+02:00", "", false},
		"hourly by day":                       {berlin, night, Hourly, 9, "2026-06-01T12:10:00+02:00", "2026-06-01T13:00:00+02:00", NextDigest, false},
		"hourly at the full hour":             {berlin, night, Hourly, 9, "2026-06-01T12:00:00+02:00", "2026-06-01T12:00:00+02:00", "", false},
		"hourly, due when it becomes quiet":   {berlin, night, Hourly, 9, "2026-06-01T21:10:00+02:00", "2026-06-02T08:00:00+02:00", NextDigest, true},
		"hourly in the night: at its end":     {berlin, Quiet{clock(22, 0), clock(7, 30)}, Hourly, 9, "2026-06-01T23:10:00+02:00", "2026-06-02T07:30:00+02:00", NextDigest, true},
		"hourly, quiet hours without a due":   {berlin, Quiet{clock(12, 10), clock(12, 20)}, Hourly, 9, "2026-06-01T12:15:00+02:00", "2026-06-01T13:00:00+02:00", NextDigest, false},
		"hourly at that end":                  {berlin, Quiet{clock(22, 0), clock(7, 30)}, Hourly, 9, "2026-06-02T07:30:00+02:00", "2026-06-02T07:30:00+02:00", "", false},
		"daily by day":                        {berlin, night, Daily, 9, "2026-06-01T23:00:00+02:00", "2026-06-02T09:00:00+02:00", NextDigest, false},
		"daily in quiet hours: at their end":  {berlin, night, Daily, 6, "2026-06-01T23:00:00+02:00", "2026-06-02T08:00:00+02:00", NextDigest, true},
		"daily between its hour and that end": {berlin, night, Daily, 6, "2026-06-02T07:00:00+02:00", "2026-06-02T08:00:00+02:00", NextDigest, true},
		"daily at that end":                   {berlin, night, Daily, 6, "2026-06-02T08:00:00+02:00", "2026-06-02T08:00:00+02:00", "", false},
		"daily after that end":                {berlin, night, Daily, 6, "2026-06-02T08:00:01+02:00", "2026-06-03T08:00:00+02:00", NextDigest, true},
		"daily, clocks move in the night":     {berlin, early, Daily, 2, "2026-03-28T12:00:00+01:00", "2026-03-29T03:00:00+02:00", NextDigest, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := Wishes{Zone: zone(t, c.zone), Quiet: c.quiet, Digest: c.digest, Hour: c.hour}.Next(at(t, c.at))
			if !got.At.Equal(at(t, c.want)) || got.Reason != c.reason || got.Quiet != c.shift {
				t.Errorf("got %s for %q, shifted %t; want %s for %q, %t", got.At, got.Reason, got.Quiet, c.want, c.reason, c.shift)
			}
		})
	}
}

// Go's own bounds of that day end before it (calendar.NextChange).
func TestTheLastDayOfALeapYearPasses(t *testing.T) {
	for _, name := range realZones {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for hour := -30; hour < 60; hour++ {
			at := time.Date(2040, time.December, 31, hour, 0, 0, 0, time.UTC)
			night := Quiet{From: 22 * 60, Until: 8 * 60}
			until, quiet := EndOfQuiet(at, zone, night)
			if late := clockOf(at.In(zone)); quiet != night.contains(late) || quiet && clockOf(until.In(zone)) != 8*time.Hour {
				t.Errorf("%s: at %s it is quiet, %t, until %s", name, at.In(zone), quiet, until.In(zone))
			}
			for kind, longest := range map[Digest]time.Duration{Hourly: time.Hour, Daily: 24 * time.Hour} {
				due := DigestAt(at, kind, 9, zone)
				if clock := clockOf(due.In(zone)); due.Before(at) || due.Sub(at) >= longest || clock%time.Hour != 0 || kind == Daily && clock != 9*time.Hour {
					t.Errorf("%s: the %s digest after %s is due at %s", name, kind, at.In(zone), due.In(zone))
				}
			}
		}
	}
}

var realZones = []string{
	"UTC", "Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Antarctica/Troll",
	"Australia/Lord_Howe", "America/Nuuk", "America/Havana", "Pacific/Kiritimati", "Africa/Casablanca",
}

// drawMoment is a moment of the years 2010 to 2029, often near a change of clocks.
func drawMoment(t *rapid.T, z *time.Location) time.Time {
	start := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	end := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	moment := time.Unix(rapid.Int64Range(start, end).Draw(t, "at"), 0).In(z)
	if _, moved := moment.ZoneBounds(); !moved.IsZero() && rapid.Bool().Draw(t, "near a change") {
		moment = moved.Add(time.Duration(rapid.IntRange(-30*3600, 30*3600).Draw(t, "off")) * time.Second)
	}
	return moment
}

func drawWishes(t *rapid.T) Wishes {
	w := Wishes{
		Quiet:  Quiet{From: rapid.IntRange(0, MinutesOfDay-1).Draw(t, "from"), Until: rapid.IntRange(0, MinutesOfDay-1).Draw(t, "until")},
		Digest: rapid.SampledFrom([]Digest{"", Hourly, Daily}).Draw(t, "digest"),
		Hour:   rapid.IntRange(0, 23).Draw(t, "hour"),
	}
	zone, err := time.LoadLocation(rapid.SampledFrom(realZones).Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	w.Zone = zone
	return w
}

func TestTheNextMomentIsSoonAndNeverQuietAndStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWishes(t)
		ready := drawMoment(t, w.Zone)
		next := w.Next(ready)
		if next.At.Before(ready) || next.At.Sub(ready) > 48*time.Hour {
			t.Fatalf("%s from %s on is not within two days", next.At, ready)
		}
		if until, quiet := EndOfQuiet(next.At, w.Zone, w.Quiet); quiet {
			t.Fatalf("%s is quiet until %s", next.At, until)
		}
		if again := w.Next(next.At); !again.At.Equal(next.At) || again.Reason != "" {
			t.Fatalf("asked at %s it names %s for %q", next.At, again.At, again.Reason)
		}
		if waits := next.At.After(ready); waits != (next.Reason != "") {
			t.Fatalf("from %s to %s for %q", ready, next.At, next.Reason)
		}
		later := w.Next(ready.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "later")) * time.Second))
		if later.At.Before(next.At) {
			t.Fatalf("what is ready later goes earlier: %s, not %s", later.At, next.At)
		}
	})
}

// The rule itself: a moment is quiet when the clock shows a quiet minute, and
// the end is the first one that is not.
func TestQuietHoursAreWhatTheClockShows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWishes(t)
		moment := drawMoment(t, w.Zone).Truncate(time.Minute)
		shown := func(m time.Time) bool {
			local := m.In(w.Zone)
			minute := clock(local.Hour(), local.Minute())
			for q := w.Quiet.From; q != w.Quiet.Until; q = (q + 1) % MinutesOfDay {
				if q == minute {
					return true
				}
			}
			return false
		}
		until, quiet := EndOfQuiet(moment, w.Zone, w.Quiet)
		if quiet != shown(moment) {
			t.Fatalf("%s: quiet is %t", moment, quiet)
		}
		want := moment
		for shown(want) {
			want = want.Add(time.Minute)
		}
		if !until.Equal(want) {
			t.Fatalf("%s is quiet until %s, want %s", moment, until, want)
		}
	})
}

func TestAnUnknownZoneIsUTC(t *testing.T) {
	var zones Zones
	for _, name := range []string{"Mars/Olympus", "Local", "", "UTC", "../etc/passwd"} {
		if z := zones.Of(name); z != time.UTC && z.String() != "UTC" {
			t.Errorf("%q is %s", name, z)
		}
	}
	if z := zones.Of("Asia/Kathmandu"); z.String() != "Asia/Kathmandu" || zones.Of("Asia/Kathmandu") != z {
		t.Errorf("Asia/Kathmandu is %s, or another the second time", z)
	}
	moment := at(t, "2026-06-01T23:00:00Z")
	if until, quiet := EndOfQuiet(moment, nil, night); !quiet || !until.Equal(at(t, "2026-06-02T08:00:00Z")) {
		t.Errorf("without a zone it is quiet (%t) until %s", quiet, until)
	}
	if next := (Wishes{Digest: Daily, Hour: 9}).Next(moment); !next.At.Equal(at(t, "2026-06-02T09:00:00Z")) {
		t.Errorf("without a zone the digest is due %s", next.At)
	}
}

func TestQuietHoursOutsideTheDayAreRefused(t *testing.T) {
	if err := night.Check(); err != nil {
		t.Error(err)
	}
	for _, q := range []Quiet{{From: -1}, {Until: MinutesOfDay}, {From: 2000, Until: -5}} {
		if err := q.Check(); problem.CodeOf(err) != problem.Invalid {
			t.Errorf("%v: %v", q, err)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	w := Wishes{Zone: zone(b, "Europe/Berlin"), Quiet: night}
	moment := at(b, "2026-06-01T23:00:00+02:00")
	for _, digest := range []Digest{"", Hourly, Daily} {
		w.Digest = digest
		b.Run("digest="+string(digest), func(b *testing.B) {
			for b.Loop() {
				w.Next(moment)
			}
		})
	}
}
