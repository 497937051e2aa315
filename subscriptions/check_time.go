package subscriptions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"herald/calendar"
)

// What a definition may hold of what takes time.
const (
	maxKey     = 5 // attributes
	maxClosers = 20
	minKeep    = time.Minute
	maxKeep    = 366 * 24 * time.Hour // also how long an absence may take
	minWithin  = time.Second
	maxLead    = 60 // days
)

// reserved begins the types of the events that Herald makes itself.
const reserved = "herald."

// The first of each is what an empty one means.
var (
	leapDays    = []string{"feb28", "mar1"}
	missedRules = []string{"once", "skip", "all"}
)

func (d *definition) eventType(path, name string, dates bool) {
	switch {
	case len(name) > maxEventType || !eventTypes.MatchString(name):
		d.bad.AddArgs(path, "format", map[string]any{"max_len": maxEventType}, "must be a CloudEvents type, such as price.changed, of at most %d characters", maxEventType)
	case dates && name != DateEventType:
		d.bad.Add(path, "applies", "of a trigger on dates is %s, or left out", DateEventType)
	case !dates && strings.HasPrefix(name, reserved):
		d.bad.Add(path, "reserved", "must not begin with %s: such events are Herald's own", reserved)
	}
}

// overTime checks changes, absences and dates.
func (d *definition) overTime(t Trigger) {
	kinds := 0
	if t.Change != nil {
		kinds++
		d.change(t)
	}
	if t.Absence != nil {
		kinds++
		d.absence(t)
	}
	if t.Dates != nil {
		kinds++
		d.dates(t)
	}
	if kinds > 1 {
		d.bad.Add("condition", "alone", "a trigger is on changes, on an absence or on dates: give one of change, absence and dates")
	}
}

func (d *definition) change(t Trigger) {
	d.key("change.key", t.Change.Key, t)
	d.duration("change.keep", t.Change.Keep, minKeep, maxKeep)
	for i, a := range t.Attributes {
		if a.Name == "time" || a.Name == "known" {
			d.bad.Add(fmt.Sprintf("attributes[%d].name", i), "reserved", "previous.%s is Herald's: call the attribute otherwise", a.Name)
		}
	}
}

func (d *definition) absence(t Trigger) {
	d.key("absence.key", t.Absence.Key, t)
	d.duration("absence.within", t.Absence.Within, minWithin, maxKeep)
	if len(t.Absence.ClosedBy) == 0 {
		d.bad.Add("absence.closed_by", "required", "must name at least one event type")
	}
	d.atMost("absence.closed_by", len(t.Absence.ClosedBy), maxClosers)
	seen := map[string]bool{}
	for i, name := range t.Absence.ClosedBy {
		path := fmt.Sprintf("absence.closed_by[%d]", i)
		d.eventType(path, name, false)
		d.once(path, name, seen)
	}
}

func (d *definition) dates(t Trigger) {
	if _, err := calendar.Parse(t.Dates.Occasion); err != nil {
		d.bad.Add("dates.occasion", "occasion", "%s", err.Error())
	}
	var hour Clock
	if err := hour.UnmarshalText([]byte(t.Dates.Hour)); err != nil {
		d.bad.Add("dates.hour", "clock", "must be a time of day, such as 09:00")
	}
	d.oneOf("dates.leap_day", t.Dates.LeapDay, leapDays)
	d.oneOf("dates.missed", t.Dates.Missed, missedRules)
	if t.Dates.Lead < 0 || t.Dates.Lead > maxLead {
		d.bad.AddArgs("dates.lead", "range", map[string]any{"min": 0, "max": maxLead}, "must be 0 to %d days", maxLead)
	}
	given := dateAttributes()
	alike := slices.EqualFunc(t.Attributes, given, func(a, b Attribute) bool {
		return a.Name == b.Name && a.Type == b.Type && !a.Optional
	})
	if !alike {
		d.bad.Add("attributes", "applies", "of a trigger on dates are zone, date, day and occasion, or left out")
	}
}

// key checks the attributes by which events belong together.
func (d *definition) key(path string, key []string, t Trigger) {
	if len(key) == 0 {
		d.bad.Add(path, "required", "must name at least one attribute")
	}
	d.atMost(path, len(key), maxKey)
	seen := map[string]bool{}
	for i, name := range key {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.once(at, name, seen)
		if !slices.ContainsFunc(t.Attributes, func(a Attribute) bool { return a.Name == name }) {
			d.bad.Add(at, "unknown", "there is no attribute %s", name)
		}
	}
}

func (d *definition) duration(path, text string, least, most time.Duration) {
	if v, err := time.ParseDuration(text); err != nil || v < least || v > most || v%time.Microsecond != 0 {
		d.bad.AddArgs(path, "duration", map[string]any{"min": least.String(), "max": most.String()}, "must be a duration such as 24h, from %s to %s", least, most)
	}
}
