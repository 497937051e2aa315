package calendar

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

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

// nextFiring is the first instant after another at which the wall clock of a
// zone is due, and what that clock was to show; zero when there is none within
// five years.
func nextFiring(spec *cron.SpecSchedule, after time.Time, zone *time.Location) (next, shown time.Time) {
	shown = spec.Next(wallClock(after.In(zone)))
	if shown.IsZero() {
		return time.Time{}, time.Time{}
	}
	next = InstantOf(shown, zone)
	change := max(changeNear(after, zone), changeNear(next, zone))
	if change == 0 {
		return next, shown
	}
	// Near a change of the clock the order of wall clocks is not that of their
	// instants, so the neighbours are looked at too.
	change += time.Hour
	var first time.Time
	for wall := spec.Next(wallClock(after.In(zone)).Add(-change)); !wall.IsZero(); wall = spec.Next(wall) {
		if !first.IsZero() && wall.Sub(first) > change {
			break
		}
		at := InstantOf(wall, zone)
		if !at.After(after) {
			continue
		}
		if first.IsZero() {
			first, next, shown = wall, at, wall
		}
		if at.Before(next) {
			next, shown = at, wall
		}
	}
	return next, shown
}

// changeNear is by how much the clock of a zone is changed about an instant.
func changeNear(at time.Time, zone *time.Location) time.Duration {
	_, before := at.Add(-furthest).In(zone).Zone()
	_, after := at.Add(furthest).In(zone).Zone()
	return (time.Duration(after-before) * time.Second).Abs()
}
