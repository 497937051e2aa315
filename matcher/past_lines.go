package matcher

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"herald/matcher/absence"
	"herald/matcher/history"
	"herald/matcher/states"
	"herald/subscriptions"
)

// lines are what openers that meet a wish belong to: the lines of time of their
// keys, each with all that opened and closed on it.
type lines struct {
	openers map[uuid.UUID]map[string]any // those that meet it, with their attributes
	past    *absence.Past
	certain span
}

const (
	// shareOfOpeners is how much of the time it may take to find the openers.
	shareOfOpeners = 0.5
	// maxIndexedKeys is how many keys are looked up by the index of a day; for
	// more of them it is quicker to read the days through.
	maxIndexedKeys = 1000
)

// readLines reads first the openers that meet the wish, then all that happened
// on the lines of their keys: those of another's that came before them, and
// what closed them. What came before the events that are kept is not known.
func (p *past) readLines(ctx context.Context, db querier, q EventSearch, kept time.Time) error {
	until := time.Now().Add(q.Budget)
	q.Budget = time.Duration(float64(q.Budget) * shareOfOpeners)
	rule := p.watched.absence
	reach := rule.Reach(maxAhead)
	p.lines = &lines{openers: map[uuid.UUID]map[string]any{}, past: rule.Past(), certain: span{from: p.Since}}

	way, err := q.lookback(ctx, db)
	if err != nil {
		return err
	}
	p.bound(way)
	keys := keysOf(p.trigger)
	oldest := p.now
	seen, err := p.survey(ctx, way, way, func(r Record) bool {
		key, _ := rule.Key(r.Data)
		values, wrong := p.trigger.CheckEvent(r.Data)
		if key == "" || len(wrong) > 0 || !p.meets(values, states.Previous{}) {
			return false
		}
		p.lines.openers[r.UUID] = values
		keys.add(key, r.Data)
		oldest = earlier(oldest, r.ReceivedAt)
		return true
	})
	if err != nil {
		return err
	}
	seen.since(kept)
	p.lines.certain.narrow(seen, reach.Fires)
	if len(keys.values) > 0 {
		if err := p.readKeys(ctx, db, keys, oldest.Add(-reach.Before), until); err != nil {
			return err
		}
	}
	p.LookedBackTo, p.Unseen = p.lines.certain.upTo(p.now)
	p.Complete = p.Unseen == nil && p.LookedBackTo.Equal(p.Since)
	return nil
}

// readKeys reads what opened and closed on the lines of some keys.
func (p *past) readKeys(ctx context.Context, db querier, keys lineKeys, since, until time.Time) error {
	rule := p.watched.absence
	reach := rule.Reach(maxAhead)
	days, err := history.Indexed(ctx, db)
	if err != nil {
		return err
	}
	types := slices.Compact(slices.Sorted(slices.Values(typesOf(p.trigger))))
	for i, eventType := range types {
		q := EventSearch{Type: eventType, Since: since, Budget: time.Until(until) / time.Duration(len(types)-i)}
		if gap := p.lines.certain.gap; gap != nil && !gap.Until.Before(p.now) {
			q.Until = gap.Since // nothing later can be told any more
		}
		indexed, way, err := keys.lookbacks(ctx, db, q, days)
		if err != nil {
			return err
		}
		seen, err := p.survey(ctx, indexed, way, func(r Record) bool {
			key, _ := rule.Key(r.Data)
			if _, ours := keys.values[key]; !ours || !p.opensOrCloses(r) {
				return false
			}
			p.lines.past.Add(key, absence.Event{ID: r.UUID, Type: r.Type, Time: r.Time, Received: r.ReceivedAt})
			return true
		})
		if err != nil {
			return err
		}
		p.lines.certain.narrow(seen, reach.Before+reach.Fires)
	}
	return nil
}

// opensOrCloses leaves out an opener that the trigger would not take.
func (p *past) opensOrCloses(r Record) bool {
	if !p.watched.absence.Opens(r.Type) {
		return true
	}
	_, wrong := p.trigger.CheckEvent(r.Data)
	return len(wrong) == 0
}

// replayLines tells of the time that is certain what fired and met the wish.
func (p *past) replayLines(limits *standing) {
	for _, f := range p.lines.past.Fired() {
		values, meets := p.lines.openers[f.Opener]
		switch {
		case !meets:
		case !f.At.After(p.now):
			if p.lines.certain.holds(f.At) {
				p.meet(limits, Firing{EventID: f.Opener, At: f.At, Event: values})
			}
		case p.lines.certain.reaches(p.now):
			p.Waiting++
		}
	}
}

