package absence

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"herald/subscriptions"
)

// watch is a row of watches that is due.
type watch struct {
	absence Absence // without Type until its trigger is read
	key     string
	version int
	ended   bool // by an end that is known
	held    bool // by another transaction, which may end it or fire it
}

// line is what a watch is ended on.
type line struct{ trigger, key string }

func (w watch) line() line { return line{w.absence.Trigger, w.key} }

// Index: watches_due (due_at). Of what is due at once the earlier opener comes
// first. A row that another transaction has locked is not waited for, but it is
// told: those that come after it on its line depend on it. The statement holds
// its own locks no longer than it takes.
const readDueSQL = `
WITH due AS MATERIALIZED (
    SELECT w.*, EXISTS (SELECT FROM watch_ends e WHERE` + ended + `) AS ended
    FROM watches w
    WHERE w.due_at < $1
    ORDER BY w.due_at, w.opened_at, w.event_id
    LIMIT $2
), free AS MATERIALIZED (
    SELECT w.trigger, w.key, w.opened_at, w.event_id
    FROM due JOIN watches w USING (trigger, key, opened_at, event_id)
    FOR UPDATE OF w SKIP LOCKED
)
SELECT trigger, key, opened_at, event_id, due.due_at, due.version, due.subject, due.data, due.ended, free.event_id IS NULL
FROM due LEFT JOIN free USING (trigger, key, opened_at, event_id)
ORDER BY due.due_at, opened_at, event_id`

