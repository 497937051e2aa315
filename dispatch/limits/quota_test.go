package limits

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herald/postgres/pgtest"
)

// today is a quota of a day that has begun and ends so long from now.
func today(most int64, ends time.Duration) Quota {
	now := time.Now()
	return Quota{Day: "2026-03-01", From: now.Add(-time.Hour), Until: now.Add(ends), Max: most}
}

func TestQuotaIsExactAcrossNodes(t *testing.T) {
	pool := pgtest.New(t)
	slice := repeated(7, Want{Key: "warmup:a", Units: 1, Quota: today(500, time.Hour)})
	var sent atomic.Int64
	var all sync.WaitGroup
	for range 12 {
		r := NewRates(pool)
		all.Go(func() {
			for range 10 {
				slots, err := r.Reserve(t.Context(), slice, time.Second)
				if err != nil {
					t.Error(err)
					return
				}
				sent.Add(int64(reservedOf(slots)))
			}
		})
	}
	all.Wait()
	if sent.Load() != 500 {
		t.Errorf("%d of 500 went", sent.Load())
	}
	// A restart forgets nothing.
	left := reserve(t, NewRates(pool), slice, time.Second)[0]
	if left.Reserved || left.After < 59*time.Minute || left.After > time.Hour || !left.Spent {
		t.Errorf("after the last: %+v, want it at the end of the day", left)
	}
}

func TestQuotaOfTheNextDayIsItsOwn(t *testing.T) {
	r := NewRates(pgtest.New(t))
	q := today(1, time.Hour)
	reserve(t, r, repeated(1, Want{Key: "warmup:a", Units: 1, Quota: q}), time.Second)
	next := Quota{Day: "2026-03-02", From: q.Until, Until: q.Until.Add(24 * time.Hour), Max: 1}
	// A node whose clock is ahead asks too early, by the database's clock.
	early := reserve(t, r, repeated(1, Want{Key: "warmup:a", Units: 1, Quota: next}), time.Second)[0]
	if early.Reserved || early.After < 59*time.Minute {
		t.Errorf("before its day: %+v", early)
	}
	next.From = time.Now().Add(-time.Second)
	if s := reserve(t, r, repeated(1, Want{Key: "warmup:a", Units: 1, Quota: next}), time.Second)[0]; !s.Reserved {
		t.Errorf("in its day: %+v", s)
	}
	// One whose clock is behind asks for a day that is over.
	over := today(100, -time.Second)
	if s := reserve(t, r, repeated(1, Want{Key: "warmup:b", Units: 1, Quota: over}), time.Second)[0]; s.Reserved {
		t.Errorf("after its day: %+v", s)
	}
}

func TestQuotaIsNotUsedByWhatDoesNotGo(t *testing.T) {
	r := NewRates(pgtest.New(t))
	quota := Want{Key: "warmup:a", Units: 1, Quota: today(3, time.Hour)}
	slots := reserve(t, r, repeated(3, wants("account:a", 0.1, 1, 1), quota), time.Second)
	if n := reservedOf(slots); n != 1 || slots[1].Spent {
		t.Fatalf("%d went, want 1; the rate, not the quota, holds the next back: %+v", n, slots[1])
	}
	if n := reservedOf(reserve(t, r, repeated(3, quota), time.Second)); n != 2 {
		t.Errorf("%d more went, want 2", n)
	}
}

func TestMomentsBeyondTheDayAreNotItsOwn(t *testing.T) {
	r := NewRates(pgtest.New(t))
	quota := Want{Key: "warmup:a", Units: 1, Quota: today(100, 450*time.Millisecond)}
	slots := reserve(t, r, repeated(10, wants("account:a", 10, 1, 1), quota), time.Second)
	if n := reservedOf(slots); n > 5 {
		t.Errorf("%d go before midnight, want at most 5", n)
	}
}
