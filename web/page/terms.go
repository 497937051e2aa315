package page

import (
	"strings"

	"herald/dispatch"
	"herald/matcher/predicate"
	"herald/subscriptions"
)

// TermLine is a term of a condition, as an event met or missed it, in words.
type TermLine struct {
	Met  bool
	Text string // "Price 529, wanted at most 499"; as it is written where there are no words
	Code string // as it is written
}

// Terms puts the terms of a condition in words for operators, those that were
// missed as well.
func (r Reader) Terms(t subscriptions.Trigger, event map[string]any, terms []predicate.Term) []TermLine {
	c := Course{Audience: Operator, Trigger: t, Timeline: dispatch.Timeline{
		Notification: dispatch.Notification{Data: map[string]any{"event": event}},
	}}
	lines := make([]TermLine, len(terms))
	for i, term := range terms {
		lines[i] = TermLine{Met: term.Met, Text: term.Text, Code: term.Text}
		key := "compare." + term.Operator
		if !r.Has(key) || term.Wanted == nil {
			continue
		}
		for _, a := range t.Attributes {
			if a.Name != term.Attribute {
				continue
			}
			got := r.T("compare.absent")
			if term.Got != nil {
				got = r.value(term.Got, c.unit(a))
			}
			wanted := r.value(term.Wanted, c.unit(a))
			if set, ok := term.Wanted.([]string); ok {
				wanted = strings.Join(set, r.T("list.separator"))
			}
			if term.Operator == "within" {
				got, wanted = r.kilometres(term.Got), r.kilometres(term.Wanted)
			}
			lines[i].Text = r.T("told.attribute", "name", a.Title.In(r.Tag), "value", r.T(key, "got", got, "wanted", wanted))
		}
	}
	return lines
}
