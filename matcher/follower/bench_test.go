package follower

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/matcher/index"
	"herald/matcher/predicate"
)

// large is a world with n subscriptions of "below", made by the database.
func large(b *testing.B, n int) *world {
	b.Helper()
	w := newWorld(b)
	w.ctx = b.Context() // without a limit
	for _, sql := range []string{
		fmt.Sprintf(`
			WITH made AS (
				INSERT INTO subscriptions (member_id, trigger, params, channels, origin, valid_from, created_at, valid_until)
				SELECT %d, 'below', jsonb_build_object('product', 'P' || i, 'low', i %% 100), '{email}', 'test', '2026-01-01', '2026-01-01',
					CASE WHEN i %% 10 = 0 THEN timestamptz '2030-01-01' + i * interval '1 s' END
				FROM generate_series(1, %d) i RETURNING id
			)
			INSERT INTO subscription_anchors (subscription_id, trigger, key, bound)
			SELECT id, 'below', 's' || length('P' || id) || ':P' || id, id %% 100 FROM made`, w.member, n),
		`ANALYZE subscriptions, subscription_anchors`,
		`VACUUM subscriptions, subscription_anchors`,
	} {
		w.exec(sql)
	}
	return w
}

const million = 1_000_000

func BenchmarkLoadAMillion(b *testing.B) {
	w := large(b, million)
	f := New(w.pool, index.New(), Config{})
	b.ResetTimer()
	for b.Loop() {
		if err := f.load(w.ctx); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Second), "s/load")
	explain(b, w)
}

func explain(b *testing.B, w *world) {
	rows, err := w.pool.Query(w.ctx, `EXPLAIN (ANALYZE, COSTS OFF) `+selectAnchors+` ORDER BY s.id`)
	if err != nil {
		b.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.Fatal(err)
	}
	for _, line := range lines {
		b.Log(line)
	}
}

// BenchmarkFence is the round trip of a fence alone, with so many changes
// that it carries, and so many that a transaction has not committed yet.
func BenchmarkFence(b *testing.B) {
	for _, c := range []struct{ carried, held, before int }{{0, 0, 0}, {0, 0, 100_000}, {0, 100_000, 0}, {10, 0, 0}, {100, 0, 0}, {1000, 0, 0}, {100_000, 0, 0}} {
		b.Run(fmt.Sprintf("carried=%d,held=%d,before=%d", c.carried, c.held, c.before), func(b *testing.B) {
			w := newWorld(b)
			w.ctx = b.Context()
			add := func(n int) pgx.Tx {
				tx := w.begin()
				w.many(tx, n)
				return tx
			}
			w.commit(add(c.before))
			held := add(c.held)
			w.exec(`ANALYZE`)
			f := w.loaded()
			w.commit(add(c.carried))
			v, _ := f.View()
			conn, err := w.pool.Acquire(w.ctx)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Release()
			for b.Loop() {
				var fence Fence
				batch := &pgx.Batch{}
				v.QueueFence(batch, &fence)
				if err := conn.SendBatch(w.ctx, batch).Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			_ = held.Rollback(w.ctx)
		})
	}
}

// BenchmarkRoundTrip is what of a fence is none of its doing.
func BenchmarkRoundTrip(b *testing.B) {
	w := newWorld(b)
	w.ctx = b.Context()
	for b.Loop() {
		batch := &pgx.Batch{}
		batch.Queue(`SELECT 1`)
		if err := w.pool.SendBatch(w.ctx, batch).Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIdlePoll(b *testing.B) {
	w := newWorld(b)
	w.ctx = b.Context()
	f := New(w.pool, index.New(), Config{})
	if err := f.load(w.ctx); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := f.poll(w.ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVisible is the time from the commit of a subscription until the
// index alone finds it, while events are matched.
func BenchmarkVisible(b *testing.B) {
	w := newWorld(b)
	w.ctx = b.Context()
	f := w.follow(Config{})
	w.sync(f)
	var took []time.Duration
	c := f.index.Condition("equal")
	at := w.clock.now()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for b.Loop() {
		tx := w.begin()
		w.many(tx, 1)
		w.commit(tx)
		began, have := time.Now(), len(took)
		for len(c.Match(predicate.Probe{Key: "s1:a"}, at, nil)) <= have {
			<-ticker.C
			if _, ok := f.View(); !ok {
				b.Fatal("the index cannot be used")
			}
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}
