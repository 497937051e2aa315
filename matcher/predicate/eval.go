package predicate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
)

// Eval reports whether an event meets a subscription. An error means that the
// values themselves make no sense in the condition, such as a regular
// expression that does not parse; the condition is then not met.
func (p *Predicate) Eval(v Values) (bool, error) {
	result := yes
	for i := range p.terms {
		if result = result.and(p.terms[i].natively(&v)); result == no {
			return false, nil
		}
	}
	if result <= absent {
		return result == yes, nil
	}
	return p.withCEL(v)
}

// natively is the verdict on a term without CEL.
func (t *term) natively(v *Values) verdict {
	if t.native == nil {
		return odd
	}
	return t.native.asTruth(v)
}

// withCEL evaluates a condition of which some terms need CEL. Like && it lets
// what is false decide over what cannot be told.
func (p *Predicate) withCEL(v Values) (bool, error) {
	var senseless error
	met := true
	for i := range p.terms {
		result, err := p.terms[i].evaluate(v)
		if result == no {
			return false, nil
		}
		met = met && result == yes
		if senseless == nil {
			senseless = err
		}
	}
	if senseless != nil && p.readsAbsent(&v) {
		return false, nil
	}
	return met, senseless
}

func (p *Predicate) readsAbsent(v *Values) bool {
	return slices.ContainsFunc(p.terms, func(t term) bool { return t.readsAbsent(v) })
}

// evaluate is the verdict on a term, odd with the reason.
func (t *term) evaluate(v Values) (verdict, error) {
	if result := t.natively(&v); result != odd {
		return result, nil
	}
	return t.byCEL(v)
}

func (t *term) byCEL(v Values) (verdict, error) {
	result, _, err := t.program.Eval(activation{&v})
	if err == nil {
		if met, ok := result.Value().(bool); ok {
			return verdictOf(met), nil
		}
		err = errors.New("neither true nor false")
	}
	if t.readsAbsent(&v) {
		return absent, nil
	}
	return odd, fmt.Errorf("evaluate the condition: %w", err)
}

func (t *term) readsAbsent(v *Values) bool {
	return slices.ContainsFunc(t.reads, func(name string) bool {
		_, ok := activation{v}.ResolveName(name)
		return !ok
	})
}

// Explain is the condition term by term, as this event met or missed it.
// Eval is true where every term is met.
func (p *Predicate) Explain(v Values) []Term {
	terms := make([]Term, 0, len(p.terms))
	for i := range p.terms {
		t := &p.terms[i]
		explained := t.Term
		result, _ := t.evaluate(v)
		explained.Met = result == yes
		switch {
		case t.simple != nil:
			explained.Got = v.Event[t.simple.attribute]
			explained.Wanted = shown(t.simple.constant(&v))
			if t.Previous != "" {
				explained.Before = v.previous(t.Previous)
			}
		case t.place != nil:
			explained.Got, explained.Wanted = t.place.found(&v)
		}
		terms = append(terms, explained)
	}
	return terms
}

// shownElements is how much of a set an explanation repeats.
const shownElements = 20

func shown(constant any) any {
	if set, ok := constant.([]string); ok && len(set) > shownElements {
		return append(slices.Clone(set[:shownElements]), "…")
	}
	return constant
}

// activation lets CEL read Values by qualified name; it implements cel.Activation.
type activation struct{ values *Values }

func (a activation) ResolveName(name string) (any, bool) {
	root, key := splitName(name)
	var value any
	switch root {
	case "event":
		value = a.values.Event[key]
	case "param":
		value = a.values.Param[key]
	case "member":
		value = a.values.Member.value(key)
	case "previous":
		value = a.values.previous(key)
	}
	return value, value != nil
}

// splitName is "event", "price" for event.price.
func splitName(name string) (root, key string) {
	root, key, _ = strings.Cut(name, ".")
	return root, key
}

// previous is what the event before said; nil when it is absent.
func (v *Values) previous(name string) any {
	if name == "known" {
		return v.Known
	}
	return v.Previous[name]
}

func (a activation) Parent() cel.Activation { return nil }

// Params reads parameters from the JSON they are stored as: times from RFC
// 3339, sets from arrays of strings. What the schema does not name is left
// out, null is absent.
func (s Schema) Params(raw []byte) (map[string]any, error) {
	var stored map[string]json.RawMessage
	if err := json.Unmarshal(raw, &stored); err != nil {
		return nil, fmt.Errorf("read parameters: %w", err)
	}
	params := make(map[string]any, len(stored))
	for name, value := range stored {
		t, known := s.Param[name]
		if !known || string(value) == "null" {
			continue
		}
		decoded, err := decode(t, value)
		if err != nil {
			return nil, fmt.Errorf("read param.%s: %w", name, err)
		}
		params[name] = decoded
	}
	return params, nil
}

func decode(t Type, raw json.RawMessage) (any, error) {
	switch t {
	case String:
		return as[string](raw)
	case Number:
		return as[float64](raw)
	case Boolean:
		return as[bool](raw)
	case Time:
		return as[time.Time](raw)
	case Strings:
		return as[[]string](raw)
	}
	return nil, fmt.Errorf("unknown type %q", t)
}

func as[T any](raw json.RawMessage) (T, error) {
	var v T
	err := json.Unmarshal(raw, &v)
	return v, err
}
