package matcher

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/matcher/predicate"
)

// candidate is a subscription that an anchor led to.
type candidate struct {
	entry        int // index into the entries that were recorded
	hit          int // index into the entry's plan
	subscription int64
}

// The rows are given in the order of (source, id), so that two transactions
// with the same events wait for each other and do not deadlock. Event_keys
// keeps the sender's names unique over all days.
const insertEvents = `
	WITH new AS (
		INSERT INTO event_keys (digest, event_id)
		SELECT digest, id FROM unnest($9::bytea[], $1::uuid[]) AS k (digest, id)
		ON CONFLICT (digest) DO NOTHING
		RETURNING event_id
	)
	INSERT INTO events (id, source, source_id, type, subject, time, data, received_at)
	SELECT e.id, e.source, e.source_id, e.type, e.subject, e.time, e.data::jsonb, $8
	FROM new
	JOIN unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[])
	     AS e (id, source, source_id, type, subject, time, data) ON e.id = new.event_id
	RETURNING id`

// joins finds candidates, by how the condition's range term compares: the
// event's value stands on the right, so the comparison is turned around.
var joins = map[predicate.Bound]string{
	predicate.NoBound: selectCandidates,
	predicate.Below:   selectCandidates + ` AND a.bound > p.value`,
	predicate.AtMost:  selectCandidates + ` AND a.bound >= p.value`,
	predicate.Above:   selectCandidates + ` AND a.bound < p.value`,
	predicate.AtLeast: selectCandidates + ` AND a.bound <= p.value`,
}

// Index: subscription_anchors_lookup (trigger, key, bound).
const selectCandidates = `
	SELECT p.entry, p.hit, a.subscription_id
	FROM unnest($1::int[], $2::int[], $3::text[], $4::text[], $5::float8[]) AS p (entry, hit, trigger, key, value)
	JOIN subscription_anchors a ON a.trigger = p.trigger AND a.key = p.key`

// record writes the events that are new and finds their candidates, in one
// round trip.
func (t *transaction) record(ctx context.Context, entries []*entry) ([]candidate, error) {
	batch := &pgx.Batch{}
	var inserted []uuid.UUID
	t.queueInsert(batch, entries, &inserted)
	var found []candidate
	for bound, probes := range probesOf(entries) {
		probes.queue(batch, joins[bound], &found)
	}
	if err := t.send(ctx, batch); err != nil {
		return nil, fmt.Errorf("record events and find candidates: %w", err)
	}
	return t.keepFresh(entries, inserted, found), nil
}

// queueInsert leaves out repetitions within the batch: the first one counts.
func (t *transaction) queueInsert(batch *pgx.Batch, entries []*entry, inserted *[]uuid.UUID) {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.event.Source, b.event.Source), cmp.Compare(a.event.ID, b.event.ID))
	})
	sorted = slices.CompactFunc(sorted, func(a, b *entry) bool {
		return a.event.Source == b.event.Source && a.event.ID == b.event.ID
	})
	n := len(sorted)
	ids, times := make([]uuid.UUID, n), make([]time.Time, n)
	sources, sourceIDs, types := make([]string, n), make([]string, n), make([]string, n)
	subjects, data, digests := make([]string, n), make([]string, n), make([][]byte, n)
	for i, e := range sorted {
		ids[i], sources[i], sourceIDs[i], types[i] = e.id, e.event.Source, e.event.ID, e.event.Type
		subjects[i], data[i], times[i] = e.event.Subject, string(e.data), e.event.Time
		digests[i] = keyDigest(e.event.Source, e.event.ID)
		if e.event.Time.IsZero() {
			times[i] = t.received
		}
	}
	batch.Queue(insertEvents, ids, sources, sourceIDs, types, subjects, times, data, t.received, digests).
		Query(func(rows pgx.Rows) (err error) {
			*inserted, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
			return err
		})
}

// keepFresh keeps what belongs to events that this transaction recorded, in
// the order of the events.
func (t *transaction) keepFresh(entries []*entry, inserted []uuid.UUID, found []candidate) []candidate {
	isNew := make(map[uuid.UUID]bool, len(inserted))
	for _, id := range inserted {
		isNew[id] = true
	}
	place := make([]int, len(entries)) // in t.fresh; -1: not new
	for i, e := range entries {
		place[i] = -1
		if isNew[e.id] {
			place[i] = len(t.fresh)
			t.fresh = append(t.fresh, e)
		}
	}
	kept := found[:0]
	for _, c := range found {
		if c.entry = place[c.entry]; c.entry >= 0 {
			kept = append(kept, c)
		}
	}
	slices.SortFunc(kept, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.entry, b.entry), cmp.Compare(a.hit, b.hit), cmp.Compare(a.subscription, b.subscription))
	})
	return slices.Compact(kept)
}

// probes are the arguments of one join.
type probes struct {
	entries, hits  []int32
	triggers, keys []string
	values         []*float64
}

func probesOf(entries []*entry) map[predicate.Bound]*probes {
	all := map[predicate.Bound]*probes{}
	for i, e := range entries {
		for j, h := range e.plan.hits {
			p := all[h.trigger.condition.Bound()]
			if p == nil {
				p = &probes{}
				all[h.trigger.condition.Bound()] = p
			}
			for _, probe := range h.probes {
				p.entries, p.hits = append(p.entries, int32(i)), append(p.hits, int32(j))
				p.triggers, p.keys = append(p.triggers, h.trigger.Name), append(p.keys, probe.Key)
				p.values = append(p.values, probe.Value)
			}
		}
	}
	return all
}

func (p *probes) queue(batch *pgx.Batch, sql string, found *[]candidate) {
	args := []any{p.entries, p.hits, p.triggers, p.keys, p.values}
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var c candidate
			if err := rows.Scan(&c.entry, &c.hit, &c.subscription); err != nil {
				return err
			}
			*found = append(*found, c)
		}
		return rows.Err()
	})
}
