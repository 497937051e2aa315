package calendar

import (
	"fmt"
	"strings"
	"time"
)

// LoadZone is a time zone by its IANA name; the machine's own is none.
func LoadZone(name string) (*time.Location, error) {
	if strings.EqualFold(name, "local") {
		return nil, fmt.Errorf("unknown time zone %s", name)
	}
	return time.LoadLocation(name)
}

// ParseHour reads an hour of the day, "09:00" to a minute of it: 540.
func ParseHour(text string) (minute int, err error) {
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("write the hour as 09:00, not %q", text)
	}
	return t.Hour()*60 + t.Minute(), nil
}

// wallClock is what the clock shows at t, written as UTC.
func wallClock(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// furthest is more than any clock of the world has differed from UTC.
const furthest = 26 * time.Hour

// InstantOf is when the clock of a zone shows a wall clock: the first time,
// where it is set back over it. A time that is left out, because the clock is
// set forward over it, is as much later as the clock is set forward.
func InstantOf(wall time.Time, zone *time.Location) time.Time {
	at := wall.Add(-furthest).In(zone)
	for {
		end := NextChange(at)
		_, offset := at.Zone()
		told := wall.Add(-time.Duration(offset) * time.Second)
		if end.IsZero() || told.Before(end) {
			return told.UTC()
		}
		// It is not shown before this change; the change may leave it out.
		if wallClock(end).After(wall) {
			return told.UTC()
		}
		at = end
	}
}

// NextChange is a moment after at until which the clock of its zone is not
// changed, in that zone: mostly the next at which it is. Zero: it never is.
func NextChange(at time.Time) time.Time {
	_, end := at.ZoneBounds()
	if end.IsZero() || end.After(at) {
		return end
	}
	// Under a rule without end Go gives every year 365 days (tzset in its
	// time/zoneinfo.go): the last day of a leap year would end before it begins.
	return time.Date(at.UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC).In(at.Location())
}

// onDate is when the clock of a zone shows a minute of a date. It never is
// another date there: where an hour that is left out would be told after
// midnight, it is told as much earlier. A date that a zone left out altogether
// is told with the hour of the next one.
func onDate(d Date, minute int, zone *time.Location) time.Time {
	wall := d.wall(minute)
	at := InstantOf(wall, zone)
	shown := wallClock(at.In(zone))
	if DateOf(shown) == d {
		return at
	}
	left := shown.Sub(wall)
	earlier := at.Add(-left)
	if wallClock(earlier.In(zone)).Equal(wall.Add(-left)) && DateOf(earlier.In(zone)) == d {
		return earlier
	}
	return at
}
