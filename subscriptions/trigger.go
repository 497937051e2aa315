package subscriptions

import (
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
	EventType  string      `json:"event_type" yaml:"event_type"` // the CloudEvents type
	Attributes []Attribute `json:"attributes" yaml:"attributes"`
	Params     []Param     `json:"params" yaml:"params"`
	// Condition is CEL over event.<attribute>, param.<name> and
	// member.account; see matcher/predicate.
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

// Attribute is one member of an event's data.
type Attribute struct {
	Name     string `json:"name" yaml:"name"`
	Title    Text   `json:"title" yaml:"title"`
	Type     string `json:"type" yaml:"type"` // string, number, boolean, time
	Unit     string `json:"unit,omitempty" yaml:"unit,omitempty"`
	Optional bool   `json:"optional,omitempty" yaml:"optional,omitempty"`
}

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

// Schema declares to the condition language which names and types the
// condition may use. A parameter with a default is never absent.
func (t Trigger) Schema() predicate.Schema {
	s := predicate.Schema{
		Event:     make(map[string]predicate.Type, len(t.Attributes)),
		Param:     make(map[string]predicate.Type, len(t.Params)),
		Optional:  map[string]bool{},
		Broadcast: t.Broadcast,
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
