package absence

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/postgres/pgtest"
)

// BenchmarkRecord opens and closes in transactions of 1,000 events, each with a
// key of its own.
func BenchmarkRecord(b *testing.B) {
	pool, r, ctx := pgtest.New(b), ruleOf(b, orders()), context.Background()
	record := func(b *testing.B, base *int, of func(key string, e Event) (Opening, Closing, bool)) {
		events := 0
		for b.Loop() {
			var openings []Opening
			var closings []Closing
			for i := range 1000 {
				id, _ := uuid.NewV7()
				e := Event{ID: id, Type: "order.created", Data: []byte(`{"order": "2026-000001", "account": "wei", "total": 129.5, "currency": "EUR", "items": 3}`), Time: noon, Received: noon}
				key, _ := r.Key(map[string]any{"order": fmt.Sprintf("2026-%08d", *base+i)})
				o, c, opens := of(key, e)
				if opens {
					openings = append(openings, o)
				} else {
					closings = append(closings, c)
				}
			}
			*base += 1000
			if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return RecordTx(ctx, tx, openings, closings) }); err != nil {
				b.Fatal(err)
			}
			events += 1000
		}
		b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	}
	opened, closed := 0, 0
	b.Run("open", func(b *testing.B) {
		record(b, &opened, func(key string, e Event) (Opening, Closing, bool) { return r.Opening(key, e), Closing{}, true })
	})
	b.Run("close", func(b *testing.B) {
		record(b, &closed, func(key string, e Event) (Opening, Closing, bool) {
			e.Type, e.Time = "order.paid", noon.Add(time.Hour)
			return Opening{}, r.Closing(key, e), false
		})
	})
}
