package calendar

import (
	"slices"
	"time"
)

// Schedule is an occasion and when people hear of it.
type Schedule struct {
	Occasion Occasion
	// Minute of the day at which they hear, 0 to 1439, by the clock of where
	// they are. What brings its own hours does not ask for it.
	Minute  int
	Lead    int     // days before the date
	LeapDay LeapDay // when 29 February is kept in other years
	Until   Date    // the last date that is told; zero: there is no end
}

// over reports whether a date comes after the end.
func (s Schedule) over(d Date) bool { return s.Until != (Date{}) && d.Compare(s.Until) > 0 }

// Moment is a date on which an occasion falls, and when people hear of it.
type Moment struct {
	// Date is the occasion's own, which they hear of Schedule.Lead days before.
	Date Date
	At   time.Time // in UTC
	// Hour tells apart the moments of one date, "15:04", where the occasion
	// brings its own hours; empty otherwise.
	Hour string
	// Occasion is which it is of a list, and the only one otherwise.
	Occasion string
	Title    string // what an imported calendar calls it
}

// Key names the moment among all of its occasion in one time zone: its date,
// with the hour where the occasion brings its own.
func (m Moment) Key() string {
	if m.Hour == "" {
		return m.Date.String()
	}
	return m.Date.String() + "T" + m.Hour
}

// Between is the moments after one instant, up to and with another, in order.
//
// An hour that a change of the clock leaves out is told as much later, unless
// that is another date: then as much earlier. One that comes twice is told
// once, the first time. A date that a zone leaves out is told with the next.
func (s Schedule) Between(after, until time.Time, zone *time.Location) []Moment {
	switch {
	case !until.After(after):
		return nil
	case s.Occasion.imported != nil:
		return s.Occasion.imported.between(s, after, until, zone)
	case s.Occasion.several != nil:
		return s.each(func(one Schedule) []Moment { return one.Between(after, until, zone) })
	}
	var list []Moment
	for m := range s.moments(after, zone) {
		if m.At.After(until) {
			break
		}
		list = append(list, m)
	}
	return list
}

// Next is the first n moments after an instant, fewer where there are no more.
func (s Schedule) Next(after time.Time, zone *time.Location, n int) []Moment {
	if s.Occasion.imported != nil {
		return s.Occasion.imported.next(s, after, zone, n)
	}
	if s.Occasion.several != nil {
		list := s.each(func(one Schedule) []Moment { return one.Next(after, zone, n) })
		return list[:min(n, len(list))]
	}
	var list []Moment
	for m := range s.moments(after, zone) {
		if len(list) == n {
			break
		}
		list = append(list, m)
	}
	return list
}

// Latest is the last moment of each occasion after one instant, up to and with
// another, in order.
func (s Schedule) Latest(after, until time.Time, zone *time.Location) []Moment {
	// It looks back farther and farther, so that a schedule of every minute
	// need not be gone through.
	var found []Moment
	for span := 24 * time.Hour; ; span *= 8 {
		begin := until.Add(-span)
		if begin.Before(after) {
			begin = after
		}
		found = s.Between(begin, until, zone)
		if len(found) > 0 && s.Occasion.BringsHours() || begin.Equal(after) {
			break
		}
	}
	var list []Moment
	for _, m := range slices.Backward(found) {
		if !slices.ContainsFunc(list, func(o Moment) bool { return o.Occasion == m.Occasion }) {
			list = append(list, m)
		}
	}
	slices.Reverse(list)
	return list
}

// each is the moments of each of several occasions, in order.
func (s Schedule) each(moments func(Schedule) []Moment) []Moment {
	var list []Moment
	for _, one := range s.Occasion.several {
		s.Occasion = one
		list = append(list, moments(s)...)
	}
	slices.SortStableFunc(list, func(a, b Moment) int { return a.At.Compare(b.At) })
	return list
}

// moments are those after an instant, in order.
func (s Schedule) moments(after time.Time, zone *time.Location) func(yield func(Moment) bool) {
	switch {
	case s.Occasion.wall != nil:
		return s.firings(after, zone)
	case s.Occasion.dates == nil:
		return func(func(Moment) bool) {}
	}
	return func(yield func(Moment) bool) {
		// A zone that leaves a date out tells it a day later.
		from := DateOf(after.In(zone)).AddDays(s.Lead - 2)
		for date := range s.Occasion.dates(from, s.LeapDay) {
			if s.over(date) {
				return
			}
			at := onDate(date.AddDays(-s.Lead), s.Minute, zone)
			if at.After(after) && !yield(Moment{Date: date, At: at, Occasion: s.Occasion.spec}) {
				return
			}
		}
	}
}

func (s Schedule) firings(after time.Time, zone *time.Location) func(yield func(Moment) bool) {
	return func(yield func(Moment) bool) {
		for {
			at, shown := nextFiring(s.Occasion.wall, after, zone)
			if at.IsZero() || s.over(DateOf(shown)) || !yield(Moment{Date: DateOf(shown), At: at, Hour: shown.Format("15:04"), Occasion: s.Occasion.spec}) {
				return
			}
			after = at
		}
	}
}
