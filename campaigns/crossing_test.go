package campaigns

import (
	"context"
	"sync"
	"testing"
)

// While one range is read another begins: who wants to pause comes in between.
func TestPauseIsNotHeldUpByBatchesThatOverlap(t *testing.T) {
	d := newDesk(t)
	d.members(1)
	d.exec(`INSERT INTO members (id, account) OVERRIDING SYSTEM VALUE VALUES ($1, 'far')`, 2*rangeSpan)
	c := d.started()
	ranges := d.ranges()
	if len(ranges) != 2 {
		t.Fatalf("%d ranges", len(ranges))
	}
	entered, release := make(chan struct{}, 2), make(chan struct{})
	d.book.set(func(b *book) {
		b.fault = func(int) error { entered <- struct{}{}; <-release; return nil }
	})
	ctx := context.WithoutCancel(t.Context())
	var all sync.WaitGroup
	prepare := func(id int64) {
		all.Go(func() {
			if err := d.store.prepareRange(ctx, id); err != nil {
				t.Error(err)
			}
		})
	}
	waiting := func() int {
		return d.number(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`)
	}
	prepare(ranges[0])
	<-entered
	all.Go(func() {
		if _, err := d.store.Pause(ctx, c.ID, "operator:ann"); err != nil {
			t.Error(err)
		}
	})
	for waiting() < 1 {
	}
	prepare(ranges[1])
	for len(entered) == 0 && waiting() < 2 {
	}
	if len(entered) > 0 {
		t.Error("the second batch went before who waited")
	}
	close(release)
	all.Wait()
	if n := d.told(); n != 1 {
		t.Errorf("%d were told", n)
	}
	d.inState(c.ID, Paused)
}
