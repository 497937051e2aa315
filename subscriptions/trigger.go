package subscriptions

import (
	"cmp"
	"fmt"
	"time"

	"herald/matcher/predicate"
)

// Text is a wording in each language, by BCP 47 tag: {"en": …, "zh": …}.
type Text map[string]string

// In is the wording for a locale, falling back from "zh-CN" to "zh" to "en".
func (t Text) In(locale string) string { return t[t.tag(locale)] }

// tag is the language that In falls back to.
func (t Text) tag(locale string) string {
	for tag := locale; tag != ""; tag = parentTag(tag) {
		if _, ok := t[tag]; ok {
			return tag
		}
	}
	return "en"
}

func parentTag(tag string) string {
	for i := len(tag) - 1; i > 0; i-- {
		if tag[i] == '-' {
			return tag[:i]
		}
	}
	return ""
}

// Trigger is a kind of alert, defined by data: which events, what a
// subscriber fills in, when it is met, and how it is sent by default.
type Trigger struct {
	Name       string      `json:"name" yaml:"name"` // "price_drop"; never changes
	Title      Text        `json:"title" yaml:"title"`
	Help       Text        `json:"help" yaml:"help"`
	EventType  string      `json:"event_type" yaml:"event_type"` // the CloudEvents type; of Dates DateEventType
	Attributes []Attribute `json:"attributes" yaml:"attributes"`
	Params     []Param     `json:"params" yaml:"params"`
	// At most one of these: a trigger on what changed since the event before,
	// on what did not happen in time, or on dates.
	Change  *ChangeRule `json:"change,omitempty" yaml:"change,omitempty"`
	Absence *Absence    `json:"absence,omitempty" yaml:"absence,omitempty"`
	Dates   *Dates      `json:"dates,omitempty" yaml:"dates,omitempty"`
	// Condition is CEL over event.<attribute>, param.<name>, member.account,
	// member.time_zone, member.birthday and, with Change, previous.<attribute>,
	// previous.time and previous.known; see matcher/predicate.
	Condition string `json:"condition" yaml:"condition"`
	// Broadcast allows a condition that names no key to look it up by.
	Broadcast bool `json:"broadcast,omitempty" yaml:"broadcast,omitempty"`
	// Summary says a subscription in a line, as a Liquid template over param:
	// "{{ param.product }} below {{ param.target }}". A parameter with options
	// reads as the chosen option's title.
	Summary  Text      `json:"summary" yaml:"summary"`
	Channels []Channel `json:"channels" yaml:"channels"` // the default ladder
	Purpose  Purpose   `json:"purpose" yaml:"purpose"`
	Priority int       `json:"priority" yaml:"priority"` // 1 first … 4 last
	// CoolDown is the least time between two notifications of one
	// subscription, as a Go duration ("24h"); empty: none.
	CoolDown string `json:"cool_down,omitempty" yaml:"cool_down,omitempty"`
	// Expiry is how long a notification is worth sending ("24h").
	Expiry string `json:"expiry" yaml:"expiry"`
	// Patience is how long a channel of the ladder has to be confirmed before
	// the next one is tried ("10m"); empty: only a failure leads on.
	Patience string `json:"patience,omitempty" yaml:"patience,omitempty"`
	Template string `json:"template" yaml:"template"`

	// Version counts the saves, from 1. A Save whose Version is not 0 goes
	// through only while that is still the stored one.
	Version int  `json:"version" yaml:"-"`
	Enabled bool `json:"enabled" yaml:"-"`
}

// ChangeRule lets a condition read what the newest event before this one said of
// the same thing. An event that is older than that one meets nothing.
type ChangeRule struct {
	// Key are the attributes that say which thing: ["product"]. An event
	// without one of them has no event before it.
	Key []string `json:"key" yaml:"key"`
	// Keep is how long an event counts as the one before ("720h"); after it
	// the next one is the first again.
	Keep string `json:"keep" yaml:"keep"`
}

// Absence turns the trigger around: an event opens a watch, and meets
// subscriptions when nothing closed it in time.
type Absence struct {
	// Key are the attributes that an event and what closes it have in common:
	// ["order"]. An event without one of them opens nothing.
	Key []string `json:"key" yaml:"key"`
	// ClosedBy are event types: ["order.paid", "order.cancelled"]. The trigger's
	// own may be one of them: each event then closes the watch before it.
	ClosedBy []string `json:"closed_by" yaml:"closed_by"`
	Within   string   `json:"within" yaml:"within"` // "24h"
}

// Dates lets dates meet subscriptions: on each day of the occasion, when the
// hour comes in a time zone that members live in, there is an event with the
// attributes zone, date ("2006-01-02"), day ("02-28") and occasion ("qixi",
// as it is listed). Attributes are then these four; leave them and EventType
// empty.
type Dates struct {
	Occasion string `json:"occasion" yaml:"occasion"` // which days, as calendar.Parse reads them: "birthday", "qixi, mid_autumn"
	Hour     string `json:"hour" yaml:"hour"`         // of the local day: "09:00"
	// LeapDay is when members born on 29 February are thought of in other
	// years: "feb28" or "mar1"; empty: "feb28".
	LeapDay string `json:"leap_day,omitempty" yaml:"leap_day,omitempty"`
	// Missed says what becomes of days that passed while Herald was down:
	// "skip" none are told, "once" each subscriber is told of one at most (the
	// last; of birthdays and other days of one's own each concerns others),
	// "all" each is told, of the last year; empty: "once".
	Missed string `json:"missed,omitempty" yaml:"missed,omitempty"`
	Lead   int    `json:"lead,omitempty" yaml:"lead,omitempty"` // days before the occasion, 0 to 60
}

