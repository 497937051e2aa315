package pool_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herald/dispatch/pool"
)

func TestAPoolMustBePossible(t *testing.T) {
	open := func(context.Context) (int, error) { return 0, nil }
	shut := func(context.Context, int) {}
	for name, test := range map[string]struct {
		config pool.Config[int]
		says   string
	}{
		"open and close are needed":     {pool.Config[int]{Max: 1}, "open and close"},
		"max is at least one":           {pool.Config[int]{Open: open, Close: shut}, "max is 0"},
		"min is not negative":           {pool.Config[int]{Open: open, Close: shut, Min: -1, Max: 1}, "min is -1"},
		"min is at most max":            {pool.Config[int]{Open: open, Close: shut, Min: 2, Max: 1}, "min is 2"},
		"something is left for bulk":    {pool.Config[int]{Open: open, Close: shut, Max: 2, Reserved: 2}, "nothing is left"},
		"a backoff does not shrink":     {pool.Config[int]{Open: open, Close: shut, Max: 2, BackoffFirst: time.Hour}, "shorter than the first"},
		"figures are not negative":      {pool.Config[int]{Open: open, Close: shut, Max: 2, OpenAtOnce: -1}, "negative"},
		"all mistakes are told at once": {pool.Config[int]{Max: 2, Min: 3}, "open and close must be given\nmin is 3"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := pool.New(test.config); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

func TestMinIsOpenedInAdvance(t *testing.T) {
	within(t, pool.Config[*line]{Min: 3, Max: 20}, func(b *bench) {
		pass(10 * time.Millisecond)
		if s := b.Stats(); s.Idle != 3 || s.Opened != 3 || s.InUse != 0 {
			t.Errorf("%+v", s)
		}
		pass(time.Hour)
		if s := b.Stats(); s.Open != 3 || s.Opened != 3 || s.Closed != 0 {
			t.Errorf("an hour later: %+v", s)
		}
	})
}

func TestNothingIsOpenedBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &provider{}, pool.Config[*line]{Min: 3, Max: 20})
		b.SetLimit(1)
		pass(time.Hour)
		if s := b.Stats(); s.Open+s.Opening != 0 {
			t.Errorf("before: %+v", s)
		}
		b.Start()
		b.Start() // once is enough
		synctest.Wait()
		if s := b.Stats(); s.Open != 1 || s.SessionTime != 0 {
			t.Errorf("after: %+v", s)
		}
		b.finish()
	})
}

func TestSessionsAreOpenedSideBySideButNotAllAtOnce(t *testing.T) {
	within(t, pool.Config[*line]{Min: 20, Max: 20, OpenAtOnce: 4}, func(b *bench) {
		pass(50 * time.Millisecond) // five times four
		if s := b.Stats(); s.Open != 20 {
			t.Errorf("%+v", s)
		}
		if _, _, atOnce := b.provider.seen(); atOnce != 4 {
			t.Errorf("%d sessions were opened at once", atOnce)
		}
	})
}

func TestABurstOpensMaxAndQuietGivesBackToMin(t *testing.T) {
	within(t, pool.Config[*line]{Min: 2, Max: 20}, func(b *bench) {
		for range 500 {
			go func() {
				lease := b.take(pool.Bulk)
				time.Sleep(100 * time.Millisecond)
				lease.Release(false)
			}()
		}
		pass(300 * time.Millisecond)
		if s := b.Stats(); s.Open != 20 || s.InUse != 18 || s.WaitingBulk == 0 {
			t.Errorf("in the burst: %+v", s)
		}
		pass(2700 * time.Millisecond)
		if s := b.Stats(); s.Open != 20 || s.Idle != 20 {
			t.Errorf("after it: %+v", s)
		}
		for open := 20; open > 2; {
			pass(50 * time.Millisecond)
			s := b.Stats()
			if s.Open < open-1 || s.Open > open || s.Closing > 1 {
				t.Fatalf("not one by one: from %d to %+v", open, s)
			}
			open = s.Open
		}
		pass(time.Hour)
		s := b.Stats()
		if s.Open != 2 || s.DirectionChanges != 1 || s.Opened != 20 || s.Closed != 18 {
			t.Errorf("in the end: %+v", s)
		}
	})
}

func TestASteadyLoadKeepsWhatItNeeds(t *testing.T) {
	within(t, pool.Config[*line]{Min: 1, Max: 20}, func(b *bench) {
		ctx, cancel := context.WithCancel(b.Context())
		for range 7 {
			go func() {
				for ctx.Err() == nil {
					lease := b.take(pool.Bulk)
					time.Sleep(30 * time.Millisecond)
					lease.Release(false)
					time.Sleep(5 * time.Millisecond)
				}
			}()
		}
		pass(10 * time.Second)
		before := b.Stats()
		pass(10 * time.Minute)
		after := b.Stats()
		if after.Opened != before.Opened || after.Closed != before.Closed || after.DirectionChanges != 0 {
			t.Errorf("it went on opening and closing:\n%+v\n%+v", before, after)
		}
		if after.Open != 8 { // seven, and the one that bulk work leaves alone
			t.Errorf("%+v", after)
		}
		cancel()
		pass(time.Second)
	})
}

func TestSessionTimeIsTheSumOfAllSessions(t *testing.T) {
	within(t, pool.Config[*line]{Min: 2, Max: 2}, func(b *bench) {
		pass(time.Minute)
		if s := b.Stats(); s.SessionTime != 2*time.Minute {
			t.Errorf("%s, want 2 min", s.SessionTime)
		}
	})
}

