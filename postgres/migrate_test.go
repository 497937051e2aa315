package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/postgres"
	"herald/postgres/pgtest"
)

// empty is a pool of n connections on a database without any schema.
func empty(t *testing.T, url string, n int32) *pgxpool.Pool {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url, MaxConns: n})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return db.Pool()
}

func emptyURL(t *testing.T) string {
	t.Helper()
	url := pgtest.URL(t)
	pool := empty(t, url, 1)
	if _, err := pool.Exec(t.Context(), `DROP SCHEMA public CASCADE; CREATE SCHEMA public`); err != nil {
		t.Fatal(err)
	}
	return url
}

func TestMigrateMayRunOnSeveralNodesAtOnce(t *testing.T) {
	url := emptyURL(t)
	var nodes sync.WaitGroup
	for range 5 {
		pool := empty(t, url, 1) // one connection is enough
		nodes.Go(func() {
			if err := postgres.Migrate(t.Context(), pool); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
	status, err := postgres.Status(t.Context(), empty(t, url, 1))
	if err != nil || len(status.Pending) != 0 || len(status.Applied) == 0 {
		t.Errorf("after all: %d applied, %d pending (%v)", len(status.Applied), len(status.Pending), err)
	}
}

func TestStatusChangesNothing(t *testing.T) {
	pool := empty(t, emptyURL(t), 2)
	status, err := postgres.Status(t.Context(), pool)
	if err != nil || len(status.Applied) != 0 {
		t.Fatalf("a new database has %v (%v)", status.Applied, err)
	}
	if first := status.Pending[0].String(); !strings.HasPrefix(first, "river ") {
		t.Errorf("first comes %q, want River's", first)
	}
	var tables int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("it made %d tables (%v)", tables, err)
	}
}

func TestStatusTellsWhenEachStepWasApplied(t *testing.T) {
	status, err := postgres.Status(t.Context(), pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range status.Applied {
		if m.AppliedAt.IsZero() || m.Name == "" {
			t.Errorf("%+v lacks its name or time", m)
		}
	}
}

func TestMigrateLeavesANewerDatabaseAlone(t *testing.T) {
	tests := map[string]string{
		"herald": `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)`,
		"river":  `INSERT INTO river_migration (line, version) VALUES ('main', 999)`,
	}
	for part, newer := range tests {
		t.Run(part, func(t *testing.T) {
			pool := pgtest.New(t)
			if _, err := pool.Exec(t.Context(), newer); err != nil {
				t.Fatal(err)
			}
			err := postgres.Migrate(t.Context(), pool)
			if !errors.Is(err, postgres.ErrNewerSchema) || !strings.Contains(err.Error(), "999") {
				t.Errorf("got %v, want ErrNewerSchema and the version", err)
			}
		})
	}
}

func TestMigrateWaitsForTheNodeThatMigrates(t *testing.T) {
	pool := pgtest.New(t)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock(x'486572616c64'::bigint)`); err != nil { // "Herald"
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- postgres.Migrate(ctx, pool) }()
	// It prepares its question, binds it and asks; what comes fourth is that it
	// was told no, and asks again.
	for asked := map[time.Time]bool{}; len(asked) < 4; {
		var at *time.Time
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		if err := conn.QueryRow(t.Context(), `
			SELECT max(query_start) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock%' AND pid <> pg_backend_pid()`).Scan(&at); err != nil {
			t.Fatal(err)
		}
		if at != nil {
			asked[*at] = true
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "another node is migrating") {
		t.Errorf("got %v, want the end of its context and why", err)
	}
}

func TestTimesComeBackInUTC(t *testing.T) {
	var zone string
	pool := pgtest.New(t)
	if err := pool.QueryRow(t.Context(), `SELECT current_setting('TimeZone')`).Scan(&zone); err != nil || zone != "UTC" {
		t.Errorf("the session is in %q (%v)", zone, err)
	}
}
