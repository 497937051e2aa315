package smpp

import (
	"context"
	"fmt"
	"testing"

	"herald/dispatch"
	"herald/hardware/sim/smsc"
)

// TestWheneverItEndsTheTruthIsSaid: the batch's time is over, the connection
// breaks, or the centre ends the session, after any number of answers.
func TestWheneverItEndsTheTruthIsSaid(t *testing.T) {
	t.Parallel()
	s := startSMSC(t, smsc.Config{})
	account := accountAt(t, s.Addr())
	account.NoReceipts = true
	client := newClient(t, account, nil)
	ends := []string{"the time is over", "the connection breaks", "the centre ends it", "we end it"}
	for round := range 80 {
		end, after := ends[round%len(ends)], round*3%100
		session, err := client.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ms := make([]dispatch.Message, 150)
		for i := range ms {
			ms[i] = to(fmt.Sprintf("+86%03d%05d", round, i), "hello")
		}
		said, errs, n := make([]int, len(ms)), make([]error, len(ms)), 0
		session.SendBatch(ctx, ms, func(i int, _ dispatch.Receipt, err error) {
			said[i]++
			errs[i] = err
			if n++; n != after {
				return
			}
			switch end {
			case ends[0]:
				cancel()
			case ends[1]:
				s.DropAll()
			case ends[2]:
				s.UnbindAll()
			case ends[3]:
				session.link.end(errClosed)
			}
		})
		cancel()
		if err := session.Close(context.Background()); err != nil {
			t.Error(err)
		}
		waitUntil(t, "the centre to notice", func() bool { return s.Sessions() == 0 })
		checkTruth(t, s, ms, said, errs)
		if t.Failed() {
			t.Fatalf("in round %d, where %s after %d answers", round, end, after)
		}
	}
}

// checkTruth holds what was said of messages against what the centre has.
func checkTruth(t *testing.T, s *smsc.SMSC, ms []dispatch.Message, said []int, errs []error) {
	t.Helper()
	taken := map[string]int{}
	for _, u := range s.Units() {
		taken["+"+u.Message.Destination.Number]++
	}
	for i, m := range ms {
		n := taken[m.Address]
		if said[i] != 1 {
			t.Errorf("of message %d something was said %d times", i, said[i])
			continue
		}
		if errs[i] == nil {
			if n != 1 {
				t.Errorf("message %d was taken %d times, and is accepted", i, n)
			}
			continue
		}
		switch class := failure(t, errs[i]).Class; {
		case class == dispatch.SessionFatal && n != 0, class != dispatch.SessionFatal && class != dispatch.Doubt:
			t.Errorf("message %d was taken %d times, and gives %v", i, n, errs[i])
		}
	}
}
