package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/subscriptions"
)

// result is a verdict and the delivery that it is about.
type result struct {
	task *task
	verdict
}

// outcomes is what one transaction records: what came of one hand-over, or of
// deliveries that were decided without one (id 0).
type outcomes struct {
	job      handOver
	handOver int64
	node     string
	account  string
	began    time.Time
	results  []result
}

// record writes outcomes. After a hand-over it insists for RecordFor, also
// when the process is stopping, because an outcome that is not recorded is a
// message in doubt. late says that the hand-over was settled by another
// meanwhile, who held this worker for dead.
func (w *Worker) record(ctx context.Context, o outcomes) (late bool, err error) {
	insist := 5 * time.Second
	if o.handOver != 0 {
		insist = w.cfg.RecordFor
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), insist)
	defer cancel()
	for try, pause := 1, 50*time.Millisecond; ; try, pause = try+1, min(2*pause, 2*time.Second) {
		err := pgx.BeginFunc(ctx, w.store.pool, func(tx pgx.Tx) (err error) {
			late, err = w.recordTx(ctx, tx, o)
			return err
		})
		if err == nil {
			return late, nil
		}
		if try == worthTelling {
			w.cfg.Logger.WarnContext(ctx, "outcomes could not be recorded so far", "hand_over", o.handOver, "deliveries", len(o.results), "tries", try, "error", err)
		}
		if pauseFor(ctx, around(pause)) {
			continue
		}
		w.cfg.Logger.ErrorContext(ctx, "outcomes could not be recorded", "hand_over", o.handOver, "deliveries", len(o.results), "error", err)
		return false, fmt.Errorf("record %d outcomes: %w", len(o.results), err)
	}
}

// worthTelling is how often something fails before it is more than bad luck.
const worthTelling = 3

// pauseFor waits; false: ctx ended first.
func pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// recordTx writes outcomes in one transaction: the attempts, the deliveries
// with the ledger, and what follows from them. It takes them by their ids, as
// everybody does, whatever the order in which a provider answered.
func (w *Worker) recordTx(ctx context.Context, tx pgx.Tx, o outcomes) (late bool, err error) {
	slices.SortFunc(o.results, func(a, b result) int { return compareIDs(a.task.ID, b.task.ID) })
	at := w.store.now()
	var batch pgx.Batch
	queueAttempts(&batch, o, at)
	changes := changesOf(o, at)
	changes.queue(&batch)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return false, err
	}
	if err := changes.late(ctx, tx); err != nil {
		return false, err
	}
	if err := w.followTx(ctx, tx, at, o, changes.moved); err != nil {
		return false, err
	}
	return o.handOver != 0 && !changes.ours, w.tellTx(ctx, tx, at, o, changes.moved)
}

// tellTx announces what became of the deliveries that moved.
func (w *Worker) tellTx(ctx context.Context, tx pgx.Tx, at time.Time, o outcomes, moved map[uuid.UUID]bool) error {
	if w.cfg.Announcer == nil {
		return nil
	}
	news := news{to: w.cfg.Announcer, at: at}
	for _, r := range o.results {
		if !moved[r.task.ID] {
			continue
		}
		told := *r.task
		if r.outcome != "" {
			told.Attempts++
		}
		news.delivery(saysOf(r.state), &told, cmp.Or(r.account, o.account), r.state, r.reason)
		if r.addressDead && r.task.ContactID != 0 {
			news.contact(r.task, subscriptions.Bounced)
		}
	}
	return news.tellTx(ctx, tx)
}

// queueAttempts adds the attempts that were made. What is learnt late is
// written over the doubt that was noted meanwhile.
func queueAttempts(batch *pgx.Batch, o outcomes, at time.Time) {
	var a struct {
		ids                                     []uuid.UUID
		numbers                                 []int32
		repeats                                 []bool
		accounts, outcomes, codes, details, pid []string
		carriers                                []*uuid.UUID
	}
	counts := map[[3]string]int64{}
	for _, r := range o.results {
		if r.outcome == "" {
			continue
		}
		account := r.account
		if account == "" {
			account = o.account
		}
		a.ids = append(a.ids, r.task.ID)
		a.numbers = append(a.numbers, int32(r.task.Attempts+1))
		a.repeats = append(a.repeats, r.task.doubtful())
		a.accounts = append(a.accounts, storable(account))
		a.outcomes = append(a.outcomes, r.outcome)
		a.codes = append(a.codes, storable(r.code))
		a.details = append(a.details, storable(r.detail))
		a.pid = append(a.pid, storable(r.providerID))
		carrier := &r.carriedBy
		if r.carriedBy == uuid.Nil {
			carrier = nil
		}
		a.carriers = append(a.carriers, carrier)
		counts[[3]string{string(r.task.Channel), account, r.outcome}]++
		if r.parts > 0 {
			counts[[3]string{string(r.task.Channel), account, outcomeParts}] += int64(r.parts)
		}
	}
	if len(a.ids) == 0 {
		return
	}
	began := o.began
	if began.IsZero() {
		began = at
	}
	batch.Queue(insertAttemptsSQL, o.node, began, at, a.ids, a.numbers, a.repeats, a.accounts, a.outcomes, a.codes, a.details, a.pid, a.carriers)
	for key, n := range counts {
		batch.Queue(insertMinuteSQL, at, key[0], key[1], key[2], n)
	}
}

