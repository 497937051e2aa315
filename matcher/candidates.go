package matcher

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"herald/matcher/follower"
	"herald/matcher/index"
)

// candidate is a subscription that an anchor led to. It may meet the event or
// not; none that meets it is missing.
type candidate struct {
	entry        *entry
	hit          int // index into the entry's plan
	subscription int64
}

// search is how a transaction finds candidates: in memory where this node's
// index is loaded, with the fence for what has changed since the index read
// it; otherwise by a join of the tables, which is also held against the index
// from time to time.
type search struct {
	view    follower.View
	indexed bool // view is there
	fence   follower.Fence
	sampled bool // both ways are gone
	joined  []candidate
}

func (i *Intake) newSearch() (s search) {
	if i.cfg.Follower == nil {
		return s
	}
	if s.view, s.indexed = i.cfg.Follower.View(); s.indexed {
		s.sampled = i.counts.indexed.Add(1)%int64(i.cfg.AuditOneIn) == 0
	}
	return s
}

// queue asks what belongs to the first round trip of the transaction. What the
// join saw the fence sees, because it comes after it.
func (s *search) queue(batch *pgx.Batch, entries []*entry) {
	if !s.indexed || s.sampled {
		queueJoins(batch, entries, &s.joined)
	}
	if s.indexed {
		s.view.QueueFence(batch, &s.fence)
	}
}

// find is the candidates of the events that were recorded, in their order,
// each once.
func (t *transaction) find(ctx context.Context) ([]candidate, error) {
	found := slices.DeleteFunc(t.search.joined, func(c candidate) bool { return c.entry.place < 0 })
	if t.search.indexed {
		joined := found
		var unsure []*entry
		if found, unsure = t.lookUp(); len(unsure) > 0 {
			batch := &pgx.Batch{}
			queueJoins(batch, unsure, &found)
			if err := t.send(ctx, batch); err != nil {
				return nil, fmt.Errorf("find candidates: %w", err)
			}
		}
		if t.search.sampled {
			found = t.audit(found, joined)
		}
	}
	found = slices.DeleteFunc(found, func(c candidate) bool { return c.entry.plan.hits[c.hit].late })
	slices.SortFunc(found, candidate.compare)
	return slices.Compact(found), nil
}

func (c candidate) compare(d candidate) int {
	return cmp.Or(cmp.Compare(c.entry.place, d.entry.place), cmp.Compare(c.hit, d.hit), cmp.Compare(c.subscription, d.subscription))
}

// lookUp finds candidates in the index and the fence. Unsure are the events
// whose trigger has changed so much that only the tables can say.
func (t *transaction) lookUp() (found []candidate, unsure []*entry) {
	var ids []int64
	for _, e := range t.fresh {
		sure := true
		for j, h := range e.plan.hits {
			if t.search.fence.Whole(h.trigger.Name) {
				sure = false
				continue
			}
			condition := t.search.view.Index.Condition(h.trigger.Name)
			for _, probe := range h.probes {
				ids = condition.Match(probe, t.received, ids[:0])
				ids = t.search.fence.Match(h.trigger.Name, h.trigger.condition.Bound(), probe, ids)
				for _, id := range ids {
					found = append(found, candidate{e, j, id})
				}
			}
		}
		if !sure {
			unsure = append(unsure, e)
		}
	}
	return found, unsure
}

// audit holds what the index found against what the join found. A candidate
// that the index missed is an alarm; it is added, and the index made anew.
func (t *transaction) audit(found, joined []candidate) []candidate {
	t.counts.audited.Add(1)
	slices.SortFunc(found, candidate.compare)
	known := found
	missed := 0
	for _, c := range joined {
		if _, ok := slices.BinarySearchFunc(known, c, candidate.compare); ok {
			continue
		}
		found = append(found, c)
		h := c.entry.plan.hits[c.hit]
		if t.search.view.Index.Condition(h.trigger.Name).Explain(c.subscription, h.probes, t.received) == index.NotValid {
			continue // the index knows it, and passes over what is not in force
		}
		missed++
		t.cfg.Logger.Error("the index missed a subscription", "trigger", h.trigger.Name, "subscription", c.subscription, "event", c.entry.id)
	}
	if missed > 0 {
		t.counts.missed.Add(int64(missed))
		t.cfg.Follower.Distrust(fmt.Sprintf("%d candidates were missed", missed))
	}
	return found
}
