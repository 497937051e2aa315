package limits

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"herald/postgres/pgtest"
)

// BenchmarkReserve is the cost of one slice of a hundred messages that all may
// go: under the account alone, under account, campaign and one domain, and
// under the account and a domain of their own each.
func BenchmarkReserve(b *testing.B) {
	plenty := Limit{PerSecond: 1e9, Burst: 1_000_000}
	slices := map[string]func(i int) []Want{
		"keys=1": func(int) []Want { return []Want{{Key: "account:main", Units: 1, Limit: plenty}} },
		"keys=3": func(int) []Want {
			return []Want{
				{Key: "account:main", Units: 1, Limit: plenty},
				{Key: "campaign:42", Units: 1, Limit: plenty},
				{Key: "domain:main:example.com", Units: 1, Limit: plenty},
			}
		},
		"keys=101": func(i int) []Want {
			return []Want{
				{Key: "account:main", Units: 1, Limit: plenty},
				{Key: fmt.Sprintf("domain:main:%d.example.com", i), Units: 1, Limit: plenty},
			}
		},
	}
	for _, name := range []string{"keys=1", "keys=3", "keys=101"} {
		slice := make([][]Want, 100)
		for i := range slice {
			slice[i] = slices[name](i)
		}
		for _, at := range []struct{ nodes, workers int }{{1, 1}, {1, 20}, {4, 20}} {
			b.Run(fmt.Sprintf("%s/nodes=%d/workers=%d", name, at.nodes, at.workers), func(b *testing.B) {
				pool := pgtest.New(b)
				nodes := make([]*Rates, at.nodes)
				for i := range nodes {
					nodes[i] = NewRates(pool)
				}
				if _, err := nodes[0].Reserve(b.Context(), slice, time.Second); err != nil {
					b.Fatal(err)
				}
				b.ResetTimer()
				var all sync.WaitGroup
				for w := range at.workers {
					all.Go(func() {
						for n := w; n < b.N; n += at.workers {
							if _, err := nodes[w%at.nodes].Reserve(b.Context(), slice, time.Second); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
				b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "messages/s")
			})
		}
	}
}

// BenchmarkTurn is one turn of a node that shares ten accounts with three others.
func BenchmarkTurn(b *testing.B) {
	pool := pgtest.New(b)
	claims := map[string]Claim{}
	for i := range 10 {
		claims[fmt.Sprintf("account %d", i)] = Claim{Max: 20, Wanted: 10, Open: 5}
	}
	var nodes []*Shares
	for i := range 4 {
		name := fmt.Sprintf("n%d", i)
		if _, err := pool.Exec(b.Context(), `INSERT INTO nodes (name) VALUES ($1)`, name); err != nil {
			b.Fatal(err)
		}
		nodes = append(nodes, NewShares(pool, name, time.Hour, time.Now, slog.New(slog.DiscardHandler)))
	}
	for n := 0; b.Loop(); n++ {
		if _, err := nodes[n%4].Turn(b.Context(), claims); err != nil {
			b.Fatal(err)
		}
	}
}