// DateEventType is the event type of every trigger on dates.
const DateEventType = "herald.date"

// Attribute is one member of an event's data.
type Attribute struct {
	Name     string `json:"name" yaml:"name"`
	Title    Text   `json:"title" yaml:"title"`
	Type     string `json:"type" yaml:"type"` // string, number, boolean, time
	Unit     string `json:"unit,omitempty" yaml:"unit,omitempty"`
	Optional bool   `json:"optional,omitempty" yaml:"optional,omitempty"`
}

// UnitDate is the unit of a string that is a date: "2026-12-31".
const UnitDate = "date"

// Param is one thing a subscriber fills in.
type Param struct {
	Name     string   `json:"name" yaml:"name"`
	Title    Text     `json:"title" yaml:"title"`
	Help     Text     `json:"help,omitempty" yaml:"help,omitempty"`
	Type     string   `json:"type" yaml:"type"` // string, number, boolean, time, strings
	Unit     string   `json:"unit,omitempty" yaml:"unit,omitempty"`
	Optional bool     `json:"optional,omitempty" yaml:"optional,omitempty"`
	Min      *float64 `json:"min,omitempty" yaml:"min,omitempty"`         // of a number; of strings, how many
	Max      *float64 `json:"max,omitempty" yaml:"max,omitempty"`         // likewise; nil: at most 50 strings
	MaxLen   int      `json:"max_len,omitempty" yaml:"max_len,omitempty"` // characters; 0: 200
	Options  []Option `json:"options,omitempty" yaml:"options,omitempty"` // of a string, or of each of strings
	// Default is taken when the subscriber leaves it out: a string, number,
	// boolean, RFC 3339 time or list of strings.
	Default any `json:"default,omitempty" yaml:"default,omitempty"`
}

// Option is one of the values a parameter may take.
type Option struct {
	Value string `json:"value" yaml:"value"`
	Title Text   `json:"title" yaml:"title"`
}

// completed fills in what follows from a trigger on dates.
func (t Trigger) completed() Trigger {
	if t.Dates == nil {
		return t
	}
	dates := *t.Dates
	dates.LeapDay = cmp.Or(dates.LeapDay, leapDays[0])
	dates.Missed = cmp.Or(dates.Missed, missedRules[0])
	t.Dates = &dates
	t.EventType = cmp.Or(t.EventType, DateEventType)
	if len(t.Attributes) == 0 {
		t.Attributes = dateAttributes()
	}
	return t
}

// dateAttributes are what the event of a date says.
func dateAttributes() []Attribute {
	text := string(predicate.String)
	return []Attribute{
		{Name: "zone", Title: Text{"en": "Time zone", "zh": "时区"}, Type: text},
		{Name: "date", Title: Text{"en": "Date", "zh": "日期"}, Type: text},
		{Name: "day", Title: Text{"en": "Day", "zh": "月日"}, Type: text},
		{Name: "occasion", Title: Text{"en": "Occasion", "zh": "节日"}, Type: text},
	}
}

// Schema declares to the condition language which names and types the
// condition may use. A parameter with a default is never absent.
func (t Trigger) Schema() predicate.Schema {
	t = t.completed()
	s := predicate.Schema{
		Event:     make(map[string]predicate.Type, len(t.Attributes)),
		Param:     make(map[string]predicate.Type, len(t.Params)),
		Optional:  map[string]bool{},
		Broadcast: t.Broadcast,
		Previous:  t.Change != nil,
	}
	for _, a := range t.Attributes {
		s.Event[a.Name] = predicate.Type(a.Type)
		if a.Optional {
			s.Optional["event."+a.Name] = true
		}
	}
	for _, p := range t.Params {
		s.Param[p.Name] = predicate.Type(p.Type)
		if p.Optional && p.Default == nil {
			s.Optional["param."+p.Name] = true
		}
	}
	return s
}

// Compile makes the condition ready to look up and evaluate. Its error is a
// *problem.Error with Path "condition".
func (t Trigger) Compile() (*predicate.Predicate, error) {
	return predicate.Compile(t.Condition, t.Schema())
}

// Durations are CoolDown, Expiry and Patience as time; a stored trigger's
// always parse.
func (t Trigger) Durations() (coolDown, expiry, patience time.Duration, err error) {
	for _, one := range []struct {
		name, text string
		to         *time.Duration
	}{{"cool-down", t.CoolDown, &coolDown}, {"expiry", t.Expiry, &expiry}, {"patience", t.Patience, &patience}} {
		if one.text == "" && one.to != &expiry {
			continue
		}
		if *one.to, err = time.ParseDuration(one.text); err != nil {
			return 0, 0, 0, fmt.Errorf("%s of %s: %w", one.name, t.Name, err)
		}
	}
	return coolDown, expiry, patience, nil
}
