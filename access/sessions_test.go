package access

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/postgres/pgtest"
)

func TestSweepRemovesTheSessionsThatAreOver(t *testing.T) {
	pool := pgtest.New(t)
	if _, err := pool.Exec(t.Context(), `
		INSERT INTO sessions (token, data, expiry) VALUES
		  ('over', '', now() - interval '1 second'), ('alive', '', now() + interval '1 hour')`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var sweeping sync.WaitGroup
	sweeping.Go(func() { SweepSessions(ctx, pool, time.Millisecond, slog.New(slog.DiscardHandler)) })
	defer sweeping.Wait()
	defer cancel()

	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	limit := time.After(peers.Patience)
	for {
		var tokens []string
		if err := pool.QueryRow(t.Context(), `SELECT array_agg(token) FROM sessions`).Scan(&tokens); err != nil {
			t.Fatal(err)
		}
		if len(tokens) == 1 && tokens[0] == "alive" {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("sessions are %v, want the one that is alive", tokens)
		}
	}
}
