package matcher

import (
	"context"
	"fmt"

	"herald/matcher/states"
)

// compareWithPrevious gives each hit of a trigger on a change the event before
// its own, and remembers its own for the next one.
func (t *transaction) compareWithPrevious(ctx context.Context) error {
	var hits []*hit
	var seen []states.Observation
	var slots []states.Slot
	for _, e := range t.fresh {
		for j := range e.plan.hits {
			h := &e.plan.hits[j]
			h.previous, h.known, h.late = nil, false, false
			if h.trigger.change == nil {
				continue
			}
			o, ok, err := h.trigger.change.Observe(states.Event{ID: e.id, Values: h.event, Time: e.event.Time, Received: t.received})
			if err != nil {
				return fmt.Errorf("observe event %s: %w", e.id, err)
			}
			if ok {
				hits, seen, slots = append(hits, h), append(seen, o), append(slots, o.Slot)
			}
		}
	}
	if len(seen) == 0 {
		return nil
	}
	sequence, err := t.states.LockTx(ctx, t.tx, slots)
	if err != nil {
		return err
	}
	for i, o := range seen {
		before, counts, err := sequence.Step(o)
		if err != nil {
			return err
		}
		hits[i].previous, hits[i].known, hits[i].late = before.Values, before.Known, !counts
	}
	return t.states.WriteTx(ctx, t.tx, sequence)
}

// Tidy forgets what no trigger on a change asks for any more, until ctx ends.
// Any number of nodes may.
func (i *Intake) Tidy(ctx context.Context) { i.states.Run(ctx) }
