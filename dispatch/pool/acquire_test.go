package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"herald/dispatch/pool"
)

func TestUrgentWorkComesFirstAndEachClassInItsOrder(t *testing.T) {
	within(t, pool.Config[*line]{Min: 1, Max: 1}, func(b *bench) {
		held := b.take(pool.Bulk)
		order := make(chan string, 6)
		for _, who := range []string{"bulk 1", "urgent 1", "bulk 2", "urgent 2"} {
			class := pool.Bulk
			if who[0] == 'u' {
				class = pool.Urgent
			}
			go func() {
				lease := b.take(class)
				order <- who
				time.Sleep(time.Millisecond)
				lease.Release(false)
			}()
			synctest.Wait()
		}
		if s := b.Stats(); s.WaitingUrgent != 2 || s.WaitingBulk != 2 {
			t.Errorf("%+v", s)
		}
		pass(time.Second)
		if s := b.Stats(); s.OldestWait != time.Second {
			t.Errorf("the oldest has waited %s", s.OldestWait)
		}
		held.Release(false)
		for _, want := range []string{"urgent 1", "urgent 2", "bulk 1", "bulk 2"} {
			if got := <-order; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		pass(time.Second)
	})
}

func TestBulkWorkLeavesSessionsToUrgentWork(t *testing.T) {
	for name, test := range map[string]struct {
		max, limit, reserved int
		bulk                 int // sessions that bulk work gets
	}{
		"a tenth":                       {max: 20, limit: 20, bulk: 18},
		"a tenth of the share":          {max: 100, limit: 50, bulk: 45},
		"at least one":                  {max: 5, limit: 5, bulk: 4},
		"at least one of a small share": {max: 100, limit: 2, bulk: 1},
		"as many as are set":            {max: 20, limit: 20, reserved: 7, bulk: 13},
		"none if so set":                {max: 20, limit: 20, reserved: -1, bulk: 20},
		"none of one":                   {max: 1, limit: 1, bulk: 1},
		"none of a share of one":        {max: 20, limit: 1, bulk: 1},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, pool.Config[*line]{Max: test.max, Reserved: test.reserved}, func(b *bench) {
				b.SetLimit(test.limit)
				end := make(chan struct{})
				for range 2 * test.max {
					go func() {
						lease := b.take(pool.Bulk)
						<-end
						lease.Release(false)
					}()
				}
				pass(5 * time.Second)
				if s := b.Stats(); s.InUse != test.bulk || s.Open != test.limit {
					t.Errorf("%+v", s)
				}
				if test.bulk < test.limit {
					began := time.Now()
					b.take(pool.Urgent).Release(false)
					if took := time.Since(began); took != 0 {
						t.Errorf("urgent work waited %s", took)
					}
				}
				close(end)
				pass(time.Minute)
			})
		})
	}
}

func TestUrgentWorkGrowsThePoolAtOnce(t *testing.T) {
	within(t, pool.Config[*line]{Min: 1, Max: 4}, func(b *bench) {
		pass(time.Second)
		bulk := b.take(pool.Bulk)
		began := time.Now()
		b.take(pool.Urgent).Release(false)
		if took := time.Since(began); took != b.provider.takes {
			t.Errorf("it took %s, and a session opens in %s", took, b.provider.takes)
		}
		bulk.Release(false)
	})
}

func TestAcquireWaitsNoLongerThanItsContext(t *testing.T) {
	within(t, pool.Config[*line]{Min: 1, Max: 1}, func(b *bench) {
		held := b.take(pool.Bulk)
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := b.Acquire(ctx, pool.Urgent); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if s := b.Stats(); s.WaitingUrgent != 0 || s.OldestWait != 0 {
			t.Errorf("it still waits: %+v", s)
		}
		held.Release(false)
		if _, err := b.Acquire(ctx, pool.Urgent); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with an ended context: %v", err)
		}
		b.take(pool.Urgent).Release(false)
	})
}

// TestNothingIsLostWhenAWaitEndsAsASessionComes lets both happen at the same
// moment, again and again.
func TestNothingIsLostWhenAWaitEndsAsASessionComes(t *testing.T) {
	within(t, pool.Config[*line]{Min: 1, Max: 1}, func(b *bench) {
		for range 200 {
			held := b.take(pool.Bulk)
			done := make(chan struct{})
			go func() {
				defer close(done)
				ctx, cancel := context.WithTimeout(b.Context(), time.Millisecond)
				defer cancel()
				if lease, err := b.Acquire(ctx, pool.Bulk); err == nil {
					lease.Release(false)
				}
			}()
			time.Sleep(time.Millisecond)
			held.Release(false)
			<-done
		}
		if s := b.Stats(); s.Idle != 1 || s.Opened != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestASessionThatRestedIsAskedFirst(t *testing.T) {
	f := &provider{takes: 10 * time.Millisecond}
	within(t, pool.Config[*line]{Min: 2, Max: 2, Alive: f.Alive, CheckAfter: time.Minute}, func(b *bench) {
		pass(time.Minute - time.Second)
		b.provider.set(func() {
			for _, l := range b.provider.lines {
				l.dead = true
			}
		})
		first := b.take(pool.Urgent)
		if !first.Session.dead {
			t.Error("one that has hardly rested was asked")
		}
		first.Release(false)
		pass(2 * time.Minute)
		lease := b.take(pool.Urgent)
		if lease.Session.dead {
			t.Error("a dead session was given out")
		}
		lease.Release(false)
		pass(time.Second)
		if s := b.Stats(); s.Open != 2 || s.Closed != 2 || s.Broken != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAskingASessionHasAnEnd(t *testing.T) {
	alive := func(ctx context.Context, _ *line) error { <-ctx.Done(); return ctx.Err() }
	within(t, pool.Config[*line]{Min: 1, Max: 1, Alive: alive, CheckTimeout: 2 * time.Second}, func(b *bench) {
		pass(time.Minute)
		began := time.Now()
		b.take(pool.Urgent).Release(false) // a new one, which need not be asked
		if took := time.Since(began); took < 2*time.Second || took > 2100*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		pass(time.Minute)
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		if _, err := b.Acquire(ctx, pool.Urgent); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a second's time: %v", err)
		}
	})
}

// BenchmarkAcquire is one session taken and given back, by more users than
// there are sessions.
func BenchmarkAcquire(b *testing.B) {
	p, err := pool.New(pool.Config[int]{
		Open:  func(context.Context) (int, error) { return 0, nil },
		Close: func(context.Context, int) {},
		Min:   20, Max: 20,
	})
	if err != nil {
		b.Fatal(err)
	}
	p.Start()
	b.SetParallelism(40)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			lease, err := p.Acquire(context.Background(), pool.Bulk)
			if err != nil {
				b.Error(err)
				return
			}
			lease.Release(false)
		}
	})
	if err := p.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
