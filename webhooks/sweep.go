package webhooks

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// How long messages are kept with their attempts, after they were delivered or
// failed; and how many are removed at a time, how often.
const (
	keepDelivered = 7 * 24 * time.Hour
	keepFailed    = 30 * 24 * time.Hour
	sweepChunk    = 1_000
	sweepEvery    = 10 * time.Minute
)

// sweep is a job: one pass over the messages that are old.
type sweep struct{}

// Kind is the job's name in River.
func (sweep) Kind() string { return "sweep_webhooks" }

// InsertOpts keeps one pass waiting at a time. A failed pass is not repeated:
// the schedule brings the next.
func (sweep) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		MaxAttempts: 1,
		UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
			rivertype.JobStateScheduled, rivertype.JobStateRetryable,
		}},
	}
}

// PeriodicJob is the sweep's, for the River client that runs the worker.
func (*Worker) PeriodicJob() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(sweepEvery),
		func() (river.JobArgs, *river.InsertOpts) { return sweep{}, nil },
		&river.PeriodicJobOpts{ID: sweep{}.Kind(), RunOnStart: true})
}

// sweeper is the sweep's River worker.
type sweeper struct {
	river.WorkerDefaults[sweep]
	store *Store
}

// Timeout is the longest a pass may take: after a standstill there is much.
func (*sweeper) Timeout(*river.Job[sweep]) time.Duration { return 10 * time.Minute }

// Work removes what is old.
func (s *sweeper) Work(ctx context.Context, _ *river.Job[sweep]) error {
	for {
		removed, err := s.store.sweep(ctx, sweepChunk)
		if err != nil || removed < sweepChunk {
			return err
		}
	}
}

// Attempts go with their message. What is being replayed just now is left.
const (
	sweepSQL = `
DELETE FROM webhook_messages
WHERE (endpoint_id, id) IN (
    SELECT endpoint_id, id
    FROM webhook_messages m
    WHERE state <> 'pending'
      AND changed_at < $1
      AND (state = 'delivered' OR changed_at < $2 OR NOT EXISTS (SELECT FROM webhook_endpoints e WHERE e.id = m.endpoint_id))
    LIMIT $3
    FOR UPDATE SKIP LOCKED)`

	forgetSecretsSQL = `
UPDATE webhook_endpoints
SET old_secret = NULL, old_secret_until = NULL
WHERE old_secret_until < $1`
)

// sweep removes up to limit old messages, and the secrets that no longer sign.
func (s *Store) sweep(ctx context.Context, limit int) (removed int, err error) {
	now := s.now()
	var done pgconn.CommandTag
	if _, err = s.pool.Exec(ctx, forgetSecretsSQL, now); err == nil {
		done, err = s.pool.Exec(ctx, sweepSQL, now.Add(-keepDelivered), now.Add(-keepFailed), limit)
	}
	if err != nil {
		return 0, fmt.Errorf("sweep webhook messages: %w", err)
	}
	return int(done.RowsAffected()), nil
}
