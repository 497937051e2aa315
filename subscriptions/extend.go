package subscriptions

import (
	"context"
	"time"

	"herald/calendar"
)

// Extension is the end of a subscription that is extended by the same time
// again: as many days of the zone's calendar as it was given last, when it was
// ordered or its end was moved on. false: it has no end, or renews itself.
func (s *Store) Extension(ctx context.Context, sub Subscription, zone *time.Location) (until time.Time, ok bool, err error) {
	if sub.ValidUntil == nil || sub.Repeats != "" || sub.State == Ended {
		return time.Time{}, false, nil
	}
	history, err := s.History(ctx, sub.ID)
	if err != nil {
		return time.Time{}, false, err
	}
	from, until := givenLast(sub, history)
	until = until.In(zone)
	days := daysFrom(calendar.DateOf(from.In(zone)), calendar.DateOf(until))
	wall := time.Date(until.Year(), until.Month(), until.Day()+max(days, 1),
		until.Hour(), until.Minute(), until.Second(), until.Nanosecond(), time.UTC)
	return calendar.InstantOf(wall, zone), true, nil
}

// givenLast is the span of time by which a subscription's end was moved on
// last; all of its validity where it never was.
func givenLast(s Subscription, history []Record) (from, until time.Time) {
	from, until = s.ValidFrom, *s.ValidUntil
	for _, r := range history {
		was, moved := r.Before["valid_until"].(string)
		if _, ends := r.After["valid_until"]; !moved || !ends {
			continue
		}
		if at, err := time.Parse(time.RFC3339Nano, was); err == nil {
			from = at
		}
	}
	if !from.Before(until) {
		from = s.ValidFrom // it was shortened
	}
	return from, until
}

// daysFrom counts the days from one date to another.
func daysFrom(from, to calendar.Date) int {
	utc := func(d calendar.Date) time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }
	return int(utc(to).Sub(utc(from)) / (24 * time.Hour))
}
