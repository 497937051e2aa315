package calendars

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"herald/calendar"
	"herald/problem"
)

// Use is a trigger that goes by an occasion, switched off ones too, or a
// campaign that may still be told of one.
type Use struct {
	Trigger  string // its name; empty: a campaign
	Campaign int64  // its id; 0: a trigger
	Name     string // of the campaign
	// Occasions are those it goes by, as calendar.Occasion has them:
	// "mid_autumn", "calendar:fairs".
	Occasions []string
}

// String is what uses it, for people who read English.
func (u Use) String() string {
	if u.Campaign > 0 {
		return fmt.Sprintf("campaign %d (%s)", u.Campaign, u.Name)
	}
	return "trigger " + u.Trigger
}

// Uses is everything that goes by occasions: triggers by name, then campaigns
// from the newest on. It reads what rooms above have written, as a foreign key
// would that could look into their documents.
func (s *Store) Uses(ctx context.Context) ([]Use, error) { return uses(ctx, s.pool) }

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func uses(ctx context.Context, db querier) ([]Use, error) {
	rows, err := db.Query(ctx, `
SELECT name, 0, '', definition -> 'dates' ->> 'occasion'
FROM triggers
WHERE definition -> 'dates' ->> 'occasion' <> ''
ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list triggers on dates: %w", err)
	}
	triggers, err := pgx.CollectRows(rows, scanUse)
	if err != nil {
		return nil, fmt.Errorf("list triggers on dates: %w", err)
	}
	rows, err = db.Query(ctx, `
SELECT '', id, plan ->> 'name', plan -> 'when' ->> 'occasion'
FROM campaigns
WHERE state IN ('draft', 'scheduled', 'preparing', 'sending', 'paused') AND plan -> 'when' ->> 'occasion' <> ''
ORDER BY id DESC`)
	if err != nil {
		return nil, fmt.Errorf("list campaigns of occasions: %w", err)
	}
	campaigns, err := pgx.CollectRows(rows, scanUse)
	if err != nil {
		return nil, fmt.Errorf("list campaigns of occasions: %w", err)
	}
	return append(triggers, campaigns...), nil
}

func scanUse(row pgx.CollectableRow) (Use, error) {
	var u Use
	var spec string
	if err := row.Scan(&u.Trigger, &u.Campaign, &u.Name, &spec); err != nil {
		return Use{}, err
	}
	if o, err := calendar.Parse(spec); err == nil { // else it never comes
		u.Occasions = strings.Split(o.String(), ", ")
	}
	return u, nil
}

// Delete takes a calendar out. Errors: NotFound; Conflict, which names what
// uses it. A trigger that is saved at the same moment may still name it: its
// dates do not come then, as of any calendar that is not there.
func (s *Store) Delete(ctx context.Context, name string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		found, err := tx.Exec(ctx, `DELETE FROM calendars WHERE name = $1`, name)
		if err != nil {
			return err
		}
		if found.RowsAffected() == 0 {
			return lost(name, pgx.ErrNoRows)
		}
		all, err := uses(ctx, tx)
		if err != nil {
			return err
		}
		var by []string
		for _, u := range all {
			if slices.Contains(u.Occasions, "calendar:"+name) {
				by = append(by, u.String())
			}
		}
		if len(by) > 0 {
			return problem.New(problem.Conflict, "the calendar %q is used by %s", name, strings.Join(by, ", "))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete calendar %s: %w", name, err)
	}
	return nil
}
