package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/problem"
	"herald/subscriptions"
)

// resendExpiry is how long a message that an operator sends again is worth
// sending, if its own expiry has passed or is nearer.
const resendExpiry = time.Hour

// Resend queues a failed delivery, or one in doubt, once more because an
// operator says so, and adds "resent_by_operator" {actor} to the decision. It
// is asked again whether the member may be contacted. It is problem.Conflict
// when the delivery is in another state, or when its content was private and
// is gone.
func (s *Store) Resend(ctx context.Context, deliveryID uuid.UUID, actor string) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.resendTx(ctx, tx, deliveryID, actor) })
}

func (s *Store) resendTx(ctx context.Context, tx pgx.Tx, deliveryID uuid.UUID, actor string) error {
	var (
		d struct {
			notification uuid.UUID
			state        State
			channel      subscriptions.Channel
			priority     int
			private      bool
			turn         int
			key          ledgerKey
			counts       bool
			reason       string
		}
		at = s.now()
	)
	err := tx.QueryRow(ctx, `
SELECT n.id, d.state, d.channel, n.priority, n.private, d.turn, d.hour, d.trigger, coalesce(d.campaign_id, 0), d.counts, d.reason
FROM deliveries d JOIN notifications n ON n.id = d.notification_id
WHERE d.id = $1
FOR UPDATE OF d`, deliveryID).Scan(&d.notification, &d.state, &d.channel, &d.priority, &d.private,
		&d.turn, &d.key.hour, &d.key.trigger, &d.key.campaign, &d.counts, &d.reason)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return problem.New(problem.NotFound, "there is no such delivery")
	case err != nil:
		return fmt.Errorf("lock the delivery: %w", err)
	case d.state != Failed && d.state != InDoubt:
		return problem.New(problem.Conflict, "the delivery is %s; only one that failed or is in doubt can be sent again", d.state)
	case d.private:
		return problem.New(problem.Conflict, "the content was private and is not kept; ask for a new one")
	}
	state, reason := Pending, ""
	if d.state == InDoubt { // it stays so until a provider gives a clear answer
		state, reason = InDoubt, reasonResent
	}
	var moved moves
	if d.counts {
		d.key.channel = d.channel
		moved.add(d.key, d.state, d.reason, -1)
		moved.add(d.key, state, reason, 1)
	}
	step, err := json.Marshal(Decision{{At: at, Code: "resent_by_operator", OK: true, Args: map[string]any{"actor": actor}}})
	if err != nil {
		return fmt.Errorf("write the decision: %w", err)
	}
	var batch pgx.Batch
	batch.Queue(`
UPDATE deliveries SET state = $2, reason = $4, next_attempt_at = NULL, turn = turn + 1, changed_at = $3 WHERE id = $1`, deliveryID, state, at, reason)
	batch.Queue(`DELETE FROM troubles WHERE delivery_id = $1 AND $2 = 'pending'`, deliveryID, state)
	moved.queue(&batch)
	batch.Queue(`
UPDATE notifications SET decision = decision || $2::jsonb, expires_at = greatest(expires_at, $3) WHERE id = $1`,
		d.notification, string(step), at.Add(resendExpiry))
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("queue the delivery again: %w", err)
	}
	again := handOver{Deliveries: []uuid.UUID{deliveryID}, Turn: d.turn + 1}
	return s.insertJobs(ctx, tx, []river.InsertManyParams{jobFor(again, d.channel, d.priority, time.Time{})})
}