func (s *Sweep) read(ctx context.Context) ([]watch, error) {
	rows, err := s.pool.Query(ctx, readDueSQL, s.cfg.Now(), s.cfg.Batch)
	if err != nil {
		return nil, fmt.Errorf("read what is due: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (watch, error) {
		var w watch
		a := &w.absence
		err := row.Scan(&a.Trigger, &w.key, &a.OpenedAt, &a.Opener, &a.DueAt, &w.version, &a.Subject, &a.Data, &w.ended, &w.held)
		a.OpenedAt, a.DueAt = a.OpenedAt.UTC(), a.DueAt.UTC()
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("read what is due: %w", err)
	}
	return list, nil
}

// Index: the primary key of trigger_versions (name, version).
const versionsSQL = `
SELECT v.name, v.definition
FROM unnest($1::text[], $2::int[]) AS wanted (name, version)
JOIN trigger_versions v ON v.name = wanted.name AND v.version >= wanted.version
ORDER BY v.name, v.version`

// histories tells for each trigger that has watches due the first of its
// versions from which on its watches could be closed without a break; none for
// one that is not in force. It fills in the types of the openers, too.
func (s *Sweep) histories(ctx context.Context, due []watch) (since map[string]int, err error) {
	oldest := map[string]int{}
	for _, w := range due {
		if v, ok := oldest[w.absence.Trigger]; !ok || w.version < v {
			oldest[w.absence.Trigger] = w.version
		}
	}
	var names []string
	var versions []int32
	for name, version := range oldest {
		names, versions = append(names, name), append(versions, int32(version))
	}
	rows, err := s.pool.Query(ctx, versionsSQL, names, versions)
	if err != nil {
		return nil, fmt.Errorf("read the triggers of what is due: %w", err)
	}
	since, newest := map[string]int{}, map[string]subscriptions.Trigger{}
	var name string
	var definition []byte
	_, err = pgx.ForEachRow(rows, []any{&name, &definition}, func() error {
		var t subscriptions.Trigger
		if err := json.Unmarshal(definition, &t); err != nil {
			return err
		}
		switch before, ok := newest[name]; {
		case !watches(t):
			delete(since, name)
		case !ok || !watches(before) || !closesAlike(before, t):
			since[name] = t.Version
		}
		newest[name] = t
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the triggers of what is due: %w", err)
	}
	for i := range due {
		due[i].absence.Type = newest[due[i].absence.Trigger].EventType
	}
	return since, nil
}

func watches(t subscriptions.Trigger) bool { return t.Enabled && t.Absence != nil }

// closesAlike reports whether a closer of one version closes a watch of the other.
func closesAlike(a, b subscriptions.Trigger) bool {
	return a.EventType == b.EventType && slices.Equal(a.Absence.Key, b.Absence.Key) &&
		slices.EqualFunc(keyAttributes(a), keyAttributes(b), func(x, y subscriptions.Attribute) bool { return x.Type == y.Type })
}

// Rows that another transaction has locked are about to be ended by it; to wait
// for it here could be to wait in a circle.
const (
	deleteWatchesSQL = `
DELETE FROM watches
WHERE (trigger, key, opened_at, event_id) IN (
    SELECT w.trigger, w.key, w.opened_at, w.event_id
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::uuid[]) AS wanted (trigger, key, opened_at, event_id)
    JOIN watches w USING (trigger, key, opened_at, event_id)
    FOR UPDATE OF w SKIP LOCKED)`

	countEndedSQL = `
SELECT count(*)
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::uuid[], $5::timestamptz[]) AS w (trigger, key, opened_at, event_id, due_at)
WHERE EXISTS (SELECT FROM watch_ends e WHERE` + ended + `)`
)

// watchColumns are watches by column.
type watchColumns struct {
	triggers, keys []string
	opened, due    []time.Time
	forgetAt       []time.Time
	events         []uuid.UUID
	opens          []bool // of the ends that their firing is: never
}

func columnsOfWatches(list []watch, now time.Time) watchColumns {
	c := watchColumns{opens: make([]bool, len(list))}
	for _, w := range list {
		a := w.absence
		c.triggers, c.keys, c.events = append(c.triggers, a.Trigger), append(c.keys, w.key), append(c.events, a.Opener)
		c.opened, c.due = append(c.opened, a.OpenedAt), append(c.due, a.DueAt)
		c.forgetAt = append(c.forgetAt, forgetAt(a.DueAt, now, a.DueAt.Sub(a.OpenedAt)))
	}
	return c
}

// fireTx deletes watches that fire and leaves an end for each. It fails with
// errOvertaken when one of them was ended since it was read: the statement
// after the deletion sees the ends of all who committed before it.
func fireTx(ctx context.Context, tx pgx.Tx, list []watch, now time.Time) error {
	c := columnsOfWatches(list, now)
	var deleted, ended int
	batch := &pgx.Batch{}
	batch.Queue(deleteWatchesSQL, c.triggers, c.keys, c.opened, c.events).Exec(func(tag pgconn.CommandTag) error {
		deleted = int(tag.RowsAffected())
		return nil
	})
	batch.Queue(countEndedSQL, c.triggers, c.keys, c.opened, c.events, c.due).QueryRow(func(row pgx.Row) error { return row.Scan(&ended) })
	batch.Queue(insertEndsSQL, c.triggers, c.keys, c.due, c.events, c.opens, c.forgetAt)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("delete watches that fire: %w", err)
	}
	if deleted != len(list) || ended > 0 {
		return errOvertaken
	}
	return nil
}

// dropTx deletes watches without more.
func dropTx(ctx context.Context, tx pgx.Tx, list []watch) error {
	if len(list) == 0 {
		return nil
	}
	c := columnsOfWatches(list, time.Time{})
	if _, err := tx.Exec(ctx, deleteWatchesSQL, c.triggers, c.keys, c.opened, c.events); err != nil {
		return fmt.Errorf("delete watches that have ended: %w", err)
	}
	return nil
}

// Indexes: watch_ends_forget_at, and the primary key of watches. An end stays
// while there is a watch that it ends: one that could not see it, and that a
// sweep has yet to look at. OFFSET 0 lets that be asked of each by the key,
// rather than of all watches together.
const forgetSQL = `
DELETE FROM watch_ends
WHERE (trigger, key, ended_at, event_id) IN (
    SELECT e.trigger, e.key, e.ended_at, e.event_id
    FROM watch_ends e
    WHERE e.forget_at < $1 AND NOT EXISTS (SELECT FROM watches w WHERE` + ended + ` OFFSET 0)
    ORDER BY e.forget_at
    LIMIT 5000
    FOR UPDATE OF e SKIP LOCKED)`

const (
	// forgetLater leaves time to transactions that began before the end they
	// could not see, and have not committed their watch yet.
	forgetLater = 5 * time.Minute
	// forgetAtOne is how many ends are forgotten in a transaction.
	forgetAtOne = 5000
)

// forget drops the ends that no opener can ask for any more.
func (s *Sweep) forget(ctx context.Context) error {
	for {
		tag, err := s.pool.Exec(ctx, forgetSQL, s.cfg.Now().Add(-forgetLater))
		if err != nil {
			return fmt.Errorf("forget ends: %w", err)
		}
		if tag.RowsAffected() < forgetAtOne {
			return nil
		}
	}
}
