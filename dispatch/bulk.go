package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/problem"
	"herald/timeid"
)

// BulkAction is a ruling about all deliveries that a search finds.
type BulkAction struct {
	ID     int64     `json:"id"`
	Ruling Ruling    `json:"action"`
	Filter Search    `json:"filter"`
	Actor  string    `json:"actor"`
	State  BulkState `json:"state"`
	Total  int64     `json:"total"` // that the search found at first
	Done   int64     `json:"done"`
	// Refused had moved meanwhile, were in a worker's hands, or were private.
	Refused   int64     `json:"refused"`
	CreatedAt time.Time `json:"created_at"`
	ChangedAt time.Time `json:"changed_at"`
}

// BulkState is how far a bulk action is.
type BulkState string

// The states of a bulk action.
const (
	BulkRunning   BulkState = "running"
	BulkDone      BulkState = "done"
	BulkCancelled BulkState = "cancelled" // what was not dealt with by then is left as it was
)

// Percent is how much of it is behind it.
func (a BulkAction) Percent() int {
	if a.State == BulkDone || a.Total == 0 {
		return 100
	}
	return int(min(100*(a.Done+a.Refused)/a.Total, 99))
}

// bulkJob carries a bulk action on.
type bulkJob struct {
	Action int64 `json:"action"`
}

// Kind is the job's name in River.
func (bulkJob) Kind() string { return "dispatch_bulk_action" }

const (
	// bulkQueue has a worker of its own on each node: an operator's wish does
	// not wait behind a campaign.
	bulkQueue = "dispatch_operators"
	// bulkBatch is how many deliveries one transaction deals with.
	bulkBatch = 500
	// bulkFor is how long a job works before it makes room.
	bulkFor = 5 * time.Second
)

// rulingStates are the states that a ruling can be for.
var rulingStates = map[Ruling][]State{
	RulingRetry:      {Failed, InDoubt, Deferred},
	RulingDiscard:    {Failed, InDoubt, Deferred, Pending},
	RulingAssumeSent: {InDoubt},
}