const (
	insertAttemptsSQL = `
INSERT INTO attempts (delivery_id, number, node, account, started_at, ended_at, repeats, outcome, code, detail, provider_id, carried_by)
SELECT id, number, $1, account, $2, $3, repeats, outcome, code, detail, provider_id, carried_by
FROM unnest($4::uuid[], $5::int[], $6::boolean[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::uuid[])
  AS a (id, number, repeats, account, outcome, code, detail, provider_id, carried_by)
ON CONFLICT (delivery_id, number) DO UPDATE
SET ended_at = excluded.ended_at, outcome = excluded.outcome, account = excluded.account,
    code = excluded.code, detail = excluded.detail, provider_id = excluded.provider_id,
    carried_by = excluded.carried_by
WHERE attempts.outcome IN ('', 'in_doubt')`

	insertMinuteSQL = `
INSERT INTO minutes (minute, channel, account, outcome, n) VALUES (date_trunc('minute', $1::timestamptz), $2, $3, $4, $5)`
)

// followTx does what follows from the deliveries that moved: jobs for those
// that are tried again, the next rung for those that failed, what was private
// erased, dead addresses buried.
func (w *Worker) followTx(ctx context.Context, tx pgx.Tx, at time.Time, o outcomes, moved map[uuid.UUID]bool) error {
	var (
		jobs     []river.InsertManyParams
		together []result
		erase    []uuid.UUID
		dead     []shunned
		failed   []climber
		ended    []*task
		told     stepRows
	)
	for _, r := range o.results {
		if !moved[r.task.ID] { // it is left to whoever has it now
			continue
		}
		switch {
		case r.wait > 0 && !r.stays && o.job.Together:
			together = append(together, r)
		case r.wait > 0 && !r.stays:
			next := handOver{Deliveries: []uuid.UUID{r.task.ID}, Turn: o.job.Turn + 1, Campaign: o.job.Campaign}
			jobs = append(jobs, jobFor(next, r.task.Channel, r.task.Priority, at.Add(r.wait)))
		case r.wait == 0 && r.task.Private:
			erase = append(erase, r.task.NotificationID)
		}
		told.add(r.task.NotificationID, r.steps...)
		switch {
		case r.leadsOn():
			failed = append(failed, climber{task: r.task, why: "failed", from: place{r.task.ledgerKey(), r.state, r.reason}, spare: r.spare()})
		case r.state.Final() && r.task.Counts && r.spare():
			ended = append(ended, r.task)
		}
		if r.addressDead && r.task.ContactID != 0 {
			dead = append(dead, shunned{task: r.task, reason: subscriptions.Bounced, code: r.code, dead: true})
		}
	}
	if _, err := (shunner{w.cfg.Contacts, w.cfg.Suppressions, w.cfg.Logger}).shunTx(ctx, tx, dead); err != nil {
		return err
	}
	if len(together) > 0 {
		next := handOver{Turn: o.job.Turn + 1, Together: true, Wire: o.job.Wire}
		for _, r := range together {
			next.Deliveries = append(next.Deliveries, r.task.ID)
		}
		first := together[0]
		jobs = append(jobs, jobFor(next, first.task.Channel, first.task.Priority, at.Add(first.wait)))
	}
	var batch pgx.Batch
	if len(erase) > 0 {
		batch.Queue(eraseSQL, erase)
	}
	if err := told.queue(&batch); err != nil {
		return err
	}
	if batch.Len() > 0 {
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
			return fmt.Errorf("write decisions, and erase private data: %w", err)
		}
	}
	if _, err := w.store.climbTx(ctx, tx, at, failed, ended); err != nil {
		return err
	}
	return w.store.insertJobs(ctx, tx, jobs)
}

// eraseSQL takes private data away that has served.
const eraseSQL = `
UPDATE notifications SET data = '{}'
WHERE id IN (SELECT id FROM notifications WHERE id = ANY($1) AND private ORDER BY id FOR NO KEY UPDATE)`

// spare reports whether nothing was handed over: no attempt was made, or its
// template failed.
func (r result) spare() bool {
	return r.state != Accepted && (r.outcome == "" || r.outcome == "template_failed")
}

// detailMax is how many bytes of what a provider said are kept.
const detailMax = 2000

// storable makes text from outside fit for PostgreSQL, which takes neither
// invalid UTF-8 nor NUL: an outcome must not be lost for its wording.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), detailMax)], ""), "\x00", "")
}

// errSuperseded says that another worker has the job by now.
var errSuperseded = errors.New("the job was taken up by another worker meanwhile")
