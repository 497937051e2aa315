package subscriptions

import (
	"context"
	"fmt"
)

// noteAnchors tells the nodes that keep an index of the anchors that those of
// these subscriptions, or the time in which these are valid, change with this
// transaction; ids[i] is of triggers[i]. Ends are noted by the database.
func noteAnchors(ctx context.Context, q Querier, triggers []string, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := q.Exec(ctx, `
		INSERT INTO anchor_changes (trigger, subscription_id)
		SELECT trigger, id FROM unnest($1::text[], $2::bigint[]) AS changed (trigger, id)`, triggers, ids)
	if err != nil {
		return fmt.Errorf("note changed anchors: %w", err)
	}
	return nil
}

// noteAllAnchors notes the same of every subscription of a trigger.
func noteAllAnchors(ctx context.Context, q Querier, trigger string) error {
	if _, err := q.Exec(ctx, `INSERT INTO anchor_changes (trigger) VALUES ($1)`, trigger); err != nil {
		return fmt.Errorf("note changed anchors of %s: %w", trigger, err)
	}
	return nil
}
