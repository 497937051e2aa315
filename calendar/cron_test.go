package calendar

import (
	"slices"
	"testing"
	"time"
)

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
		"a date that a zone leaves out is told a day later": {
			"0 9 30 12 *", "Pacific/Apia", "2011-01-01T00:00:00Z",
			[]string{"2011-12-30T19:00:00Z", "2012-12-29T19:00:00Z"},
		},
		"a date that never comes": {"0 0 30 2 *", "UTC", "2026-03-02T00:00:00Z", nil},
		"weekdays":                {"0 9 * * MON", "UTC", "2026-03-02T09:00:00Z", []string{"2026-03-09T09:00:00Z"}},
	}
	for rule, test := range tests {
		t.Run(rule, func(t *testing.T) {
			s := Schedule{Occasion: parse(t, "cron:"+test.cron)}
			got := s.Next(instant(t, test.after), zone(t, test.zone), max(1, len(test.want)))
			if len(got) != len(test.want) {
				t.Fatalf("%v, want %v", got, test.want)
			}
			for i, want := range test.want {
				if !got[i].At.Equal(instant(t, want)) {
					t.Errorf("%s, want %s", got[i].At, want)
				}
			}
		})
	}
}

func TestEveryMinuteOfAChangingDayFiresInOrder(t *testing.T) {
	s := Schedule{Occasion: parse(t, "cron:*/10 * * * *")}
	for _, name := range []string{"America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Shanghai"} {
		for _, day := range []string{"2026-03-08T00:00:00Z", "2026-03-29T00:00:00Z", "2026-04-04T12:00:00Z", "2026-10-03T12:00:00Z", "2026-10-25T00:00:00Z", "2026-11-01T00:00:00Z"} {
			from := instant(t, day)
			last := from
			for _, m := range s.Between(from, from.Add(30*time.Hour), zone(t, name)) {
				if gap := m.At.Sub(last); gap <= 0 || gap > 70*time.Minute+10*time.Minute {
					t.Fatalf("%s: %s comes %s after %s", name, m.At, gap, last)
				}
				last = m.At
			}
			if left := from.Add(30 * time.Hour).Sub(last); left > 80*time.Minute {
				t.Errorf("%s: nothing comes for %s after %s", name, left, last)
			}
		}
	}
}

// Whenever it is asked, also in an hour that comes twice, the next moment is the
// first one after that of all that the wall clock shows about a change.
func TestTheNextMomentIsTheFirstAfterAnyInstantAboutAChange(t *testing.T) {
	for _, spec := range []string{"*/15 * * * *", "30 2 * * *", "20,50 1-3 * * *", "0 0 * * *"} {
		s := Schedule{Occasion: parse(t, "cron:"+spec)}
		for change, name := range map[string]string{
			"2026-03-08T07:00:00Z": "America/New_York", "2026-11-01T06:00:00Z": "America/New_York",
			"2026-03-29T01:00:00Z": "Europe/Berlin", "2026-10-25T01:00:00Z": "Europe/Berlin",
			"2026-04-04T15:00:00Z": "Australia/Lord_Howe", "2026-10-03T15:30:00Z": "Australia/Lord_Howe",
			"2026-04-24T22:00:00Z": "Africa/Cairo", "2026-10-29T21:00:00Z": "Africa/Cairo", // about midnight
		} {
			at, in := instant(t, change), zone(t, name)
			var all []time.Time
			wall := wallClock(at.In(in)).Add(-6 * time.Hour)
			for end := wall.Add(48 * time.Hour); wall.Before(end); wall = s.Occasion.wall.Next(wall) {
				all = append(all, InstantOf(wall, in))
			}
			slices.SortFunc(all, time.Time.Compare)
			for after := at.Add(-3 * time.Hour); after.Before(at.Add(3 * time.Hour)); after = after.Add(5 * time.Minute) {
				i := slices.IndexFunc(all[1:], after.Before) + 1 // the first is no firing, but where it was begun
				got := s.Next(after, in, 1)
				if len(got) != 1 || !got[0].At.Equal(all[i]) {
					t.Errorf("%s in %s after %s: %v, want %s", spec, name, after.In(in), got, all[i].In(in))
				}
			}
		}
	}
}

func TestMomentsOfAScheduleHaveNamesOfTheirOwn(t *testing.T) {
	s := Schedule{Occasion: parse(t, "cron:0 9,21 * * *")}
	got := s.Next(instant(t, "2026-03-02T12:00:00Z"), time.UTC, 2)
	if len(got) != 2 || got[0].Key() != "2026-03-02T21:00" || got[1].Key() != "2026-03-03T09:00" {
		t.Errorf("%v", got)
	}
}
