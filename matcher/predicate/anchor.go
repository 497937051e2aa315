package predicate

import "slices"

// comparison is a term of the form: attribute, operator, constant.
type comparison struct {
	attribute string // of the event
	operator  string // as in Term.Operator
	// What it is compared with: the first of these that is not empty.
	param, member, previous string
	reckoned                *node // of other values than the event's
	literal                 any
}

// constant is what the attribute is compared with; nil when absent.
func (c comparison) constant(v *Values) any {
	switch {
	case c.param != "":
		return v.Param[c.param]
	case c.member != "":
		return v.Member.value(c.member)
	case c.previous != "":
		return v.previous(c.previous)
	case c.reckoned != nil:
		return c.reckoned.shown(v)
	}
	return c.literal
}

// constantName is how the condition calls what is compared with.
func (c comparison) constantName() string {
	switch {
	case c.param != "":
		return "param." + c.param
	case c.member != "":
		return "member." + c.member
	}
	return "previous." + c.previous
}

// anchor is what subscriptions are looked up by. It has a place, or a set and
// a prefix: a subscription has a key for each cell and each element, an event
// a probe for each level and each length, which multiplied would be too many.
type anchor struct {
	equal  []comparison
	set    *comparison
	prefix *comparison
	place  *nearness
	ranged *comparison // of a Between the lower side
	upper  *comparison // of a Between
	bound  Bound       // of ranged

	ranges []comparison // those that ranged is chosen from
	schema Schema
}

func (a *anchor) empty() bool {
	return len(a.equal) == 0 && a.set == nil && a.prefix == nil && a.place == nil && a.ranged == nil
}

// add takes the comparison into the anchor where it fits.
func (a *anchor) add(c comparison) {
	switch {
	case c.operator == "==" && (c.param != "" || c.member != ""):
		a.equal = append(a.equal, c)
	case c.operator == "in" && c.param != "" && a.set == nil:
		a.set = &c
	case c.operator == "prefix" && (c.param != "" || c.member != "") && a.prefix == nil:
		a.prefix = &c
	case c.param != "" && a.boundOf(c) != NoBound:
		a.ranges = append(a.ranges, c)
	}
}

func (a *anchor) addPlace(n nearness) {
	if a.place == nil {
		a.place = &n
	}
}

// settle chooses among what was added.
func (a *anchor) settle() {
	if a.place != nil {
		a.set, a.prefix = nil, nil
	}
	if len(a.ranges) == 0 {
		return
	}
	a.ranged, a.bound = &a.ranges[0], a.boundOf(a.ranges[0])
	for i, c := range a.ranges {
		for j := i + 1; j < len(a.ranges); j++ {
			low, high := &a.ranges[i], &a.ranges[j]
			if !isLower(low) {
				low, high = high, low
			}
			if a.ranges[j].attribute == c.attribute && isLower(low) && !isLower(high) {
				a.ranged, a.upper, a.bound = low, high, Between
				return
			}
		}
	}
}

// isLower reports whether the constant is the least that the event may say.
func isLower(c *comparison) bool { return c.operator == ">" || c.operator == ">=" }

// boundOf is how the bound of a range term is compared. Times become seconds
// as float64, which may join neighbours, so theirs is never exclusive.
func (a *anchor) boundOf(c comparison) Bound {
	t := a.schema.Event[c.attribute]
	if t != Number && t != Time {
		return NoBound
	}
	switch bound := Bound(c.operator); {
	case bound == Below && t == Time:
		return AtMost
	case bound == Above && t == Time:
		return AtLeast
	case slices.Contains([]Bound{Below, AtMost, Above, AtLeast}, bound):
		return bound
	}
	return NoBound
}

// has reports whether the look-up decides a comparison.
func (a *anchor) has(c *comparison) bool {
	same := func(held *comparison) bool {
		return held != nil && held.attribute == c.attribute && held.operator == c.operator &&
			held.param == c.param && held.member == c.member && held.param+held.member != ""
	}
	return slices.ContainsFunc(a.equal, func(e comparison) bool { return same(&e) }) ||
		same(a.set) || same(a.prefix) || same(a.ranged) || same(a.upper)
}

// Anchored reports whether nearly every subscription that is found by its keys
// also meets the event: every other term depends on the event alone, which
// Probes has asked about.
func (p *Predicate) Anchored() bool {
	for _, t := range p.terms {
		if !t.ofEvent && (t.simple == nil || !p.anchor.has(t.simple)) {
			return false
		}
	}
	return true
}
