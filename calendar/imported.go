package calendar

import (
	"cmp"
	"iter"
	"slices"
	"sort"
	"time"
)

// Imported is what an iCalendar file says: its events as they come, up to the
// end of 2100. It never changes, so goroutines may share it.
type Imported struct {
	entries []entry // by date and clock
	notes   []Note  // by line
}

// entry is one occurrence of an event.
type entry struct {
	date   Date
	wall   time.Time      // what the clock shows; of no use where it lasts all day
	zone   *time.Location // whose clock; nil: that of the reader
	allDay bool
	title  string
}

// Len is how many occurrences it holds.
func (c *Imported) Len() int { return len(c.entries) }

// Notes are what of the file is not told, or not all of it, in its order.
func (c *Imported) Notes() []Note { return slices.Clone(c.notes) }

// Entry is a date of an imported calendar, as the file has it.
type Entry struct {
	Date  Date
	Hour  string // "15:04"; empty: all day
	Zone  string // whose clock shows the hour, by its IANA name; empty: that of each reader
	Title string
}

// Coming is the dates from one on, that one too, in order.
func (c *Imported) Coming(from Date) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range c.entries[c.from(from):] {
			shown := Entry{Date: e.date, Title: e.title}
			if !e.allDay {
				shown.Hour = e.wall.Format("15:04")
			}
			if !e.allDay && e.zone != nil {
				shown.Zone = e.zone.String()
			}
			if !yield(shown) {
				return
			}
		}
	}
}

// between is Schedule.Between for what was imported.
func (c *Imported) between(s Schedule, after, until time.Time, zone *time.Location) []Moment {
	// Clocks differ by a day at most, and a date left out is told a day later.
	first := DateOf(after.UTC()).AddDays(s.Lead - 3)
	last := DateOf(until.UTC()).AddDays(s.Lead + 3)
	var list []Moment
	for _, e := range c.entries[c.from(first):] {
		if e.date.Compare(last) > 0 || s.over(e.date) {
			break
		}
		if m := e.moment(s, zone); m.At.After(after) && !m.At.After(until) {
			list = append(list, m)
		}
	}
	slices.SortStableFunc(list, func(a, b Moment) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Key(), b.Key()))
	})
	return slices.CompactFunc(list, func(a, b Moment) bool { return a.Key() == b.Key() })
}

// from is the place of the first entry on or after a date.
func (c *Imported) from(date Date) int {
	return sort.Search(len(c.entries), func(i int) bool { return c.entries[i].date.Compare(date) >= 0 })
}

// next is Schedule.Next for what was imported.
func (c *Imported) next(s Schedule, after time.Time, zone *time.Location, n int) []Moment {
	if len(c.entries) == 0 {
		return nil
	}
	end := c.entries[len(c.entries)-1].date.AddDays(3 - s.Lead).midnight()
	for span := 64 * 24 * time.Hour; ; span *= 4 {
		until := after.Add(span)
		list := c.between(s, after, until, zone)
		if len(list) >= n {
			return list[:n]
		}
		if !until.Before(end) {
			return list
		}
	}
}

// moment is when people of a zone hear of an entry.
func (e entry) moment(s Schedule, zone *time.Location) Moment {
	m := Moment{Date: e.date, Occasion: s.Occasion.spec, Title: e.title}
	if e.allDay {
		m.At = onDate(e.date.AddDays(-s.Lead), s.Minute, zone)
		return m
	}
	if e.zone != nil {
		zone = e.zone
	}
	m.At = InstantOf(e.wall.AddDate(0, 0, -s.Lead), zone)
	m.Hour = e.wall.Format("15:04")
	return m
}
