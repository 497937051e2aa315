package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Cross tells whether two transactions lock each other up. One does first;
// other, which makes a transaction of its own, runs until it waits for it; then
// the one does second and commits. All must succeed: had other taken what second
// needs before it waited for what first took, PostgreSQL would end one of them.
func Cross(t testing.TB, pool *pgxpool.Pool, first, second func(pgx.Tx) error, other func() error) {
	t.Helper()
	ctx := context.Background()
	tx, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if err := first(tx); err != nil {
		t.Fatalf("what one does first: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- other() }()
	if waits, err := awaited(ctx, pool, tx, done); !waits {
		t.Fatalf("the other did not wait: %v", err)
	}
	if err := second(tx); err != nil {
		t.Errorf("what one does second: %v", err)
	}
	if err := tx.Commit(ctx); err != nil && !t.Failed() {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the other: %v", err)
	}
}

// awaited reports whether somebody came to wait for tx before done.
func awaited(ctx context.Context, pool *pgxpool.Pool, tx pgx.Tx, done <-chan error) (waits bool, err error) {
	for !waits {
		select {
		case err := <-done:
			return false, err
		default:
		}
		err := pool.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND $1 = ANY(pg_blocking_pids(pid)))`,
			tx.Conn().PgConn().PID()).Scan(&waits)
		if err != nil {
			return false, err
		}
	}
	return true, nil
}
