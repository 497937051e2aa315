package smpp

import (
	"context"
	"syscall"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/smpp/pdu"
	"herald/hardware/sim/smsc"
)

const usual = "Your order 10482 has been shipped and arrives on Thursday between 9 and 11. Track it at https://s.example/t/10482"

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func floorClient(tb testing.TB) *Client {
	s := startSMSC(tb, smsc.Config{Receipts: smsc.Receipts{Delay: time.Hour}})
	account := accountAt(tb, s.Addr())
	account.Timeout, account.NoReceipts, account.Window = time.Minute, true, 100
	return newClient(tb, account, nil)
}

// BenchmarkFloor is what `herald bench sms` measures the rest by.
func BenchmarkFloor(b *testing.B) {
	c := floorClient(b)
	before := cpu()
	b.ResetTimer()
	rate, err := c.Floor(b.Context(), FloorRun{Connections: 2, Messages: b.N, Message: to("+8613800000000", usual)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(rate, "msg/s")
	b.ReportMetric(float64(cpu()-before)/float64(b.N)/1000, "µs-cpu/msg") // both ends
}

// BenchmarkSession submits batches on one session.
func BenchmarkSession(b *testing.B) {
	c := floorClient(b)
	s, err := c.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close(context.Background()) //nolint:errcheck // it always is nil
	batch := make([]dispatch.Message, 500)
	for i := range batch {
		batch[i] = to("+8613800000000", usual)
	}
	before := cpu()
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += len(batch) {
		s.(*session).SendBatch(b.Context(), batch[:min(len(batch), b.N-done)], func(_ int, _ dispatch.Receipt, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(cpu()-before)/float64(b.N)/1000, "µs-cpu/msg") // both ends
}

func BenchmarkAppend(b *testing.B) {
	run := appending(b)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}

// appending composes and writes the usual message again and again.
func appending(tb testing.TB) func() {
	c := newClient(tb, Account{Name: "operator", Host: "smsc.example", SystemID: "herald", Source: "SHOP"}, nil)
	w := writer{client: c}
	m := to("+8613800000000", usual)
	m.ExpiresAt = time.Now().Add(time.Hour)
	var unit []byte
	var composer sms.Composer
	return func() {
		composed, err := c.compose(&composer, m.Content.Text)
		if err != nil {
			tb.Fatal(err)
		}
		if unit, err = w.append(unit[:0], 1, &m, portion{composed: composed, reference: 7}); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestTheUsualMessageIsWrittenWithoutAllocating(t *testing.T) {
	run := appending(t)
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

func TestFloorSendsAll(t *testing.T) {
	s := startSMSC(t, smsc.Config{})
	c := newClient(t, accountAt(t, s.Addr()), nil)
	if rate, err := c.Floor(t.Context(), FloorRun{Connections: 3, Messages: 1000, Message: to("+8613800000000", usual)}); err != nil || rate <= 0 {
		t.Fatalf("%v, %v", rate, err)
	}
	if n := s.Count(); n != 1000 {
		t.Errorf("%d were taken", n)
	}
	setFaults(t, s, smsc.Fault{Kind: smsc.Refuse, Status: pdu.RSYSERR, Times: 1})
	if _, err := c.Floor(t.Context(), FloorRun{Connections: 2, Messages: 100, Message: to("+8613800000000", usual)}); err == nil {
		t.Error("a refusal is no error")
	}
}
