package campaigns

import (
	"testing"
	"time"

	"herald/calendar"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDaysOfTheYearKeptOnADate(t *testing.T) {
	for date, want := range map[string]string{
		"2026-02-27": "[227]", "2026-02-28": "[228 229]", "2028-02-28": "[228]", "2028-02-29": "[229]",
		"2026-03-01": "[301]", "2100-02-28": "[228 229]", "2026-12-31": "[1231]",
	} {
		day, err := calendar.ParseDate(date)
		if err != nil {
			t.Fatal(err)
		}
		if got := daysOf("", day); sprint(got) != want {
			t.Errorf("%s: %v, want %s", date, got, want)
		}
	}
	if got := daysOf(calendar.March1, calendar.Date{Year: 2026, Month: time.March, Day: 1}); sprint(got) != "[301 229]" {
		t.Errorf("on 1 March: %v", got)
	}
}

func TestNextLook(t *testing.T) {
	for _, test := range []struct{ occasion, hour, after, want string }{
		{Birthday, "09:00", "2026-03-02T09:00:00Z", "2026-03-02T09:15:00Z"},
		{Birthday, "09:10", "2026-03-02T09:00:00Z", "2026-03-02T09:10:00Z"},
		{Birthday, "09:10", "2026-03-02T09:10:00Z", "2026-03-02T09:25:00Z"},
		{Birthday, "09:20", "2026-03-02T09:00:00Z", "2026-03-02T09:05:00Z"},
		{"03-05", "09:00", "2026-03-02T09:00:00Z", "2026-03-04T19:00:00Z"}, // where it comes first
		{"03-05", "09:00", "2026-03-04T19:00:00Z", "2026-03-04T19:15:00Z"},
		{"03-05", "09:00", "2026-03-05T21:00:00Z", "2026-03-05T21:15:00Z"}, // where it comes last
		{"03-05", "09:00", "2026-03-06T00:00:00Z", "2027-03-04T19:00:00Z"},
		{"mid_autumn", "09:00", "2026-03-06T00:00:00Z", "2026-09-24T19:00:00Z"},
	} {
		s, err := When{Occasion: test.occasion, Hour: test.hour}.schedule()
		if err != nil {
			t.Fatal(err)
		}
		if got := nextLook(s, at(t, test.after)); !got.Equal(at(t, test.want)) {
			t.Errorf("%s at %s after %s: %s, want %s", test.occasion, test.hour, test.after, got, test.want)
		}
	}
	over, err := When{Occasion: "2026-03-05", Hour: "09:00"}.schedule()
	if err != nil {
		t.Fatal(err)
	}
	if got := nextLook(over, at(t, "2026-03-07T00:00:00Z")); !got.IsZero() {
		t.Errorf("a date that has passed is looked for at %s", got)
	}
}
