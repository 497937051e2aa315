package webhooks

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/timeid"
)

// verdict is what an attempt means for its message and its endpoint.
type verdict struct {
	state   State
	wait    time.Duration // until the next attempt of a pending message
	healthy bool          // the endpoint took it
	ailing  bool          // the endpoint did not: it may be held, or be off for good
	hold    time.Duration
	off     DisabledFor // empty: it stays on
}

// judge decides what follows from an outcome. It is pure but for the jitter.
func (w *Worker) judge(t task, o outcome) verdict {
	switch {
	case o.class == "":
		return verdict{state: Delivered, healthy: true}
	case o.class == SwitchedOff:
		return verdict{state: Failed}
	case t.name == Ping: // it is tried once, and says nothing of the others
		return verdict{state: Failed}
	case o.class == SaidGone:
		return verdict{state: Failed, ailing: true, off: Gone}
	}
	v := verdict{state: Failed, ailing: true}
	if wait, again := nextWait(t.tries+1, o.wish, w.chance()); again {
		v.state, v.wait = Pending, wait
	} else if since := t.endpoint.FailingSince; since != nil && w.store.now().Sub(*since) >= w.cfg.DisableAfter {
		v.off = Failing
	}
	if o.strained() {
		v.hold = holdFor(t.endpoint.failures, o.wish)
	}
	return v
}

// record writes an attempt and what follows from it, with the job of the next,
// in one transaction; also when the process is stopping. Should its own job not
// end after that, its next run finds the attempt made.
func (w *Worker) record(ctx context.Context, t task, at time.Time, o outcome) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordFor)
	defer cancel()
	v := w.judge(t, o)
	err := pgx.BeginFunc(ctx, w.store.pool, func(tx pgx.Tx) error {
		counts, err := w.recordMessageTx(ctx, tx, t, at, o, v)
		if err != nil || !counts {
			return err
		}
		return w.recordEndpointTx(ctx, tx, t, v)
	})
	if err != nil {
		return fmt.Errorf("record an attempt at webhook message %s: %w", t.message, err)
	}
	if v.off != "" {
		w.store.log.WarnContext(ctx, "a webhook endpoint was switched off", "endpoint", t.endpoint.ID, "for", v.off)
		w.store.forget()
	}
	return nil
}

const (
	// Only the attempt that is the message's next counts.
	recordMessageSQL = `
UPDATE webhook_messages
SET state = $4, attempts = $5, tries = tries + 1, next_attempt_at = $6, status = $7, error = $8, changed_at = $9
WHERE endpoint_id = $1 AND id = $2 AND attempts = $3 AND state = 'pending'`

	insertAttemptSQL = `
INSERT INTO webhook_attempts (endpoint_id, message_id, number, id, type, at, microseconds, status, error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
)

// recordMessageTx writes what came of an attempt; counts is false when another
// run of the job was first. A message that was not posted has no attempt.
func (w *Worker) recordMessageTx(ctx context.Context, tx pgx.Tx, t task, at time.Time, o outcome, v verdict) (counts bool, err error) {
	now := w.store.now()
	number := t.attempts
	if !at.IsZero() {
		number++
	}
	var due *time.Time
	if v.state == Pending {
		next := now.Add(v.wait)
		due = &next
	}
	done, err := tx.Exec(ctx, recordMessageSQL, t.endpoint.ID, t.message, t.attempts, v.state, number, due, o.status, o.class, now)
	if err != nil || done.RowsAffected() == 0 {
		return false, err
	}
	if !at.IsZero() {
		_, err := tx.Exec(ctx, insertAttemptSQL, t.endpoint.ID, t.message, number, timeid.New(at), t.name, at, o.took.Microseconds(), o.status, o.class)
		if err != nil {
			return false, err
		}
	}
	if due == nil {
		return true, nil
	}
	return true, w.store.insertJobsTx(ctx, tx, []river.InsertManyParams{jobFor(post{t.endpoint.ID, t.message, number + 1}, *due)})
}

const (
	// An endpoint that was changed meanwhile has begun anew: what the old
	// address answered is not its fault.
	recoveredSQL = `
UPDATE webhook_endpoints
SET failures = 0, failing_since = NULL, hold_until = NULL
WHERE id = $1 AND version = $2 AND failures > 0`

	// Failures of one moment count once: those that come while it is held were
	// on their way before.
	ailingSQL = `
UPDATE webhook_endpoints
SET failures = failures + CASE WHEN hold_until > $3 THEN 0 ELSE 1 END,
    failing_since = coalesce(failing_since, $3),
    hold_until = greatest(hold_until, $4),
    enabled = enabled AND $5 = '',
    disabled_for = CASE WHEN enabled THEN $5 ELSE disabled_for END,
    version = version + CASE WHEN enabled AND $5 <> '' THEN 1 ELSE 0 END
WHERE id = $1 AND version = $2`
)

// recordEndpointTx writes what an attempt says of the endpoint. Most say what
// is known, and write nothing.
func (w *Worker) recordEndpointTx(ctx context.Context, tx pgx.Tx, t task, v verdict) error {
	switch {
	case v.healthy && t.endpoint.failures > 0:
		_, err := tx.Exec(ctx, recoveredSQL, t.endpoint.ID, t.endpoint.Version)
		return err
	case v.ailing:
		now := w.store.now()
		var hold *time.Time
		if v.hold > 0 {
			until := now.Add(v.hold)
			hold = &until
		}
		_, err := tx.Exec(ctx, ailingSQL, t.endpoint.ID, t.endpoint.Version, now, hold, string(v.off))
		return err
	}
	return nil
}
