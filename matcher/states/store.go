package states

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Store keeps the states.
type Store struct {
	pool   *pgxpool.Pool
	now    func() time.Time
	logger *slog.Logger
}

// NewStore keeps them in the database that pool leads to.
func NewStore(pool *pgxpool.Pool, now func() time.Time, logger *slog.Logger) *Store {
	return &Store{pool: pool, now: now, logger: logger}
}

// Rows are locked in the order of their keys, so that transactions wait for
// each other and never in a circle; those of new slots are made, so that there
// is something to lock. WHERE false: a row that is there is locked and not
// written (PostgreSQL, INSERT, "ON CONFLICT Clause"). The second statement sees
// what those committed that the first has waited for.
const (
	lockSQL = `
INSERT INTO trigger_states (trigger, key, forget_on)
SELECT trigger, key, $3
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (trigger, key, place)
ORDER BY place
ON CONFLICT (trigger, key) DO UPDATE SET forget_on = excluded.forget_on WHERE false`

	readSQL = `
SELECT trigger, key, attributes::text, time
FROM trigger_states
WHERE (trigger, key) IN (SELECT * FROM unnest($1::text[], $2::text[]))`
)

// LockTx locks the states of slots, in any order and with repetitions, until
// the transaction ends, in one round trip. It must be called once in a
// transaction, with all its slots, and after the events were recorded.
func (s *Store) LockTx(ctx context.Context, tx pgx.Tx, slots []Slot) (*Sequence, error) {
	sorted := slices.Clone(slots)
	slices.SortFunc(sorted, func(a, b Slot) int { return cmp.Or(cmp.Compare(a.Trigger, b.Trigger), cmp.Compare(a.Key, b.Key)) })
	sorted = slices.Compact(sorted)
	triggers, keys := make([]string, len(sorted)), make([]string, len(sorted))
	sequence := &Sequence{states: make(map[Slot]*state, len(sorted))}
	for i, slot := range sorted {
		triggers[i], keys[i] = slot.Trigger, slot.Key
	}
	if len(sorted) == 0 {
		return sequence, nil
	}
	batch := &pgx.Batch{}
	batch.Queue(lockSQL, triggers, keys, s.now().UTC())
	batch.Queue(readSQL, triggers, keys).Query(sequence.read)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("lock states: %w", err)
	}
	return sequence, nil
}

func (s *Sequence) read(rows pgx.Rows) error {
	for rows.Next() {
		var (
			slot   Slot
			stored *string
			at     *time.Time
		)
		if err := rows.Scan(&slot.Trigger, &slot.Key, &stored, &at); err != nil {
			return err
		}
		one := &state{}
		if stored != nil && at != nil {
			one.stored, one.time = []byte(*stored), at.UTC()
		}
		s.states[slot] = one
	}
	return rows.Err()
}

const writeSQL = `
UPDATE trigger_states s
SET attributes = n.attributes::jsonb, time = n.time, event_id = n.event_id, forget_on = n.forget_on
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::uuid[], $6::date[])
     AS n (trigger, key, attributes, time, event_id, forget_on)
WHERE s.trigger = n.trigger AND s.key = n.key`

// WriteTx keeps what the sequence came to, in the transaction that locked it,
// in one round trip.
func (s *Store) WriteTx(ctx context.Context, tx pgx.Tx, sequence *Sequence) error {
	var (
		triggers, keys, attributes []string
		times, days                []time.Time
		events                     []uuid.UUID
	)
	now := s.now()
	for slot, one := range sequence.states {
		if one.newest == nil {
			continue
		}
		encoded, err := one.newest.encode()
		if err != nil {
			return fmt.Errorf("write the state of %s: %w", slot.Trigger, err)
		}
		triggers, keys, attributes = append(triggers, slot.Trigger), append(keys, slot.Key), append(attributes, string(encoded))
		times, events = append(times, one.time), append(events, one.newest.event)
		days = append(days, forgetOn(one.time, now, one.newest.rule.keep))
	}
	if len(triggers) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, writeSQL, triggers, keys, attributes, times, events, days); err != nil {
		return fmt.Errorf("write states: %w", err)
	}
	return nil
}

// slack is how late an event may be received for its state to be there still.
const slack = 24 * time.Hour

// forgetOn is the first day on which a state is not needed any more, of an
// event of one time that was received at another.
func forgetOn(at, received time.Time, keep time.Duration) time.Time {
	if received.After(at) {
		at = received
	}
	return at.UTC().Add(keep + slack).Truncate(24 * time.Hour).Add(24 * time.Hour)
}

// Rows that somebody holds are looked at next time. The limit is forgetAtOne,
// written out: with a parameter the generic plan would read the whole table.
const forgetSQL = `
DELETE FROM trigger_states
WHERE (trigger, key) IN (
    SELECT trigger, key FROM trigger_states
    WHERE forget_on <= $1
    LIMIT 1000
    FOR UPDATE SKIP LOCKED)`

const (
	forgetEvery = time.Hour
	forgetAtOne = 1000 // rows in a transaction
)

// Run forgets now and then what nothing can ask for any more, until ctx ends.
// Any number of nodes may.
func (s *Store) Run(ctx context.Context) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		if err := s.forget(ctx); err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "old states could not be forgotten", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Store) forget(ctx context.Context) error {
	for {
		tag, err := s.pool.Exec(ctx, forgetSQL, s.now().UTC())
		if err != nil {
			return fmt.Errorf("forget states: %w", err)
		}
		if tag.RowsAffected() < forgetAtOne {
			return nil
		}
	}
}
