package subscriptions

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"herald/matcher/predicate"
)

// Replan makes the anchors anew that an older Herald made, where this one
// looks conditions up otherwise. It belongs before the first event; nodes that
// start together do it once. A trigger whose condition no longer compiles is
// left as it is: the matcher tells of it.
func (s *Triggers) Replan(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, `SELECT name FROM triggers WHERE planner < $1 ORDER BY name`, predicate.Planner)
	if err != nil {
		return fmt.Errorf("look for anchors of an older planner: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for anchors of an older planner: %w", err)
	}
	for _, name := range names {
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.replan(ctx, tx, name) })
		if err != nil {
			return fmt.Errorf("make the anchors of %s anew: %w", name, err)
		}
	}
	return nil
}

func (s *Triggers) replan(ctx context.Context, tx pgx.Tx, name string) error {
	t, err := selectTrigger(ctx, tx, name, "FOR NO KEY UPDATE")
	if err != nil {
		return err
	}
	changed, err := tx.Exec(ctx, `UPDATE triggers SET planner = $2 WHERE name = $1 AND planner < $2`, name, predicate.Planner)
	if err != nil || changed.RowsAffected() == 0 {
		return err // another node has done it
	}
	if _, err := t.Compile(); err != nil {
		return nil
	}
	return s.reanchor(ctx, tx, t, t, herald)
}
