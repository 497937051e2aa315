package pool_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"herald/dispatch/pool"
)

// use is what happens to a pool in one run of TestAnyUse.
type use struct {
	takes, parts time.Duration // to open and to close a session
	min, max     int
	actions      []func(u *user)
}

// user does it, and holds the pool to what must always be true.
type user struct {
	*bench
	ctx   context.Context
	inUse map[*line]bool
}

// TestAnyUse plays random work, failures, shares and pauses.
func TestAnyUse(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := drawUse(rt)
		var err error
		synctest.Test(t, func(t *testing.T) { err = script.play(t) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func drawUse(rt *rapid.T) use {
	ms := func(most int, of string) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(rt, "ms "+of)) * time.Millisecond
	}
	u := use{takes: ms(100, "to open"), parts: ms(100, "to close"), max: rapid.IntRange(1, 12).Draw(rt, "max")}
	u.min = rapid.IntRange(0, u.max).Draw(rt, "min")
	for range rapid.IntRange(1, 30).Draw(rt, "actions") {
		var action func(u *user)
		switch rapid.SampledFrom([]string{"work", "work", "work", "limit", "pause", "fail", "mend", "time"}).Draw(rt, "action") {
		case "work":
			class := rapid.SampledFrom([]pool.Class{pool.Bulk, pool.Urgent}).Draw(rt, "class")
			pieces, length, end := rapid.IntRange(1, 30).Draw(rt, "pieces"), ms(3000, "of work"), rapid.IntRange(0, 5).Draw(rt, "end")
			action = func(u *user) {
				for range pieces {
					go u.work(class, length, end)
				}
			}
		case "limit":
			limit := rapid.IntRange(0, 15).Draw(rt, "limit")
			action = func(u *user) { u.SetLimit(limit) }
		case "pause":
			pause := ms(5000, "of pause")
			action = func(u *user) { u.Throttle(time.Now().Add(pause)) }
		case "fail":
			action = func(u *user) { u.provider.set(func() { u.provider.failing = errDown }) }
		case "mend":
			action = func(u *user) { u.provider.set(func() { u.provider.failing = nil }) }
		case "time":
			length := ms(20_000, "that pass")
			action = func(*user) { time.Sleep(length) }
		}
		u.actions = append(u.actions, action)
	}
	return u
}

// work does one piece of work, which ends well or not.
func (u *user) work(class pool.Class, length time.Duration, end int) {
	lease, err := u.Acquire(u.ctx, class)
	if err != nil {
		return
	}
	u.provider.set(func() {
		if u.inUse[lease.Session] || lease.Session.closed {
			panic("a session was given out twice, or after it was closed")
		}
		u.inUse[lease.Session] = true
	})
	time.Sleep(length)
	u.provider.set(func() { delete(u.inUse, lease.Session) })
	switch end {
	case 0:
		lease.Fail(errDown)
	default:
		lease.Release(end == 1)
	}
}

func (script use) play(t *testing.T) error {
	f := &provider{takes: script.takes, parts: script.parts}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	u := &user{bench: newBench(t, f, pool.Config[*line]{Min: script.min, Max: script.max}), ctx: ctx, inUse: map[*line]bool{}}
	u.Start()
	defer u.finish()
	for _, action := range script.actions {
		action(u)
		synctest.Wait()
		if err := u.holds(); err != nil {
			return err
		}
	}
	f.set(func() { f.failing = nil })
	u.SetLimit(script.max)
	pass(time.Hour) // all is done, and it is quiet
	s := u.Stats()
	switch {
	case s.Open != script.min || s.InUse+s.WaitingBulk+s.WaitingUrgent+s.Closing+s.Opening != 0 || s.Circuit != pool.CircuitClosed:
		return fmt.Errorf("when all is over: %+v", s)
	case s.Opened != s.Closed+int64(s.Open):
		return fmt.Errorf("opened and closed do not agree: %+v", s)
	}
	return nil
}

// holds is what is true at any moment when nothing is about to happen.
func (u *user) holds() error {
	s := u.Stats()
	now, most, _ := u.provider.seen()
	switch {
	case s.Idle+s.InUse != s.Open || s.Open+s.Opening+s.Closing != now:
		return fmt.Errorf("the figures do not agree: %+v", s)
	case s.Idle > 0 && s.Circuit == pool.CircuitOpen:
		return fmt.Errorf("a failing account's sessions are kept: %+v", s)
	case s.Idle > 0 && s.WaitingUrgent > 0 && !time.Now().Before(s.PausedUntil):
		return fmt.Errorf("a session rests while urgent work waits: %+v", s)
	case s.Idle > s.Limit:
		return fmt.Errorf("sessions are kept that are others': %+v", s)
	case most > s.Max:
		return fmt.Errorf("%d sessions at once, of %d", most, s.Max)
	}
	return nil
}
