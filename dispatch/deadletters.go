package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/problem"
	"herald/subscriptions"
)

// Ruling is what an operator decides about a delivery that did not get through,
// or of which nobody knows whether it did.
type Ruling string

// The rulings, and the deliveries that each is for:
//
//	           failed   in_doubt   deferred   pending
//	retry        ✓         ✓          ✓       only when no job has it
//	discard      ✓         ✓          ✓       ✓
//	assume_sent            ✓
//
// What is in a worker's hands at the moment is for none of them.
const (
	// RulingRetry hands it over once more, now; asked again whether the member
	// may be contacted. What was in doubt may arrive twice.
	RulingRetry Ruling = "retry"
	// RulingDiscard ends it as failed, with the reason "discarded".
	RulingDiscard Ruling = "discard"
	// RulingAssumeSent ends what is in doubt as accepted, with the reason "assumed_sent".
	RulingAssumeSent Ruling = "assume_sent"
)

// step is the code that a ruling adds to the decision of a notification.
func (r Ruling) step() string {
	switch r {
	case RulingRetry:
		return "retried_by_operator"
	case RulingDiscard:
		return "discarded_by_operator"
	case RulingAssumeSent:
		return "assumed_by_operator"
	}
	return ""
}

const (
	// retryExpiry is how long a message that an operator sends again is worth
	// sending, if its own expiry has passed or is nearer.
	retryExpiry = time.Hour

	reasonDiscarded = "discarded"
)

// Rule carries an operator's ruling about one delivery out, and adds
// "retried_by_operator", "discarded_by_operator" or "assumed_by_operator"
// {actor} to its decision. It is problem.NotFound when there is no such
// delivery, and problem.Conflict when the ruling is not for its state, when it
// is in a worker's hands just now, or when it should be sent again and its
// content was private.
func (s *Store) Rule(ctx context.Context, ruling Ruling, deliveryID uuid.UUID, actor string) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		refused, err := s.ruleTx(ctx, tx, ruling, []uuid.UUID{deliveryID}, actor)
		if err != nil {
			return err
		}
		return refused[deliveryID]
	})
}

// ruled is a delivery that a ruling is about.
type ruled struct {
	ID           uuid.UUID
	Notification uuid.UUID
	State        State
	Reason       string
	Account      string
	Channel      subscriptions.Channel
	Priority     int
	Template     string
	Private      bool
	Turn         int
	Hour         time.Time
	Trigger      string
	Campaign     int64
	Counts       bool
	Awaited      bool // another attempt is planned
	MemberID     int64
	Purpose      subscriptions.Purpose
	Attempts     int
	Rung         int

	job jobState
}

// jobState says whether a job has a delivery.
type jobState int

const (
	noJob   jobState = iota
	waits            // a job will take it, and cannot begin before this transaction ends
	running          // it may be in a worker's hands
	lost             // it was in the hands of a node that died, and its job is gone
)

const ruledSQL = `
SELECT d.id, n.id, d.state, d.reason, d.account, d.channel, n.priority, n.template, n.private, d.turn, d.hour, d.trigger,
       coalesce(d.campaign_id, 0), d.counts, d.next_attempt_at IS NOT NULL,
       d.member_id, n.purpose, d.attempts, d.rung
FROM deliveries d
JOIN notifications n ON n.id = d.notification_id
WHERE d.id = ANY($1)
ORDER BY d.id
FOR UPDATE OF d`

