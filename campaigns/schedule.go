package campaigns

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"herald/problem"
)

// hourLayout is how When.Hour is written.
const hourLayout = "15:04"

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
	if _, err := loadZone(w.TimeZone); err != nil {
		f.Add("when.time_zone", "time_zone", `use a zone's name such as "Asia/Shanghai"`)
	}
	if w.Cron != "" {
		if _, err := parseCron(w.Cron); err != nil {
			f.Add("when.cron", "cron", "%s", err.Error())
		}
	}
	if w.Occasion != "" && w.Occasion != Birthday {
		f.AddArgs("when.occasion", "options", map[string]any{"options": []string{Birthday}}, "must be birthday")
	}
	if w.Hour != "" {
		if _, err := time.Parse(hourLayout, w.Hour); err != nil {
			f.Add("when.hour", "format", `write the hour as "09:00"`)
		}
	}
}

// loadZone is a time zone by its name; the machine's own is none.
func loadZone(name string) (*time.Location, error) {
	if strings.EqualFold(name, "local") {
		return nil, fmt.Errorf("unknown time zone %s", name)
	}
	return time.LoadLocation(name)
}

// parseCron reads a schedule of the wall clock: five fields or a short form
// such as @daily, without a zone of its own.
func parseCron(expression string) (*cron.SpecSchedule, error) {
	if strings.Contains(expression, "=") {
		return nil, fmt.Errorf("the time zone has a field of its own")
	}
	schedule, err := cron.ParseStandard(expression)
	if err != nil {
		return nil, fmt.Errorf("write five fields: minute, hour, day, month, weekday (%w)", err)
	}
	spec, ok := schedule.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("say at which times of the day, not how far apart")
	}
	spec.Location = time.UTC // it is asked for wall clocks, which are written as UTC
	return spec, nil
}

// nextFiring is the first instant after another at which the schedule's wall
// clock is due; zero when there is none within five years.
func (w When) nextFiring(after time.Time) (time.Time, error) {
	zone, err := loadZone(w.TimeZone)
	if err != nil {
		return time.Time{}, fmt.Errorf("time zone of the schedule: %w", err)
	}
	spec, err := parseCron(w.Cron)
	if err != nil {
		return time.Time{}, fmt.Errorf("schedule: %w", err)
	}
	// Near a change of the clock the order of wall clocks is not that of their
	// instants, so the neighbours are looked at too.
	const change = 3 * time.Hour
	var first, next time.Time
	for wall := spec.Next(wallClock(after.In(zone)).Add(-change)); !wall.IsZero(); wall = spec.Next(wall) {
		if !first.IsZero() && wall.Sub(first) > change {
			break
		}
		at := instantOf(wall, zone)
		if !at.After(after) {
			continue
		}
		if first.IsZero() {
			first, next = wall, at
		}
		if at.Before(next) {
			next = at
		}
	}
	return next, nil
}

// wallClock is what the clock shows at t, written as UTC.
func wallClock(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instantOf is when the clock of a zone shows a wall clock: the first time,
// where it is set back over it. A time that is left out, because the clock is
// set forward over it, is as much later as the clock is set forward.
func instantOf(wall time.Time, zone *time.Location) time.Time {
	_, before := wall.Add(-24 * time.Hour).In(zone).Zone()
	_, after := wall.Add(24 * time.Hour).In(zone).Zone()
	early := wall.Add(-time.Duration(max(before, after)) * time.Second)
	late := wall.Add(-time.Duration(min(before, after)) * time.Second)
	for _, at := range []time.Time{early, late} {
		if wallClock(at.In(zone)).Equal(wall) {
			return at.UTC()
		}
	}
	return wall.Add(-time.Duration(before) * time.Second).UTC()
}

// occasion is a date, and the zones in which its hour has come.
type occasion struct {
	Date  string   `json:"date"` // "2006-01-02"
	Zones []string `json:"zones"`
}

// leapDay is 29 February as a day of the year.
const leapDay = 229

// birthdaysOn are the days of the year (month and day, as 229) whose birthdays
// fall on a date.
func birthdaysOn(date time.Time) []int {
	day := int(date.Month())*100 + date.Day()
	if tomorrow := date.AddDate(0, 0, 1); day == leapDay-1 && tomorrow.Month() == time.March {
		return []int{day, leapDay}
	}
	return []int{day}
}

// occasionEvery is how often an occasion is looked after: the zones of the
// world differ by quarters of an hour.
const occasionEvery = 15 * time.Minute

// nextLook is the first instant after another at which the hour may come
// somewhere in the world.
func (w When) nextLook(after time.Time) (time.Time, error) {
	hour, err := time.Parse(hourLayout, w.Hour)
	if err != nil {
		return time.Time{}, fmt.Errorf("hour of the occasion: %w", err)
	}
	past := time.Duration(hour.Minute()) * time.Minute % occasionEvery
	return after.UTC().Add(-past).Truncate(occasionEvery).Add(occasionEvery + past), nil
}

// hourOn is when the clock of a zone shows the occasion's hour on a date.
func (w When) hourOn(date time.Time, zone *time.Location) (time.Time, error) {
	hour, err := time.Parse(hourLayout, w.Hour)
	if err != nil {
		return time.Time{}, fmt.Errorf("hour of the occasion: %w", err)
	}
	return instantOf(time.Date(date.Year(), date.Month(), date.Day(), hour.Hour(), hour.Minute(), 0, 0, time.UTC), zone), nil
}
