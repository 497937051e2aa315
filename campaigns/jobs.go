package campaigns

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// The River queues: ranges and dry runs take their time, what looks after
// campaigns must not wait for them.
const (
	queueTend  = "campaigns"
	queueRange = "campaign_ranges"
)

// tendEvery is how often campaigns are looked after: nothing fires earlier
// than due, or later than this.
const tendEvery = 5 * time.Second

// rangeTimeout is the longest that one job may read; it goes on in another try.
const rangeTimeout = 10 * time.Minute

// waiting are the states of a job that is still to do its work.
var waiting = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
	rivertype.JobStateScheduled, rivertype.JobStateRetryable,
}

// tendArgs asks for a look at all campaigns.
type tendArgs struct{}

// Kind is the job's name in River.
func (tendArgs) Kind() string { return "campaigns_tend" }

// InsertOpts keeps one look waiting at a time; a failed one is not repeated,
// the next is near.
func (tendArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueTend, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByState: waiting}}
}

// rangeArgs asks for a range of a run to be read.
type rangeArgs struct {
	Range int64 `json:"range"`
}

// Kind is the job's name in River.
func (rangeArgs) Kind() string { return "campaign_range" }

// InsertOpts keeps one job for each range.
func (rangeArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueRange, Priority: 2, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: waiting}}
}

// insertRangeJobs makes jobs for the ranges that a condition names, where they
// are not read and have none.
func (s *Store) insertRangeJobs(ctx context.Context, tx pgx.Tx, where string, arg any) error {
	rows, err := tx.Query(ctx, `SELECT id FROM campaign_ranges WHERE NOT done AND `+where+` ORDER BY id`, arg)
	if err != nil {
		return fmt.Errorf("look for open ranges: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("look for open ranges: %w", err)
	}
	if len(ids) == 0 {
		return nil
	}
	jobs := make([]river.InsertManyParams, len(ids))
	for i, id := range ids {
		jobs[i].Args = rangeArgs{id}
	}
	if _, err := s.river.InsertManyTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("insert the jobs of %d ranges: %w", len(ids), err)
	}
	return nil
}

// AddTo adds the campaigns' workers to River's.
func (s *Store) AddTo(workers *river.Workers) {
	river.AddWorker(workers, &tendWorker{store: s, logger: s.cfg.Logger})
	river.AddWorker(workers, &rangeWorker{store: s})
	river.AddWorker(workers, &dryRunWorker{store: s})
}

// Queues are the campaigns' queues in River; a node reads so many ranges at a
// time.
func (s *Store) Queues(ranges int) map[string]river.QueueConfig {
	return map[string]river.QueueConfig{queueTend: {MaxWorkers: 1}, queueRange: {MaxWorkers: ranges}}
}

// PeriodicJob looks after all campaigns every five seconds.
func (s *Store) PeriodicJob() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(tendEvery), func() (river.JobArgs, *river.InsertOpts) { return tendArgs{}, nil },
		&river.PeriodicJobOpts{ID: tendArgs{}.Kind(), RunOnStart: true})
}

type tendWorker struct {
	river.WorkerDefaults[tendArgs]
	store  *Store
	logger *slog.Logger
}

// Work fires what is due and looks after the runs under way. Its failures are
// logged here, since River would only count them.
func (w *tendWorker) Work(ctx context.Context, _ *river.Job[tendArgs]) error {
	for _, step := range []func(context.Context) error{w.store.fireDue, w.store.tend} {
		if err := step(ctx); err != nil && ctx.Err() == nil {
			w.logger.ErrorContext(ctx, "campaigns could not be looked after", "error", err)
		}
	}
	return ctx.Err()
}

type rangeWorker struct {
	river.WorkerDefaults[rangeArgs]
	store *Store
}

func (*rangeWorker) Timeout(*river.Job[rangeArgs]) time.Duration { return rangeTimeout }

// NextRetry is soon: what a range fails for is the database being away.
func (w *rangeWorker) NextRetry(job *river.Job[rangeArgs]) time.Time {
	return w.store.cfg.Now().Add(min(time.Duration(job.Attempt)*time.Second, 30*time.Second))
}

func (w *rangeWorker) Work(ctx context.Context, job *river.Job[rangeArgs]) error {
	return w.store.prepareRange(ctx, job.Args.Range)
}
