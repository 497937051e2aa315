package calendar

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/teambition/rrule-go"
	"pgregory.net/rapid"
)

// Another implementation of the same rules, within what it does right.
func TestRecurrencesAreThoseOfRRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		freq := rapid.SampledFrom([]string{"YEARLY", "MONTHLY", "WEEKLY", "DAILY"}).Draw(t, "freq")
		text := fmt.Sprintf("FREQ=%s;INTERVAL=%d", freq, rapid.IntRange(1, 4).Draw(t, "interval"))
		part := func(name string, values []string) {
			if chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(values), 0, 2, rapid.ID).Draw(t, name); len(chosen) > 0 {
				text += ";" + name + "=" + chosen[0]
				for _, c := range chosen[1:] {
					text += "," + c
				}
			}
		}
		part("BYMONTH", []string{"1", "2", "3", "6", "11", "12"})
		part("BYMONTHDAY", []string{"1", "13", "28", "29", "31", "-1", "-3"})
		days := []string{"MO", "TU", "FR", "SU"}
		if (freq == "YEARLY" || freq == "MONTHLY") && rapid.Bool().Draw(t, "ordinals") {
			days = []string{"1MO", "2TU", "-1FR", "-2SU", "4TH"} // mixed, the library wants both to hold
		}
		part("BYDAY", days)
		if rapid.Bool().Draw(t, "positions") {
			part("BYSETPOS", []string{"1", "2", "-1"})
		}
		part("WKST", []string{"MO"})
		if rapid.Bool().Draw(t, "count") {
			text += fmt.Sprintf(";COUNT=%d", rapid.IntRange(1, 9).Draw(t, "counted"))
		}
		start := time.Date(2020, 1, 1, 9, 30, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 2000).Draw(t, "start"))
		if freq == "WEEKLY" && strings.Contains(text, "BYSETPOS") {
			// In its first week the library counts positions from the start on;
			// RFC 5545 counts those of the whole week.
			start = start.AddDate(0, 0, -(int(start.Weekday())+6)%7)
		}
		theirs, err := rrule.StrToROption(text)
		if err != nil {
			t.Fatal(err)
		}
		theirs.Dtstart, theirs.Until = start, start.AddDate(12, 0, 0)
		rule, err := rrule.NewRRule(*theirs)
		if err != nil {
			t.Fatal(err)
		}
		looks := 0
		ours, wrong := parseRecurrence(text, moment{wall: start}, &looks)
		if wrong != nil {
			t.Fatal(wrong)
		}
		var got []string
		for date, wrong := range ours.dates() {
			if wrong != nil {
				t.Fatal(wrong)
			}
			if date.Compare(DateOf(theirs.Until)) > 0 {
				break
			}
			got = append(got, date.String())
		}
		var want []string
		for _, at := range rule.All() {
			want = append(want, DateOf(at).String())
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s from %s:\n%v, want\n%v", text, start, got[:min(9, len(got))], want[:min(9, len(want))])
		}
	})
}
