package subscriptions

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"herald/calendar"
	"herald/matcher/predicate"
	"herald/problem"
)

// Limits of what a subscriber may fill in where the definition gives none.
const (
	defaultMaxLen     = 200
	defaultMaxStrings = 50
)

// CheckParams reads what a subscriber filled in, from JSON or from a form, and
// holds it against the definition. The values come back typed: string,
// float64, bool, time.Time in UTC, or []string sorted and without repetitions;
// defaults are filled in and optional ones that were left out are absent.
//
// Strings are trimmed; an empty one counts as left out. Of a form's repeated
// values a scalar takes the last. A list may be given as one string or several
// with commas (",", "，" or "、") between the entries. A time is RFC 3339, or a date with or
// without an hour, then in UTC. Checking what it returned changes nothing.
//
// Mistakes have Path "params.<name>" and one of the rules required, type
// (Args type), min, max (Args of that name, and type: of strings it is their
// number), max_len (Args max_len), option (Args options), unknown.
func (t Trigger) CheckParams(raw map[string]any) (map[string]any, []problem.Field) {
	var bad problem.Fields
	values := make(map[string]any, len(t.Params))
	for _, p := range t.Params {
		if v := p.check("params."+p.Name, raw[p.Name], &bad); v != nil {
			values[p.Name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		known := slices.ContainsFunc(t.Params, func(p Param) bool { return p.Name == name })
		if !known {
			bad.Add("params."+name, "unknown", "there is no such parameter")
		}
	}
	if len(bad) > 0 {
		return nil, bad
	}
	return values, nil
}

// check reads one value; nil when it was left out or is wrong.
func (p Param) check(path string, raw any, bad *problem.Fields) any {
	v, ok := p.read(raw)
	if ok && v == nil {
		v, ok = p.read(p.Default)
	}
	switch {
	case !ok:
		bad.AddArgs(path, "type", map[string]any{"type": p.Type}, "must be %s", inWords(p.Type))
		return nil
	case v == nil && !p.Optional:
		bad.Add(path, "required", "must be given")
		return nil
	case v == nil:
		return nil
	}
	before := len(*bad)
	switch v := v.(type) {
	case float64:
		p.checkBounds(path, v, bad)
	case string:
		p.checkText(path, v, bad)
	case []string:
		p.checkBounds(path, float64(len(v)), bad)
		for _, s := range v {
			if before == len(*bad) {
				p.checkText(path, s, bad)
			}
		}
	}
	if len(*bad) > before {
		return nil
	}
	return v
}

// read turns a value as it came into its type. A nil value was left out; not
// ok means that it cannot be read as that type.
func (p Param) read(raw any) (v any, ok bool) {
	if predicate.Type(p.Type) == predicate.Strings {
		list, ok := readStrings(raw)
		if len(list) == 0 {
			return nil, ok
		}
		return list, ok
	}
	if repeated, is := raw.([]string); is {
		raw = nil
		if len(repeated) > 0 {
			raw = repeated[len(repeated)-1]
		}
	}
	if s, is := raw.(string); is {
		raw = strings.TrimSpace(s)
	}
	if raw == nil || raw == "" {
		return nil, true
	}
	switch predicate.Type(p.Type) {
	case predicate.Number:
		return typed(readNumber(raw))
	case predicate.Boolean:
		return typed(readBoolean(raw))
	case predicate.Time:
		return typed(readTime(raw))
	case predicate.String:
		s, ok := raw.(string)
		return typed(s, ok && oneLine(s))
	}
	return nil, false
}

// typed keeps a zero value of a failed reading from looking like a value.
func typed[T any](v T, ok bool) (any, bool) {
	if !ok {
		return nil, false
	}
	return v, true
}

func (p Param) checkBounds(path string, n float64, bad *problem.Fields) {
	if p.Min != nil && n < *p.Min {
		bad.AddArgs(path, "min", map[string]any{"min": *p.Min, "type": p.Type}, "must be at least %s", p.amount(*p.Min))
	}
	if limit, ok := p.limit(); ok && n > limit {
		bad.AddArgs(path, "max", map[string]any{"max": limit, "type": p.Type}, "must be at most %s", p.amount(limit))
	}
}

// limit is the upper bound of a number, or of how many strings there may be.
func (p Param) limit() (float64, bool) {
	if p.Max != nil {
		return *p.Max, true
	}
	return defaultMaxStrings, predicate.Type(p.Type) == predicate.Strings
}

func (p Param) amount(n float64) string {
	if predicate.Type(p.Type) == predicate.Strings {
		return decimal(n).String() + " entries"
	}
	return decimal(n).String()
}

func (p Param) checkText(path, s string, bad *problem.Fields) {
	if len(p.Options) > 0 {
		if !slices.ContainsFunc(p.Options, func(o Option) bool { return o.Value == s }) {
			values := make([]string, len(p.Options))
			for i, o := range p.Options {
				values[i] = o.Value
			}
			bad.AddArgs(path, "option", map[string]any{"options": values}, "must be one of %s", strings.Join(values, ", "))
		}
		return
	}
	if p.Unit == UnitDate {
		if _, err := calendar.ParseDate(s); err != nil {
			bad.Add(path, "date", "must be a date, such as 2026-12-31")
		}
		return
	}
	limit := p.MaxLen
	if limit == 0 {
		limit = defaultMaxLen
	}
	if utf8.RuneCountInString(s) > limit {
		bad.AddArgs(path, "max_len", map[string]any{"max_len": limit}, "must be at most %d characters", limit)
	}
}

// CheckEvent holds an event's data against the attributes. Values come back
// typed: string, float64, bool or time.Time in UTC; attributes that the
// definition does not name are kept as they are, null ones are absent.
//
// Unlike a form an event is machine-made, so nothing is converted: a number is
// a number, a time is RFC 3339 with its offset. Data that is typed already
// comes back itself, so that neither it nor what comes back may be changed.
//
// Mistakes have Path "data.<name>" and the rule required or type (Args type).
func (t *Trigger) CheckEvent(data map[string]any) (map[string]any, []problem.Field) {
	if t.fits(data) {
		return data, nil
	}
	return t.read(data)
}

// fits reports whether an event's data is typed as it would be read, as nearly
// every one is that came as JSON and has no times.
func (t *Trigger) fits(data map[string]any) bool {
	declared := 0 // values that the definition names
	for i := range t.Attributes {
		a := &t.Attributes[i]
		switch v := data[a.Name].(type) {
		case nil:
			if !a.Optional {
				return false
			}
			continue
		case string:
			if a.Type != string(predicate.String) || !withoutNUL(v) {
				return false
			}
		case float64:
			if _, ok := finite(v); !ok || a.Type != string(predicate.Number) {
				return false
			}
		case bool:
			if a.Type != string(predicate.Boolean) {
				return false
			}
		default:
			return false
		}
		declared++
	}
	if declared == len(data) {
		return data != nil
	}
	for name, v := range data {
		if v == nil || !withoutNUL(v) || !withoutNUL(name) {
			return false
		}
	}
	return true
}

// read is CheckEvent of any data, into a map of its own.
func (t *Trigger) read(data map[string]any) (map[string]any, []problem.Field) {
	var bad problem.Fields
	values := make(map[string]any, len(data))
	for name, v := range data {
		switch {
		case v == nil:
		case !withoutNUL(v) || !withoutNUL(name):
			bad.Add("data."+name, "type", "must not contain the character NUL")
		default:
			values[name] = v
		}
	}
	slices.SortFunc(bad, func(a, b problem.Field) int { return strings.Compare(a.Path, b.Path) })
	for _, a := range t.Attributes {
		raw, given := values[a.Name]
		if !given {
			if !a.Optional && data[a.Name] == nil {
				bad.Add("data."+a.Name, "required", "must be given")
			}
			continue
		}
		v, ok := a.read(raw)
		if !ok {
			bad.AddArgs("data."+a.Name, "type", map[string]any{"type": a.Type}, "must be %s", inWords(a.Type))
			continue
		}
		values[a.Name] = v
	}
	if len(bad) > 0 {
		return nil, bad
	}
	return values, nil
}

func (a Attribute) read(raw any) (any, bool) {
	switch predicate.Type(a.Type) {
	case predicate.Number:
		if _, text := raw.(string); text {
			return nil, false
		}
		return typed(readNumber(raw))
	case predicate.Boolean:
		v, ok := raw.(bool)
		return typed(v, ok)
	case predicate.Time:
		switch v := raw.(type) {
		case time.Time:
			return v.UTC(), true
		case string:
			at, err := time.Parse(time.RFC3339Nano, v)
			return typed(at.UTC(), err == nil)
		}
		return nil, false
	case predicate.String:
		v, ok := raw.(string)
		return typed(v, ok)
	}
	return nil, false
}

// withoutNUL reports whether PostgreSQL can keep a JSON value: its text cannot
// hold the character NUL.
func withoutNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return !strings.ContainsRune(v, 0)
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !withoutNUL(e) })
	case map[string]any:
		for name, e := range v {
			if !withoutNUL(name) || !withoutNUL(e) {
				return false
			}
		}
	}
	return true
}

func inWords(kind string) string {
	switch predicate.Type(kind) {
	case predicate.Number:
		return "a number"
	case predicate.Boolean:
		return "true or false"
	case predicate.Time:
		return "a time, such as 2026-01-31T09:00:00Z"
	case predicate.Strings:
		return "a list of texts"
	}
	return "text on one line"
}

// finite refuses what neither JSON nor a comparison can hold.
func finite(f float64) (float64, bool) { return f, !math.IsNaN(f) && !math.IsInf(f, 0) }

// readJSONNumber reads a number that a decoder kept as its text.
func readJSONNumber(n json.Number) (float64, bool) {
	f, err := n.Float64()
	if err != nil {
		return 0, false
	}
	return finite(f)
}
