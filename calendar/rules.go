package calendar

import (
	"iter"
	"time"
)

// rule yields the dates of an occasion from a date on, that date included, in
// order. It ends where no more are known, or will be for a hundred years.
type rule func(from Date, leap LeapDay) iter.Seq[Date]

// horizon is how many years ahead a date is looked for.
const horizon = 100

// everyDay is every date there is.
func everyDay(from Date, _ LeapDay) iter.Seq[Date] {
	return func(yield func(Date) bool) {
		for d := from; d.Year <= from.Year+horizon; d = d.AddDays(1) {
			if !yield(d) {
				return
			}
		}
	}
}

// once is a single date.
func once(date Date) rule {
	return func(from Date, _ LeapDay) iter.Seq[Date] {
		return func(yield func(Date) bool) {
			if date.Compare(from) >= 0 {
				yield(date)
			}
		}
	}
}

// yearly is a date in each year; in one that has none it is the zero Date.
func yearly(in func(year int) Date) rule {
	return between(func(from Date) (int, int) { return from.Year - 1, from.Year + horizon },
		func(year int, _ LeapDay) Date { return in(year) })
}

// kept is a day of each year.
func kept(month time.Month, day int) rule {
	return between(func(from Date) (int, int) { return from.Year - 1, from.Year + horizon },
		func(year int, leap LeapDay) Date { return anniversary(year, month, day, leap) })
}

// known is a date in each lunar year.
func known(in func(year int) Date) rule {
	return between(func(from Date) (int, int) {
		return max(firstLunarYear, from.Year-1), min(lastLunarYear, from.Year+horizon)
	}, func(year int, _ LeapDay) Date { return in(year) })
}

// lunar is a day of a month of each lunar year.
func lunar(month, day int) rule {
	return known(func(year int) Date { return lunarDate(year, month, day) })
}

// term is the beginning of a solar term in each lunar year.
func term(longitude float64) rule {
	return known(func(year int) Date { return solarTerm(year, longitude) })
}

// weekday is the nth such day of a month, as nthWeekday takes it.
func weekday(n int, day time.Weekday, month time.Month) rule {
	return yearly(func(year int) Date { return nthWeekday(year, month, n, day) })
}

// easterly is so many days after Easter.
func easterly(days int) rule {
	return yearly(func(year int) Date { return easter(year).AddDays(days) })
}

// between is a date in each of the years, first to last, that concern dates
// from one on.
func between(years func(from Date) (first, last int), in func(year int, leap LeapDay) Date) rule {
	return func(from Date, leap LeapDay) iter.Seq[Date] {
		return func(yield func(Date) bool) {
			first, last := years(from)
			for year := first; year <= last; year++ {
				date := in(year, leap)
				if date != (Date{}) && date.Compare(from) >= 0 && !yield(date) {
					return
				}
			}
		}
	}
}

// anniversary is when a day is kept in a year.
func anniversary(year int, month time.Month, day int, leap LeapDay) Date {
	switch {
	case month != time.February || day != 29 || leapYear(year):
		return Date{year, month, day}
	case leap == March1:
		return Date{year, time.March, 1}
	default:
		return Date{year, time.February, 28}
	}
}

// nthWeekday is the nth such day of a month, the last where n is 0; the zero
// Date where the month has no fifth.
func nthWeekday(year int, month time.Month, n int, day time.Weekday) Date {
	if n == 0 {
		last := DateOf(time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC))
		return last.AddDays(-(int(last.Weekday()-day) + 7) % 7)
	}
	first := Date{year, month, 1}
	date := first.AddDays((int(day-first.Weekday())+7)%7 + 7*(n-1))
	if date.Month != month {
		return Date{}
	}
	return date
}

// easter is Easter Sunday of the western churches (Meeus, Astronomical
// Algorithms, chapter 8).
func easter(year int) Date {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	f := (b + 8) / 25
	g := (b - f + 1) / 3
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return Date{year, time.Month(n / 31), n%31 + 1}
}
