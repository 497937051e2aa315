package webhooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/problem"
	"herald/timeid"
)

// Ping sends a message of type test.ping to an endpoint, whatever it listens
// to and also when it is off. It is tried once, and tells nothing of the
// endpoint's health unless it arrives.
func (s *Store) Ping(ctx context.Context, endpoint int64) (Message, error) {
	if _, err := s.Get(ctx, endpoint); err != nil {
		return Message{}, err
	}
	var (
		b    outbox
		sent Message
	)
	if err := b.add(Event{Type: Ping}, map[string]any{"endpoint_id": endpoint}, []int64{endpoint}, s.now()); err != nil {
		return Message{}, err
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.writeTx(ctx, tx, &b); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+messageColumns+` FROM webhook_messages WHERE endpoint_id = $1 AND id = $2`, endpoint, b.id[0])
		if err != nil {
			return err
		}
		sent, err = pgx.CollectExactlyOneRow(rows, scanMessage)
		return err
	})
	if err != nil {
		return Message{}, fmt.Errorf("ping webhook endpoint %d: %w", endpoint, err)
	}
	return sent, nil
}

const replayOneSQL = `
UPDATE webhook_messages
SET state = 'pending', tries = 0, next_attempt_at = NULL, error = '', changed_at = $3
WHERE endpoint_id = $1 AND id = $2
RETURNING attempts`

// Replay posts a message once more, at once and on a schedule that begins
// anew, under the same webhook-id. One that waits for its next attempt has it
// now: of its two jobs the second finds it made. The error is NotFound, or
// Conflict when the endpoint is off.
func (s *Store) Replay(ctx context.Context, endpoint int64, message uuid.UUID) error {
	if err := s.beginReplay(ctx, endpoint); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var attempts int
		err := tx.QueryRow(ctx, replayOneSQL, endpoint, message, s.now()).Scan(&attempts)
		if errors.Is(err, pgx.ErrNoRows) {
			return problem.New(problem.NotFound, "there is no such message")
		}
		if err != nil {
			return err
		}
		return s.insertJobsTx(ctx, tx, []river.InsertManyParams{jobFor(post{endpoint, message, attempts + 1}, time.Time{})})
	})
	if err != nil {
		return fmt.Errorf("replay webhook message %s: %w", message, err)
	}
	return nil
}

// beginReplay refuses an endpoint that is off, whose messages would fail at
// once, and ends its hold: who asks for a replay wants it now.
func (s *Store) beginReplay(ctx context.Context, endpoint int64) error {
	e, err := s.Get(ctx, endpoint)
	if err != nil {
		return err
	}
	if !e.Enabled {
		return problem.New(problem.Conflict, "the endpoint is off: enable it first")
	}
	if e.HoldUntil == nil {
		return nil
	}
	if _, err := s.pool.Exec(ctx, `UPDATE webhook_endpoints SET hold_until = NULL WHERE id = $1`, endpoint); err != nil {
		return fmt.Errorf("end the hold of webhook endpoint %d: %w", endpoint, err)
	}
	return nil
}

const (
	replayFailedSQL = `
UPDATE webhook_messages
SET state = 'pending', tries = 0, next_attempt_at = NULL, error = '', changed_at = $4
WHERE endpoint_id = $1 AND id IN (
    SELECT id
    FROM webhook_messages
    WHERE endpoint_id = $1 AND id >= $2 AND id < $3 AND error <> ''
    ORDER BY id
    LIMIT $5
    FOR UPDATE)
RETURNING id, attempts`

	// What waits for its first attempt is on its way.
	replayAllSQL = `
UPDATE webhook_messages
SET state = 'pending', tries = 0, next_attempt_at = NULL, error = '', changed_at = $4
WHERE endpoint_id = $1 AND id IN (
    SELECT id
    FROM webhook_messages
    WHERE endpoint_id = $1 AND id >= $2 AND id < $3 AND (state = 'delivered' OR error <> '')
    ORDER BY id
    LIMIT $5
    FOR UPDATE)
RETURNING id, attempts`

	// replayChunk is how many messages one transaction replays.
	replayChunk = 2_000
)

// ReplayAll is Replay for the messages that an endpoint was to get since a
// moment (zero: of all that are kept): those whose last attempt failed, or with
// delivered all of them, for a receiver that lost what it had. It returns how
// many there were. When it fails half way, what it had done stays, and it may
// be called again.
func (s *Store) ReplayAll(ctx context.Context, endpoint int64, since time.Time, delivered bool) (int, error) {
	if err := s.beginReplay(ctx, endpoint); err != nil {
		return 0, err
	}
	sql := replayFailedSQL
	if delivered {
		sql = replayAllSQL
	}
	from, until := timeid.Floor(since), timeid.Floor(s.now().Add(time.Millisecond))
	for total := 0; ; {
		n, last, err := s.replayChunk(ctx, sql, endpoint, from, until)
		if err != nil {
			return total, fmt.Errorf("replay the messages of webhook endpoint %d: %w", endpoint, err)
		}
		if total += n; n < replayChunk {
			return total, nil
		}
		from = after(last)
	}
}

func (s *Store) replayChunk(ctx context.Context, sql string, endpoint int64, from, until uuid.UUID) (n int, last uuid.UUID, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, endpoint, from, until, s.now(), replayChunk)
		if err != nil {
			return err
		}
		var (
			jobs     []river.InsertManyParams
			id       uuid.UUID
			attempts int
		)
		_, err = pgx.ForEachRow(rows, []any{&id, &attempts}, func() error {
			if bytes.Compare(id[:], last[:]) > 0 {
				last = id
			}
			jobs = append(jobs, jobFor(post{endpoint, id, attempts + 1}, time.Time{}))
			return nil
		})
		if err != nil {
			return err
		}
		n = len(jobs)
		return s.insertJobsTx(ctx, tx, jobs)
	})
	return n, last, err
}

// after is the next higher id.
func after(id uuid.UUID) uuid.UUID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}
