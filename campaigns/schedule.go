package campaigns

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"herald/calendar"
	"herald/problem"
)

// Check says what is wrong with it, as a *problem.Error.
func (w When) Check() error {
	var f problem.Fields
	w.check(&f)
	return f.Err(refusal)
}

func (w When) check(f *problem.Fields) {
	ways := 0
	for _, given := range []bool{w.At != nil, w.Cron != "", w.Occasion != ""} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		f.Add("when", "alone", "choose one of a moment, a schedule and an occasion")
	}
	if _, err := calendar.LoadZone(w.TimeZone); err != nil {
		f.Add("when.time_zone", "time_zone", `use a zone's name such as "Asia/Shanghai"`)
	}
	if w.Cron != "" {
		if _, err := calendar.Cron(w.Cron); err != nil {
			f.Add("when.cron", "cron", "%s", err.Error())
		}
	}
	if w.Occasion != "" {
		o, err := calendar.Parse(w.Occasion)
		switch {
		case err != nil:
			f.Add("when.occasion", "occasion", "%s", err.Error())
		case o.BringsHours():
			f.Add("when.occasion", "occasion", "a schedule has a field of its own")
		case o.Personal() && !w.personal():
			f.Add("when.occasion", "occasion", "a campaign has no days of its members' own but birthdays")
		}
	}
	if w.Hour != "" {
		if _, err := calendar.ParseHour(w.Hour); err != nil {
			f.Add("when.hour", "format", `write the hour as "09:00"`)
		}
	}
	if !w.LeapDay.Known() {
		f.AddArgs("when.leap_day", "options", map[string]any{"options": []calendar.LeapDay{calendar.February28, calendar.March1}}, "must be feb28 or mar1")
	}
	if w.Until != "" {
		if _, err := calendar.ParseDate(w.Until); err != nil {
			f.Add("when.until", "date", "write the last date as 2026-12-31")
		} else if !w.Recurs() {
			f.Add("when.until", "recurs", "only a schedule or an occasion has a last date")
		}
	}
	if w.Missed != "" && !w.Missed.Known() {
		f.AddArgs("when.missed", "options", map[string]any{"options": []calendar.Missed{calendar.Once, calendar.Skip, calendar.All}}, "must be skip, once or all")
	}
}

// defaultHour is that of an occasion without one.
const defaultHour = "09:00"

// personal reports whether the occasion concerns each member on another date.
func (w When) personal() bool { return w.Occasion == Birthday }

// late is how long after its moment a firing is still in time.
const late = 5 * time.Minute

// schedule is when the occasion or the schedule of a plan comes; an occasion
// of an imported calendar still needs that.
func (w When) schedule() (calendar.Schedule, error) {
	var until calendar.Date
	if w.Until != "" {
		var err error
		if until, err = calendar.ParseDate(w.Until); err != nil {
			return calendar.Schedule{}, fmt.Errorf("last date: %w", err)
		}
	}
	if w.Cron != "" {
		o, err := calendar.Cron(w.Cron)
		if err != nil {
			return calendar.Schedule{}, fmt.Errorf("schedule: %w", err)
		}
		return calendar.Schedule{Occasion: o, Until: until}, nil
	}
	o, err := calendar.Parse(w.Occasion)
	if err != nil {
		return calendar.Schedule{}, fmt.Errorf("occasion: %w", err)
	}
	minute, err := calendar.ParseHour(cmp.Or(w.Hour, defaultHour))
	if err != nil {
		return calendar.Schedule{}, fmt.Errorf("hour of the occasion: %w", err)
	}
	return calendar.Schedule{Occasion: o, Minute: minute, LeapDay: w.LeapDay, Until: until}, nil
}

// scheduleOf is a plan's with the calendar it needs; where that is gone, the
// occasion never comes.
func (s *Store) scheduleOf(ctx context.Context, w When) (calendar.Schedule, error) {
	schedule, err := w.schedule()
	if err != nil {
		return calendar.Schedule{}, err
	}
	used, err := s.cfg.Calendars.Using(ctx, schedule.Occasion)
	if problem.CodeOf(err) == problem.NotFound {
		return schedule, nil
	}
	if err != nil {
		return calendar.Schedule{}, err
	}
	schedule.Occasion = used
	return schedule, nil
}

// NextDates is the first n moments at which a plan is told from now on: of a
// schedule, of an occasion where the clock is that of TimeZone. A plan without
// either, and that of birthdays, has none.
func (s *Store) NextDates(ctx context.Context, w When, n int) ([]calendar.Moment, error) {
	if !w.Recurs() || w.personal() {
		return nil, nil
	}
	schedule, err := s.scheduleOf(ctx, w)
	if err != nil {
		return nil, err
	}
	zone, err := calendar.LoadZone(w.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("time zone of the plan: %w", err)
	}
	return schedule.Next(s.instant(), zone, n), nil
}

// nextFiring is the first instant after another at which the schedule's wall
// clock is due; zero when there is none within five years or up to its end.
func (w When) nextFiring(after time.Time) (time.Time, error) {
	zone, err := calendar.LoadZone(w.TimeZone)
	if err != nil {
		return time.Time{}, fmt.Errorf("time zone of the schedule: %w", err)
	}
	schedule, err := w.schedule()
	if err != nil {
		return time.Time{}, err
	}
	next := schedule.Next(after, zone, 1)
	if len(next) == 0 {
		return time.Time{}, nil
	}
	return next[0].At, nil
}

// occasion is a date, and the zones in which its hour has come.
type occasion struct {
	Date  string   `json:"date"` // "2006-01-02"
	Zones []string `json:"zones"`
}

// occasionEvery is how often an occasion is looked after: the zones of the
// world differ by quarters of an hour.
const occasionEvery = 15 * time.Minute

// Around the world an hour of a date comes within so long, first where clocks
// are farthest ahead.
const aroundTheWorld = 27 * time.Hour

// nextLook is the first instant after another at which the hour of an occasion
// may come somewhere in the world; zero when it comes no more.
func nextLook(schedule calendar.Schedule, after time.Time) time.Time {
	ahead := time.FixedZone("UTC+14", 14*60*60)
	if len(schedule.Between(after.Add(-aroundTheWorld), after.Add(occasionEvery), ahead)) == 0 {
		next := schedule.Next(after, ahead, 1)
		if len(next) == 0 {
			return time.Time{}
		}
		return next[0].At
	}
	past := time.Duration(schedule.Minute) * time.Minute % occasionEvery
	return after.UTC().Add(-past).Truncate(occasionEvery).Add(occasionEvery + past)
}
