package page

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"herald/dispatch"
	"herald/matcher/predicate"
	"herald/subscriptions"
)

// Audience is whom the course of a notification is told to.
type Audience string

// The audiences.
const (
	Customer Audience = "customer" // warm, addresses masked, steps that carry no news left out
	Operator Audience = "operator" // exact, every step
)

// Course is a notification whose course is to be told.
type Course struct {
	Audience Audience
	Timeline dispatch.Timeline
	Trigger  subscriptions.Trigger // names and units of attributes; may be empty
	Summary  string                // the subscription in a line, in the reader's language; may be empty
}

// Told is one line of a course.
type Told struct {
	At     time.Time
	Code   string // the entry's
	Text   string
	Notes  []string // further lines: what happened, which terms were met
	OK     bool
	Detail map[string]any // for operators
}

// Narrate words the course of a notification, in order of time.
func (r Reader) Narrate(c Course) []Told {
	addresses := map[string]string{}
	for _, d := range c.Timeline.Deliveries {
		addresses[d.ID.String()] = d.Address
	}
	var told []Told
	for _, e := range c.Timeline.Entries {
		key := r.stepKey(c, e)
		if key == "" {
			continue
		}
		args := r.stepArgs(c, e)
		address := addresses[e.DeliveryID.String()]
		if c.Audience == Customer {
			address = r.Masked(address)
		}
		args = append(args, "address", address)
		told = append(told, Told{
			At: e.At, Code: e.Code, Text: r.T(key, args...), Notes: r.notes(c, e), OK: e.OK, Detail: e.Detail,
		})
	}
	return told
}

// stepKey is the key that words an entry for an audience; "" when it is not
// told. A code that nobody has worded is shown to operators as it is.
func (r Reader) stepKey(c Course, e dispatch.Entry) string {
	key := "told." + string(c.Audience) + "." + e.Code
	variant := ""
	switch e.Code {
	case "subscription_met":
		if c.Summary == "" {
			variant = ".plain"
		}
	case "valid":
		variant = ifTold(e.Args, "until", ".until")
	case "cool_down_passed":
		variant = ifTold(e.Args, "last", ".last")
		if wait, _ := lengthOf(e.Args["cool_down"]); wait == 0 {
			variant = ".none"
		}
	case "cap_passed":
		variant = ifTold(e.Args, "max", ".max")
	case "attempt_started":
		if e.Args["repeats"] == true {
			variant = ".repeats"
		}
	case "attempt_ended":
		variant = ".failed"
		if e.OK {
			variant = ".accepted"
		}
	case "state":
		variant = "." + fmt.Sprint(e.Args["state"])
		if e.Args["reason"] == nil && r.Has(key+variant+".plain") {
			variant += ".plain"
		}
	}
	if key += variant; r.Has(key) {
		return key
	}
	if c.Audience == Operator {
		return e.Code
	}
	return ""
}

func ifTold(args map[string]any, name, variant string) string {
	switch args[name] {
	case nil, "", 0, 0.0:
		return ""
	}
	return variant
}

// stepArgs are an entry's figures, worded.
func (r Reader) stepArgs(c Course, e dispatch.Entry) []any {
	args := maps.Clone(e.Args)
	if args == nil {
		args = map[string]any{}
	}
	pairs := []any{}
	if c.Summary != "" || args["summary"] == nil {
		args["summary"] = c.Summary
	}
	for _, name := range []string{"refusal", "reason", "outcome"} {
		if code, ok := args[name]; ok {
			args["reason"] = r.Word("reason."+string(c.Audience), code)
		}
	}
	if args["reason"] == nil {
		args["reason"] = "–"
	}
	if channel, ok := args["channel"]; ok {
		args["by"] = r.Word("channel.by", channel)
		args["channel"] = r.Word("channel", channel)
	}
	if at, ok := momentOf(args["last"]); ok {
		args["last"] = r.Minute(at)
	}
	if at, ok := momentOf(args["until"]); ok {
		args["until"] = r.Minute(at)
		if c.Audience == Customer {
			args["until"] = r.Date(at.Add(-1)) // the last day, as they chose it
		}
	}
	if sent, ok := figure(args["sent"]); ok && e.Code == "cap_passed" {
		args["number"] = sent + 1 // sent counts those before this one
	}
	args["next"] = r.T("time.soon")
	if at, ok := momentOf(args["next_attempt_at"]); ok && at.After(r.Now) {
		args["next"] = r.relative(at)
	}
	if wait, ok := lengthOf(args["cool_down"]); ok {
		args["cool_down"] = r.Duration(wait)
	}
	for name, value := range args {
		if _, ok := figure(value); ok {
			value = r.Number(value)
		}
		pairs = append(pairs, name, value)
	}
	return pairs
}