// BeginBulk begins a ruling about all that a search finds now; what comes to
// be like it later is left alone. It is carried out in the background, each
// delivery once whatever crashes. The search must name a state that the ruling
// is for, or deliveries; problem.Invalid otherwise, and when it finds nothing.
func (s *Store) BeginBulk(ctx context.Context, ruling Ruling, q Search, actor string) (BulkAction, error) {
	if err := checkBulk(ruling, q); err != nil {
		return BulkAction{}, err
	}
	q.Before, q.Limit = uuid.Nil, 0
	total, err := s.Count(ctx, q)
	if err != nil {
		return BulkAction{}, err
	}
	if total == 0 {
		return BulkAction{}, problem.New(problem.Invalid, "no delivery fits this search")
	}
	at := s.now()
	a := BulkAction{Ruling: ruling, Filter: q, Actor: actor, State: BulkRunning, Total: total, CreatedAt: at, ChangedAt: at}
	filter, err := json.Marshal(q)
	if err != nil {
		return BulkAction{}, fmt.Errorf("write the filter: %w", err)
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
INSERT INTO bulk_actions (verb, filter, actor, total, before, created_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id`,
			ruling, string(filter), actor, total, timeid.Floor(at.Add(time.Millisecond)), at).Scan(&a.ID)
		if err != nil {
			return fmt.Errorf("begin the bulk action: %w", err)
		}
		return s.insertJobs(ctx, tx, []river.InsertManyParams{{
			Args: bulkJob{a.ID}, InsertOpts: &river.InsertOpts{Queue: bulkQueue, MaxAttempts: jobTries},
		}})
	})
	return a, err
}

func checkBulk(ruling Ruling, q Search) error {
	var f problem.Fields
	states, known := rulingStates[ruling]
	switch {
	case !known:
		f.Add("action", "known", "must be retry, discard or assume_sent")
	case q.State == "" && len(q.IDs) == 0:
		f.Add("state", "required", "must say of which state, or name deliveries")
	case q.State != "" && !slices.Contains(states, q.State):
		f.Add("state", "action", "this cannot be done with deliveries that are %s", q.State)
	}
	return f.Err("this cannot be done")
}

const bulkColumns = `id, verb, filter, actor, state, total, done, refused, created_at, changed_at`

// BulkAction is one of them; problem.NotFound when there is none.
func (s *Store) BulkAction(ctx context.Context, id int64) (BulkAction, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+bulkColumns+` FROM bulk_actions WHERE id = $1`, id)
	if err != nil {
		return BulkAction{}, fmt.Errorf("read the bulk action: %w", err)
	}
	a, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[BulkAction])
	if errors.Is(err, pgx.ErrNoRows) {
		return BulkAction{}, problem.New(problem.NotFound, "there is no such bulk action")
	}
	if err != nil {
		return BulkAction{}, fmt.Errorf("read the bulk action: %w", err)
	}
	return a, nil
}

// BulkActions are the latest ones before one (0: the newest), newest first.
func (s *Store) BulkActions(ctx context.Context, before int64, limit int) ([]BulkAction, error) {
	rows, err := s.pool.Query(ctx, `
SELECT `+bulkColumns+` FROM bulk_actions
WHERE id < coalesce(nullif($1, 0), 9223372036854775807) ORDER BY id DESC LIMIT $2`, before, min(max(limit, 1), pageSizeMax))
	if err != nil {
		return nil, fmt.Errorf("read the bulk actions: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[BulkAction])
	if err != nil {
		return nil, fmt.Errorf("read the bulk actions: %w", err)
	}
	return list, nil
}

// CancelBulk ends a bulk action where it is; problem.Conflict when it has ended.
func (s *Store) CancelBulk(ctx context.Context, id int64) (BulkAction, error) {
	tag, err := s.pool.Exec(ctx, `UPDATE bulk_actions SET state = 'cancelled', changed_at = $2 WHERE id = $1 AND state = 'running'`, id, s.now())
	if err != nil {
		return BulkAction{}, fmt.Errorf("cancel the bulk action: %w", err)
	}
	a, err := s.BulkAction(ctx, id)
	if err == nil && tag.RowsAffected() == 0 {
		err = problem.New(problem.Conflict, "the bulk action has ended: it is %s", a.State)
	}
	return a, err
}

// bulkStep deals with the next deliveries of a bulk action, and says whether
// that was all. The place in the list moves on with them in one transaction,
// so that a crash repeats nothing and leaves nothing out.
func (s *Store) bulkStep(ctx context.Context, id int64) (over bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var (
			ruling Ruling
			q      Search
			actor  string
			state  BulkState
		)
		err := tx.QueryRow(ctx, `SELECT verb, filter, actor, state, before FROM bulk_actions WHERE id = $1 FOR UPDATE`, id).
			Scan(&ruling, &q, &actor, &state, &q.Before)
		if err != nil {
			return fmt.Errorf("lock the bulk action: %w", err)
		}
		if over = state != BulkRunning; over {
			return nil
		}
		ids, err := findIDs(ctx, tx, q, bulkBatch)
		if err != nil {
			return err
		}
		if over = len(ids) == 0; over {
			_, err := tx.Exec(ctx, `UPDATE bulk_actions SET state = 'done', changed_at = $2 WHERE id = $1`, id, s.now())
			return err
		}
		refused, err := s.ruleTx(ctx, tx, ruling, ids, actor)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
UPDATE bulk_actions SET before = $2, done = done + $3, refused = refused + $4, changed_at = $5 WHERE id = $1`,
			id, ids[len(ids)-1], len(ids)-len(refused), len(refused), s.now())
		return err
	})
	if err != nil {
		return false, fmt.Errorf("carry bulk action %d on: %w", id, err)
	}
	return over, nil
}

// findIDs are the next deliveries of a search, newest first.
func findIDs(ctx context.Context, tx pgx.Tx, q Search, limit int) ([]uuid.UUID, error) {
	c, err := q.conditions()
	if err != nil {
		return nil, err
	}
	c.args = append(c.args, limit)
	rows, err := tx.Query(ctx, `SELECT d.id FROM deliveries d `+c.sql()+fmt.Sprintf(` ORDER BY d.id DESC LIMIT $%d`, len(c.args)), c.args...)
	if err != nil {
		return nil, fmt.Errorf("find deliveries: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// bulkWorker is the River worker of bulk actions.
type bulkWorker struct {
	river.WorkerDefaults[bulkJob]
	worker *Worker
}

// NextRetry tries again soon: what stands in the way is ours.
func (b *bulkWorker) NextRetry(job *river.Job[bulkJob]) time.Time {
	return time.Now().Add(min(soon<<min(len(job.Errors), 10), retryCeiling))
}

// Work carries the action on for a while, and comes again for the rest.
func (b *bulkWorker) Work(ctx context.Context, job *river.Job[bulkJob]) error {
	for began := time.Now(); ; {
		over, err := b.worker.store.bulkStep(ctx, job.Args.Action)
		if err != nil || over {
			return err
		}
		if b.worker.draining.Load() || time.Since(began) > bulkFor {
			return river.JobSnooze(0)
		}
	}
}
