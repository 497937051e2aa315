package pool

import (
	"math/rand/v2"
	"time"
)

// CircuitState says whether work is let through to the account.
type CircuitState string

// The states of a circuit:
//
//	closed ──failures──▶ open ──time of the next try──▶ half open ──it opens──▶ closed
//	                      ▲                                 │
//	                      └────────────it fails─────────────┘
const (
	CircuitClosed   CircuitState = "closed"    // work goes through
	CircuitOpen     CircuitState = "open"      // the account fails: work is refused
	CircuitHalfOpen CircuitState = "half_open" // one session is being opened to see
)

// circuit counts the failures of an account and says when it is tried again.
// It is guarded by the pool's mutex.
type circuit struct {
	first, longest time.Duration
	openFailures   int // limit
	breakLimit     int
	breakWindow    time.Duration
	spread         func() float64 // from [0, 1)

	state   CircuitState
	tripped time.Time // when it opened last
	next    time.Time // no session is opened before it
	failed  int       // failures of Open in a row, since the circuit closed
	breaks  []time.Time
	// openStrikes and breakStrikes are how often a wait was begun by a failure
	// of Open and by a session that broke, with no success of the same kind
	// between. They set the length of the next wait.
	openStrikes, breakStrikes int
	// onTrial says that the circuit was closed by a probe and no session has
	// been given back well since: the first failure opens it again.
	onTrial bool

	lastErr   error
	lastErrAt time.Time
}

func newCircuit[S any](c Config[S]) circuit {
	return circuit{
		first:        c.BackoffFirst,
		longest:      c.BackoffLongest,
		openFailures: c.OpenFailures,
		breakLimit:   c.BreakLimit,
		breakWindow:  c.BreakWindow,
		spread:       rand.Float64,
		state:        CircuitClosed,
	}
}

// openFailed records that a session could not be opened. What fails during a
// wait failed together with what began it, and counts once.
func (c *circuit) openFailed(now time.Time, err error, hopeless bool) {
	c.lastErr, c.lastErrAt = err, now
	if !now.Before(c.next) || c.state == CircuitHalfOpen {
		c.failed++
		c.openStrikes++
		c.next = now.Add(c.jittered(c.wait()))
	}
	if hopeless {
		c.failed = max(c.failed, c.openFailures)
		c.next = now.Add(c.jittered(c.longest))
	}
}

// broke records that a session failed in use. One that was opened before the
// circuit opened belongs to what opened it.
func (c *circuit) broke(now, opened time.Time, err error) {
	if opened.Before(c.tripped) {
		return
	}
	c.lastErr, c.lastErrAt = err, now
	c.breaks = append(c.recentBreaks(now), now)
	if !now.Before(c.next) {
		c.breakStrikes++
		c.next = now.Add(c.jittered(c.wait()))
	}
}

// doubtful reports whether the last thing that was tried failed.
func (c *circuit) doubtful() bool { return c.openStrikes+c.breakStrikes > 0 }

// wait is the time before the next try, without jitter.
func (c *circuit) wait() time.Duration {
	wait := c.first
	for range c.openStrikes + c.breakStrikes - 1 {
		if wait >= c.longest/2 {
			return c.longest
		}
		wait *= 2
	}
	return min(wait, c.longest)
}

func (c *circuit) jittered(wait time.Duration) time.Duration {
	return wait/2 + time.Duration(c.spread()*float64(wait/2))
}

// trips reports whether the circuit must open now; alone says that no session
// is open.
func (c *circuit) trips(now time.Time, alone bool) bool {
	switch c.state {
	case CircuitOpen:
		return false
	case CircuitHalfOpen:
		return c.failed > 0
	default:
		c.breaks = c.recentBreaks(now)
		return alone && c.failed >= c.openFailures ||
			len(c.breaks) >= c.breakLimit ||
			c.onTrial && (len(c.breaks) > 0 || alone && c.failed > 0)
	}
}

// open refuses work from now on until a probe succeeds.
func (c *circuit) open(now time.Time) {
	c.state, c.tripped, c.failed = CircuitOpen, now, 0
	if next := now.Add(c.jittered(c.wait())); next.After(c.next) {
		c.next = next
	}
}

// opened records that a session was opened, and reports whether that closed
// the circuit.
func (c *circuit) opened() (closed bool) {
	switch {
	case c.state == CircuitOpen: // it was under way before
		return false
	case c.state == CircuitHalfOpen:
		c.state, c.onTrial, c.breaks = CircuitClosed, true, nil
		closed = true
	case !c.onTrial:
		c.openStrikes = 0
	}
	c.failed = 0
	return closed
}

// worked records that a session was given back well: it makes up for one that
// broke. What was begun before the circuit opened tells nothing of now.
func (c *circuit) worked() {
	if c.state != CircuitClosed {
		return
	}
	c.breakStrikes = 0
	if c.onTrial {
		c.onTrial, c.openStrikes = false, 0
	}
	if len(c.breaks) > 0 {
		c.breaks = c.breaks[1:]
	}
}

func (c *circuit) recentBreaks(now time.Time) []time.Time {
	for len(c.breaks) > 0 && now.Sub(c.breaks[0]) >= c.breakWindow {
		c.breaks = c.breaks[1:]
	}
	return c.breaks
}
