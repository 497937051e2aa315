package subscriptions

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/robfig/cron/v3"
)

// ExpiryArgs asks for one pass over the subscriptions that are due.
type ExpiryArgs struct{}

// Kind is the job's name in River.
func (ExpiryArgs) Kind() string { return "expire_subscriptions" }

// InsertOpts keeps one pass waiting at a time, however long a pass takes. A
// failed pass is not repeated: the schedule brings the next.
func (ExpiryArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		MaxAttempts: 1,
		UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
			rivertype.JobStateScheduled, rivertype.JobStateRetryable,
		}},
	}
}

// expiryPass is how many subscriptions the worker asks ExpireDue for at a time.
const expiryPass = 10_000

// ExpiryWorker ends what is due and adds the follow-ups, as a River worker.
type ExpiryWorker struct {
	river.WorkerDefaults[ExpiryArgs]
	store  *Store
	logger *slog.Logger
}

// NewExpiryWorker makes the worker; add it to River with river.AddWorker.
func NewExpiryWorker(store *Store, logger *slog.Logger) *ExpiryWorker {
	return &ExpiryWorker{store: store, logger: logger}
}

// Timeout is the longest a pass may take: after days of standstill there may
// be millions to end.
func (*ExpiryWorker) Timeout(*river.Job[ExpiryArgs]) time.Duration { return 10 * time.Minute }

// Work ends all that is due.
func (w *ExpiryWorker) Work(ctx context.Context, _ *river.Job[ExpiryArgs]) error {
	for {
		expired, renewed, err := w.store.ExpireDue(ctx, expiryPass)
		if expired > 0 {
			w.logger.InfoContext(ctx, "subscriptions ended", "expired", expired, "renewed", renewed)
		}
		if err != nil {
			return err
		}
		if expired < expiryPass {
			return nil
		}
	}
}

// ExpiryPeriodicJob runs the worker by a cron expression in five fields, or
// one of robfig/cron's short forms such as "@every 1m".
func ExpiryPeriodicJob(schedule string) (*river.PeriodicJob, error) {
	at, err := cron.ParseStandard(schedule)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w", schedule, err)
	}
	return river.NewPeriodicJob(at, func() (river.JobArgs, *river.InsertOpts) { return ExpiryArgs{}, nil },
		&river.PeriodicJobOpts{ID: ExpiryArgs{}.Kind(), RunOnStart: true}), nil
}
