package subscriptions

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/calendar"
	"herald/matcher/predicate"
)

// on is a trigger on dates.
func on(occasion, condition string, params ...Param) Trigger {
	t := birthday()
	t.Dates.Occasion, t.Condition, t.Params = occasion, condition, params
	return t.completed()
}

func TestTheNextDatesOfASubscriber(t *testing.T) {
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	wei := predicate.Member{Account: "wei", TimeZone: "Asia/Shanghai", Birthday: "02-29"}
	text := Param{Name: "date", Type: "string"}
	which := Param{Name: "which", Type: "strings"}
	tests := map[string]struct {
		trigger Trigger
		member  predicate.Member
		params  map[string]any
		want    []string
	}{
		"a birthday": {
			on("birthday", "event.zone == member.time_zone && event.day == member.birthday"), wei, nil,
			[]string{"2027-02-28 01:00", "2028-02-29 01:00", "2029-02-28 01:00"},
		},
		"nobody told a birthday": {
			on("birthday", "event.zone == member.time_zone && event.day == member.birthday"), predicate.Member{TimeZone: "UTC"}, nil, nil,
		},
		"a date of one's own": {
			on("daily", "event.zone == member.time_zone && event.date == param.date", text), wei,
			map[string]any{"date": "2026-04-05"},
			[]string{"2026-04-05 01:00"},
		},
		"a date that has passed": {
			on("daily", "event.zone == member.time_zone && event.date == param.date", text), wei, map[string]any{"date": "2025-04-05"}, nil,
		},
		"some festivals of several": {
			on("qixi, mid_autumn, double_ninth", "event.zone == member.time_zone && event.occasion in param.which", which), wei,
			map[string]any{"which": []string{"qixi", "double_ninth"}},
			[]string{"2026-08-19 01:00", "2026-10-18 01:00", "2027-08-08 01:00"},
		},
		"a zone that this machine does not know": {
			on("2026-05-01", "event.zone == member.time_zone"),
			predicate.Member{TimeZone: "Mars/Olympus"},
			nil,
			[]string{"2026-05-01 09:00"},
		},
	}
	for name, test := range tests {
		s, err := test.trigger.Dates.Schedule()
		if err != nil {
			t.Fatal(err)
		}
		moments, err := test.trigger.NextDates(s, test.member, test.params, from, 3)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		for _, m := range moments {
			got = append(got, m.At.Format("2006-01-02 15:04"))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if list, err := priceDrop(t).NextDates(calendar.Schedule{}, wei, nil, from, 3); len(list) > 0 || err != nil {
		t.Errorf("a trigger without dates: %v, %v", list, err)
	}
}

func TestEventsOfADate(t *testing.T) {
	s, err := birthday().Dates.Schedule()
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 2, 27, 12, 0, 0, 0, time.UTC)
	moments := s.Next(from, time.UTC, 1)
	want := []DateEvent{
		{"UTC/2026-02-28", map[string]any{"zone": "UTC", "date": "2026-02-28", "day": "02-28", "occasion": "daily"}},
		{"UTC/2026-02-28/02-29", map[string]any{"zone": "UTC", "date": "2026-02-28", "day": "02-29", "occasion": "daily"}},
	}
	if diff := cmp.Diff(want, DateEvents(s, moments[0], "UTC")); diff != "" {
		t.Error(diff)
	}
	listed := on("qixi, 08-19", "event.zone == member.time_zone")
	if s, err = listed.Dates.Schedule(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range s.Next(from, time.UTC, 2) {
		for _, e := range DateEvents(s, m, "UTC") {
			ids = append(ids, e.ID)
		}
	}
	if diff := cmp.Diff([]string{"UTC/2026-08-19/qixi", "UTC/2026-08-19/08-19"}, ids); diff != "" {
		t.Errorf("two of one date: %s", diff)
	}
}
