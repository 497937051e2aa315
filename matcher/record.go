package matcher

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// The rows are given in the order of (source, id), so that two transactions
// with the same events wait for each other and do not deadlock. Event_keys
// keeps the sender's names unique over all days.
const insertEvents = `
	WITH new AS (
		INSERT INTO event_keys (digest, event_id)
		SELECT digest, id FROM unnest($9::uuid[], $1::uuid[]) AS k (digest, id)
		ON CONFLICT (digest) DO NOTHING
		RETURNING event_id
	)
	INSERT INTO events (id, source, source_id, type, subject, time, data, received_at)
	SELECT e.id, e.source, e.source_id, e.type, e.subject, e.time, e.data::jsonb, $8
	FROM new
	JOIN unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[])
	     AS e (id, source, source_id, type, subject, time, data) ON e.id = new.event_id
	RETURNING id`

// record writes the events that are new, and asks in the same round trip what
// their candidates are to be found with.
func (t *transaction) record(ctx context.Context, entries []*entry) error {
	batch := &pgx.Batch{}
	var inserted []uuid.UUID
	t.queueInsert(batch, entries, &inserted)
	t.search.queue(batch, entries)
	if err := t.send(ctx, batch); err != nil {
		return fmt.Errorf("record events: %w", err)
	}
	isNew := make(map[uuid.UUID]bool, len(inserted))
	for _, id := range inserted {
		isNew[id] = true
	}
	for _, e := range entries {
		e.place = -1
		if isNew[e.id] {
			e.place = len(t.fresh)
			t.fresh = append(t.fresh, e)
		}
	}
	return nil
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
	subjects, data, digests := make([]string, n), make([]string, n), make([]uuid.UUID, n)
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
