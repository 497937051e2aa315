package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// rung is a delivery that is locked together with the others of its ladder.
type rung struct {
	task
	// InHand says that it is being handed over just now.
	InHand bool

	moved   bool // something of it is to be written
	stopped bool // no job of it may act any more
}

// open reports whether it still waits to be handed over.
func (r *rung) open() bool { return r.State == Pending || r.State == Deferred }

// settlement is what one transaction does to ladders that it has locked.
type settlement struct {
	at      time.Time
	ladders map[uuid.UUID][]*rung // by notification, lowest rung first
	rungs   map[uuid.UUID]*rung   // by delivery
	moves   moves
	told    stepRows
	erase   []uuid.UUID // notifications whose private data has served
	news    news
}

const (
	// All rungs are locked, always in this order, and then read: who adds a
	// rung has the one below it in hand, and has committed by then.
	lockLaddersSQL = `
SELECT id FROM deliveries WHERE notification_id = ANY($1) ORDER BY id FOR NO KEY UPDATE`

	// Each is looked up by its id, whatever the planner thinks of the tables.
	readLaddersSQL = `
SELECT` + taskColumns + `,
       d.state IN ('pending', 'deferred', 'in_doubt') AND EXISTS (SELECT FROM hand_overs h WHERE d.id = ANY(h.deliveries))
FROM (SELECT DISTINCT unnest($1::uuid[]) AS id) AS given
CROSS JOIN LATERAL (SELECT * FROM notifications WHERE id = given.id OFFSET 0) AS n
CROSS JOIN LATERAL (SELECT * FROM deliveries WHERE notification_id = given.id OFFSET 0) AS d
ORDER BY d.notification_id, d.rung, d.id`
)

// lockLadders locks all deliveries of some notifications and reads them.
func (s *Store) lockLadders(ctx context.Context, tx pgx.Tx, notifications []uuid.UUID, to Announcer) (*settlement, error) {
	st := &settlement{at: s.now(), ladders: map[uuid.UUID][]*rung{}, rungs: map[uuid.UUID]*rung{}}
	st.news = news{to: to, at: st.at}
	if _, err := tx.Exec(ctx, lockLaddersSQL, notifications); err != nil {
		return nil, fmt.Errorf("lock %d ladders: %w", len(notifications), err)
	}
	rows, err := tx.Query(ctx, readLaddersSQL, notifications)
	if err != nil {
		return nil, fmt.Errorf("read %d ladders: %w", len(notifications), err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[rung])
	if err != nil {
		return nil, fmt.Errorf("read %d ladders: %w", len(notifications), err)
	}
	for _, r := range list {
		st.ladders[r.NotificationID] = append(st.ladders[r.NotificationID], r)
		st.rungs[r.ID] = r
	}
	return st, nil
}

// move takes a rung to another state, with the ledger.
func (st *settlement) move(r *rung, state State, reason string) {
	if r.Counts {
		st.moves.add(r.ledgerKey(), r.State, r.Reason, -1)
		st.moves.add(r.ledgerKey(), state, reason, 1)
	}
	r.State, r.Reason, r.moved = state, reason, true
	if state.Final() && r.Private {
		st.erase = append(st.erase, r.NotificationID)
	}
	st.news.delivery(saysOf(state), &r.task, r.Account, state, reason)
}

// count lets a notification be counted by another of its rungs.
func (st *settlement) count(from, to *rung) {
	st.moves.add(from.ledgerKey(), from.State, from.Reason, -1)
	st.moves.add(to.ledgerKey(), to.State, to.Reason, 1)
	from.Counts, to.Counts = false, true
	from.moved, to.moved = true, true
}

// rest keeps a rung that is in nobody's hands from being handed over (again).
// What may have arrived stays in doubt; what waited is suppressed.
func (st *settlement) rest(r *rung, reason string) {
	if r.InHand {
		return
	}
	switch {
	case r.open():
		st.move(r, Suppressed, reason)
	case r.State == InDoubt:
		r.Reason, r.moved = reason, true
	default:
		return
	}
	r.stopped = true
}

const settleSQL = `
WITH moved AS (
    UPDATE deliveries d
    SET state = r.state, reason = r.reason, counts = r.counts, turn = d.turn + CASE WHEN r.stopped THEN 1 ELSE 0 END,
        next_attempt_at = CASE WHEN r.stopped OR r.state NOT IN ('deferred', 'in_doubt') THEN NULL ELSE d.next_attempt_at END,
        changed_at = CASE WHEN d.state = r.state AND d.reason = r.reason THEN d.changed_at ELSE $1 END
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::boolean[], $6::boolean[]) AS r (id, state, reason, counts, stopped)
    WHERE d.id = r.id
    RETURNING d.id, d.state, d.reason, d.account
), ` + troubledSQL + `
DELETE FROM troubles t USING moved
WHERE t.delivery_id = moved.id AND moved.state NOT IN ('failed', 'in_doubt', 'deferred')`

// write writes what was changed since the last write.
func (st *settlement) write(ctx context.Context, tx pgx.Tx) error {
	var (
		ids             []uuid.UUID
		states, reasons []string
		counts, stopped []bool
		batch           pgx.Batch
	)
	for id, r := range st.rungs {
		if !r.moved {
			continue
		}
		ids, states, reasons = append(ids, id), append(states, string(r.State)), append(reasons, r.Reason)
		counts, stopped = append(counts, r.Counts), append(stopped, r.stopped)
		r.moved, r.stopped = false, false
	}
	if len(ids) > 0 {
		batch.Queue(settleSQL, st.at, ids, states, reasons, counts, stopped)
	}
	st.moves.queue(&batch)
	if err := st.told.queue(&batch); err != nil {
		return err
	}
	if len(st.erase) > 0 {
		batch.Queue(eraseSQL, st.erase)
	}
	st.moves, st.told, st.erase = nil, stepRows{}, nil
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("settle %d deliveries: %w", len(ids), err)
	}
	return nil
}