// ruleTx carries a ruling out and says of which deliveries it cannot be, and why.
func (s *Store) ruleTx(ctx context.Context, tx pgx.Tx, ruling Ruling, ids []uuid.UUID, actor string) (refused map[uuid.UUID]error, err error) {
	rows, err := tx.Query(ctx, ruledSQL, ids)
	if err != nil {
		return nil, fmt.Errorf("lock the deliveries: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[ruled])
	if err != nil {
		return nil, fmt.Errorf("lock the deliveries: %w", err)
	}
	refused = map[uuid.UUID]error{}
	for _, id := range ids {
		refused[id] = problem.New(problem.NotFound, "there is no such delivery")
	}
	if err := lookForJobs(ctx, tx, found); err != nil {
		return nil, err
	}
	w := rulings{at: s.now(), actor: actor, ruling: ruling, jobs: map[loadTurn][]uuid.UUID{}}
	for _, d := range found {
		if refused[d.ID] = d.refuses(ruling); refused[d.ID] == nil {
			delete(refused, d.ID)
			w.add(d)
		}
	}
	if len(w.ids) == 0 {
		return refused, nil
	}
	if err := w.write(ctx, tx); err != nil {
		return nil, err
	}
	if err := s.giveBackTx(ctx, tx, w.spared); err != nil {
		return nil, err
	}
	return refused, s.insertJobs(ctx, tx, w.jobList())
}

const (
	// All jobs in the queue are asked what they list: a second for the million
	// of a campaign under way, and that only for what may still move by itself.
	jobsOfSQL = `
SELECT d.id, j.id, j.state = 'running'
FROM river_job j
CROSS JOIN LATERAL jsonb_array_elements_text(j.args -> 'deliveries') AS listed (id)
JOIN unnest($2::uuid[], $3::int[]) AS d (id, turn) ON d.id = listed.id::uuid AND d.turn = (j.args ->> 'turn')::int
WHERE j.kind = $1 AND j.state IN ('available', 'scheduled', 'retryable', 'running', 'pending')`

	// River passes over what is locked, and we over what it has just taken.
	lockJobsSQL = `
SELECT id FROM river_job
WHERE id = ANY($1) AND state <> 'running'
ORDER BY id
FOR UPDATE SKIP LOCKED`

	inHandSQL = `
SELECT DISTINCT d.id
FROM hand_overs h
CROSS JOIN LATERAL unnest(h.deliveries) AS d (id)
WHERE d.id = ANY($1)`
)

// lookForJobs finds out who has the deliveries that still may move by
// themselves, and keeps whoever has them not yet from beginning.
func lookForJobs(ctx context.Context, tx pgx.Tx, list []*ruled) error {
	open := map[uuid.UUID]*ruled{}
	var ids []uuid.UUID
	var turns []int32
	for _, d := range list {
		if d.State == Pending || d.State == Deferred || d.State == InDoubt {
			open[d.ID] = d
			ids, turns = append(ids, d.ID), append(turns, int32(d.Turn))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var (
		id      uuid.UUID
		job     int64
		runs    bool
		waiting []int64
		jobs    = map[int64][]*ruled{}
	)
	rows, err := tx.Query(ctx, jobsOfSQL, handOver{}.Kind(), ids, turns)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&id, &job, &runs}, func() error {
			d := open[id]
			d.job = running
			if !runs {
				waiting, jobs[job] = append(waiting, job), append(jobs[job], d)
			}
			return nil
		})
	}
	if err == nil {
		rows, err = tx.Query(ctx, lockJobsSQL, waiting)
	}
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&job}, func() error {
			for _, d := range jobs[job] {
				d.job = waits
			}
			return nil
		})
	}
	if err == nil {
		rows, err = tx.Query(ctx, inHandSQL, ids)
	}
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
			if d := open[id]; d.job == noJob {
				d.job = lost
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("look who has the deliveries: %w", err)
	}
	return nil
}

// refuses says why a ruling cannot be carried out on a delivery.
func (d *ruled) refuses(ruling Ruling) error {
	open := d.State == Pending || d.State == Deferred
	fits := false
	switch ruling {
	case RulingRetry:
		fits = d.State == Failed || d.State == InDoubt || d.State == Deferred || d.State == Pending && d.job != waits
	case RulingDiscard:
		fits = d.State == Failed && d.Reason != reasonDiscarded || d.State == InDoubt || open
	case RulingAssumeSent:
		fits = d.State == InDoubt || open && d.job == lost
	}
	switch {
	case d.job == running && (open || d.Awaited):
		return problem.New(problem.Conflict, "the delivery is in a worker's hands just now; try again in a moment")
	case !fits:
		return problem.New(problem.Conflict, "the delivery is %s; this cannot be done with it", d.State)
	case ruling == RulingRetry && d.Private:
		return problem.New(problem.Conflict, "the content was private and is not kept; ask for a new one")
	}
	return nil
}

// loadTurn is what deliveries must share to travel in one chunk of a turn.
type loadTurn struct {
	load
	turn int
}

