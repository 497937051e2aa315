package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"herald/postgres/pgtest"
)

func TestNodeIsKnownWhileItRuns(t *testing.T) {
	pool := pgtest.New(t)
	n := NewNode(pool, "n1", time.Now, slog.New(slog.DiscardHandler))
	if n.Alive() {
		t.Error("alive before its first beat")
	}
	if err := n.turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !n.Alive() {
		t.Error("not alive after a beat")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.Run(ctx)
	var rows int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM nodes`).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if rows != 0 || n.Alive() {
		t.Errorf("after a clean stop: %d rows, alive %v", rows, n.Alive())
	}
}

func TestNodeThatCannotBeatIsNotAliveForLong(t *testing.T) {
	pool := pgtest.New(t)
	at := time.Now()
	n := NewNode(pool, "n1", func() time.Time { return at }, slog.New(slog.DiscardHandler))
	if err := n.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel() // stands for a database that does not answer
	at = at.Add(silentAfter - time.Millisecond)
	if err := n.turn(gone); err == nil || !n.Alive() {
		t.Errorf("just before the limit: error %v, alive %v", err, n.Alive())
	}
	at = at.Add(time.Millisecond)
	if n.Alive() {
		t.Error("alive at the limit")
	}
}

func TestTakeUp(t *testing.T) {
	b := newIdleBench(t)
	ctx := t.Context()
	b.exec(`INSERT INTO nodes (name, beat_at) VALUES ('alive', now()), ('silent', now() - interval '16 s'), ('gone', now() - interval '2 h')`)
	job := func(by, age string) int64 {
		return scalar[int64](b, `
INSERT INTO river_job (state, attempt, max_attempts, attempted_at, attempted_by, args, kind)
VALUES ('running', 3, 3, now() - $2::interval, ARRAY['alive', $1], '{}', 'x') RETURNING id`, by, age)
	}
	want := map[int64]string{
		job("alive", "1 min"):    "running",
		job("silent", "1 min"):   "available",
		job("unknown", "1 min"):  "available",
		job("unknown", "10 s"):   "running", // too young: its node may be about to beat
		job("gone", "2 h"):       "available",
		job("silent", "15.5 s"):  "available",
		job("alive", "00:59:00"): "running",
	}
	sweepers := make([]*Node, 8)
	taken := make([]int64, len(sweepers))
	var all sync.WaitGroup
	for i := range sweepers {
		sweepers[i] = NewNode(b.pool, "sweeper", time.Now, slog.New(slog.DiscardHandler))
		all.Go(func() {
			var err error
			if taken[i], err = sweepers[i].takeUp(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var sum int64
	for _, n := range taken {
		sum += n
	}
	if sum != 4 {
		t.Errorf("%d jobs were taken up by %d sweepers, want 4", sum, len(sweepers))
	}
	for id, state := range want {
		if got := scalar[string](b, `SELECT state FROM river_job WHERE id = $1`, id); got != state {
			t.Errorf("job %d is %s, want %s", id, got, state)
		}
	}
	if tries := scalar[int](b, `SELECT min(max_attempts) FROM river_job WHERE state = 'available'`); tries != 4 {
		t.Errorf("a job taken up has %d tries, want one more than the 3 it had", tries)
	}
	if left := scalar[string](b, `SELECT string_agg(name, ' ' ORDER BY name) FROM nodes`); left != "alive node-1 silent" {
		t.Errorf("nodes left: %s", left)
	}
}
