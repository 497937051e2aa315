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
	s.week(n, `'price.changed', at, jsonb_build_object('product', 'p' || (i * 7919 % 50000), 'price', i % 100, 'name', 'Baby stroller Lite')`)
	s.preview(b, matcher.Wish{
		Trigger: "price_drop", MemberID: s.member("wei"), Params: map[string]any{"product": "p4711", "target": 50},
	})
}

// BenchmarkPreviewAbsence looks back a week through orders, of which nine in ten
// are paid after an hour: those of one of 50,000 customers, and all those above
// an amount, which one in so many is.
func BenchmarkPreviewAbsence(b *testing.B) {
	for _, n := range []int{400_000, 2_000_000} {
		s := openShop(b)
		if err := s.triggers.LoadStarter(s.ctx); err != nil {
			b.Fatal(err)
		}
		large, err := s.triggers.Get(s.ctx, "order_unpaid")
		if err != nil {
			b.Fatal(err)
		}
		large.Name, large.Version, large.Condition = "large_unpaid", 0, "event.total >= param.least"
		large.Params = []subscriptions.Param{param("least", "number")}
		s.save(large)
		wei := s.member("c4710")
		s.week(n, `CASE i % 2 WHEN 0 THEN 'order.created' ELSE 'order.paid' END, at,
			jsonb_build_object('order', 'o' || CASE WHEN i % 2 = 0 THEN i / 2 WHEN i % 20 = 1 THEN -i ELSE greatest(i / 2 - $5::int / 400, 0) END,
				'account', 'c' || (i / 2 * 7919 % 50000), 'total', i / 2 % 10000, 'currency', 'CNY')`)
		for name, wish := range map[string]matcher.Wish{
			"of a customer":   unpaid(wei),
			"one in thousand": {Trigger: large.Name, MemberID: wei, Params: map[string]any{"least": 9990}},
			"one in hundred":  {Trigger: large.Name, MemberID: wei, Params: map[string]any{"least": 9900}},
		} {
			b.Run(fmt.Sprint("events=", n, "/", name), func(b *testing.B) { s.preview(b, wish) })
		}
	}
}

const lastWeek = 7 * 24 * time.Hour

// week fills the week before the opening with events; what they are is SQL over
// i, their number, and at, when they came.
func (s *shop) week(n int, what string) {
	now := opening.Add(-lastWeek)
	days := history.NewKeeper(s.pool, history.Config{Now: func() time.Time { return now }})
	if err := days.Turn(s.ctx); err != nil {
		s.Fatal(err)
	}
	for from := 0; from < n; from += 250_000 {
		s.exec(`
			INSERT INTO events (id, source, source_id, type, time, data, received_at)
			SELECT (substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-7' || substr(r, 1, 3) || '-8' || substr(r, 4, 3) || '-' || substr(r, 7, 12))::uuid,
			       '/shop', 'e' || i, `+what+`, at
			FROM (SELECT i, at, lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') AS h, md5(i::text) AS r
			      FROM (SELECT i, $3::timestamptz + i * $4::interval / $5::int AS at FROM generate_series($1::bigint, $2::bigint) AS i) AS n) AS made`,
			from, min(from+249_999, n-1), opening.Add(-lastWeek), lastWeek, n)
	}
	now = opening
	if err := days.Turn(s.ctx); err != nil { // the days that are over get their index
		s.Fatal(err)
	}
	s.exec(`ANALYZE events`)
}

// preview measures a wish, with the limits of a real house.
func (s *shop) preview(b *testing.B, wish matcher.Wish) {
	start := time.Now()
	previews := matcher.NewPreviews(s.pool, matcher.PreviewConfig{
		Triggers: s.triggers, Subscriptions: s.subscriptions, Consents: subscriptions.NewConsents(s.pool, s.clock.now),
		PerMinute: 1_000_000_000, Now: func() time.Time { return opening.Add(time.Since(start)) },
	})
	var slowest time.Duration
	var done, met float64
	for b.Loop() {
		began := time.Now()
		got, err := previews.Preview(s.ctx, wish)
		if err != nil {
			b.Fatal(err)
		}
		slowest = max(slowest, time.Since(began))
		done += float64(opening.Sub(got.LookedBackTo)) / float64(lastWeek)
		met += float64(got.Met)
	}
	b.ReportMetric(float64(slowest.Milliseconds()), "ms-slowest")
	b.ReportMetric(done/float64(b.N), "done")
	b.ReportMetric(met/float64(b.N), "met")
}