// momentOf reads a time as it is in memory or came from JSON.
func momentOf(v any) (time.Time, bool) {
	switch v := v.(type) {
	case time.Time:
		return v, !v.IsZero()
	case *time.Time:
		if v != nil {
			return *v, true
		}
	case string:
		at, err := time.Parse(time.RFC3339Nano, v)
		return at, err == nil
	}
	return time.Time{}, false
}

// lengthOf reads a length of time as it is in memory or came from JSON: text
// as Go writes it, or seconds.
func lengthOf(v any) (time.Duration, bool) {
	switch v := v.(type) {
	case time.Duration:
		return v, true
	case subscriptions.Duration:
		return time.Duration(v), true
	case string:
		d, err := time.ParseDuration(v)
		return d, err == nil
	case float64:
		return time.Duration(v * float64(time.Second)), true
	}
	return 0, false
}

// notes are the further lines of an entry: what the event said, and the terms
// of the condition.
func (r Reader) notes(c Course, e dispatch.Entry) []string {
	switch e.Code {
	case "event_received":
		if line := r.eventLine(c); line != "" {
			return []string{line}
		}
	case "subscription_met":
		return r.terms(c, e.Args["terms"])
	}
	return nil
}

// event is the data of the event that a course began with.
func (c Course) event() map[string]any {
	event, _ := c.Timeline.Notification.Data["event"].(map[string]any)
	return event
}

// eventLine says the event in a line, by the names and units that the trigger
// gives its attributes. The currency stands with its amounts, and customers
// are not told their own account.
func (r Reader) eventLine(c Course) string {
	event := c.event()
	var parts []string
	for _, a := range c.Trigger.Attributes {
		v := event[a.Name]
		if v == nil || a.Name == currencyAttribute || c.Audience == Customer && v == c.Timeline.Delivery.Member {
			continue
		}
		parts = append(parts, r.T("told.attribute", "name", a.Title.In(r.Tag), "value", r.value(v, c.unit(a))))
	}
	return strings.Join(parts, " · ")
}

// currencyAttribute is the attribute that says in which currency an event's
// amounts are; their unit is called so too.
const currencyAttribute = "currency"

func (c Course) unit(a subscriptions.Attribute) string {
	if a.Unit != currencyAttribute {
		return a.Unit
	}
	currency, _ := c.event()[currencyAttribute].(string)
	return currency
}

// terms words the comparisons of a met condition with what the reader chose
// that tell more than that the event is the one asked for.
func (r Reader) terms(c Course, raw any) []string {
	var lines []string
	for _, term := range termsOf(raw) {
		key := "term." + term.Operator
		if !term.Met || term.Param == "" || term.Got == nil || !r.Has(key) {
			continue
		}
		for _, a := range c.Trigger.Attributes {
			if a.Name != term.Attribute {
				continue
			}
			said := r.T(key, "got", r.value(term.Got, c.unit(a)), "wanted", r.value(term.Wanted, c.unit(a)))
			lines = append(lines, r.T("told.attribute", "name", a.Title.In(r.Tag), "value", said))
		}
	}
	return lines
}

// termsOf takes predicate.Terms as they are in memory or came from JSON.
func termsOf(raw any) []predicate.Term {
	switch list := raw.(type) {
	case []predicate.Term:
		return list
	case []any:
		var terms []predicate.Term
		for _, item := range list {
			m, ok := item.(map[string]any)
			if !ok {
				continue
			}
			t := predicate.Term{Got: m["got"], Wanted: m["wanted"]}
			t.Text, _ = m["text"].(string)
			t.Attribute, _ = m["attribute"].(string)
			t.Operator, _ = m["operator"].(string)
			t.Param, _ = m["param"].(string)
			t.Met, _ = m["met"].(bool)
			terms = append(terms, t)
		}
		return terms
	}
	return nil
}

// value writes a value of an event: a number with its unit, a time in the
// reader's zone, anything else as it is.
func (r Reader) value(v any, unit string) string {
	if _, ok := figure(v); ok {
		return r.Measure(v, unit)
	}
	switch v := v.(type) {
	case bool:
		return r.Word("boolean", v)
	case string:
		if at, ok := momentOf(v); ok {
			return r.Minute(at)
		}
		return v
	case time.Time:
		return r.Minute(v)
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = r.value(item, unit)
		}
		return strings.Join(parts, r.T("list.separator"))
	}
	return fmt.Sprint(v)
}
