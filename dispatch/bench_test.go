package dispatch

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// BenchmarkHandOver is one delivery from its waiting job to its recorded end,
// with a sender that takes no time.
func BenchmarkHandOver(bench *testing.B) {
	for _, workers := range []int{20, 100} {
		bench.Run(fmt.Sprintf("workers=%d", workers), func(bench *testing.B) {
			b := newIdleBench(bench, func(c *WorkerConfig) { c.Workers = workers })
			ns := make([]Notification, bench.N)
			for i := range ns {
				ns[i] = b.note()
			}
			err := pgx.BeginFunc(bench.Context(), b.pool, func(tx pgx.Tx) error { return b.store.EnqueueTx(bench.Context(), tx, ns) })
			if err != nil {
				bench.Fatal(err)
			}
			b.exec(`ANALYZE`)
			jobs := scalar[int](b, `SELECT count(*) FROM river_job`)
			bench.ResetTimer()
			b.events = b.start(b.node.Name(), b.worker)
			b.worked(jobs)
			bench.StopTimer()
			bench.ReportMetric(float64(bench.N)/bench.Elapsed().Seconds(), "deliveries/s")
			if l := b.balanced(); l.Accepted != int64(bench.N) {
				bench.Fatalf("%+v", l)
			}
		})
	}
}

// BenchmarkEnqueue is one notification of a thousand in a transaction.
func BenchmarkEnqueue(bench *testing.B) {
	b := newIdleBench(bench)
	const at = 1_000
	for done := 0; done < bench.N; done += at {
		ns := make([]Notification, min(at, bench.N-done))
		for i := range ns {
			ns[i] = b.note()
		}
		err := pgx.BeginFunc(bench.Context(), b.pool, func(tx pgx.Tx) error { return b.store.EnqueueTx(bench.Context(), tx, ns) })
		if err != nil {
			bench.Fatal(err)
		}
	}
	bench.ReportMetric(float64(bench.N)/bench.Elapsed().Seconds(), "notifications/s")
}

// BenchmarkAlert is the time from the commit of one notification to its
// message in the sender's hands, when nothing else is going on.
func BenchmarkAlert(bench *testing.B) {
	b := newIdleBench(bench)
	arrived := make(chan struct{}, 1)
	b.sender.does(func(context.Context, Message) (Receipt, error) {
		arrived <- struct{}{}
		return Receipt{}, nil
	})
	b.start(b.node.Name(), b.worker)
	for bench.Loop() {
		b.enqueue(b.note())
		waitFor(bench, arrived, 1)
	}
}
