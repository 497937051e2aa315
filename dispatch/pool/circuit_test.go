package pool_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herald/dispatch/pool"
)

func TestAnAccountThatIsDownIsTriedAfterLongerAndLongerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &provider{takes: time.Millisecond, failing: errDown}
		b := newBench(t, f, pool.Config[*line]{Min: 1, Max: 10, BackoffFirst: time.Second, BackoffLongest: 10 * time.Second})
		b.Start()
		pass(10 * time.Minute)
		waits := f.gaps()
		for i, longest := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second} {
			if waits[i] < longest/2 || waits[i] > longest {
				t.Errorf("wait %d is %s, want from %s to %s", i+1, waits[i], longest/2, longest)
			}
		}
		if slices.Max(waits) > 10*time.Second {
			t.Errorf("the longest wait was %s", slices.Max(waits))
		}
		if _, _, atOnce := f.seen(); atOnce != 1 {
			t.Errorf("%d tries at once", atOnce)
		}
		b.finish()
	})
}

func TestWaitsAreSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			f := &provider{failing: errDown}
			b := newBench(t, f, pool.Config[*line]{Min: 1, Max: 1})
			b.Start()
			pass(time.Second)
			seen[f.gaps()[0]] = true
			b.finish()
		})
	}
	if len(seen) < 5 {
		t.Errorf("ten accounts came back together: %v", seen)
	}
}

func TestTheCircuitOpensWhenNothingCanBeOpened(t *testing.T) {
	within(t, pool.Config[*line]{Max: 10}, func(b *bench) {
		b.provider.set(func() { b.provider.failing = errDown })
		failed := make(chan error)
		go func() {
			_, err := b.Acquire(b.Context(), pool.Bulk)
			failed <- err
		}()
		err := <-failed // when the third try has failed
		var refused *pool.Refused
		if !errors.As(err, &refused) || !errors.Is(err, errDown) || refused.Throttled || !refused.Next.After(time.Now()) {
			t.Errorf("who waited: %v", err)
		}
		if !strings.Contains(err.Error(), "tried again at 2000-01-01T") {
			t.Errorf("the error says no time: %v", err)
		}
		s := b.Stats()
		if s.Circuit != pool.CircuitOpen || s.FailedToOpen != 3 || !errors.Is(s.LastError, errDown) || s.LastErrorAt.IsZero() {
			t.Errorf("%+v", s)
		}
		if again := b.refused(); !again.Next.Equal(s.NextTry) {
			t.Errorf("refused until %s, and the next try is at %s", again.Next, s.NextTry)
		}

		pass(time.Until(s.NextTry) + b.provider.takes/2)
		if s := b.Stats(); s.Circuit != pool.CircuitHalfOpen || s.Opening != 1 {
			t.Errorf("while the probe is under way: %+v", s)
		}
		if again := b.refused(); !again.Next.After(time.Now()) {
			t.Errorf("refused until %s, which is past", again.Next)
		}
		pass(b.provider.takes)
		if s := b.Stats(); s.Circuit != pool.CircuitOpen || s.FailedToOpen != 4 {
			t.Errorf("when the probe has failed: %+v", s)
		}

		b.provider.set(func() { b.provider.failing = nil })
		pass(time.Until(b.Stats().NextTry) + 2*b.provider.takes)
		b.take(pool.Urgent).Release(false)
		if got := b.provider.told(); got != "open open closed" {
			t.Errorf("it told %q", got)
		}
	})
}

func TestTheCircuitOpensWhenSessionsBreak(t *testing.T) {
	within(t, pool.Config[*line]{Min: 10, Max: 10, BreakLimit: 3, BreakWindow: time.Minute}, func(b *bench) {
		pass(time.Second)
		var leases []*pool.Lease[*line]
		for range 8 {
			leases = append(leases, b.take(pool.Urgent))
		}
		before := b.Stats().Opened
		for _, lease := range leases[:3] {
			lease.Fail(errDown)
		}
		b.refused()
		pass(20 * time.Millisecond)
		if s := b.Stats(); s.Circuit != pool.CircuitOpen || s.Idle != 0 || s.InUse != 5 || s.Broken != 3 || s.Opened != before {
			t.Errorf("%+v", s)
		}
		pass(time.Second) // the probe
		if s := b.Stats(); s.Circuit != pool.CircuitClosed || s.Open == 0 {
			t.Errorf("after the probe: %+v", s)
		}
		for _, lease := range leases[3:] { // they belong to the same break
			lease.Fail(errDown)
		}
		if s := b.Stats(); s.Circuit != pool.CircuitClosed {
			t.Errorf("older sessions opened it again: %+v", s)
		}

		b.take(pool.Urgent).Fail(errDown) // one of the new ones, which none has used well
		b.refused()
		pass(time.Minute)
		b.take(pool.Urgent).Release(false)
		b.take(pool.Urgent).Fail(errDown)
		if s := b.Stats(); s.Circuit != pool.CircuitClosed {
			t.Errorf("one break opened it once it had worked: %+v", s)
		}
	})
}

func TestWorkThatGoesWellMakesUpForSessionsThatBreak(t *testing.T) {
	within(t, pool.Config[*line]{Min: 10, Max: 10, BreakLimit: 3, BreakWindow: time.Minute}, func(b *bench) {
		for range 50 {
			b.take(pool.Urgent).Fail(errDown)
			b.take(pool.Urgent).Release(false)
			pass(time.Second)
		}
		if s := b.Stats(); s.Circuit != pool.CircuitClosed || s.Broken != 50 || b.provider.told() != "" {
			t.Errorf("%+v", s)
		}
	})
}

