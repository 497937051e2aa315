package matcher

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"herald/matcher/predicate"
	"herald/matcher/states"
	"herald/timeid"
)

// shareOfOver is how much of the time the days that are over may take.
const shareOfOver = 0.6

// read reads the events that may meet the wish, or that one of them is
// compared with, back to its beginning or until the time is up: first those of
// the days that an index knows, then those since.
func (p *past) read(ctx context.Context, db querier, budget time.Duration) error {
	q := EventSearch{Type: p.trigger.EventType, Data: p.equal(), Since: p.Since, Budget: budget}
	recent, err := q.lookback(ctx, db)
	if err != nil {
		return err
	}
	over := *recent
	over.until = time.Now().Add(time.Duration(float64(budget) * shareOfOver))
	over.from, over.ended = over.to, true // until there is an index
	for day := range recent.byDay {
		if end := timeid.Floor(day.Add(24 * time.Hour)); slices.Compare(end[:], over.from[:]) > 0 {
			over.from, over.ended, recent.to = end, false, end
		}
	}
	older, err := p.walk(ctx, &over)
	if err != nil {
		return err
	}
	if p.events, err = p.walk(ctx, recent); err != nil {
		return err
	}
	p.Complete = recent.ended && over.ended
	switch {
	case recent.ended:
		p.events = append(p.events, older...)
		p.LookedBackTo = instantOf(over.from)
	case p.trigger.Change == nil && recent.to != over.to:
		p.events = append(p.events, older...)
		p.LookedBackTo = instantOf(over.from)
		p.Unseen = &Span{instantOf(recent.to), p.reached(recent)}
	default: // what came before a gap is not what was before the event after it
		p.LookedBackTo = p.reached(recent)
	}
	if p.Complete {
		p.LookedBackTo = p.Since
	}
	return nil
}

// reached is how far back a way led; the present where it did not come as far
// as the first event.
func (p *past) reached(l *lookback) time.Time {
	if l.from == uuid.Max {
		return p.LookedBackTo
	}
	return instantOf(l.from)
}

// walk reads what a way leads to, the latest first.
func (p *past) walk(ctx context.Context, look *lookback) ([]Record, error) {
	var events []Record
	for !look.ended && !look.late() && len(events) < maxMet {
		found, err := look.step(ctx, stepLimit)
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			if p.keeps(r) {
				events = append(events, r)
			}
		}
	}
	return events, nil
}

// equal are the attributes whose values the condition names. Of a trigger on
// changes only those that tell the things apart are asked for: any event of a
// thing may be the one before another.
func (p *past) equal() map[string]any {
	data := map[string]any{}
	for _, term := range p.watched.condition.Explain(predicate.Values{Param: p.params, Member: p.member}) {
		if term.Operator != "==" || term.Attribute == "" || term.Previous != "" {
			continue
		}
		if p.trigger.Change != nil && !slices.Contains(p.trigger.Change.Key, term.Attribute) {
			continue
		}
		switch term.Wanted.(type) {
		case string, float64, bool:
			data[term.Attribute] = term.Wanted
		}
	}
	return data
}

// keeps leaves out at once what does not meet, unless other events are
// compared with it.
func (p *past) keeps(r Record) bool {
	if p.trigger.Change != nil {
		return true
	}
	values, wrong := p.trigger.CheckEvent(r.Data)
	return len(wrong) == 0 && p.meets(values, states.Previous{})
}

func (p *past) meets(event map[string]any, before states.Previous) bool {
	met, err := p.watched.condition.Eval(predicate.Values{
		Event: event, Param: p.params, Member: p.member, Previous: before.Values, Known: before.Known,
	})
	return err == nil && met
}

// replay walks the events in the order in which they came, through the limits.
func (p *past) replay(w Wish) error {
	limits := standing{max: w.MaxNotifications}
	if w.CoolDown != nil {
		wait := time.Duration(*w.CoolDown)
		limits.coolDown = &wait
	}
	var before states.Past
	var rule *states.Rule
	if p.trigger.Change != nil {
		var err error
		if rule, err = states.RuleOf(p.trigger); err != nil {
			return err
		}
	}
	for _, r := range slices.Backward(p.events) {
		values, wrong := p.trigger.CheckEvent(r.Data)
		if len(wrong) > 0 {
			continue
		}
		met, err := p.metAfter(&before, rule, r, values)
		if err != nil {
			return err
		}
		if !met {
			continue
		}
		p.Met++
		if limits.judge(p.watched.coolDown, r.ReceivedAt) == Notified {
			p.Fired++
			p.Firings = append(p.Firings, Firing{EventID: r.UUID, At: r.ReceivedAt, Event: values})
		}
	}
	slices.Reverse(p.Firings)
	p.Firings = p.Firings[:min(len(p.Firings), maxFirings)]
	return nil
}

// metAfter reports whether an event would have met the wish, after those that
// came before it. The first event of each thing is not known to have changed:
// it is not counted.
func (p *past) metAfter(before *states.Past, rule *states.Rule, r Record, values map[string]any) (bool, error) {
	if rule == nil {
		return true, nil // or it would not have been kept
	}
	o, ok, err := rule.Observe(states.Event{ID: r.UUID, Values: values, Time: r.Time, Received: r.ReceivedAt})
	if err != nil || !ok {
		return ok, err
	}
	previous, counts, first, err := before.Step(o)
	if err != nil {
		return false, err
	}
	return counts && !first && p.meets(values, previous), nil
}
