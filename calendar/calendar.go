// Package calendar knows on which dates an occasion falls, and when the clock
// of a time zone shows an hour of such a date.
//
// An occasion comes in as a text (Parse) or as an iCalendar file (Import); a
// Schedule adds the hour at which people hear of it, how many days before, and
// what becomes of 29 February. Out come moments: the date, and the instant at
// which the hour is there in a given time zone, as those between two instants
// or the next few after one. The package keeps nothing and has no clock of its
// own.
//
// Dates are those of the Gregorian calendar, also before it was introduced.
// Lunar dates are known from 31 January 1900 to 28 January 2101.
package calendar

import (
	"fmt"
	"time"
)

// Date is a day of the calendar, wherever the reader is.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf is the date that the clock of t's location shows.
func DateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date{year, month, day}
}

// ParseDate reads a date written as "2006-01-02".
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return Date{}, fmt.Errorf("write the date as 2006-01-02, not %q", text)
	}
	return DateOf(t), nil
}

// String is the date as "2006-01-02".
func (d Date) String() string { return d.midnight().Format(time.DateOnly) }

// AddDays is the date so many days later, or earlier where n is negative.
func (d Date) AddDays(n int) Date { return DateOf(d.midnight().AddDate(0, 0, n)) }

// Compare is -1, 0 or +1 as d is before, on or after o.
func (d Date) Compare(o Date) int { return d.midnight().Compare(o.midnight()) }

// Weekday is the date's day of the week.
func (d Date) Weekday() time.Weekday { return d.midnight().Weekday() }

// midnight is the first moment of the date on a wall clock.
func (d Date) midnight() time.Time { return d.wall(0) }

// wall is a minute of the date on a wall clock.
func (d Date) wall(minute int) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, minute, 0, 0, time.UTC)
}

// LeapDay is when an anniversary of 29 February is kept in other years.
type LeapDay string

// The rules; an empty one is February28.
const (
	February28 LeapDay = "feb28"
	March1     LeapDay = "mar1"
)

// Known reports whether it is one of the rules, or empty.
func (l LeapDay) Known() bool { return l == "" || l == February28 || l == March1 }

// Days are the anniversaries kept on a date, as "01-02": its own, and "02-29"
// where a year without one keeps it on this date.
func (l LeapDay) Days(d Date) []string {
	own := d.midnight().Format("01-02")
	if kept := anniversary(d.Year, time.February, 29, l); own != "02-29" && kept == d {
		return []string{own, "02-29"}
	}
	return []string{own}
}

func leapYear(year int) bool { return year%4 == 0 && year%100 != 0 || year%400 == 0 }

// Missed is what becomes of moments that passed while nobody could act on them.
type Missed string

// The rules for missed moments.
const (
	Skip Missed = "skip" // they are over
	Once Missed = "once" // the latest of them is made up for
	All  Missed = "all"  // each of them is
)

// Known reports whether it is one of the rules.
func (m Missed) Known() bool { return m == Skip || m == Once || m == All }
