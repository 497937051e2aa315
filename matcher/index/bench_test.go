package index_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"herald/matcher/index"
	"herald/matcher/predicate"
)

// crowded is an index of n subscriptions to a price of at most their bound,
// each ten of one product, and as many to their own account; besides, some
// products have longer lists.
func crowded(b *testing.B, n int64) (prices, accounts *index.Condition) {
	b.Helper()
	x := index.New()
	prices, accounts = x.Condition("prices"), x.Condition("accounts")
	prices.Declare(predicate.AtMost)
	accounts.Declare(predicate.NoBound)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	took := time.Duration(0)
	add := func(c *index.Condition, id int64, k predicate.Key) {
		if err := c.Add(id, []predicate.Key{k}, index.Window{}); err != nil {
			b.Fatal(err)
		}
	}
	start := time.Now()
	for i := range n {
		// Neighbours of a list do not come one after the other.
		product, place := i%(n/10), i/(n/10)
		add(prices, 1+i, predicate.Key{Key: product10(product), Bound: 10 * float64(1+place*7%10)})
		add(accounts, 1+i, predicate.Key{Key: account(i)})
	}
	took = time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.Logf("%d subscriptions: %d ns to add, %d B each, by its own count %d", 2*n, took.Nanoseconds()/(2*n),
		int64(after.HeapAlloc-before.HeapAlloc)/(2*n), x.Stats().Whole.Bytes/(2*n))
	id := 1 + 2*n
	for long := range int64(20) {
		for range 1000 {
			id++
			add(prices, id, predicate.Key{Key: "thousand" + strconv.FormatInt(long, 10), Bound: 50})
		}
	}
	for range 100_000 {
		id++
		add(prices, id, predicate.Key{Key: "hundred thousand", Bound: 50})
	}
	start = time.Now()
	runtime.GC()
	b.Logf("collecting garbage: %v", time.Since(start))
	return prices, accounts
}

func product10(n int64) string { return "s8:" + strconv.FormatInt(10_000_000+n, 10) }

func account(n int64) string { return "s11:m" + strconv.FormatInt(1_000_000_000+n, 10) }

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int64{500_000, 5_000_000} {
		b.Run(fmt.Sprintf("subscriptions=%d", 2*n), func(b *testing.B) { benchmarkMatch(b, n) })
	}
}

func benchmarkMatch(b *testing.B, n int64) {
	prices, accounts := crowded(b, n)
	at := time.Now()
	const probes = 1 << 16
	for _, bench := range []struct {
		name      string
		condition *index.Condition
		probe     func(i int64) predicate.Probe
		matches   int
	}{
		{"matches=0", prices, func(i int64) predicate.Probe { return predicate.Probe{Key: product10(i % (n / 10)), Value: 101} }, 0},
		{"matches=none", accounts, func(i int64) predicate.Probe { return predicate.Probe{Key: product10(i)} }, 0},
		{"matches=1", accounts, func(i int64) predicate.Probe { return predicate.Probe{Key: account(i % n)} }, 1},
		{"matches=1of10", prices, func(i int64) predicate.Probe { return predicate.Probe{Key: product10(i % (n / 10)), Value: 91} }, 1},
		{"matches=10", prices, func(i int64) predicate.Probe { return predicate.Probe{Key: product10(i % (n / 10)), Value: 10} }, 10},
		{"matches=1000", prices, func(i int64) predicate.Probe {
			return predicate.Probe{Key: "thousand" + strconv.FormatInt(i%20, 10), Value: 50}
		}, 1000},
		{"matches=100000", prices, func(int64) predicate.Probe { return predicate.Probe{Key: "hundred thousand", Value: 50} }, 100_000},
	} {
		b.Run(bench.name, func(b *testing.B) {
			looked := make([]predicate.Probe, probes)
			for i := range looked {
				looked[i] = bench.probe(rand.Int64N(1 << 40))
			}
			var found []int64
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				found = bench.condition.Match(looked[i%probes], at, found[:0])
				i++
			}
			if len(found) != bench.matches && bench.name != "matches=1of10" {
				b.Errorf("%d found", len(found))
			}
		})
	}
}
