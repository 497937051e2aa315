package subscriptions

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"herald/matcher/predicate"
)

// reanchorMembers makes the anchors anew that hang on the time zone or the
// birthday of members, whose rows are locked and already changed.
//
// Their triggers are locked after them, against the usual order. That is safe:
// whoever locks a trigger exclusively waits for no member. It keeps a new
// definition from being anchored with what the members were before.
func reanchorMembers(ctx context.Context, tx pgx.Tx, members []int64) error {
	if len(members) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `
		SELECT definition, version, enabled FROM triggers
		WHERE name IN (SELECT trigger FROM subscriptions WHERE member_id = ANY($1))
		ORDER BY name
		FOR SHARE`, members)
	if err != nil {
		return fmt.Errorf("find the triggers of members: %w", err)
	}
	triggers, err := pgx.CollectRows(rows, scanTrigger)
	if err != nil {
		return fmt.Errorf("find the triggers of members: %w", err)
	}
	for _, t := range triggers {
		condition, err := t.Compile()
		if err != nil {
			return fmt.Errorf("compile trigger %s: %w", t.Name, err)
		}
		if !condition.WaitsOn("time_zone") && !condition.WaitsOn("birthday") {
			continue
		}
		for some := range slices.Chunk(members, anchorPage) {
			if err := reanchorOf(ctx, tx, t, condition, some); err != nil {
				return err
			}
		}
	}
	return nil
}

// reanchorOf makes the anchors anew of the members' subscriptions of a trigger.
func reanchorOf(ctx context.Context, tx pgx.Tx, t Trigger, condition *predicate.Predicate, members []int64) error {
	rows, err := tx.Query(ctx, selectAnchored+`WHERE s.trigger = $1 AND s.member_id = ANY($2) ORDER BY s.id`, t.Name, members)
	if err != nil {
		return fmt.Errorf("read members' subscriptions of %s: %w", t.Name, err)
	}
	found, err := pgx.CollectRows(rows, scanAnchored)
	if err != nil {
		return fmt.Errorf("read members' subscriptions of %s: %w", t.Name, err)
	}
	var anchors [][]any
	ids, names := make([]int64, len(found)), make([]string, len(found))
	for i, a := range found {
		ids[i], names[i] = a.id, t.Name
		params, bad := t.CheckParams(a.params)
		if len(bad) > 0 {
			return fmt.Errorf("anchor subscription %d: %s: %s", a.id, bad[0].Path, bad[0].Message)
		}
		keys, err := condition.Keys(params, a.reads)
		if err != nil {
			return fmt.Errorf("anchor subscription %d: %w", a.id, err)
		}
		anchors = appendAnchors(anchors, a.id, t.Name, condition.Bound(), keys)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM subscription_anchors WHERE subscription_id = ANY($1)`, ids); err != nil {
		return fmt.Errorf("anchor members' subscriptions of %s: %w", t.Name, err)
	}
	if err := noteAnchors(ctx, tx, names, ids); err != nil {
		return err
	}
	return insertAnchors(ctx, tx, anchors)
}
