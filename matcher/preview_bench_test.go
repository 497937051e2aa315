package matcher_test

import (
	"fmt"
	"testing"
	"time"

	"herald/matcher"
	"herald/matcher/history"
	"herald/subscriptions"
)

// BenchmarkPreview looks back a week through events of one type, of which one
// in 50,000 is of the product asked for: the first preview with cold caches,
// the others after it. done is the share that was looked at within the budget.
func BenchmarkPreview(b *testing.B) {
	for _, n := range []int{1_000_000, 5_000_000} {
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) { benchPreview(b, n) })
	}
}

func benchPreview(b *testing.B, n int) {
	s := openShop(b)
	s.save(priceDrop())
	wei := s.member("wei")
	week := 7 * 24 * time.Hour
	now := opening
	days := history.NewKeeper(s.pool, history.Config{Now: func() time.Time { return now }})
	now = opening.Add(-week)
	if err := days.Turn(s.ctx); err != nil {
		b.Fatal(err)
	}
	for from := 0; from < n; from += 250_000 {
		s.exec(`
			INSERT INTO events (id, source, source_id, type, time, data, received_at)
			SELECT (substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-7' || substr(r, 1, 3) || '-8' || substr(r, 4, 3) || '-' || substr(r, 7, 12))::uuid,
			       '/shop', 'e' || i, 'price.changed', at, jsonb_build_object('product', 'p' || (i * 7919 % 50000), 'price', i % 100, 'name', 'Baby stroller Lite'), at
			FROM (SELECT i, at, lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') AS h, md5(i::text) AS r
			      FROM (SELECT i, $3::timestamptz + i * $4::interval / $5::int AS at FROM generate_series($1::bigint, $2::bigint) AS i) AS n) AS made`,
			from, from+249_999, opening.Add(-week), week, n)
	}
	now = opening
	if err := days.Turn(s.ctx); err != nil { // the days that are over get their index
		b.Fatal(err)
	}
	s.exec(`ANALYZE events`)
	previews := matcher.NewPreviews(s.pool, matcher.PreviewConfig{
		Triggers: s.triggers, Subscriptions: s.subscriptions, Consents: subscriptions.NewConsents(s.pool, s.clock.now),
		PerMinute: 1_000_000_000, Now: func() time.Time { return opening },
	})
	var slowest time.Duration
	var done float64
	for b.Loop() {
		began := time.Now()
		got, err := previews.Preview(s.ctx, matcher.Wish{
			Trigger: "price_drop", MemberID: wei, Params: map[string]any{"product": "p4711", "target": 50},
		})
		if err != nil {
			b.Fatal(err)
		}
		slowest = max(slowest, time.Since(began))
		done += float64(opening.Sub(got.LookedBackTo)) / float64(week)
	}
	b.ReportMetric(float64(slowest.Milliseconds()), "ms-slowest")
	b.ReportMetric(done/float64(b.N), "done")
}
