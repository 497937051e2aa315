package calendar

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

// The bounds of rules.
const (
	maxInterval = 1_000
	maxLooks    = 20_000_000 // days that the rules of a file may look at
)

// recurrence is an RRULE, of days at least. rrule-go reads it; its own
// expansion looks for a date up to the year 9999, and breaks on a BYDAY such
// as 8FR, so the dates are found here.
type recurrence struct {
	*rrule.ROption
	start Date
	until time.Time // on the wall clock, included
	first time.Weekday
	looks *int // days looked at so far
}

// parseRecurrence reads an RRULE (RFC 5545, section 3.3.10) of an event that
// begins at a moment.
func parseRecurrence(text string, start moment, looks *int) (*recurrence, *flaw) {
	option, err := rrule.StrToROption(text)
	if err != nil {
		return nil, flawOf("calendar_rule", nil, "it is no rule: %v", err)
	}
	ordinals := slices.ContainsFunc(option.Byweekday, func(d rrule.Weekday) bool { return d.N() != 0 })
	switch {
	case option.Freq > rrule.DAILY || len(option.Byhour)+len(option.Byminute)+len(option.Bysecond) > 0:
		return nil, flawOf("calendar_hours", nil, "it recurs within a day")
	case len(option.Byweekno) > 0 || len(option.Byeaster) > 0:
		return nil, flawOf("calendar_weeks", nil, "it recurs by the number of the week")
	case ordinals && option.Freq > rrule.MONTHLY:
		return nil, flawOf("calendar_ordinals", nil, "only months and years have a first weekday")
	case option.Interval < 0 || option.Interval > maxInterval:
		return nil, flawOf("calendar_interval", figures{"max": maxInterval}, "INTERVAL must be 1 to %d", maxInterval)
	}
	option.Interval = max(1, option.Interval)
	r := &recurrence{ROption: option, start: DateOf(start.wall), looks: looks, first: weekdayOf(option.Wkst)}
	r.until = endOf(text, option.Until, start)
	if len(r.Byweekday)+len(r.Bymonthday)+len(r.Byyearday) == 0 {
		r.asItBegan()
	}
	return r, nil
}

// asItBegan fills in what a rule leaves to the event's first date.
func (r *recurrence) asItBegan() {
	switch r.Freq {
	case rrule.YEARLY:
		if len(r.Bymonth) == 0 {
			r.Bymonth = []int{int(r.start.Month)}
		}
		r.Bymonthday = []int{r.start.Day}
	case rrule.MONTHLY:
		r.Bymonthday = []int{r.start.Day}
	case rrule.WEEKLY:
		r.Byweekday = []rrule.Weekday{[]rrule.Weekday{rrule.SU, rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA}[r.start.Weekday()]}
	}
}

// weekdayOf is Go's weekday of the library's, which begins the week on Monday.
func weekdayOf(d rrule.Weekday) time.Weekday { return time.Weekday((d.Day() + 1) % 7) }

// endOf is the last wall clock of a rule: its UNTIL, or the last day known.
func endOf(text string, until time.Time, start moment) time.Time {
	end := lastDay.wall(24*60 - 1)
	if until.IsZero() {
		return end
	}
	_, value, _ := strings.Cut(strings.ToUpper(text), "UNTIL=")
	value, _, _ = strings.Cut(value, ";")
	switch {
	case len(value) == len("20060102"):
		until = DateOf(until).wall(24*60 - 1) // that day still counts
	case strings.HasSuffix(value, "Z") && start.zone != nil:
		until = wallClock(until.In(start.zone))
	}
	if until.Before(end) {
		return until
	}
	return end
}

// dates are those of the rule, in order, at most COUNT; a flaw ends them.
func (r *recurrence) dates() iter.Seq2[Date, *flaw] {
	return func(yield func(Date, *flaw) bool) {
		last, told := DateOf(r.until), 0
		for n := 0; ; n++ {
			days := r.period(n)
			if *r.looks > maxLooks {
				yield(Date{}, flawOf("calendar_reach", nil, "the calendar's rules reach too far: give them an end"))
				return
			}
			if r.begin(n).Compare(last) > 0 {
				return
			}
			for _, d := range r.chosen(days) {
				switch {
				case d.Compare(r.start) < 0:
					continue
				case d.Compare(last) > 0, r.Count > 0 && told == r.Count:
					return
				}
				told++
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// begin is the first day of the rule's nth period, counted from 0.
func (r *recurrence) begin(n int) Date {
	n *= r.Interval
	switch r.Freq {
	case rrule.YEARLY:
		return Date{r.start.Year + n, time.January, 1}
	case rrule.MONTHLY:
		months := int(r.start.Month) - 1 + n
		return Date{r.start.Year + months/12, time.Month(months%12 + 1), 1}
	case rrule.WEEKLY:
		return r.start.AddDays(7*n - (int(r.start.Weekday()-r.first)+7)%7)
	default:
		return r.start.AddDays(n)
	}
}

// period is the days of the nth period that the rule allows.
func (r *recurrence) period(n int) []Date {
	begin := r.begin(n).midnight()
	end := begin.AddDate(0, 0, 1)
	switch r.Freq {
	case rrule.YEARLY:
		end = begin.AddDate(1, 0, 0)
	case rrule.MONTHLY:
		end = begin.AddDate(0, 1, 0)
	case rrule.WEEKLY:
		end = begin.AddDate(0, 0, 7)
	}
	var days []Date
	for t := begin; t.Before(end); {
		*r.looks++
		if len(r.Bymonth) > 0 && !slices.Contains(r.Bymonth, int(t.Month())) {
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if r.allows(t) {
			days = append(days, DateOf(t))
		}
		t = t.AddDate(0, 0, 1)
	}
	return days
}

// allows reports whether the rule's days of the month, year and week let a
// day through.
func (r *recurrence) allows(t time.Time) bool {
	inMonth := time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	inYear := 365
	if leapYear(t.Year()) {
		inYear = 366
	}
	return has(r.Bymonthday, t.Day(), inMonth) && has(r.Byyearday, t.YearDay(), inYear) &&
		(len(r.Byweekday) == 0 || slices.ContainsFunc(r.Byweekday, func(d rrule.Weekday) bool {
			if weekdayOf(d) != t.Weekday() || d.N() == 0 {
				return weekdayOf(d) == t.Weekday()
			}
			day, days := t.Day(), inMonth
			if r.Freq == rrule.YEARLY && len(r.Bymonth) == 0 {
				day, days = t.YearDay(), inYear
			}
			if d.N() > 0 {
				return (day-1)/7+1 == d.N()
			}
			return (days-day)/7+1 == -d.N()
		}))
}

// has reports whether a list, unless it is empty, has the number of a day,
// counted from 1, or from -1 at the end.
func has(list []int, day, days int) bool {
	return len(list) == 0 || slices.Contains(list, day) || slices.Contains(list, day-days-1)
}

// chosen is the days of a period that BYSETPOS leaves.
func (r *recurrence) chosen(days []Date) []Date {
	if len(r.Bysetpos) == 0 {
		return days
	}
	var list []Date
	for i, d := range days {
		if has(r.Bysetpos, i+1, len(days)) {
			list = append(list, d)
		}
	}
	return list
}
