package pool_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"herald/dispatch/pool"
)

var policy = pool.Policy{
	GrowAfter:     50 * time.Millisecond,
	GrowEvery:     50 * time.Millisecond,
	IdleTimeout:   5 * time.Second,
	GiveBackEvery: 250 * time.Millisecond,
}

// long is a time after which no step stands in the way of another.
const long = time.Hour

func TestPlan(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name   string
		sample pool.Sample
		want   int
	}{
		{"a new pool has its min", pool.Sample{Min: 2, Max: 20, Limit: 20}, 2},
		{"a new pool without a min has nothing", pool.Sample{Max: 20, Limit: 20}, 0},
		{"the first work opens the first session", pool.Sample{Max: 20, Limit: 20, Waiting: 1, Wanted: 1}, 1},
		{"a share below min is all there is", pool.Sample{Planned: 4, Min: 4, Max: 20, Limit: 3}, 3},
		{"no share, no sessions", pool.Sample{Planned: 4, Min: 4, Max: 20, Limit: 0, Waiting: 9, Wanted: 13}, 0},
		{"a share above max changes nothing", pool.Sample{Planned: 20, Min: 2, Max: 20, Limit: 50, Waiting: 30, Wanted: 20, Peak: 20}, 20},
		{"a share that falls counts at once", pool.Sample{Planned: 16, Wanted: 16, Peak: 16, Min: 2, Max: 20, Limit: 9}, 9},

		{"a burst doubles it", pool.Sample{Planned: 4, Wanted: 20, Waiting: 30, Min: 2, Max: 20, Limit: 20}, 8},
		{"up to max", pool.Sample{Planned: 16, Wanted: 20, Waiting: 30, Min: 2, Max: 20, Limit: 20}, 20},
		{"up to the share", pool.Sample{Planned: 8, Wanted: 20, Waiting: 30, Min: 2, Max: 20, Limit: 10}, 10},
		{"but not beyond what is wanted", pool.Sample{Planned: 8, Wanted: 10, Waiting: 2, OldestWait: 60 * ms, Min: 2, Max: 20, Limit: 20}, 10},
		{"nor while those under way will do", pool.Sample{Planned: 8, Wanted: 8, Waiting: 4, OldestWait: 60 * ms, Min: 2, Max: 20, Limit: 20}, 8},
		{"little work waits a little", pool.Sample{Planned: 8, Wanted: 9, Waiting: 1, OldestWait: 49 * ms, Min: 2, Max: 20, Limit: 20}, 8},
		{"and then no longer", pool.Sample{Planned: 8, Wanted: 9, Waiting: 1, OldestWait: 50 * ms, Min: 2, Max: 20, Limit: 20}, 9},
		{"urgent work does not wait", pool.Sample{Planned: 8, Wanted: 9, Waiting: 1, Urgent: 1, Min: 2, Max: 20, Limit: 20}, 9},
		{"steps up keep their distance", pool.Sample{Planned: 4, Wanted: 20, Waiting: 30, Min: 2, Max: 20, Limit: 20, SinceGrown: 49 * ms, SinceGiven: long}, 4},

		{"what is too many goes one by one", pool.Sample{Planned: 20, Wanted: 1, Peak: 3, Min: 2, Max: 20, Limit: 20}, 19},
		{"not while it was wanted lately", pool.Sample{Planned: 20, Wanted: 1, Peak: 20, Min: 2, Max: 20, Limit: 20}, 20},
		{"not while work waits", pool.Sample{Planned: 20, Wanted: 3, Peak: 3, Waiting: 1, Min: 2, Max: 20, Limit: 20}, 20},
		{"not soon after a step up", pool.Sample{Planned: 20, Min: 2, Max: 20, Limit: 20, SinceGrown: 4999 * ms, SinceGiven: long}, 20},
		{"not soon after another", pool.Sample{Planned: 20, Min: 2, Max: 20, Limit: 20, SinceGrown: long, SinceGiven: 249 * ms}, 20},
		{"never below min", pool.Sample{Planned: 2, Min: 2, Max: 20, Limit: 20}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.sample.SinceGrown == 0 && test.sample.SinceGiven == 0 {
				test.sample.SinceGrown, test.sample.SinceGiven = long, long
			}
			if got := policy.Plan(test.sample); got != test.want {
				t.Errorf("%d sessions, want %d", got, test.want)
			}
		})
	}
}

// step is one change of a plan.
type step struct {
	at time.Duration
	up bool
}

// TestPlanUnderAnyLoad plays a pool whose sessions open at once under a load
// that jumps at random, and then under none.
func TestPlanUnderAnyLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const tick = 50 * time.Millisecond
		limit := rapid.IntRange(0, 40).Draw(t, "limit")
		s := pool.Sample{
			Min: rapid.IntRange(0, 5).Draw(t, "min"), Max: rapid.IntRange(5, 40).Draw(t, "max"),
			Limit: limit, SinceGrown: long, SinceGiven: long,
		}
		highest := min(s.Max, s.Limit)
		lowest := min(s.Min, highest)
		var steps []step
		var history []int // wanted, tick by tick
		at := time.Duration(0)
		play := func(load int) {
			s.Wanted = min(load, highest)
			s.Waiting = max(0, load-s.Planned)
			s.OldestWait += tick
			if s.Waiting == 0 {
				s.OldestWait = 0
			}
			history = append(history, s.Wanted)
			s.Peak = 0
			for _, wanted := range history[max(0, len(history)-int(policy.IdleTimeout/tick)):] {
				s.Peak = max(s.Peak, wanted)
			}
			planned := policy.Plan(s)
			if planned < lowest || planned > highest {
				t.Fatalf("%d sessions are not from %d to %d: %+v", planned, lowest, highest, s)
			}
			s.SinceGrown += tick
			s.SinceGiven += tick
			before := max(s.Planned, lowest)
			switch {
			case planned > before:
				steps = append(steps, step{at, true})
				s.SinceGrown = tick
			case planned < before:
				if planned != before-1 {
					t.Fatalf("%d sessions were given back at once", before-planned)
				}
				steps = append(steps, step{at, false})
				s.SinceGiven = tick
			}
			s.Planned = planned
			at += tick
		}
		for range rapid.IntRange(1, 20).Draw(t, "changes of load") {
			load := rapid.IntRange(0, 80).Draw(t, "load")
			for range rapid.IntRange(1, 200).Draw(t, "ticks") {
				play(load)
			}
		}
		for range int((policy.IdleTimeout+policy.GiveBackEvery*41)/tick) + 1 {
			play(0)
		}
		if s.Planned != lowest {
			t.Errorf("%d sessions in the end, want %d", s.Planned, lowest)
		}
		for i, grew := range steps {
			for j := i + 1; j < len(steps) && grew.up; j++ {
				if !steps[j].up && steps[j].at-grew.at < policy.IdleTimeout {
					t.Errorf("grew at %s and gave back at %s", grew.at, steps[j].at)
				}
			}
		}
	})
}
