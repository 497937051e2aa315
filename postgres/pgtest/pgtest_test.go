package pgtest_test

import (
	"fmt"
	"testing"

	"herald/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t)
			if _, err := pool.Exec(t.Context(), `INSERT INTO sessions VALUES ('one', '', now())`); err != nil {
				t.Fatal(err)
			}
			var rows, jobs int
			if err := pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM river_job)`).Scan(&rows, &jobs); err != nil {
				t.Fatal(err)
			}
			if rows != 1 || jobs != 0 {
				t.Errorf("found %d sessions and %d jobs, want 1 and 0", rows, jobs)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	pgtest.New(b) // starts the server
	for b.Loop() {
		pgtest.New(b)
	}
}
