package matcher_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/matcher"
)

// crowd is how many subscriptions the benchmarks match against.
const crowd = 100_000

// fill subscribes members to price_drop by SQL, one product each.
func (s *shop) fill(n int) {
	s.Helper()
	s.save(priceDrop())
	err := pgx.BeginFunc(s.ctx, s.pool, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`INSERT INTO members (account, locale) SELECT 'm' || i, 'en' FROM generate_series(1, $1::int) i`,
			`INSERT INTO contact_points (member_id, channel, address, verified_at)
			 SELECT id, 'email', account || '@example.com', now() FROM members LIMIT $1::int`,
			`INSERT INTO consents (member_id, channel, purpose, granted) SELECT id, 'email', 'service', true FROM members LIMIT $1::int`,
			`INSERT INTO subscriptions (member_id, trigger, params, channels, valid_from, origin)
			 SELECT id, 'price_drop', jsonb_build_object('product', 'p' || id, 'target', 49), '{email}', '2020-01-01', 'import'
			 FROM members LIMIT $1::int`,
			`INSERT INTO subscription_anchors (subscription_id, trigger, key, bound)
			 SELECT id, trigger, 's' || length(params->>'product') || ':' || (params->>'product'), 49 FROM subscriptions LIMIT $1::int`,
		} {
			if _, err := tx.Exec(s.ctx, sql, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	// Not the empty tables: PostgreSQL would take them to stay empty, and keep
	// checking their foreign keys by reading them whole.
	if _, err := s.pool.Exec(s.ctx, `ANALYZE members, contact_points, consents, subscriptions, subscription_anchors`); err != nil {
		s.Fatal(err)
	}
}

func BenchmarkAccept(b *testing.B) {
	s := openShop(b)
	s.fill(crowd)
	for _, matches := range []int{0, 1} {
		for _, c := range []struct{ callers, batch int }{{1, 1}, {32, 1}, {1, 500}, {4, 500}} {
			b.Run(fmt.Sprintf("matches=%d/callers=%d/batch=%d", matches, c.callers, c.batch), func(b *testing.B) {
				s.bench(b, matches, c.callers, c.batch)
			})
		}
	}
}

// bench accepts b.N events and reports events/s.
func (s *shop) bench(b *testing.B, matches, callers, batch int) {
	i := matcher.NewIntake(s.pool, s.triggers, s.deliveries, matcher.IntakeConfig{Now: s.clock.now})
	price, run := 50-float64(matches), uuid.NewString()
	var next atomic.Int64
	var met atomic.Int64
	b.ResetTimer()
	var running sync.WaitGroup
	for range callers {
		running.Go(func() {
			for {
				from := next.Add(int64(batch)) - int64(batch)
				if from >= int64(b.N) {
					return
				}
				events := make([]matcher.Event, min(batch, b.N-int(from)))
				for n := range events {
					id := from + int64(n)
					events[n] = priceEvent(fmt.Sprintf("%s-%d", run, id), fmt.Sprintf("p%d", 1+id*7919%crowd), price)
				}
				results, err := i.Accept(s.ctx, events)
				if err != nil {
					b.Error(err)
					return
				}
				for _, r := range results {
					met.Add(int64(r.Matches))
				}
			}
		})
	}
	running.Wait()
	b.StopTimer()
	if met.Load() != int64(matches*b.N) {
		b.Errorf("%d matches of %d events, want %d each", met.Load(), b.N, matches)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if err := i.Close(s.ctx); err != nil {
		b.Error(err)
	}
}
