package dispatch

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// changes are where deliveries go from where they were loaded, column by
// column. A delivery that does not stand there any more is not moved.
type changes struct {
	turn int
	at   time.Time
	rows struct {
		id                               []uuid.UUID
		was, state, reason, account, pid []string
		counts                           []bool
		contact                          []int64
		address                          []string
		attempts, repeated, turns        []int32
		next                             []*time.Time
	}
	tasks []*task
	moved map[uuid.UUID]bool
	// accepted are those that a provider took, which counts even when another
	// has the delivery by now.
	accepted map[uuid.UUID]bool
	// handOver is the row that goes with them, 0: none. Without it somebody
	// else has settled them, and they move only in late.
	handOver int64
	ours     bool
}

// compareIDs orders ids as the database does.
func compareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

// changesOf puts results into columns.
func changesOf(o outcomes, at time.Time) *changes {
	c := &changes{
		turn: o.job.Turn, at: at, handOver: o.handOver,
		moved: make(map[uuid.UUID]bool, len(o.results)), accepted: map[uuid.UUID]bool{},
	}
	for _, r := range o.results {
		c.add(r)
	}
	return c
}

func (c *changes) add(r result) {
	t := r.task
	var next *time.Time
	step := int32(0)
	if r.wait > 0 {
		due := c.at.Add(r.wait)
		next = &due
		if !r.stays {
			step = 1
		}
	}
	attempt, repeat := int32(0), int32(0)
	if r.outcome != "" {
		attempt = 1
		if t.doubtful() && r.outcome != "template_failed" {
			repeat = 1
		}
	}
	c.tasks = append(c.tasks, t)
	row := &c.rows
	row.id = append(row.id, t.ID)
	row.was = append(row.was, string(t.State))
	row.counts = append(row.counts, t.Counts)
	row.state = append(row.state, string(r.state))
	row.reason = append(row.reason, r.reason)
	row.account = append(row.account, storable(r.account))
	row.pid = append(row.pid, storable(r.providerID))
	row.contact = append(row.contact, t.ContactID)
	row.address = append(row.address, t.Address)
	row.attempts = append(row.attempts, attempt)
	row.repeated = append(row.repeated, repeat)
	row.turns = append(row.turns, step)
	row.next = append(row.next, next)
	if r.outcome == string(Accepted) {
		c.accepted[t.ID] = true
	}
}

// moveSQL moves deliveries that still stand where they were loaded, and tells
// the ledger. No path leaves a final state.
const moveSQL = `
WITH gone AS (
    DELETE FROM hand_overs WHERE id = $16 RETURNING id
), here AS (
    -- Looked up and locked one by one in the order given, whatever the planner
    -- thinks of the table.
    SELECT r.*
    FROM unnest($3::uuid[], $4::text[], $5::boolean[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::text[],
                $12::int[], $13::int[], $14::int[], $15::timestamptz[])
      AS r (id, was, counts, state, reason, account, provider_id, contact_id, address, attempts, repeated, turns, next_attempt_at)
    CROSS JOIN LATERAL (SELECT d.turn, d.state, d.counts FROM deliveries d WHERE d.id = r.id FOR NO KEY UPDATE) AS d
    WHERE d.turn = $1 AND d.state = r.was AND d.counts = r.counts AND r.was IN ('pending', 'deferred', 'in_doubt')
      AND ($16 = 0 OR EXISTS (SELECT FROM gone))
), moved AS (
    UPDATE deliveries d
    SET state = r.state, reason = r.reason, account = coalesce(nullif(r.account, ''), d.account),
        provider_id = coalesce(nullif(r.provider_id, ''), d.provider_id),
        contact_point_id = nullif(r.contact_id, 0), address = r.address,
        attempts = d.attempts + r.attempts, repeated = d.repeated + r.repeated, turn = d.turn + r.turns,
        next_attempt_at = r.next_attempt_at, changed_at = $2
    FROM here r
    WHERE d.id = r.id AND d.turn = $1 AND d.state = r.was AND d.counts = r.counts
    RETURNING d.id, r.was, d.state, d.reason, d.account, d.counts, d.hour, d.trigger, d.campaign_id, d.channel
), counted AS (
    INSERT INTO ledger_moves (hour, trigger, campaign_id, channel, state, reason, n)
    SELECT hour, trigger, coalesce(campaign_id, 0), channel, place.state, place.reason, sum(place.n)
    FROM moved
    CROSS JOIN LATERAL (VALUES
        (was, '', -1),
        (moved.state, CASE WHEN moved.state IN ('failed', 'suppressed') THEN moved.reason ELSE '' END, 1)
    ) AS place (state, reason, n)
    WHERE counts
    GROUP BY 1, 2, 3, 4, 5, 6
    HAVING sum(place.n) <> 0
), ` + troubledSQL + `, relieved AS (
    DELETE FROM troubles t USING moved
    WHERE t.delivery_id = moved.id AND moved.was <> 'pending' AND moved.state NOT IN ('failed', 'in_doubt', 'deferred')
)
SELECT id FROM moved
UNION ALL
SELECT NULL FROM gone`

