package access

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"herald/postgres/pgtest"
)

// Somebody signs in twice at once: one try begins while the other is taken back.
func TestSubjectsAreLockedInOneOrder(t *testing.T) {
	takesBack := map[string]struct {
		do   func(*Throttle, context.Context) error
		left int // failures of both
	}{
		"cleared":  {func(th *Throttle, ctx context.Context) error { return th.Clear(ctx, "a", "b") }, 0},
		"forgiven": {func(th *Throttle, ctx context.Context) error { return th.Forgive(ctx, "a", "b") }, 2},
	}
	for name, test := range takesBack {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			pool := pgtest.New(t)
			throttle := NewThrottle(pool, clock.now)
			for _, subject := range []string{"b", "a"} { // so they lie in the table
				if err := throttle.Fail(t.Context(), subject); err != nil {
					t.Fatal(err)
				}
			}
			locks := func(subject string) func(pgx.Tx) error {
				return func(tx pgx.Tx) error {
					_, err := tx.Exec(t.Context(), `UPDATE sign_in_failures SET failures = failures + 1 WHERE subject = $1`, subject)
					return err
				}
			}
			pgtest.Cross(t, pool, locks("a"), locks("b"), func() error { return test.do(throttle, t.Context()) })
			var left int
			if err := pool.QueryRow(t.Context(), `SELECT coalesce(sum(failures), 0) FROM sign_in_failures`).Scan(&left); err != nil || left != test.left {
				t.Errorf("%d failures are left, %v", left, err)
			}
		})
	}
}