// rulings are what one transaction writes about deliveries, column by column.
type rulings struct {
	at     time.Time
	actor  string
	ruling Ruling

	ids             []uuid.UUID
	states, reasons []string
	notes, erase    []uuid.UUID
	moves           moves
	jobs            map[loadTurn][]uuid.UUID
	order           []loadTurn
	spared          []*task // of notifications that end, and may not have left
}

// outcome is where a ruling leads a delivery.
func (d *ruled) outcome(ruling Ruling) (State, string) {
	switch {
	case ruling == RulingDiscard:
		return Failed, reasonDiscarded
	case ruling == RulingAssumeSent:
		return Accepted, reasonAssumed
	case d.State == InDoubt || d.job == lost: // it stays so until a provider gives a clear answer
		return InDoubt, reasonResent
	}
	return Pending, ""
}

func (w *rulings) add(d *ruled) {
	state, reason := d.outcome(w.ruling)
	w.ids, w.notes = append(w.ids, d.ID), append(w.notes, d.Notification)
	w.states, w.reasons = append(w.states, string(state)), append(w.reasons, reason)
	if d.Counts {
		key := ledgerKey{hour: hourOf(d.Hour), trigger: d.Trigger, campaign: d.Campaign, channel: d.Channel}
		w.moves.add(key, d.State, d.Reason, -1)
		w.moves.add(key, state, reason, 1)
	}
	if w.ruling == RulingDiscard && d.Counts && d.job != lost {
		w.spared = append(w.spared, &task{
			NotificationID: d.Notification, MemberID: d.MemberID, Purpose: d.Purpose, State: d.State, Attempts: d.Attempts, Rung: d.Rung,
		})
	}
	if state.Final() {
		if d.Private {
			w.erase = append(w.erase, d.Notification)
		}
		return
	}
	key := loadTurn{load{channel: d.Channel, priority: d.Priority, template: d.Template, campaign: d.Campaign}, d.Turn + 1}
	if w.jobs[key] == nil {
		w.order = append(w.order, key)
	}
	w.jobs[key] = append(w.jobs[key], d.ID)
}

const (
	ruleSQL = `
WITH moved AS (
    UPDATE deliveries d
    SET state = r.state, reason = r.reason, next_attempt_at = NULL, turn = turn + 1, changed_at = $1
    FROM unnest($2::uuid[], $3::text[], $4::text[]) AS r (id, state, reason)
    WHERE d.id = r.id
    RETURNING d.id, d.state, d.reason, d.account
), ` + troubledSQL + `
DELETE FROM troubles t USING moved
WHERE t.delivery_id = moved.id AND moved.state NOT IN ('failed', 'in_doubt', 'deferred')`

	// $3: until when it is worth sending at least; null: as long as it was.
	noteRulingSQL = `
UPDATE notifications SET decision = decision || $2::jsonb, expires_at = greatest(expires_at, $3)
WHERE id IN (SELECT id FROM notifications WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE)`
)

func (w *rulings) write(ctx context.Context, tx pgx.Tx) error {
	step, err := json.Marshal(Decision{{At: w.at, Code: w.ruling.step(), OK: true, Args: map[string]any{"actor": w.actor}}})
	if err != nil {
		return fmt.Errorf("write the decision: %w", err)
	}
	var batch pgx.Batch
	batch.Queue(ruleSQL, w.at, w.ids, w.states, w.reasons)
	w.moves.queue(&batch)
	var worth *time.Time
	if w.ruling == RulingRetry {
		worth = new(w.at.Add(retryExpiry))
	}
	batch.Queue(noteRulingSQL, w.notes, string(step), worth)
	if len(w.erase) > 0 {
		batch.Queue(eraseSQL, w.erase)
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("rule about %d deliveries: %w", len(w.ids), err)
	}
	return nil
}

// jobList is the jobs of what is sent again.
func (w *rulings) jobList() []river.InsertManyParams {
	var list []river.InsertManyParams
	for _, key := range w.order {
		for _, job := range jobsFor(key.load, w.jobs[key]) {
			args := job.Args.(handOver)
			args.Turn = key.turn
			job.Args = args
			list = append(list, job)
		}
	}
	return list
}
