// Package dates turns dates into events: for each trigger on dates, when its
// hour comes on a date of its occasion in a time zone that members live in.
//
// In come the triggers, the members' zones and the clock; out go Events to a
// Consumer, which accepts them as it does those of the company's systems, so
// that look-up, limits and idempotency hold for dates as well. What a date's
// event says is told by subscriptions.DateEvents.
//
// # Once, and none left out
//
// Of each trigger it is kept up to which instant its dates have been told
// (trigger_clocks). A turn tells what lies between that and now, and moves it
// on in the transaction that accepts the events; whoever comes second finds it
// moved and lets go. An event's id says the trigger, the zone and the date, so
// that telling it again would change nothing either: not after a restart, not
// when a clock was set back, not when the trigger's hour is moved after it has
// come. A clock that is set back is waited for, or, when it goes back by more
// than an hour, begun from again.
//
// # After an interruption
//
// What came more than Late ago was missed, and Dates.Missed decides: "skip"
// leaves it out; "once" tells of each occasion the latest in each zone, so that
// nobody hears more than once; "all" tells each. Birthdays and other days of
// people's own concern others every day, so there "once" tells each day. What
// is more than a year old is never told. A trigger that is switched off misses
// nothing: when it is switched on it begins anew.
package dates

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/calendar"
	"herald/subscriptions"
)

// Source is the CloudEvents source of what Herald says of dates.
const Source = "herald:dates"

// Event is a date whose hour has come in a time zone.
type Event struct {
	Trigger string
	ID      string // "birthday/Asia/Shanghai/2026-02-28"
	At      time.Time
	Data    map[string]any // zone, date, day, occasion
}

// Consumer accepts dates, each as an event with Source, of the type
// subscriptions.DateEventType, for subscriptions of its trigger only. In the
// same transaction it calls in, once for each time that it tries; an error of
// in fails all. What it will never accept it leaves out, without an error.
type Consumer interface {
	AcceptDates(ctx context.Context, list []Event, in func(ctx context.Context, tx pgx.Tx) error) error
}

// Triggers are those in force; *subscriptions.Triggers.
type Triggers interface {
	List(ctx context.Context) ([]subscriptions.Trigger, error)
}

// Calendars give an occasion the imported calendar that it needs;
// *calendars.Store does. Errors: NotFound.
type Calendars interface {
	Using(ctx context.Context, o calendar.Occasion) (calendar.Occasion, error)
}

// plan is a trigger's dates, ready to be asked.
type plan struct {
	trigger  string
	schedule calendar.Schedule
	missed   calendar.Missed
}

// zone is a time zone that members live in.
type zone struct {
	name     string // as the members have it
	location *time.Location
}

// oldest is how long ago a date may be that is still told.
const oldest = 366 * 24 * time.Hour

// begin is from where a turn tells what came after an instant; what was before
// it is left out.
func (p plan) begin(told, now time.Time, late time.Duration) time.Time {
	if p.missed == calendar.Skip {
		return latest(told, now.Add(-late))
	}
	return latest(told, now.Add(-oldest))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// onlyLatest reports whether of what came between two instants no more than
// the latest is told in each zone.
func (p plan) onlyLatest(from, now time.Time, late time.Duration) bool {
	return p.missed == calendar.Once && !p.schedule.Occasion.Personal() && from.Before(now.Add(-late))
}

// between is what is told of the moments after one instant, up to and with
// another, in the order of the moments.
func (p plan) between(zones []zone, from, until time.Time) []Event {
	var list []Event
	for _, z := range zones {
		for _, m := range p.schedule.Between(from, until, z.location) {
			list = append(list, p.events(z, m)...)
		}
	}
	return inOrder(list)
}

// lastBetween is what is told of the latest moment of each occasion between
// two instants in each zone.
func (p plan) lastBetween(zones []zone, from, until time.Time) []Event {
	var list []Event
	for _, z := range zones {
		for _, m := range p.schedule.Latest(from, until, z.location) {
			list = append(list, p.events(z, m)...)
		}
	}
	return inOrder(list)
}

func (p plan) events(z zone, m calendar.Moment) []Event {
	var list []Event
	for _, e := range subscriptions.DateEvents(p.schedule, m, z.name) {
		list = append(list, Event{Trigger: p.trigger, ID: p.trigger + "/" + e.ID, At: m.At, Data: e.Data})
	}
	return list
}

func inOrder(list []Event) []Event {
	slices.SortFunc(list, func(a, b Event) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	return list
}
