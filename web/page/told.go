package page

import (
	"fmt"
	"maps"
	"math"
	"slices"
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
	if key += r.variant(c, e, key); r.Has(key) {
		return key
	}
	if c.Audience == Operator {
		return e.Code
	}
	return ""
}

// variant is what a key is continued by when an entry's figures ask for other
// words.
func (r Reader) variant(c Course, e dispatch.Entry, key string) string {
	switch e.Code {
	case "event_received":
		source, _ := e.Args["source"].(string)
		if own, ok := strings.CutPrefix(source, ownSource); ok && r.Has(key+"."+own) {
			return "." + own
		}
		return r.byCompany(key)
	case "campaign":
		return r.byCompany(key)
	case "subscription_met":
		if c.Summary == "" {
			return ".plain"
		}
	case "valid":
		return ifTold(e.Args, "until", ".until")
	case "cool_down_passed":
		if wait, _ := lengthOf(e.Args["cool_down"]); wait == 0 {
			return ".none"
		}
		return ifTold(e.Args, "last", ".last")
	case "cap_passed", "frequency_cap_passed":
		return ifTold(e.Args, "max", ".max")
	case "digest", "reply_received":
		return "." + fmt.Sprint(e.Args["kind"])
	case "ladder_climbed":
		return "." + fmt.Sprint(e.Args["reason"])
	case "receipt":
		event := "." + fmt.Sprint(e.Args["event"])
		if code := ifTold(e.Args, "code", ".code"); r.Has(key + event + code) {
			return event + code
		}
		return event
	case "attempt_started":
		if e.Args["repeats"] == true {
			return ".repeats"
		}
	case "attempt_ended":
		if e.OK {
			return ".accepted"
		}
		return ".failed"
	case "occasion_came":
		if e.Args["occasion"] != "birthday" {
			return ".date"
		}
	case "call_answered", "call_heard", "call_hung_up":
		if by := "." + fmt.Sprint(e.Args["by"]); r.Has(key + by) {
			return by
		}
	case "call_failed":
		if class := "." + fmt.Sprint(e.Args["class"]); r.Has(key + class) {
			return class
		}
	case "fax_submitted":
		if first, _ := figure(e.Args["first"]); first > 1 {
			return ".rest"
		}
	case "fax_ended":
		if outcome := "." + fmt.Sprint(e.Args["outcome"]); r.Has(key + outcome) {
			return outcome
		}
	case "state":
		return r.stateVariant(e, key)
	}
	return ""
}

// byCompany names the company where there are words that do.
func (r Reader) byCompany(key string) string {
	if r.Company != "" && r.Has(key+".company") {
		return ".company"
	}
	return ""
}

// stateVariant words a state by its reason where there are words for both
// together: what waits as planned has not failed to get through.
func (r Reader) stateVariant(e dispatch.Entry, key string) string {
	state := "." + fmt.Sprint(e.Args["state"])
	if e.Args["reason"] == nil {
		if r.Has(key + state + ".plain") {
			return state + ".plain"
		}
		return state
	}
	reason := fmt.Sprint(e.Args["reason"])
	if r.Has(key + state + "." + reason) {
		return state + "." + reason
	}
	if !slices.Contains(plannedWaits, reason) || !r.Has(key+state+".waits") {
		return state
	}
	if next, ok := momentOf(e.Args["next_attempt_at"]); !ok || !next.After(r.Now) {
		return state + ".waits.open"
	}
	return state + ".waits"
}

// ownSource begins the sources of events that Herald makes itself, such as
// herald:absence.
const ownSource = "herald:"

// plannedWaits are the reasons of a message that waits because it shall.
var plannedWaits = []string{"quiet_hours", "digest", "rate_limit", "campaign_paused"}

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
	if c.Summary != "" || args["summary"] == nil {
		args["summary"] = c.Summary
	}
	if occasion, ok := args["occasion"].(string); ok {
		args["occasion"] = r.Occasion(occasion, "")
	}
	if sent, ok := figure(args["sent"]); ok {
		args["number"] = sent + 1 // sent counts those before this one
	}
	if actor, ok := args["actor"].(string); ok {
		args["actor"] = r.Actor(actor)
	}
	args["company"] = r.Company
	r.wordCodes(c, args)
	r.wordTimes(c, e, args)
	pairs := []any{}
	for name, value := range args {
		if _, ok := figure(value); ok {
			value = r.Number(value)
		}
		pairs = append(pairs, name, value)
	}
	return pairs
}

// wordCodes replaces codes among the figures by words.
func (r Reader) wordCodes(c Course, args map[string]any) {
	for _, name := range []string{"refusal", "reason", "outcome"} {
		if code, ok := args[name]; ok {
			args["reason"] = r.Word("reason."+string(c.Audience), code)
		}
	}
	if args["reason"] == nil {
		args["reason"] = "–"
	}
	for name, by := range map[string]string{"channel": "by", "from": "from_by", "to": "to_by"} {
		if channel, ok := args[name]; ok {
			args[by] = r.Word("channel.by", channel)
			args[name] = r.Word("channel", channel)
		}
	}
}

// wordTimes replaces moments and lengths of time among the figures by words.
func (r Reader) wordTimes(c Course, e dispatch.Entry, args map[string]any) {
	for _, name := range []string{"last", "until", "due"} {
		at, ok := momentOf(args[name])
		switch {
		case !ok:
		case (e.Code == "valid" || e.Code == "ends_soon") && c.Audience == Customer:
			args[name] = r.Date(at.Add(-1)) // the last day, as they chose it
		default:
			args[name] = r.Minute(at)
		}
	}
	for _, name := range []string{"cool_down", "within"} {
		if length, ok := lengthOf(args[name]); ok {
			args[name] = r.Duration(length)
		}
	}
	args["next"] = r.T("time.soon")
	if at, ok := momentOf(args["next_attempt_at"]); ok && at.After(r.Now) {
		args["next"] = r.relative(at)
	}
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

// terms words the comparisons of a met condition with what the reader chose,
// or with the event before, that tell more than that the event is the one
// asked for.
func (r Reader) terms(c Course, raw any) []string {
	var lines []string
	for _, term := range termsOf(raw) {
		if !term.Met || term.Got == nil {
			continue
		}
		if term.Operator == "within" {
			lines = append(lines, r.T("term.within", "got", r.kilometres(term.Got), "wanted", r.kilometres(term.Wanted)))
			continue
		}
		key := "term." + term.Operator
		if term.Before != nil {
			key = "term.before." + term.Operator
		}
		if term.Before == nil && term.Param == "" || !r.Has(key) {
			continue
		}
		for _, a := range c.Trigger.Attributes {
			if a.Name != term.Attribute {
				continue
			}
			said := r.T(key, "got", r.value(term.Got, c.unit(a)), "wanted", r.value(term.Wanted, c.unit(a)), "before", r.value(term.Before, c.unit(a)))
			lines = append(lines, r.T("told.attribute", "name", a.Title.In(r.Tag), "value", said))
		}
	}
	return lines
}

// kilometres writes a distance, closer where it is short.
func (r Reader) kilometres(v any) string {
	km, _ := figure(v)
	part := 10.0
	if km < 1 {
		part = 100
	}
	return r.Measure(math.Round(km*part)/part, "km")
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
			t := predicate.Term{Got: m["got"], Wanted: m["wanted"], Before: m["before"]}
			t.Text, _ = m["text"].(string)
			t.Attribute, _ = m["attribute"].(string)
			t.Operator, _ = m["operator"].(string)
			t.Param, _ = m["param"].(string)
			t.Previous, _ = m["previous"].(string)
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
