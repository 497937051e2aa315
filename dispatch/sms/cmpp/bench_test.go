package cmpp

import (
	"log/slog"
	"testing"

	"herald/dispatch"
	"herald/dispatch/sms/link/linktest"
	sim "herald/hardware/sim/cmpp"
)

// BenchmarkSendBatch: one connection, a window of 16, messages of one part.
func BenchmarkSendBatch(b *testing.B) {
	g := sim.New(sim.Config{})
	linktest.Start(b, g)
	d, err := New(Account{
		Name: "mobile", Host: "127.0.0.1", Port: linktest.Port(b, g.Addr()), SPID: "900001", Secret: "888888", SourceNumber: "10657012345", NoReports: true,
	}, linktest.NewStore(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	s, failure := d.open(b.Context())
	if failure != nil {
		b.Fatal(failure)
	}
	defer s.Close(b.Context())
	ms := make([]dispatch.Message, 500)
	for i := range ms {
		ms[i] = linktest.Message(i, "降价提醒：婴儿车今日四百元")
	}
	for b.Loop() {
		s.SendBatch(b.Context(), ms, func(_ int, _ dispatch.Receipt, err error) {
			if err != nil {
				b.Fatal(err)
			}
		})
	}
	b.ReportMetric(float64(len(ms)*b.N)/b.Elapsed().Seconds(), "messages/s")
}
