package email

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"herald/dispatch"
	"herald/e2e/peers"
)

// mailerAt is an account at addr, without encryption.
func mailerAt(t testing.TB, addr string) *Mailer {
	t.Helper()
	m, err := NewMailer(accountAt(t, "sink", addr), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// cpu is the processor time that this process has used.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkSessions hands two-part messages of about 2 kB to smtp-sink, in
// batches over kept sessions, and reports messages/s and our processor time.
func BenchmarkSessions(b *testing.B) {
	for _, way := range []struct {
		name string
		args []string
	}{{"pipelining", nil}, {"turns", []string{"-p"}}} {
		for _, sessions := range []int{5, 10, 20} {
			for _, size := range []int{1, 10, 50} {
				b.Run(fmt.Sprintf("%s/sessions=%d/batch=%d", way.name, sessions, size), func(b *testing.B) {
					benchmarkSessions(b, mailerAt(b, peers.SMTPSink(b, way.args...)), sessions, size)
				})
			}
		}
	}
}

func benchmarkSessions(b *testing.B, m *Mailer, sessions, size int) {
	open := make([]dispatch.Session, sessions)
	for i := range open {
		s, err := m.Open(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		open[i] = s
		defer s.Close(context.Background()) //nolint:errcheck // the sink is killed
	}
	ms := make([]dispatch.Message, size)
	for i := range ms {
		ms[i] = twoKilobytes()
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	before := cpu(b)
	b.ResetTimer()
	var all sync.WaitGroup
	for _, s := range open {
		all.Go(func() {
			for left.Add(-int64(size)) > -int64(size) {
				s.(dispatch.BatchSession).SendBatch(b.Context(), ms, func(_ int, _ dispatch.Receipt, err error) {
					if err != nil {
						b.Error(err)
					}
				})
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/message")
}

// BenchmarkFloor is the same by a bare sender.
func BenchmarkFloor(b *testing.B) {
	for _, pipelining := range []bool{true, false} {
		for _, connections := range []int{5, 10, 20} {
			b.Run(fmt.Sprintf("pipelining=%v/connections=%d", pipelining, connections), func(b *testing.B) {
				m := mailerAt(b, peers.SMTPSink(b))
				before := cpu(b)
				b.ResetTimer()
				perSecond, err := m.Floor(b.Context(), FloorRun{Connections: connections, Messages: b.N, Message: twoKilobytes(), Pipelining: pipelining})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(perSecond, "messages/s")
				b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/message")
			})
		}
	}
}