// span is the time of which it is certain what fired: from an instant on, but
// for a gap.
type span struct {
	from time.Time
	gap  *Span
}

// narrow takes out what hangs on events that were not seen; after is how long
// after an event something may fire that has to do with it.
func (s *span) narrow(seen sight, after time.Duration) {
	if !seen.whole {
		s.from = later(s.from, seen.from.Add(after))
	}
	if seen.gap != nil {
		gap := Span{seen.gap.Since, seen.gap.Until.Add(after)}
		if s.gap != nil {
			gap = Span{earlier(gap.Since, s.gap.Since), later(gap.Until, s.gap.Until)}
		}
		s.gap = &gap
	}
	if s.gap != nil && !s.from.Before(s.gap.Since) {
		s.from, s.gap = later(s.from, s.gap.Until), nil
	}
}

func (s *span) holds(at time.Time) bool {
	return !at.Before(s.from) && (s.gap == nil || at.Before(s.gap.Since) || !at.Before(s.gap.Until))
}

// reaches reports whether it goes to an instant and on from there.
func (s *span) reaches(at time.Time) bool {
	return !at.Before(s.from) && (s.gap == nil || !at.Before(s.gap.Until))
}

// upTo is the span as a Preview says it.
func (s *span) upTo(now time.Time) (from time.Time, gap *Span) {
	if s.gap != nil {
		gap = &Span{s.gap.Since, earlier(s.gap.Until, now)}
	}
	return earlier(s.from, now), gap
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// lineKeys are some keys of a trigger on an absence, each with the values of those
// of its attributes that are written in one way only.
type lineKeys struct {
	attributes []string
	values     map[string][]any
}

func keysOf(t subscriptions.Trigger) lineKeys {
	k := lineKeys{values: map[string][]any{}}
	for _, a := range t.Attributes {
		if slices.Contains(t.Absence.Key, a.Name) && slices.Contains([]string{"string", "number", "boolean"}, a.Type) {
			k.attributes = append(k.attributes, a.Name)
		}
	}
	return k
}

func (k lineKeys) add(key string, data map[string]any) {
	if _, known := k.values[key]; known {
		return
	}
	values := make([]any, len(k.attributes))
	for i, name := range k.attributes {
		values[i] = data[name]
	}
	k.values[key] = values
}

// lookbacks are the ways back to the events of the keys, and perhaps to some
// others: one for the days on which an index finds them, and one for the rest.
func (k lineKeys) lookbacks(ctx context.Context, db querier, q EventSearch, days map[time.Time]bool) (indexed, way *lookback, err error) {
	if way, err = q.lookback(ctx, db); err != nil || len(k.attributes) == 0 {
		return way, way, err
	}
	objects, values, err := k.documents()
	if err != nil {
		return nil, nil, err
	}
	other := *way
	indexed = &other
	indexed.args = slices.Clone(way.args)
	if len(k.values) <= maxIndexedKeys {
		indexed.byDay = days
		indexed.where = indexed.arg(" AND data @> ANY (?::jsonb[])", objects)
	}
	way.where = way.arg(" AND "+k.expression(way)+" IN (SELECT unnest(?::jsonb[]))", values)
	return indexed, way, nil
}

// expression is what an event has for a key, in SQL: the attribute if it is
// one, which is quicker, and otherwise an array.
func (k lineKeys) expression(way *lookback) string {
	attributes := make([]string, len(k.attributes))
	for i, name := range k.attributes {
		attributes[i] = way.arg("(data -> ?::text)", name)
	}
	if len(attributes) == 1 {
		return attributes[0]
	}
	return "jsonb_build_array(" + strings.Join(attributes, ", ") + ")"
}

// documents are the keys in JSON: as objects of their attributes, and as the
// expression has them.
func (k lineKeys) documents() (objects, values []string, err error) {
	for _, key := range k.values {
		object := make(map[string]any, len(key))
		for i, name := range k.attributes {
			object[name] = key[i]
		}
		var value any = key
		if len(key) == 1 {
			value = key[0]
		}
		for _, v := range []struct {
			list *[]string
			of   any
		}{{&objects, object}, {&values, value}} {
			text, err := json.Marshal(v.of)
			if err != nil {
				return nil, nil, fmt.Errorf("look keys up: %w", err)
			}
			*v.list = append(*v.list, string(text))
		}
	}
	return objects, values, nil
}
