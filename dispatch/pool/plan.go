package pool

import "time"

// Policy says when a pool grows and when it gives sessions back.
type Policy struct {
	// GrowAfter is how long work may wait before the pool grows (50 ms).
	// Urgent work, and as much work as there are sessions, do not wait for it.
	GrowAfter time.Duration
	// GrowEvery is the least time between two steps up (50 ms). A step doubles
	// the pool, as far as there is work for it.
	GrowEvery time.Duration
	// IdleTimeout is how long a session must have been more than enough before
	// the first is given back (5 s). It is also the least time between a step
	// up and a step down.
	IdleTimeout time.Duration
	// GiveBackEvery is the least time between two steps down (250 ms). A step
	// down is one session.
	GiveBackEvery time.Duration
}

func (p Policy) withDefaults() Policy {
	p.GrowAfter = orDefault(p.GrowAfter, 50*time.Millisecond)
	p.GrowEvery = orDefault(p.GrowEvery, 50*time.Millisecond)
	p.IdleTimeout = orDefault(p.IdleTimeout, 5*time.Second)
	p.GiveBackEvery = orDefault(p.GiveBackEvery, 250*time.Millisecond)
	return p
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Sample is what a pool looks like at one moment.
type Sample struct {
	Planned int // sessions there should be by the last plan
	Wanted  int // sessions with which nobody would wait: in use, waited for, and kept free for urgent work
	Peak    int // most that were wanted at any moment of the last IdleTimeout

	Waiting    int           // pieces of work that wait for a session
	Urgent     int           // those of them that are urgent
	OldestWait time.Duration // how long the first of them has waited

	SinceGrown time.Duration // since the last step up
	SinceGiven time.Duration // since the last step down

	Min, Max int // of the account
	Limit    int // this node's share of the account's sessions
}

// Plan says how many sessions there should be.
//
// The answer is never above the smaller of Max and Limit, at once when these
// fall, and never below Min unless Limit is. Between them the pool grows while
// work waits, quickly: each step doubles it, but not beyond what is wanted. It
// is given back slowly: one session at a time, and only those that nothing
// wanted during the last IdleTimeout. What the pool grew by is therefore kept
// for at least that long, however the load swings, and growing and giving back
// cannot follow each other faster.
func (p Policy) Plan(s Sample) int {
	highest := max(0, min(s.Max, s.Limit))
	lowest := min(s.Min, highest)
	now := min(max(s.Planned, lowest), highest)
	switch {
	case p.pressed(s, now):
		step := min(max(now, 1), s.Wanted-now)
		return min(now+step, highest)
	case p.quiet(s, now):
		return max(now-1, lowest)
	default:
		return now
	}
}

// pressed reports whether more work waits than the planned sessions can soon
// take up.
func (p Policy) pressed(s Sample, planned int) bool {
	if s.Waiting == 0 || s.Wanted <= planned || s.SinceGrown < p.GrowEvery {
		return false
	}
	return s.Urgent > 0 || s.Waiting >= planned || s.OldestWait >= p.GrowAfter
}

// quiet reports whether a session has been too many for long enough.
func (p Policy) quiet(s Sample, planned int) bool {
	return s.Waiting == 0 && max(s.Wanted, s.Peak) < planned &&
		s.SinceGrown >= p.IdleTimeout && s.SinceGiven >= p.GiveBackEvery
}

// peak is the greatest of a figure over a window of time, kept in buckets: it
// remembers for at least the window and at most a tenth of it longer.
type peak struct {
	bucket  time.Duration
	greater [11]int // by age; [0] is the bucket of now
	began   time.Time
	last    int // the figure as it stands
}

func newPeak(window time.Duration, now time.Time) peak {
	return peak{bucket: max(window/10, 1), began: now}
}

// observe says what the figure is from now on.
func (p *peak) observe(now time.Time, figure int) {
	p.turn(now)
	p.last = figure
	p.greater[0] = max(p.greater[0], figure)
}

// over is the greatest figure of the window that ends now.
func (p *peak) over(now time.Time) int {
	p.turn(now)
	most := p.last
	for _, g := range p.greater {
		most = max(most, g)
	}
	return most
}

// turn moves the buckets on; the figure held through all those it passes.
func (p *peak) turn(now time.Time) {
	for turned := 0; now.Sub(p.began) >= p.bucket; turned++ {
		if turned > len(p.greater) { // nothing is left of before
			p.began = now
			return
		}
		copy(p.greater[1:], p.greater[:])
		p.greater[0] = p.last
		p.began = p.began.Add(p.bucket)
	}
}
