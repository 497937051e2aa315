// Package timing says when a message may go: not in the hours in which a
// member wants quiet, and together with others where they want it so. In come
// a moment, the member's zone and wishes; out comes the moment. It reads no
// clock and keeps nothing but time zones.
//
// All is by what the clock on the member's wall shows. When clocks are put
// forward, what falls into the hour that is left out happens at the moment the
// clock moves; when they are put back, an hour that comes twice is quiet twice,
// and what is due in it is due the first time.
package timing

import (
	"sync"
	"time"

	"herald/calendar"
	"herald/problem"
)

// MinutesOfDay is how many minutes a clock shows in a day.
const MinutesOfDay = 24 * 60

// Quiet is the part of the local day in which only urgent messages go: from
// the minute From until before the minute Until, over midnight when Until is
// the smaller. Equal ones, as the zero value has, mean no quiet hours.
type Quiet struct{ From, Until int }

// Check finds a minute that no clock shows. Its error is Invalid, with the
// fields "from" and "until".
func (q Quiet) Check() error {
	var bad problem.Fields
	for _, edge := range []struct {
		name   string
		minute int
	}{{"from", q.From}, {"until", q.Until}} {
		if edge.minute < 0 || edge.minute >= MinutesOfDay {
			bad.AddArgs(edge.name, "range", map[string]any{"min": 0, "max": MinutesOfDay - 1}, "must be 0 to %d, in minutes of the day", MinutesOfDay-1)
		}
	}
	return bad.Err("the quiet hours have mistakes")
}

// contains reports whether a time of day, counted from midnight, is quiet.
func (q Quiet) contains(clock time.Duration) bool {
	from, until := time.Duration(q.From)*time.Minute, time.Duration(q.Until)*time.Minute
	if from <= until {
		return from <= clock && clock < until
	}
	return clock >= from || clock < until
}

// EndOfQuiet reports whether at is quiet in a zone (nil: UTC), and until when:
// the first moment from at on that is not. It is at itself where at is not
// quiet.
func EndOfQuiet(at time.Time, zone *time.Location, q Quiet) (until time.Time, quiet bool) {
	local := at.In(orUTC(zone))
	for q.contains(clockOf(local)) {
		quiet = true
		left := time.Duration(q.Until)*time.Minute - clockOf(local)
		if left <= 0 {
			left += 24 * time.Hour
		}
		end := local.Add(left)
		// The clock may be moved before it shows the end.
		if moved := calendar.NextChange(local); !moved.IsZero() && !moved.After(end) {
			end = moved
		}
		local = end
	}
	return local.In(at.Location()), quiet
}

// Digest says that messages are gathered and go together.
type Digest string

// The digests. Empty: each message goes at once.
const (
	Hourly Digest = "hourly"
	Daily  Digest = "daily"
)

// DigestAt is the first moment from at on at which a digest is due in a zone
// (nil: UTC): when the clock shows a full hour; or, daily, when it shows the
// hour, 0 to 23. A day has its hour once, also when it comes twice or, being
// left out, only when the clock moves; a day that a country leaves out of its
// calendar has none. Without a digest it is at.
func DigestAt(at time.Time, kind Digest, hour int, zone *time.Location) time.Time {
	local := at.In(orUTC(zone))
	switch kind {
	case Hourly:
		return fullHour(local).In(at.Location())
	case Daily:
		return firstDay(local, hour, unmoved).In(at.Location())
	}
	return at
}

// fullHour is the first moment from local on at which its clock shows one.
func fullHour(local time.Time) time.Time {
	for {
		past := clockOf(local) % time.Hour
		if past == 0 {
			return local
		}
		next := local.Add(time.Hour - past)
		moved := calendar.NextChange(local)
		if moved.IsZero() || next.Before(moved) {
			return next
		}
		local = moved
	}
}

func unmoved(due time.Time) time.Time { return due }

// firstHour is the first of the full hours, each moved by shift, that is not
// before local.
func firstHour(local time.Time, shift func(time.Time) time.Time) time.Time {
	due := fullHour(local.Add(-longestQuiet))
	for {
		if moved := shift(due); !moved.Before(local) {
			return moved
		}
		due = fullHour(due.Add(1))
	}
}

// longestQuiet is more than quiet hours last on any day, clocks being put back
// included.
const longestQuiet = 28 * time.Hour

// firstDay is the first of the daily moments, each moved by shift, that is not
// before local.
func firstDay(local time.Time, hour int, shift func(time.Time) time.Time) time.Time {
	year, month, day := local.Date()
	for d := day - 2; ; d++ {
		due, exists := onDay(time.Date(year, month, d, hour, 0, 0, 0, time.UTC), local.Location())
		if !exists {
			continue
		}
		if due = shift(due); !due.Before(local) {
			return due
		}
	}
}

// onDay is the first moment at which a zone's clock shows civil, written in
// UTC, or the moment at which it is put past it; exists is false when the zone
// leaves out the whole day.
func onDay(civil time.Time, zone *time.Location) (at time.Time, exists bool) {
	at = civil.Add(-24 * time.Hour).In(zone) // no zone is so far from UTC
	for {
		_, offset := at.Zone()
		shows := civil.Add(-time.Duration(offset) * time.Second).In(zone)
		if shows.Before(at) {
			shows = at // the clock was put past it
		}
		moved := calendar.NextChange(at)
		if moved.IsZero() || shows.Before(moved) {
			return shows, sameDay(shows, civil) || sameDay(shows.Add(-1), civil)
		}
		at = moved
	}
}

func sameDay(a, b time.Time) bool {
	return a.Format(time.DateOnly) == b.Format(time.DateOnly)
}

// clockOf is what the clock shows, counted from midnight.
func clockOf(local time.Time) time.Duration {
	hour, minute, second := local.Clock()
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute +
		time.Duration(second)*time.Second + time.Duration(local.Nanosecond())
}

func orUTC(zone *time.Location) *time.Location {
	if zone == nil {
		return time.UTC
	}
	return zone
}

// Zones are the time zones met so far: reading one costs a file. The zero
// value is ready; many goroutines may use it.
type Zones struct{ loaded sync.Map }

// Of is the zone with an IANA name, and UTC where this machine knows none of
// that name: a message at another hour is better than no message.
func (z *Zones) Of(name string) *time.Location {
	if zone, ok := z.loaded.Load(name); ok {
		return zone.(*time.Location)
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // Local is whatever this machine is set to
		zone = time.UTC
	}
	z.loaded.Store(name, zone)
	return zone
}
