package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/subscriptions"
)

// confirm is a job: some deliveries whose notifications have run out of
// patience. Those that are not confirmed give way to the next rung.
type confirm struct {
	Deliveries []uuid.UUID `json:"deliveries"`
}

// Kind is the job's name in River.
func (confirm) Kind() string { return "dispatch_confirm" }

const (
	confirmQueue = "dispatch_confirm"
	// confirmWorkers is how many such jobs one node does at a time.
	confirmWorkers = 4
)

// patiences are deliveries that must be confirmed, by the time they have.
type patiences map[time.Duration][]uuid.UUID

// add notes a delivery on a rung of n, if n has patience and another rung.
func (p *patiences) add(n *Notification, rung int, id uuid.UUID) {
	if n.Patience <= 0 || rung+1 >= len(n.Channels) {
		return
	}
	if *p == nil {
		*p = patiences{}
	}
	(*p)[n.Patience] = append((*p)[n.Patience], id)
}

// jobs are the jobs that look whether they are confirmed.
func (p patiences) jobs(from time.Time) []river.InsertManyParams {
	var jobs []river.InsertManyParams
	for patience, ids := range p {
		for begin := 0; begin < len(ids); begin += chunkSize {
			jobs = append(jobs, river.InsertManyParams{
				Args: confirm{Deliveries: ids[begin:min(begin+chunkSize, len(ids))]},
				InsertOpts: &river.InsertOpts{
					Queue: confirmQueue, Priority: lastUrgent, MaxAttempts: jobTries, ScheduledAt: from.Add(patience),
				},
			})
		}
	}
	return jobs
}

// confirmer is the River worker of confirmations.
type confirmer struct {
	river.WorkerDefaults[confirm]

	worker *Worker
}

// NextRetry is for jobs that failed because the database was away.
func (c *confirmer) NextRetry(job *river.Job[confirm]) time.Time { return tryAgainAt(len(job.Errors)) }

// Work sends the notifications of unconfirmed deliveries up their ladders. It
// may be done again: who was left behind is not counted any more.
func (c *confirmer) Work(ctx context.Context, job *river.Job[confirm]) error {
	held, err := c.worker.heldOf(ctx, job.Args.Deliveries)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, c.worker.store.pool, func(tx pgx.Tx) error {
		return c.worker.confirmTx(ctx, tx, job.Args.Deliveries, held)
	})
}

// heldOf are those of the campaigns of some deliveries whose messages may not
// go. It is asked before anything is locked: those who wait for a lock have
// connections that the answer may need.
func (w *Worker) heldOf(ctx context.Context, ids []uuid.UUID) (held map[int64]bool, err error) {
	if w.cfg.Campaigns == nil {
		return nil, nil
	}
	rows, err := w.store.pool.Query(ctx, `SELECT DISTINCT campaign_id FROM deliveries WHERE id = ANY($1) AND campaign_id IS NOT NULL`, ids)
	if err != nil {
		return nil, fmt.Errorf("find the campaigns of %d deliveries: %w", len(ids), err)
	}
	campaigns, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("find the campaigns of %d deliveries: %w", len(ids), err)
	}
	held = map[int64]bool{}
	for _, id := range campaigns {
		hold, err := w.cfg.Campaigns.Hold(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("ask for campaign %d: %w", id, err)
		}
		held[id] = hold != ""
	}
	return held, nil
}

const laddersOfSQL = `SELECT DISTINCT notification_id FROM deliveries WHERE id = ANY($1)`

func (w *Worker) confirmTx(ctx context.Context, tx pgx.Tx, ids []uuid.UUID, held map[int64]bool) error {
	rows, err := tx.Query(ctx, laddersOfSQL, ids)
	if err != nil {
		return fmt.Errorf("find the ladders of %d deliveries: %w", len(ids), err)
	}
	notifications, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return fmt.Errorf("find the ladders of %d deliveries: %w", len(ids), err)
	}
	st, err := w.store.lockLadders(ctx, tx, notifications, w.cfg.Announcer)
	if err != nil {
		return err
	}
	var climbers []climber
	var jobs []river.InsertManyParams
	for _, id := range ids {
		r := st.rungs[id]
		if r == nil || !r.Counts || w.confirmed(r) || !r.mayClimb(st.at) {
			continue
		}
		if from := patienceFrom(r, held[r.CampaignID], st.at); !from.IsZero() {
			jobs = append(jobs, patiences{r.Patience: {id}}.jobs(from)...)
			continue
		}
		climbers = append(climbers, climber{task: &r.task, why: "not_confirmed", from: place{r.ledgerKey(), r.State, r.Reason}})
	}
	passed, err := w.store.climbTx(ctx, tx, st.at, climbers, nil)
	if err != nil {
		return err
	}
	for _, id := range passed {
		r := st.rungs[id]
		if r.Counts = false; r.open() {
			st.rest(r, reasonNextChannel)
		}
	}
	if err := st.write(ctx, tx); err != nil {
		return err
	}
	if err := w.store.insertJobs(ctx, tx, jobs); err != nil {
		return err
	}
	return st.news.tellTx(ctx, tx)
}

// confirmed reports whether nothing more need be done for a rung: it arrived;
// or a provider took it that would not say more, as with all e-mail; or it has
// failed, or was suppressed, which leads on by itself.
func (w *Worker) confirmed(r *rung) bool {
	switch r.State {
	case Accepted:
		return r.Channel == subscriptions.Email || !w.accounts.report(r.Account)
	case Delivered, Failed, Suppressed:
		return true
	case Pending, Deferred, InDoubt:
	}
	return false
}

// report reports whether an account's provider says what arrived.
func (a *Accounts) report(name string) bool {
	for _, one := range a.list {
		if one.name == name {
			_, able := one.Sender.(Reporter)
			return able || one.Receipts
		}
	}
	return false
}

// patienceFrom is when the patience with a rung begins anew, because nothing
// could be sent so far: it waits for its hour, or its campaign is paused.
// Zero: patience is at its end.
func patienceFrom(r *rung, held bool, at time.Time) time.Time {
	if !r.open() || r.InHand {
		return time.Time{}
	}
	if next := r.NextAttemptAt; next != nil && next.After(at) && (r.Attempts == 0 || r.Reason == "quiet_hours") {
		return *next
	}
	if held {
		return at
	}
	return time.Time{}
}
