package subscriptions

import (
	"time"

	"herald/calendar"
)

// longest is a length that no period of its kind exceeds, clocks changing
// included.
var longest = map[string]time.Duration{
	"daily":   25 * time.Hour,
	"weekly":  (7*24 + 1) * time.Hour,
	"monthly": (31*24 + 1) * time.Hour,
	"yearly":  (366*24 + 1) * time.Hour,
}

// nextPeriod is the period of a follow-up: the one that holds now, or the one
// after until when now comes before it. Periods lie between the ends counted
// from first, the end of the first period; until is where the subscription
// that is followed ends.
func nextPeriod(repeats string, first, until, now time.Time, zone *time.Location) (start, end time.Time) {
	reached := until
	if now.After(reached) {
		reached = now
	}
	// No more periods than this can have passed, so the walk is short.
	n := max(0, int(reached.Sub(first)/longest[repeats])-1)
	start = until
	for {
		end = periodEnd(repeats, first, n, zone)
		if end.After(reached) {
			return start.UTC(), end.UTC()
		}
		if end.After(start) {
			start = end
		}
		n++
	}
}

// periodEnd is first moved on by n periods on the calendar and clock of a time
// zone. It keeps the clock's hour when clocks change; an hour that a day does
// not have is read by the clock as it was before the change, and the first of
// an hour that comes twice is taken. A day that a month does not have becomes
// its last day, and later months have theirs again: the 31st is followed by
// 28 February and by 31 March, 29 February by three times the 28th.
func periodEnd(repeats string, first time.Time, n int, zone *time.Location) time.Time {
	at := first.In(zone)
	year, month, day := at.Date()
	switch repeats {
	case "daily":
		day += n
	case "weekly":
		day += 7 * n
	case "monthly":
		year, month, day = clamped(year, int(month)+n, day)
	case "yearly":
		year, month, day = clamped(year+n, int(month), day)
	}
	hour, minute, second := at.Clock()
	return calendar.InstantOf(time.Date(year, month, day, hour, minute, second, at.Nanosecond(), time.UTC), zone).In(zone)
}

// clamped is a date whose month may be any number of months on.
func clamped(year, month, day int) (int, time.Month, int) {
	months := year*12 + month - 1
	year, month = months/12, months%12+1
	last := time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return year, time.Month(month), min(day, last)
}
