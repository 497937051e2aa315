package campaigns

import (
	"testing"
	"time"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestScheduleFollowsTheWallClock(t *testing.T) {
	tests := map[string]struct {
		cron, zone, after string
		want              []string
	}{
		"a day is a day of the zone": {"0 9 * * *", "Asia/Shanghai", "2026-03-02T00:59:59Z", []string{"2026-03-02T01:00:00Z", "2026-03-03T01:00:00Z"}},
		"an hour that is left out is told later": {
			"30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z",
			[]string{"2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z"},
		}, // 03:30, then 02:30 in summer time
		"an hour that comes twice is told once": {
			"30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z",
			[]string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"},
		},
		"the second time of an hour is not told": {"30 1 * * *", "America/New_York", "2026-11-01T05:30:00Z", []string{"2026-11-02T06:30:00Z"}},
		"where two walls are one instant, it fires once": {
			"0 2,3 * * *", "America/New_York", "2026-03-08T05:00:00Z",
			[]string{"2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"},
		},
		"the earlier instant comes first, though its wall is later": {
			"45 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z",
			[]string{"2026-10-03T15:45:00Z", "2026-10-04T15:45:00Z"},
		},
		"a date that never comes": {"0 0 30 2 *", "UTC", "2026-03-02T00:00:00Z", nil},
		"weekdays":                {"0 9 * * MON", "UTC", "2026-03-02T09:00:00Z", []string{"2026-03-09T09:00:00Z"}},
	}
	for rule, test := range tests {
		t.Run(rule, func(t *testing.T) {
			w := When{Cron: test.cron, TimeZone: test.zone}
			after := at(t, test.after)
			for _, want := range test.want {
				next, err := w.nextFiring(after)
				if err != nil || !next.Equal(at(t, want)) {
					t.Fatalf("after %s: %s, %v; want %s", after, next.Format(time.RFC3339), err, want)
				}
				after = next
			}
			if test.want == nil {
				if next, err := w.nextFiring(after); err != nil || !next.IsZero() {
					t.Errorf("it comes at %s, %v", next, err)
				}
			}
		})
	}
}

func TestEveryMinuteOfAChangingDayFiresInOrder(t *testing.T) {
	for _, zone := range []string{"America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Shanghai"} {
		for _, day := range []string{"2026-03-08T00:00:00Z", "2026-03-29T00:00:00Z", "2026-04-04T12:00:00Z", "2026-10-03T12:00:00Z", "2026-10-25T00:00:00Z", "2026-11-01T00:00:00Z"} {
			w := When{Cron: "*/10 * * * *", TimeZone: zone}
			from := at(t, day)
			for last := from; last.Sub(from) < 30*time.Hour; {
				next, err := w.nextFiring(last)
				if err != nil {
					t.Fatal(err)
				}
				if gap := next.Sub(last); gap <= 0 || gap > 70*time.Minute+10*time.Minute {
					t.Fatalf("%s: %s comes %s after %s", zone, next, gap, last)
				}
				last = next
			}
		}
	}
}

func TestBirthdaysOnADate(t *testing.T) {
	for date, want := range map[string]string{
		"2026-02-27": "[227]", "2026-02-28": "[228 229]", "2028-02-28": "[228]", "2028-02-29": "[229]",
		"2026-03-01": "[301]", "2100-02-28": "[228 229]", "2026-12-31": "[1231]",
	} {
		day, err := time.Parse(time.DateOnly, date)
		if err != nil {
			t.Fatal(err)
		}
		if got := birthdaysOn(day); sprint(got) != want {
			t.Errorf("%s: %v, want %s", date, got, want)
		}
	}
}

func TestHourOfADate(t *testing.T) {
	tests := []struct{ hour, date, zone, want string }{
		{"09:00", "2026-03-02", "Asia/Shanghai", "2026-03-02T01:00:00Z"},
		{"09:00", "2026-03-02", "Pacific/Kiritimati", "2026-03-01T19:00:00Z"},
		{"09:00", "2026-03-02", "Pacific/Pago_Pago", "2026-03-02T20:00:00Z"},
		{"02:30", "2026-03-08", "America/New_York", "2026-03-08T07:30:00Z"},
		{"01:30", "2026-11-01", "America/New_York", "2026-11-01T05:30:00Z"},
		{"00:30", "2026-09-06", "America/Santiago", "2026-09-06T04:30:00Z"}, // midnight is left out
	}
	for _, test := range tests {
		zone, err := time.LoadLocation(test.zone)
		if err != nil {
			t.Fatal(err)
		}
		date, err := time.Parse(time.DateOnly, test.date)
		if err != nil {
			t.Fatal(err)
		}
		got, err := When{Hour: test.hour}.hourOn(date, zone)
		if err != nil || !got.Equal(at(t, test.want)) {
			t.Errorf("%s on %s in %s: %s, %v; want %s", test.hour, test.date, test.zone, got, err, test.want)
		}
	}
}

func TestNextLookKeepsTheMinutesOfTheHour(t *testing.T) {
	for _, test := range []struct{ hour, after, want string }{
		{"09:00", "2026-03-02T09:00:00Z", "2026-03-02T09:15:00Z"},
		{"09:10", "2026-03-02T09:00:00Z", "2026-03-02T09:10:00Z"},
		{"09:10", "2026-03-02T09:10:00Z", "2026-03-02T09:25:00Z"},
		{"09:20", "2026-03-02T09:00:00Z", "2026-03-02T09:05:00Z"},
	} {
		got, err := When{Hour: test.hour}.nextLook(at(t, test.after))
		if err != nil || !got.Equal(at(t, test.want)) {
			t.Errorf("%s after %s: %s, %v; want %s", test.hour, test.after, got, err, test.want)
		}
	}
}
