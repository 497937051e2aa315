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
// index is loaded, with the fence for what has changed and the index may lack;
// otherwise by a join of the tables, which is also held against the index from
// time to time.
type search struct {
	view    follower.View
	indexed bool // view is there
	sampled bool // both ways are gone
	fence   follower.Fence
	found   []candidate // by the index or, where that is not there, by the join
	joined  []candidate // by the join, of a sample
}

// look reads the index for entries. It comes before the fence, whose rule it
// is (see package follower), and so before it is known which events are new.
func (t *transaction) look(entries []*entry) {
	if t.cfg.Follower == nil {
		return
	}
	s := &t.search
	if s.view, s.indexed = t.cfg.Follower.View(); !s.indexed {
		return
	}
	s.sampled = t.counts.indexed.Add(1)%int64(t.cfg.AuditOneIn) == 0
	var lookups []index.Lookup
	var of []candidate // without subscription
	for _, e := range entries {
		for j, h := range e.plan.hits {
			lookups = append(lookups, index.Lookup{Condition: h.trigger.in(s.view.Index), Probes: h.probes})
			of = append(of, candidate{entry: e, hit: j})
		}
	}
	index.MatchAll(lookups, t.received, func(lookup int, ids []int64) { s.add(of[lookup].entry, of[lookup].hit, ids) })
}

func (s *search) add(e *entry, hit int, ids []int64) {
	for _, id := range ids {
		s.found = append(s.found, candidate{e, hit, id})
	}
}

// queue asks what belongs to the first round trip of the transaction. What the
// join sees the fence sees, because it comes after it.
func (s *search) queue(batch *pgx.Batch, entries []*entry) {
	switch {
	case !s.indexed:
		queueJoins(batch, entries, &s.found)
	case s.sampled:
		queueJoins(batch, entries, &s.joined)
	}
	if s.indexed {
		s.view.QueueFence(batch, &s.fence)
	}
}

// find is the candidates of the events that were recorded, in their order,
// each once.
func (t *transaction) find(ctx context.Context) ([]candidate, error) {
	s := &t.search
	if s.indexed {
		if unsure := s.overlay(t.fresh); len(unsure) > 0 {
			batch := &pgx.Batch{}
			queueJoins(batch, unsure, &s.found)
			if err := t.send(ctx, batch); err != nil {
				return nil, fmt.Errorf("find candidates: %w", err)
			}
		}
	}
	found := eachOnce(slices.DeleteFunc(s.found, candidate.moot))
	if s.sampled {
		found = t.audit(found, slices.DeleteFunc(s.joined, candidate.moot))
	}
	return found, nil
}

// eachOnce is candidates in the order of their events, each once.
func eachOnce(list []candidate) []candidate {
	slices.SortFunc(list, candidate.compare)
	return slices.Compact(list)
}

// moot is a candidate whose event was recorded before, or came too late.
func (c candidate) moot() bool { return c.entry.place < 0 || c.entry.plan.hits[c.hit].late }

func (c candidate) compare(d candidate) int {
	return cmp.Or(cmp.Compare(c.entry.place, d.entry.place), cmp.Compare(c.hit, d.hit), cmp.Compare(c.subscription, d.subscription))
}

// overlay adds what the fence has. Unsure are the events with a trigger of
// which only the tables can tell.
func (s *search) overlay(entries []*entry) (unsure []*entry) {
	var ids []int64
	for _, e := range entries {
		sure := true
		for j, h := range e.plan.hits {
			if s.fence.Changed(h.trigger.Name) {
				sure = false
				continue
			}
			for _, probe := range h.probes {
				ids = s.fence.Match(h.trigger.Name, h.trigger.condition.Bound(), probe, ids[:0])
				s.add(e, j, ids)
			}
		}
		if !sure {
			unsure = append(unsure, e)
		}
	}
	return unsure
}

// audit holds what was found against what the join found. A candidate that
// was missed is an alarm; it is added, and the index made anew.
func (t *transaction) audit(found, joined []candidate) []candidate {
	t.counts.audited.Add(1)
	known := found
	missed := 0
	for _, c := range eachOnce(joined) {
		if _, ok := slices.BinarySearchFunc(known, c, candidate.compare); ok {
			continue
		}
		found = append(found, c)
		h := c.entry.plan.hits[c.hit]
		if h.trigger.in(t.search.view.Index).Explain(c.subscription, h.probes, t.received) == index.NotValid {
			continue // the index knows it, and passes over what is not in force
		}
		missed++
		t.cfg.Logger.Error("the index missed a subscription", "trigger", h.trigger.Name, "subscription", c.subscription, "event", c.entry.id)
	}
	if missed > 0 {
		t.counts.missed.Add(int64(missed))
		t.cfg.Follower.Distrust(fmt.Sprintf("%d candidates were missed", missed))
	}
	return eachOnce(found)
}