func TestBreaksLongAgoDoNotCount(t *testing.T) {
	within(t, pool.Config[*line]{Min: 3, Max: 10, BreakLimit: 3, BreakWindow: time.Minute}, func(b *bench) {
		for range 20 {
			b.take(pool.Urgent).Fail(errDown)
			pass(31 * time.Second)
		}
		if s := b.Stats(); s.Circuit != pool.CircuitClosed || s.Broken != 20 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAProviderThatGrantsLessIsNoFailure(t *testing.T) {
	within(t, pool.Config[*line]{Min: 2, Max: 10}, func(b *bench) {
		b.provider.set(func() { b.provider.grants = 4 })
		done := make(chan bool, 2000)
		for range 2000 {
			go func() {
				lease := b.take(pool.Bulk)
				time.Sleep(50 * time.Millisecond)
				lease.Release(false)
				done <- true
			}()
		}
		pass(20 * time.Second)
		s := b.Stats()
		if s.Circuit != pool.CircuitClosed || s.Open != 4 || s.InUse != 3 || s.FailedToOpen < 3 {
			t.Errorf("%+v", s)
		}
		if s.FailedToOpen > 20 {
			t.Errorf("it asked for more %d times in 20 s", s.FailedToOpen)
		}
		for range 2000 {
			<-done
		}
	})
}

func TestASessionThatFailedIsReplacedAfterAWait(t *testing.T) {
	within(t, pool.Config[*line]{Min: 1, Max: 1, BackoffFirst: time.Second}, func(b *bench) {
		b.take(pool.Urgent).Fail(errDown)
		failed := time.Now()
		b.take(pool.Urgent).Release(true)
		if took := time.Since(failed); took < 500*time.Millisecond || took > 1100*time.Millisecond {
			t.Errorf("after a failure: %s", took)
		}
		b.take(pool.Urgent).Release(false) // all is well again
		b.take(pool.Urgent).Release(true)
		ended := time.Now()
		b.take(pool.Urgent).Release(false)
		if took := time.Since(ended); took != b.provider.takes+b.provider.parts {
			t.Errorf("after an end that nobody is to blame for: %s", took)
		}
	})
}

func TestAHopelessErrorIsNotTriedAgainSoon(t *testing.T) {
	wrong := errors.New("535 wrong password")
	hopeless := func(err error) bool { return errors.Is(err, wrong) }
	synctest.Test(t, func(t *testing.T) {
		f := &provider{failing: wrong}
		b := newBench(t, f, pool.Config[*line]{Min: 5, Max: 10, OpenAtOnce: 1, Hopeless: hopeless, BackoffLongest: time.Hour})
		b.Start()
		pass(29 * time.Minute)
		if s := b.Stats(); s.Circuit != pool.CircuitOpen || s.FailedToOpen != 1 {
			t.Errorf("%+v", s)
		}
		f.set(func() { f.failing = nil })
		pass(32 * time.Minute)
		if s := b.Stats(); s.Circuit != pool.CircuitClosed || s.Open != 5 {
			t.Errorf("when it is mended: %+v", s)
		}
		b.finish()
	})
}

func TestAPauseHoldsTheWholeAccount(t *testing.T) {
	within(t, pool.Config[*line]{Min: 2, Max: 10, PauseWait: time.Second}, func(b *bench) {
		pass(time.Second)
		working := b.take(pool.Urgent)

		short := time.Now().Add(time.Second)
		b.Throttle(short)
		began := time.Now()
		b.take(pool.Urgent).Release(false)
		if took := time.Since(began); took != time.Second {
			t.Errorf("a short pause was waited out in %s", took)
		}

		bulk := b.waiting(pool.Bulk)
		other := b.take(pool.Urgent)
		next := b.waiting(pool.Urgent)
		long := time.Now().Add(time.Minute)
		b.Throttle(long)
		b.Throttle(short) // it is not shortened
		if _, ok := <-next; ok {
			t.Error("a session was given out in a pause")
		}
		if refused := b.refused(); !refused.Throttled || !refused.Next.Equal(long) || !strings.Contains(refused.Error(), "paused until") {
			t.Errorf("%v", refused)
		}
		(<-bulk).Release(false)
		other.Release(false)
		working.Release(false)
		opened := b.Stats().Opened
		pass(59*time.Second + 500*time.Millisecond)
		if s := b.Stats(); s.Opened != opened || !s.PausedUntil.Equal(long) {
			t.Errorf("in the pause: %+v", s)
		}
		b.take(pool.Bulk).Release(false) // what is left of it is waited out
		if !time.Now().Equal(long) {
			t.Errorf("it ended at %s, want %s", time.Now(), long)
		}
	})
}

func TestAPauseLongerThanTheCallerHasTimeIsARefusal(t *testing.T) {
	within(t, pool.Config[*line]{Min: 2, Max: 10, PauseWait: time.Minute}, func(b *bench) {
		pass(time.Second)
		b.Throttle(time.Now().Add(30 * time.Second))
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
		defer cancel()
		_, err := b.Acquire(ctx, pool.Bulk)
		var refused *pool.Refused
		if !errors.As(err, &refused) || !refused.Throttled {
			t.Errorf("%v", err)
		}
	})
}
