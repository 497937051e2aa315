package postgres_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/postgres"
	"herald/postgres/pgtest"
)

func TestAwayTellsAnOutageFromAMistake(t *testing.T) {
	pool := pgtest.New(t)
	_, mistake := pool.Exec(t.Context(), `SELECT 1/0`)
	_, ended := pool.Exec(t.Context(), `SELECT pg_terminate_backend(pg_backend_pid())`)
	nowhere, err := pgxpool.New(t.Context(), "postgres://herald@127.0.0.1:1/herald")
	if err != nil {
		t.Fatal(err)
	}
	unreachable := nowhere.Ping(t.Context())
	nowhere.Close()
	closed := nowhere.Ping(t.Context())
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"a connection that was ended":    {ended, true},
		"a server that is not there":     {unreachable, true},
		"a pool that is closed":          {closed, true},
		"the same, told by a store":      {fmt.Errorf("look up an API key: %w", unreachable), true},
		"a mistake in what was asked":    {mistake, false},
		"something that is not its word": {errors.New("no such page"), false},
		"nothing":                        {nil, false},
	} {
		if got := postgres.Away(tt.err); got != tt.want {
			t.Errorf("%s (%v): %t, want %t", name, tt.err, got, tt.want)
		}
	}
}
