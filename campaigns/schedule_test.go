package campaigns

import (
	"errors"
	"testing"
	"time"

	"herald/calendar"
	"herald/problem"
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

func TestAPlanEndsOnItsLastDate(t *testing.T) {
	for name, test := range map[string]struct {
		when When
		want []string // its dates from 2 March 2026 on
	}{
		"a schedule, by the clock of its zone": {When{Cron: "30 23 * * *", TimeZone: "America/New_York", Until: "2026-03-03"}, []string{"2026-03-03T04:30:00Z", "2026-03-04T04:30:00Z"}},
		"an occasion that comes every year":    {When{Occasion: "03-05", Hour: "09:00", Until: "2027-03-05"}, []string{"2026-03-05T09:00:00Z", "2027-03-05T09:00:00Z"}},
		"several occasions":                    {When{Occasion: "03-05, 04-01", Hour: "09:00", Until: "2026-03-31"}, []string{"2026-03-05T09:00:00Z"}},
		"over":                                 {When{Cron: "0 9 * * *", Until: "2026-03-01"}, nil},
	} {
		d := newDesk(t)
		moments, err := d.store.NextDates(t.Context(), test.when, 5)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range moments {
			got = append(got, m.At.UTC().Format(time.RFC3339))
		}
		if sprint(got) != sprint(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	last, err := When{Occasion: "03-05", Hour: "09:00", Until: "2026-03-05"}.schedule()
	if err != nil {
		t.Fatal(err)
	}
	if got := nextLook(last, at(t, "2026-03-05T21:00:00Z")); !got.Equal(at(t, "2026-03-05T21:15:00Z")) {
		t.Errorf("where it comes last is looked at %s", got)
	}
	if got := nextLook(last, at(t, "2026-03-06T00:00:00Z")); !got.IsZero() {
		t.Errorf("after its last date it is looked for at %s", got)
	}
}

func TestACampaignFinishesAfterItsLastDate(t *testing.T) {
	d := newDesk(t)
	d.members(2)
	c := d.started(func(p *Plan) { p.When = When{Cron: "0 10 * * *", Until: "2026-03-03", TimeZone: "UTC"} })
	for day := range 3 {
		d.clock.set(monday.AddDate(0, 0, day).Add(time.Hour))
		if err := d.store.fireDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.prepare()
		if err := d.store.tend(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := d.must(d.store.Get(t.Context(), c.ID)); after.State != Finished || after.DueAt != nil || d.told() != 4 {
		t.Errorf("%s, due at %v, %d told; want it finished after two days", after.State, after.DueAt, d.told())
	}
	over := d.create(func(p *Plan) { p.When = When{Cron: "0 10 * * *", Until: "2026-03-03", TimeZone: "UTC"} })
	_, err := d.store.Start(t.Context(), over.ID, "operator:ann")
	var p *problem.Error
	if !errors.As(err, &p) || p.Fields[0].Path != "when.until" {
		t.Errorf("started after its end: %v", err)
	}
}