func (c *changes) queue(batch *pgx.Batch) {
	r := &c.rows
	batch.Queue(moveSQL, c.turn, c.at, r.id, r.was, r.counts, r.state, r.reason, r.account, r.pid, r.contact, r.address,
		r.attempts, r.repeated, r.turns, r.next, c.handOver).Query(func(rows pgx.Rows) error {
		var id *uuid.UUID
		_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
			if id == nil {
				c.ours = true
			} else {
				c.moved[*id] = true
			}
			return nil
		})
		return err
	})
}

const lookAgainSQL = `
SELECT d.turn, d.state, d.counts, EXISTS (SELECT FROM deliveries o WHERE o.notification_id = d.notification_id AND o.state = 'delivered')
FROM deliveries d WHERE d.id = $1 FOR NO KEY UPDATE OF d`

// late looks at the deliveries that did not move: one that a provider took,
// and that is not final, is accepted wherever it stands now; what is only
// counted elsewhere by now follows its verdict, but is not tried again; and
// one that a receipt has made final only gets its attempt.
func (c *changes) late(ctx context.Context, tx pgx.Tx) error {
	superseded := c.handOver != 0 && !c.ours
	for i, id := range c.rows.id {
		if c.moved[id] {
			continue
		}
		var turn int
		var state State
		var counts, arrived bool
		err := tx.QueryRow(ctx, lookAgainSQL, id).Scan(&turn, &state, &counts, &arrived)
		if err != nil {
			return fmt.Errorf("look at delivery %s again: %w", id, err)
		}
		c.tasks[i].Counts = counts // what follows from its outcome depends on it
		if state.Final() && c.rows.attempts[i] > 0 {
			if _, err := tx.Exec(ctx, lateAttemptSQL, id, c.rows.account[i], c.rows.pid[i]); err != nil {
				return fmt.Errorf("count the attempts at delivery %s: %w", id, err)
			}
		}
		if state.Final() || (superseded || turn != c.turn) && !c.accepted[id] {
			continue
		}
		again := c.only(i)
		if !counts && again.rows.state[0] == string(Deferred) {
			again.rows.state[0], again.rows.reason[0], again.rows.next[0] = string(Suppressed), reasonNextChannel, nil
			if arrived {
				again.rows.reason[0] = reasonDeliveredOtherwise
			}
		}
		again.turn, again.rows.was[0], again.rows.counts[0] = turn, string(state), counts
		var batch pgx.Batch
		again.queue(&batch)
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
			return fmt.Errorf("move delivery %s: %w", id, err)
		}
	}
	return nil
}

// The reasons of a rung that is not tried any more.
const (
	reasonNextChannel        = "next_channel"
	reasonDeliveredOtherwise = "delivered_otherwise"
)

const lateAttemptSQL = `
UPDATE deliveries d
SET attempts = a.n, repeated = a.repeated, account = coalesce(nullif($2, ''), d.account), provider_id = coalesce(nullif($3, ''), d.provider_id)
FROM (SELECT count(*) AS n, count(*) FILTER (WHERE repeats) AS repeated FROM attempts WHERE delivery_id = $1) a
WHERE d.id = $1`

// only is the change of one delivery, with the same memory of what moved.
func (c *changes) only(i int) *changes {
	one := &changes{turn: c.turn, at: c.at, moved: c.moved}
	one.rows.id = []uuid.UUID{c.rows.id[i]}
	one.rows.was, one.rows.counts = []string{c.rows.was[i]}, []bool{c.rows.counts[i]}
	one.rows.state, one.rows.reason = []string{c.rows.state[i]}, []string{c.rows.reason[i]}
	one.rows.account, one.rows.pid = []string{c.rows.account[i]}, []string{c.rows.pid[i]}
	one.rows.contact, one.rows.address = []int64{c.rows.contact[i]}, []string{c.rows.address[i]}
	one.rows.attempts, one.rows.repeated = []int32{c.rows.attempts[i]}, []int32{c.rows.repeated[i]}
	one.rows.turns, one.rows.next = []int32{c.rows.turns[i]}, []*time.Time{c.rows.next[i]}
	return one
}
