package dispatch

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/problem"
)

// failed is a bench with so many failed deliveries, and nothing running.
func failed(t *testing.T, n int) *bench {
	b := newIdleBench(t)
	ns := make([]Notification, n)
	for i := range ns {
		ns[i] = b.note()
	}
	if err := b.enqueueAll(ns); err != nil {
		t.Fatal(err)
	}
	b.exec(`DELETE FROM river_job`)
	b.exec(`UPDATE deliveries SET state = 'failed', reason = 'refused', account = 'main'`)
	b.exec(`INSERT INTO troubles (delivery_id, state, reason, account) SELECT id, state, reason, account FROM deliveries`)
	b.exec(`UPDATE ledger_moves SET state = 'failed', reason = 'refused' WHERE state = 'pending'`)
	return b
}

func TestBulkRetryReachesEachOnce(t *testing.T) {
	b := failed(t, 1200)
	a, err := b.store.BeginBulk(t.Context(), RulingRetry, Search{State: Failed, Reason: "refused"}, "operator:ann")
	if err != nil || a.Total != 1200 || a.State != BulkRunning || a.Percent() != 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := b.store.bulkStep(t.Context(), a.ID); err != nil { // and then the node is killed
		t.Fatal(err)
	}
	if half, err := b.store.BulkAction(t.Context(), a.ID); err != nil || half.Done != bulkBatch || half.Percent() != 41 || half.Filter.Reason != "refused" {
		t.Errorf("%+v, %v", half, err)
	}
	b.events = b.start(b.node.Name(), b.worker)
	limit := time.Now().Add(time.Minute)
	for b.waiting() > 0 && time.Now().Before(limit) {
		b.worked(1)
	}
	got, err := b.store.BulkAction(t.Context(), a.ID)
	if err != nil || got.State != BulkDone || got.Done != 1200 || got.Refused != 0 || got.Percent() != 100 {
		t.Errorf("%+v, %v", got, err)
	}
	if n := len(b.sender.sent()); n != 1200 {
		t.Errorf("%d were sent", n)
	}
	if l := b.balanced(); l.Accepted != 1200 {
		t.Errorf("%+v", l)
	}
	if c := b.check(); !c.OK {
		t.Errorf("%+v", c.Differences)
	}
}

func TestWhatFailsLaterIsLeftAlone(t *testing.T) {
	b := failed(t, 2)
	a, err := b.store.BeginBulk(t.Context(), RulingDiscard, Search{State: Failed}, "operator:ann")
	if err != nil {
		t.Fatal(err)
	}
	b.clock.advance(time.Second)
	later := b.enqueue(b.note())[0]
	b.exec(`UPDATE deliveries SET state = 'failed' WHERE id = $1`, later)
	b.exec(`INSERT INTO troubles (delivery_id, state, reason) VALUES ($1, 'failed', '')`, later)
	for over := false; !over; {
		if over, err = b.store.bulkStep(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := b.store.BulkAction(t.Context(), a.ID); got.Done != 2 || b.delivery(later).Reason == reasonDiscarded {
		t.Errorf("%+v", got)
	}
}

func TestBulkIsCancelledWhereItIs(t *testing.T) {
	b := failed(t, bulkBatch+10)
	a, err := b.store.BeginBulk(t.Context(), RulingDiscard, Search{State: Failed}, "operator:ann")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.bulkStep(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := b.store.CancelBulk(t.Context(), a.ID); err != nil || got.State != BulkCancelled {
		t.Fatalf("%+v, %v", got, err)
	}
	if over, err := b.store.bulkStep(t.Context(), a.ID); !over || err != nil {
		t.Errorf("over %t, %v", over, err)
	}
	if n, _ := b.store.Count(t.Context(), Search{State: Failed, Attention: true}); n != 10 {
		t.Errorf("%d are left", n)
	}
	if _, err := b.store.CancelBulk(t.Context(), a.ID); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("twice: %v", err)
	}
	if _, err := b.store.CancelBulk(t.Context(), 99); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("what never was: %v", err)
	}
	if list, err := b.store.BulkActions(t.Context(), 0, 10); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestBulkThatCannotBe(t *testing.T) {
	b := failed(t, 1)
	for name, test := range map[string]struct {
		ruling Ruling
		q      Search
	}{
		"no ruling":               {"erase", Search{State: Failed}},
		"everything":              {RulingRetry, Search{}},
		"what was taken":          {RulingRetry, Search{State: Accepted}},
		"failed, to assume":       {RulingAssumeSent, Search{State: Failed}},
		"nothing fits":            {RulingRetry, Search{State: InDoubt}},
		"deliveries that are not": {RulingRetry, Search{IDs: []uuid.UUID{uuid.New()}}},
	} {
		if _, err := b.store.BeginBulk(t.Context(), test.ruling, test.q, "operator:ann"); problem.CodeOf(err) != problem.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