func TestALowerLimitClosesWhatIsFreeAtOnceAndTheRestAsItComesBack(t *testing.T) {
	within(t, pool.Config[*line]{Min: 6, Max: 10}, func(b *bench) {
		pass(10 * time.Millisecond)
		one, two := b.take(pool.Urgent), b.take(pool.Urgent)
		b.SetLimit(1)
		pass(10 * time.Millisecond)
		if s := b.Stats(); s.Open != 2 || s.InUse != 2 || s.Limit != 1 {
			t.Errorf("with two in use: %+v", s)
		}
		one.Release(false)
		pass(10 * time.Millisecond)
		if s := b.Stats(); s.Open != 1 {
			t.Errorf("with one in use: %+v", s)
		}
		two.Release(false)
		b.SetLimit(0)
		pass(10 * time.Millisecond)
		if s := b.Stats(); s.Open+s.Opening+s.Closing != 0 {
			t.Errorf("without a share: %+v", s)
		}
		got := b.waiting(pool.Urgent)
		b.SetLimit(100)
		(<-got).Release(false)
		pass(100 * time.Millisecond)
		if s := b.Stats(); s.Open != 6 || s.DirectionChanges != 0 {
			t.Errorf("with all of it: %+v", s)
		}
	})
}

func TestASessionThatIsClosingStillCounts(t *testing.T) {
	within(t, pool.Config[*line]{Min: 2, Max: 2}, func(b *bench) {
		pass(10 * time.Millisecond)
		b.provider.set(func() { b.provider.parts = time.Second })
		b.take(pool.Urgent).Release(true)
		pass(500 * time.Millisecond)
		if s := b.Stats(); s.Open != 1 || s.Closing != 1 || s.Opening != 0 {
			t.Errorf("%+v", s)
		}
		pass(time.Second)
		if _, most, _ := b.provider.seen(); most != 2 || b.Stats().Open != 2 {
			t.Errorf("%+v, at most %d", b.Stats(), most)
		}
	})
}

func TestCloseWaitsForWhatIsInUse(t *testing.T) {
	within(t, pool.Config[*line]{Min: 2, Max: 2}, func(b *bench) {
		pass(10 * time.Millisecond)
		lease := b.take(pool.Urgent)
		_ = b.take(pool.Urgent) // it does not come back
		waiter := b.waiting(pool.Bulk)
		closed := make(chan error)
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		go func() { closed <- b.Close(ctx) }()
		synctest.Wait()
		if _, ok := <-waiter; ok {
			t.Error("a closed pool gave a session")
		}
		if _, err := b.Acquire(b.Context(), pool.Urgent); !errors.Is(err, pool.ErrClosed) {
			t.Errorf("acquire: %v", err)
		}
		pass(time.Second)
		lease.Release(false)
		err := <-closed
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 sessions") {
			t.Errorf("close: %v", err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %s", took)
		}
		if first, second := b.provider.lines[0], b.provider.lines[1]; first.rudely == second.rudely || !first.closed || !second.closed {
			t.Errorf("one came back and is closed politely, one is not: %+v %+v", first, second)
		}
	})
}

func TestALeaseDoesNothingOnceItsSessionIsGone(t *testing.T) {
	within(t, pool.Config[*line]{Min: 1, Max: 1}, func(b *bench) {
		lease := b.take(pool.Urgent)
		lease.Release(false)
		lease.Release(true)
		lease.Fail(errDown)
		if s := b.Stats(); s.Idle != 1 || s.Broken != 0 {
			t.Errorf("%+v", s)
		}
		lease = b.take(pool.Urgent)
		ctx, cancel := context.WithCancel(b.Context())
		cancel()
		if err := b.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("close: %v", err)
		}
		lease.Release(false)
		lease.Fail(errDown)
		if s := b.Stats(); s.Open != 0 || s.Closed != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestCloseEndsWhatIsBeingOpened(t *testing.T) {
	within(t, pool.Config[*line]{Min: 5, Max: 5}, func(b *bench) {
		b.provider.set(func() { b.provider.takes = time.Hour })
		b.take(pool.Urgent).Release(true)
		pass(time.Second)
		began := time.Now()
		b.finish()
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %s", took)
		}
		b.SetLimit(3)
		b.Throttle(time.Now().Add(time.Hour))
		b.Start()
		pass(time.Hour)
	})
}

func TestCloseStopsBeingPoliteWhenItsTimeIsUp(t *testing.T) {
	within(t, pool.Config[*line]{Min: 3, Max: 3, CloseTimeout: time.Hour}, func(b *bench) {
		pass(time.Second)
		b.provider.set(func() { b.provider.parts = 2 * time.Hour })
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := b.Close(ctx); err != nil {
			t.Errorf("nothing was in use: %v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestOpeningAndClosingHaveAnEnd(t *testing.T) {
	within(t, pool.Config[*line]{Min: 1, Max: 1, OpenTimeout: 3 * time.Second, CloseTimeout: 2 * time.Second}, func(b *bench) {
		lease := b.take(pool.Urgent)
		b.provider.set(func() { b.provider.takes, b.provider.parts = time.Hour, time.Hour })
		lease.Release(true)
		pass(2 * time.Second)
		if s := b.Stats(); s.Closing != 0 || s.Closed != 1 || s.Opening != 1 {
			t.Errorf("when closing has had its time: %+v", s)
		}
		pass(3 * time.Second)
		if s := b.Stats(); s.FailedToOpen != 1 || !errors.Is(s.LastError, context.DeadlineExceeded) {
			t.Errorf("when opening has had its time: %+v", s)
		}
	})
}
