package matcher

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"herald/matcher/predicate"
	"herald/matcher/states"
	"herald/timeid"
)

// shareOfOver is how much of the time the days that are over may take.
const shareOfOver = 0.6

// read reads the events that may meet the wish, or that one of them is
// compared with, back to its beginning or until the time is up. kept is since
// when there are events at all.
func (p *past) read(ctx context.Context, db querier, kept time.Time, budget time.Duration) error {
	q := EventSearch{Type: p.trigger.EventType, Data: p.equal(), Since: p.lookFrom(), Budget: budget}
	if p.trigger.Absence != nil {
		return p.readLines(ctx, db, q, kept)
	}
	way, err := q.lookback(ctx, db)
	if err != nil {
		return err
	}
	p.bound(way)
	seen, err := p.survey(ctx, way, way, p.keeps)
	if err != nil {
		return err
	}
	seen.since(kept)
	if seen.gap != nil && p.trigger.Change != nil {
		// What came before a gap is not what was before the event after it.
		seen = sight{recent: seen.recent, from: seen.gap.Until}
	}
	p.events = append(seen.recent, seen.older...)
	p.LookedBackTo, p.Complete, p.Unseen = seen.from, seen.whole && seen.gap == nil, seen.gap
	if seen.whole {
		p.LookedBackTo = p.Since
	}
	return nil
}

// lookFrom is from when on events may have to do with what fires.
func (p *past) lookFrom() time.Time {
	if p.trigger.Absence != nil {
		return p.Since.Add(-p.watched.absence.Reach(maxAhead).Fires)
	}
	return p.Since
}

// sight is what was seen on a way back.
type sight struct {
	recent, older []Record // each the latest first; the gap lies between them
	// from is how far back all was looked at, but for the gap; whole that this
	// is as far as it was to be.
	from  time.Time
	whole bool
	gap   *Span // nil: there is none
}

// since takes back what was said of the time before there were events.
func (s *sight) since(kept time.Time) {
	if kept.After(s.from) {
		s.from, s.whole = kept, false
	}
}

// survey goes two ways back to one place: first that through the days that an
// index knows, then that through those since, of which it takes the time.
func (p *past) survey(ctx context.Context, indexed, way *lookback, keep func(Record) bool) (sight, error) {
	over, recent := *indexed, *way
	over.until = time.Now().Add(time.Duration(float64(time.Until(recent.until)) * shareOfOver))
	over.from, over.ended = over.to, true // until there is an index
	for day := range over.byDay {
		if end := timeid.Floor(day.Add(24 * time.Hour)); slices.Compare(end[:], over.from[:]) > 0 {
			over.from, over.ended, recent.to = end, false, end
		}
	}
	s := sight{}
	var err error
	if s.older, err = walk(ctx, &over, keep); err != nil {
		return sight{}, err
	}
	if s.recent, err = walk(ctx, &recent, keep); err != nil {
		return sight{}, err
	}
	switch {
	case recent.ended:
		s.from, s.whole = instantOf(over.from), over.ended
	case recent.to != over.to:
		s.from, s.whole = instantOf(over.from), over.ended
		s.gap = &Span{instantOf(recent.to), p.reached(&recent)}
	default:
		s.from = p.reached(&recent)
	}
	return s, nil
}

// reached is how far back a way led; the present where it did not come as far
// as the first event.
func (p *past) reached(l *lookback) time.Time {
	if l.from == uuid.Max {
		return p.now
	}
	return instantOf(l.from)
}

// walk reads what a way leads to, the latest first. What Herald says itself is
// not among it: it is for the trigger alone of which it tells.
func walk(ctx context.Context, look *lookback, keep func(Record) bool) ([]Record, error) {
	var events []Record
	for !look.ended && !look.late() && len(events) < maxMet {
		found, err := look.step(ctx, stepLimit)
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			if !strings.HasPrefix(r.Source, OwnSource) && keep(r) {
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

// bound lets a way lead to events alone whose numbers lie where the condition
// wants them; what is no number there is left to it. Of a trigger on changes
// all lead to the one before another.
func (p *past) bound(way *lookback) {
	if p.trigger.Change != nil {
		return
	}
	for _, term := range p.watched.condition.Explain(predicate.Values{Param: p.params, Member: p.member}) {
		wanted, number := term.Wanted.(float64)
		if !number || term.Attribute == "" || !slices.Contains([]string{"<", "<=", ">", ">="}, term.Operator) {
			continue
		}
		attribute := way.arg("data -> ?::text", term.Attribute)
		// jsonb compares numbers as numbers.
		way.where += way.arg(" AND "+attribute+" "+term.Operator+" to_jsonb(?::float8)", wanted)
	}
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
	if p.trigger.Absence != nil {
		p.replayLines(&limits)
	} else if err := p.replayEvents(&limits); err != nil {
		return err
	}
	slices.Reverse(p.Firings)
	p.Firings = p.Firings[:min(len(p.Firings), maxFirings)]
	return nil
}

func (p *past) replayEvents(limits *standing) error {
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
		if met {
			p.meet(limits, Firing{EventID: r.UUID, At: r.ReceivedAt, Event: values})
		}
	}
	return nil
}

// meet counts what met, and that it fired where the limits let it.
func (p *past) meet(limits *standing, f Firing) {
	p.Met++
	if limits.judge(p.watched.coolDown, f.At) == Notified {
		p.Fired++
		p.Firings = append(p.Firings, f)
	}
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
