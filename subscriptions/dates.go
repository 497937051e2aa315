package subscriptions

import (
	"fmt"
	"time"

	"herald/calendar"
	"herald/matcher/predicate"
)

// Schedule is when the dates come. An occasion of an imported calendar still
// needs that (calendar.Occasion.Using).
func (d Dates) Schedule() (calendar.Schedule, error) {
	occasion, err := calendar.Parse(d.Occasion)
	if err != nil {
		return calendar.Schedule{}, fmt.Errorf("occasion of the dates: %w", err)
	}
	var hour Clock
	if err := hour.UnmarshalText([]byte(d.Hour)); err != nil {
		return calendar.Schedule{}, fmt.Errorf("hour of the dates: %w", err)
	}
	return calendar.Schedule{Occasion: occasion, Minute: int(hour), Lead: d.Lead, LeapDay: calendar.LeapDay(d.LeapDay)}, nil
}

// DateEvent is what is told of a moment in a time zone.
type DateEvent struct {
	ID   string // of its trigger's: "Asia/Shanghai/2026-02-28"
	Data map[string]any
}

// DateEvents are the events of a moment in a time zone, by its IANA name: one,
// and on the date that keeps 29 February in another year a second one of that
// day.
func DateEvents(s calendar.Schedule, m calendar.Moment, zone string) []DateEvent {
	days := []string{m.Date.String()[len("2006-"):]}
	if s.Occasion.Personal() {
		days = s.LeapDay.Days(m.Date)
	}
	events := make([]DateEvent, len(days))
	for i, day := range days {
		id := zone + "/" + m.Key()
		if m.Occasion != s.Occasion.String() {
			id += "/" + m.Occasion // of several
		}
		if i > 0 {
			id += "/" + day
		}
		events[i] = DateEvent{ID: id, Data: map[string]any{
			"zone": zone, "date": m.Date.String(), "day": day, "occasion": m.Occasion,
		}}
	}
	return events
}

// How far ahead it is looked for dates that meet a subscriber's parameters:
// days of their own are looked through one by one.
const (
	daysAhead  = 5 * 366
	datesAhead = 300
	daysAtOnce = 61
)

// NextDates is the first n moments after an instant at which the trigger's
// dates meet a subscriber's parameters, fewer where no more come in the next
// years; none where the trigger is not on dates. The schedule is that of
// Dates, with the calendar it needs.
func (t Trigger) NextDates(s calendar.Schedule, m predicate.Member, params map[string]any, after time.Time, n int) ([]calendar.Moment, error) {
	if t.Dates == nil {
		return nil, nil
	}
	condition, err := t.Compile()
	if err != nil {
		return nil, err
	}
	zone, err := calendar.LoadZone(m.TimeZone)
	if err != nil {
		zone = time.UTC // one that this machine does not know
	}
	meets := func(moment calendar.Moment) (bool, error) {
		for _, event := range DateEvents(s, moment, m.TimeZone) {
			met, err := condition.Eval(predicate.Values{Event: event.Data, Param: params, Member: m})
			if met || err != nil {
				return met, err
			}
		}
		return false, nil
	}
	if !s.Occasion.Personal() {
		return firstOf(s.Next(after, zone, datesAhead), meets, n)
	}
	var list []calendar.Moment
	for day := 0; day < daysAhead && len(list) < n; day += daysAtOnce {
		until := after.AddDate(0, 0, daysAtOnce)
		more, err := firstOf(s.Between(after, until, zone), meets, n-len(list))
		if err != nil {
			return nil, err
		}
		list, after = append(list, more...), until
	}
	return list, nil
}

// firstOf is the first n moments that meet something.
func firstOf(moments []calendar.Moment, meets func(calendar.Moment) (bool, error), n int) ([]calendar.Moment, error) {
	var list []calendar.Moment
	for _, m := range moments {
		if len(list) == n {
			break
		}
		met, err := meets(m)
		if err != nil {
			return nil, fmt.Errorf("hold %s against the condition: %w", m.Key(), err)
		}
		if met {
			list = append(list, m)
		}
	}
	return list, nil
}
