package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"herald/problem"
	"herald/subscriptions"
)

// errSuperseded says that another worker holds the delivery by now. The job
// must stay: that worker runs it.
var errSuperseded = errors.New("the delivery was taken up by another worker meanwhile")

// record writes a verdict and ends the job, in one transaction. After a
// hand-over it insists for RecordFor, also when the process is stopping,
// because an outcome that is not recorded is a message in doubt.
func (w *Worker) record(ctx context.Context, job *river.Job[handOver], t task, v verdict) error {
	insist := 5 * time.Second
	if v.outcome != "" {
		insist = w.cfg.RecordFor
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), insist)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		superseded, err := w.recordOnce(ctx, job, t, v)
		if err == nil && superseded {
			err = errSuperseded
		}
		if err == nil {
			return nil
		}
		if !superseded && w.pause(ctx, pause) {
			continue
		}
		w.cfg.Logger.ErrorContext(ctx, "an outcome did not count", "delivery", t.ID, "outcome", v.outcome, "error", err)
		return fmt.Errorf("record delivery %s: %w", t.ID, err)
	}
}

// pause waits; false: ctx ended first.
func (w *Worker) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

const (
	// What is learnt late is written too, over the doubt that was noted
	// meanwhile. Other attempts without an outcome have lost their worker.
	recordAttemptSQL = `
UPDATE attempts
SET ended_at = $3, outcome = $4, account = $5, code = $6, detail = $7
WHERE delivery_id = $1 AND number = $2 AND outcome IN ('', 'in_doubt')`

	closeLostSQL = `
UPDATE attempts
SET ended_at = $3, outcome = 'in_doubt', detail = $4
WHERE delivery_id = $1 AND number <= $2 AND ended_at IS NULL`

	// No path leaves a final state, and only a clear "accepted" may overrule
	// another worker that has the delivery in hand by now.
	recordDeliverySQL = `
UPDATE deliveries
SET state = $3, reason = $4, account = coalesce(nullif($5, ''), account), provider_id = $6,
    next_attempt_at = $7, changed_at = $8
WHERE id = $1 AND state IN ('pending', 'deferred', 'in_doubt') AND (attempts = $2 OR $3 = 'accepted')`

	scrubSQL = `UPDATE notifications SET data = '{}' WHERE id = $1 AND private`
)

// recordOnce is one try of record. superseded: what was learnt is on record,
// but the delivery is another worker's.
func (w *Worker) recordOnce(ctx context.Context, job *river.Job[handOver], t task, v verdict) (superseded bool, err error) {
	err = pgx.BeginFunc(ctx, w.store.pool, func(tx pgx.Tx) error {
		counts, err := w.recordTx(ctx, tx, t, v)
		if err != nil {
			return err
		}
		if !counts {
			var state State
			if err := tx.QueryRow(ctx, `SELECT state FROM deliveries WHERE id = $1`, t.ID).Scan(&state); err != nil {
				return err
			}
			if superseded = !state.Final(); superseded {
				return nil
			}
		}
		// A job that is gone was finished by somebody else.
		_, err = river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		if errors.Is(err, rivertype.ErrNotFound) {
			return nil
		}
		return err
	})
	return superseded, err
}

// recordTx writes the verdict; counts is false when the delivery did not
// follow it, being final or another worker's by now.
func (w *Worker) recordTx(ctx context.Context, tx pgx.Tx, t task, v verdict) (counts bool, err error) {
	at := w.store.now()
	var due *time.Time
	if v.wait > 0 {
		next := at.Add(v.wait)
		due = &next
	}
	var batch pgx.Batch
	if v.outcome != "" {
		batch.Queue(recordAttemptSQL, t.ID, t.Attempts, at, v.outcome, storable(v.account), storable(v.code), storable(v.detail))
	} else {
		batch.Queue(closeLostSQL, t.ID, t.Attempts, at, outcomeUnknown)
	}
	batch.Queue(recordDeliverySQL, t.ID, t.Attempts, v.state, v.reason, storable(v.account), storable(v.providerID), due, at).
		Exec(func(tag pgconn.CommandTag) error {
			counts = tag.RowsAffected() == 1
			return nil
		})
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return false, err
	}
	if !counts { // what is private is left to whoever has the delivery now
		return false, nil
	}
	if t.Private && due == nil {
		if _, err := tx.Exec(ctx, scrubSQL, t.NotificationID); err != nil {
			return false, fmt.Errorf("erase private data: %w", err)
		}
	}
	if due != nil {
		_, err = w.store.river.InsertManyFastTx(ctx, tx, []river.InsertManyParams{jobFor(t.ID, t.Channel, t.Priority, *due)})
		if err != nil {
			return false, fmt.Errorf("insert the next job: %w", err)
		}
	}
	if v.addressDead && t.ContactID != 0 {
		return true, w.buryTx(ctx, tx, t, v)
	}
	return true, nil
}

// buryTx notes that the provider knows no such address.
func (w *Worker) buryTx(ctx context.Context, tx pgx.Tx, t task, v verdict) error {
	if err := w.cfg.Contacts.SetStandingTx(ctx, tx, t.ContactID, subscriptions.Dead, v.code); err != nil {
		return fmt.Errorf("mark the address dead: %w", err)
	}
	err := w.cfg.Suppressions.SuppressTx(ctx, tx, subscriptions.Suppression{
		Channel: t.Channel, Address: t.Address, Reason: subscriptions.Bounced, Detail: v.code,
	})
	if problem.CodeOf(err) == problem.Invalid {
		// The outcome must not be lost for an address that is none.
		w.cfg.Logger.ErrorContext(ctx, "a dead address could not be suppressed", "delivery", t.ID, "contact_point", t.ContactID)
		return nil
	}
	if err != nil {
		return fmt.Errorf("suppress the address: %w", err)
	}
	return nil
}

// detailMax is how many bytes of what a provider said are kept.
const detailMax = 2000

// storable makes text from outside fit for PostgreSQL, which takes neither
// invalid UTF-8 nor NUL: an outcome must not be lost for its wording.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), detailMax)], ""), "\x00", "")
}
