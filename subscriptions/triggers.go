package subscriptions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/matcher/predicate"
	"herald/problem"
)

// Triggers keeps the definitions, each with all its versions.
type Triggers struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// NewTriggers keeps them in the database that pool leads to.
func NewTriggers(pool *pgxpool.Pool, now func() time.Time) *Triggers {
	return &Triggers{pool: pool, now: now}
}

// Save checks a definition and puts it in force as the next version, new ones
// enabled. Every subscription of the trigger is anchored anew in the same
// transaction, so that no event falls between two definitions; a parameter
// that is new takes its default, one that is gone and could be left out is
// dropped. by is who saves it: "operator:ann".
//
// Errors: Invalid with every mistake by field; Conflict when t.Version is not 0
// and not the stored one, or when a subscription's parameters would no longer
// fit. What a member chose is never replaced in silence.
func (s *Triggers) Save(ctx context.Context, t Trigger, by string) (Trigger, error) {
	t = t.completed()
	if err := t.Check(); err != nil {
		return Trigger{}, err
	}
	var saved Trigger
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		old, err := selectTrigger(ctx, tx, t.Name, "FOR NO KEY UPDATE")
		exists := problem.CodeOf(err) != problem.NotFound
		if err != nil && exists {
			return err
		}
		if t.Version != 0 && t.Version != old.Version {
			return problem.New(problem.Conflict, "the trigger %s has changed since version %d: it is now at %d", t.Name, t.Version, old.Version)
		}
		t.Version, t.Enabled = old.Version+1, old.Enabled || !exists
		if saved, err = s.write(ctx, tx, t, by, exists); err != nil || !exists {
			return err
		}
		if matchesAlike(old, saved) {
			return nil
		}
		return s.reanchor(ctx, tx, old, saved, by)
	})
	return saved, err
}

// Get finds one. Errors: NotFound.
func (s *Triggers) Get(ctx context.Context, name string) (Trigger, error) {
	return selectTrigger(ctx, s.pool, name, "")
}

// List is all of them, by name.
func (s *Triggers) List(ctx context.Context) ([]Trigger, error) {
	rows, err := s.pool.Query(ctx, `SELECT definition, version, enabled FROM triggers ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list triggers: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanTrigger)
	if err != nil {
		return nil, fmt.Errorf("list triggers: %w", err)
	}
	return list, nil
}

// SetEnabled says whether events may meet the trigger and members subscribe to
// it; subscriptions stay as they are. It makes a version, which says who did
// it. Errors: NotFound.
func (s *Triggers) SetEnabled(ctx context.Context, name string, on bool, by string) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		t, err := selectTrigger(ctx, tx, name, "FOR NO KEY UPDATE")
		if err != nil || t.Enabled == on {
			return err
		}
		t.Version, t.Enabled = t.Version+1, on
		_, err = s.write(ctx, tx, t, by, true)
		return err
	})
}

// write stores a checked version and returns it as it will be read.
func (s *Triggers) write(ctx context.Context, tx pgx.Tx, t Trigger, by string, exists bool) (Trigger, error) {
	definition, err := json.Marshal(t)
	if err != nil {
		return Trigger{}, fmt.Errorf("write trigger %s: %w", t.Name, err)
	}
	if exists {
		_, err = tx.Exec(ctx, `
			UPDATE triggers SET event_type = $2, definition = $3, version = $4, enabled = $5, updated_at = $6
			WHERE name = $1`, t.Name, t.EventType, definition, t.Version, t.Enabled, s.now())
	} else {
		_, err = tx.Exec(ctx, `
			INSERT INTO triggers (name, event_type, definition, version, enabled, updated_at, planner)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, t.Name, t.EventType, definition, t.Version, t.Enabled, s.now(), predicate.Planner)
	}
	if violates(err, uniqueViolation) {
		return Trigger{}, problem.New(problem.Conflict, "a trigger %s was saved at the same moment", t.Name)
	}
	if err != nil {
		return Trigger{}, fmt.Errorf("write trigger %s: %w", t.Name, err)
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO trigger_versions (name, version, definition, saved_by, saved_at)
		VALUES ($1, $2, $3, $4, $5)`, t.Name, t.Version, definition, by, s.now())
	if err != nil {
		return Trigger{}, fmt.Errorf("write trigger %s, version %d: %w", t.Name, t.Version, err)
	}
	var stored Trigger
	if err := json.Unmarshal(definition, &stored); err != nil {
		return Trigger{}, fmt.Errorf("read trigger %s back: %w", t.Name, err)
	}
	return stored, nil
}

// selectTrigger reads one; lock is a locking clause, such as "FOR SHARE", or
// empty. A trigger is always locked before any of its subscriptions.
func selectTrigger(ctx context.Context, q Querier, name, lock string) (Trigger, error) {
	rows, err := q.Query(ctx, `SELECT definition, version, enabled FROM triggers WHERE name = $1 `+lock, name)
	if err != nil {
		return Trigger{}, fmt.Errorf("find trigger %s: %w", name, err)
	}
	t, err := pgx.CollectExactlyOneRow(rows, scanTrigger)
	if errors.Is(err, pgx.ErrNoRows) {
		return Trigger{}, problem.New(problem.NotFound, "there is no trigger %q", name)
	}
	if err != nil {
		return Trigger{}, fmt.Errorf("find trigger %s: %w", name, err)
	}
	return t, nil
}

func scanTrigger(row pgx.CollectableRow) (Trigger, error) {
	var t Trigger
	var definition []byte
	var version int
	var enabled bool
	if err := row.Scan(&definition, &version, &enabled); err != nil {
		return Trigger{}, err
	}
	if err := json.Unmarshal(definition, &t); err != nil {
		return Trigger{}, err
	}
	t.Version, t.Enabled = version, enabled
	return t, nil
}

// matchesAlike reports whether two definitions anchor and read the same
// parameters in the same way.
func matchesAlike(a, b Trigger) bool {
	return a.Condition == b.Condition && a.Broadcast == b.Broadcast && (a.Change == nil) == (b.Change == nil) &&
		reflect.DeepEqual(a.Attributes, b.Attributes) && reflect.DeepEqual(a.Params, b.Params)
}
