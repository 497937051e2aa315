package absence

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ended says that the end e ends the watch w, as Closing.ends does in Go.
// Index: the primary key of watch_ends (trigger, key, ended_at, event_id).
const ended = `
    e.trigger = w.trigger AND e.key = w.key AND e.ended_at BETWEEN w.opened_at AND w.due_at
    AND (e.ended_at > w.opened_at OR NOT e.opens OR e.event_id > w.event_id)`

const (
	insertEndsSQL = `
INSERT INTO watch_ends (trigger, key, ended_at, event_id, opens, forget_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::uuid[], $5::bool[], $6::timestamptz[])
ON CONFLICT DO NOTHING`

	insertWatchesSQL = `
INSERT INTO watches (trigger, key, opened_at, event_id, due_at, version, subject, data)
SELECT w.trigger, w.key, w.opened_at, w.event_id, w.due_at, w.version, w.subject, w.data::jsonb
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::uuid[], $5::timestamptz[], $6::int[], $7::text[], $8::text[])
     AS w (trigger, key, opened_at, event_id, due_at, version, subject, data)
WHERE NOT EXISTS (SELECT FROM watch_ends e WHERE` + ended + `)`

	// Two transactions that end the same watches delete them in one order.
	deleteEndedSQL = `
DELETE FROM watches
WHERE (trigger, key, opened_at, event_id) IN (
    SELECT w.trigger, w.key, w.opened_at, w.event_id
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::uuid[], $5::bool[]) AS e (trigger, key, ended_at, event_id, opens)
    JOIN watches w ON` + ended + `
    ORDER BY w.trigger, w.key, w.opened_at, w.event_id
    FOR UPDATE OF w)`
)

// RecordTx keeps what a transaction's events come to, in one round trip. Their
// order does not matter. It must be called after the events were recorded and
// before anything is locked that AcceptAbsences locks too.
func RecordTx(ctx context.Context, tx pgx.Tx, openings []Opening, closings []Closing) error {
	batch := &pgx.Batch{}
	if len(closings) > 0 {
		c := columnsOfClosings(closings)
		batch.Queue(insertEndsSQL, c.triggers, c.keys, c.at, c.events, c.opens, c.forgetAt)
		batch.Queue(deleteEndedSQL, c.triggers, c.keys, c.at, c.events, c.opens)
	}
	if len(openings) > 0 {
		queueOpenings(batch, openings)
	}
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("record openers and closers: %w", err)
	}
	return nil
}

// endColumns are ends by column.
type endColumns struct {
	triggers, keys []string
	at, forgetAt   []time.Time
	events         []uuid.UUID
	opens          []bool
}

func columnsOfClosings(closings []Closing) endColumns {
	sorted := slices.Clone(closings)
	slices.SortFunc(sorted, func(a, b Closing) int {
		return cmp.Or(cmp.Compare(a.trigger, b.trigger), cmp.Compare(a.key, b.key), a.endedAt.Compare(b.endedAt))
	})
	var c endColumns
	for _, e := range sorted {
		c.triggers, c.keys = append(c.triggers, e.trigger), append(c.keys, e.key)
		c.at, c.forgetAt = append(c.at, e.endedAt), append(c.forgetAt, e.forgetAt)
		c.events, c.opens = append(c.events, e.event), append(c.opens, e.opens)
	}
	return c
}

func queueOpenings(batch *pgx.Batch, openings []Opening) {
	n := len(openings)
	triggers, keys, subjects, data := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	opened, due := make([]time.Time, n), make([]time.Time, n)
	events, versions := make([]uuid.UUID, n), make([]int32, n)
	for i, o := range openings {
		triggers[i], keys[i], opened[i], due[i] = o.trigger, o.key, o.openedAt, o.dueAt
		events[i], versions[i], subjects[i], data[i] = o.event, int32(o.version), o.subject, string(o.data)
	}
	batch.Queue(insertWatchesSQL, triggers, keys, opened, events, due, versions, subjects, data)
}
