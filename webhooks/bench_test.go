package webhooks

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// BenchmarkAnnounce is AnnounceTx for 1,000 events in a transaction that is
// rolled back, by how many endpoints listen.
func BenchmarkAnnounce(b *testing.B) {
	for _, endpoints := range []int{0, 1, 3} {
		b.Run(fmt.Sprintf("endpoints=%d", endpoints), func(b *testing.B) {
			s := newStand(b)
			for i := range endpoints {
				_, _, err := s.Create(b.Context(), NewEndpoint{URL: fmt.Sprintf("https://%d.example/", i), Types: []string{"delivery.*"}})
				must(b, err)
			}
			events := make([]Event, 1000)
			for i := range events {
				events[i] = delivered(i)
			}
			tx, err := s.pool.Begin(b.Context())
			must(b, err)
			must(b, s.AnnounceTx(b.Context(), tx, events))
			for b.Loop() {
				b.StopTimer()
				must(b, tx.Rollback(b.Context()))
				tx, err = s.pool.Begin(b.Context())
				must(b, err)
				b.StartTimer()
				must(b, s.AnnounceTx(b.Context(), tx, events))
			}
			must(b, tx.Rollback(b.Context()))
		})
	}
}

// BenchmarkListening is what an event costs that nobody listens to.
func BenchmarkListening(b *testing.B) {
	s := newStand(b)
	must(b, pgx.BeginFunc(b.Context(), s.pool, func(tx pgx.Tx) error { return s.AnnounceTx(b.Context(), tx, []Event{delivered(1)}) }))
	for b.Loop() {
		s.Listening("delivery.delivered")
	}
}
