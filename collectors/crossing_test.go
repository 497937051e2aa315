package collectors

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/postgres/pgtest"
)

// A node tries dead letters again while an operator throws them away.
func TestDeadLettersAreLockedInOneOrder(t *testing.T) {
	pool := pgtest.New(t)
	s := NewStore(pool, time.Now)
	if err := s.register(t.Context(), "list", "test"); err != nil {
		t.Fatal(err)
	}
	if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		return s.buryTx(t.Context(), tx, "list", []dead{{Item{Key: "1"}, "no"}, {Item{Key: "2"}, "no"}})
	}); err != nil {
		t.Fatal(err)
	}
	letters, err := s.Letters(t.Context(), LetterFilter{Collector: "list", Limit: 2})
	if err != nil || len(letters) != 2 {
		t.Fatalf("%d letters, %v", len(letters), err)
	}
	second, first := letters[0].ID, letters[1].ID
	locks := func(id int64) func(pgx.Tx) error {
		return func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `SELECT FROM collector_dead_letters WHERE id = $1 FOR UPDATE`, id)
			return err
		}
	}
	pgtest.Cross(t, pool, locks(first), locks(second), func() error {
		return pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			return s.resolveTx(t.Context(), tx, []int64{second}, []int64{first}, []string{"still no"})
		})
	})
	if letters, err = s.Letters(t.Context(), LetterFilter{Collector: "list", Limit: 2}); err != nil || len(letters) != 1 || letters[0].Tries != 1 {
		t.Errorf("left are %+v, %v", letters, err)
	}
}

// Who waits for a lease counts from when it asked, as the database may.
func TestALeaseIsNotHeldForLongerThanTheDatabaseDoes(t *testing.T) {
	pool := pgtest.New(t)
	s := NewStore(pool, time.Now)
	if err := s.register(t.Context(), "list", "test"); err != nil {
		t.Fatal(err)
	}
	var got lease
	locks := func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `SELECT FROM collectors WHERE name = 'list' FOR UPDATE`)
		return err
	}
	nothing := func(pgx.Tx) error { return nil }
	pgtest.Cross(t, pool, locks, nothing, func() (err error) {
		got, err = s.acquire(t.Context(), "list", "node-1", time.Minute)
		return err
	})
	var until time.Time
	if err := pool.QueryRow(t.Context(), `SELECT held_until FROM collectors WHERE name = 'list'`).Scan(&until); err != nil {
		t.Fatal(err)
	}
	if late := got.until.Sub(until); late > 0 {
		t.Errorf("the node holds it %v longer", late)
	}
}
