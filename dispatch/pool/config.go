package pool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Config says what a pool is made of. Every figure that is zero takes the
// value in brackets.
type Config[S any] struct {
	// Open makes a session. It returns soon after ctx ends. Several calls may
	// run at once.
	Open func(ctx context.Context) (S, error)
	// Close ends a session, politely where that can be done before ctx ends.
	// No call is made after it, and it is called once for each session. When
	// the pool itself is closed and its time is up, it is called with an ended
	// ctx for sessions that are still in somebody's hands.
	Close func(ctx context.Context, s S)
	// Alive asks a session that has rested whether it still is one; nil: it is
	// not asked.
	Alive func(ctx context.Context, s S) error
	// CheckAfter is how long a session rests before Alive is asked (30 s).
	CheckAfter time.Duration

	// OpenTimeout, CheckTimeout and CloseTimeout end the context given to
	// Open (30 s), Alive (5 s) and Close (5 s).
	OpenTimeout, CheckTimeout, CloseTimeout time.Duration
	// OpenAtOnce is how many sessions are opened side by side at most (8);
	// after a failure it is one.
	OpenAtOnce int

	// Min is how many sessions are kept open, whether there is work or not; it
	// may be 0. Max is the most there may be, at least 1.
	Min, Max int
	// Reserved is how many sessions of Max bulk work leaves to urgent work
	// (Max/10, at least one if Max is more than one; negative: none). While
	// fewer are open it leaves as large a part of them, and at least one of
	// two or more. What urgent work has in use counts as left to it.
	Reserved int
	Policy   Policy

	// A session that failed, and one that could not be opened, is tried again
	// after BackoffFirst (500 ms), then after twice as long each time, up to
	// BackoffLongest (1 min). Each wait is cut by a random part of up to half.
	BackoffFirst, BackoffLongest time.Duration
	// OpenFailures is how many failures of Open in a row open the circuit
	// while no session is open (3). While some are, the pool only waits longer
	// between its tries: the account works, it does not grant more.
	OpenFailures int
	// The circuit opens, too, when BreakLimit (5) more sessions broke within
	// BreakWindow (30 s) than were given back well.
	BreakLimit  int
	BreakWindow time.Duration
	// Hopeless tells errors of Open that trying again does not mend, such as a
	// wrong password: they count as OpenFailures at once, and the next try is
	// after BackoffLongest. nil: there are none.
	Hopeless func(err error) bool
	// OnCircuit is told when the circuit opens, each time a probe fails, and
	// when it closes; err is why and next the time of the probe. It is called
	// in order by one goroutine and may use the pool, but not close it.
	OnCircuit func(open bool, err error, next time.Time)

	// PauseWait is the longest pause of the account that Acquire waits out
	// (1 s); during a longer one it refuses.
	PauseWait time.Duration
}

func (c Config[S]) withDefaults() Config[S] {
	c.Policy = c.Policy.withDefaults()
	c.CheckAfter = orDefault(c.CheckAfter, 30*time.Second)
	c.OpenTimeout = orDefault(c.OpenTimeout, 30*time.Second)
	c.CheckTimeout = orDefault(c.CheckTimeout, 5*time.Second)
	c.CloseTimeout = orDefault(c.CloseTimeout, 5*time.Second)
	c.BackoffFirst = orDefault(c.BackoffFirst, 500*time.Millisecond)
	c.BackoffLongest = orDefault(c.BackoffLongest, time.Minute)
	c.BreakWindow = orDefault(c.BreakWindow, 30*time.Second)
	c.PauseWait = orDefault(c.PauseWait, time.Second)
	if c.OpenAtOnce == 0 {
		c.OpenAtOnce = 8
	}
	if c.OpenFailures == 0 {
		c.OpenFailures = 3
	}
	if c.BreakLimit == 0 {
		c.BreakLimit = 5
	}
	if c.Reserved == 0 && c.Max > 1 {
		c.Reserved = max(1, c.Max/10)
	}
	if c.Hopeless == nil {
		c.Hopeless = func(error) bool { return false }
	}
	if c.OnCircuit == nil {
		c.OnCircuit = func(bool, error, time.Time) {}
	}
	return c
}

func (c Config[S]) validate() error {
	var errs []error
	if c.Open == nil || c.Close == nil {
		errs = append(errs, errors.New("open and close must be given"))
	}
	if c.Max < 1 {
		errs = append(errs, fmt.Errorf("max is %d and must be at least 1", c.Max))
	}
	if c.Min < 0 || c.Min > c.Max {
		errs = append(errs, fmt.Errorf("min is %d and must be from 0 to max, which is %d", c.Min, c.Max))
	}
	if c.Reserved > 0 && c.Reserved >= c.Max {
		errs = append(errs, fmt.Errorf("%d sessions of %d are kept for urgent work: nothing is left for the rest", c.Reserved, c.Max))
	}
	if c.OpenAtOnce < 0 || c.OpenFailures < 0 || c.BreakLimit < 0 {
		errs = append(errs, errors.New("open at once, open failures and break limit must not be negative"))
	}
	if c.BackoffLongest < c.BackoffFirst {
		errs = append(errs, fmt.Errorf("the longest backoff, %s, is shorter than the first, %s", c.BackoffLongest, c.BackoffFirst))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("pool: %w", err)
	}
	return nil
}
