package absence

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"herald/postgres/pgtest"
)

// Two transactions close the same watches.
func TestEndedWatchesAreDeletedInOneOrder(t *testing.T) {
	y := newYard(t, orders())
	for n, order := range []string{"2", "1"} { // so they lie in the table
		if err := y.recordFor(order, happening{n + 1, created, 0}); err != nil {
			t.Fatal(err)
		}
	}
	locks := func(key string) func(pgx.Tx) error {
		return func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `SELECT FROM watches WHERE key = (SELECT key FROM watches ORDER BY key `+key+` LIMIT 1) FOR UPDATE`)
			return err
		}
	}
	pgtest.Cross(t, y.pool, locks(""), locks("DESC"), func() error {
		return pgx.BeginFunc(t.Context(), y.pool, func(tx pgx.Tx) error {
			var closings []Closing
			for n, order := range []string{"1", "2"} {
				key, _ := y.rules[0].Key(map[string]any{"order": order})
				closings = append(closings, y.rules[0].Closing(key, happening{n + 3, paid, 1}.event(noon)))
			}
			// As the planner may do with few watches.
			if _, err := tx.Exec(t.Context(), `SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off`); err != nil {
				return err
			}
			return RecordTx(t.Context(), tx, nil, closings)
		})
	})
	if left := y.count("watches"); left != 0 {
		t.Errorf("%d are left", left)
	}
}
