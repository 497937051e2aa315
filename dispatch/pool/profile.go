package pool

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ProfileConfig is a load of three phases: idle, a burst, idle again. A figure
// that is zero takes the value in brackets.
type ProfileConfig struct {
	Min, Max int // of the pool that is measured (2, 20)
	Policy   Policy

	Before time.Duration // the first idle phase (10 s)
	Burst  int           // pieces of bulk work that come at once (2,400)
	After  time.Duration // the second idle phase (30 s)
	Every  time.Duration // a single piece of work comes this often in the idle phases (1 s)

	Service time.Duration // how long a piece of work holds a session (50 ms)
	Opening time.Duration // how long a session takes to open (50 ms)
	Workers int           // how many workers take the burst's work (2 × Max)
}

func (c ProfileConfig) withDefaults() ProfileConfig {
	if c.Max == 0 {
		c.Min, c.Max = 2, 20
	}
	if c.Burst == 0 {
		c.Burst = 2400
	}
	if c.Workers == 0 {
		c.Workers = 2 * c.Max
	}
	c.Before = orDefault(c.Before, 10*time.Second)
	c.After = orDefault(c.After, 30*time.Second)
	c.Every = orDefault(c.Every, time.Second)
	c.Service = orDefault(c.Service, 50*time.Millisecond)
	c.Opening = orDefault(c.Opening, 50*time.Millisecond)
	return c
}

// ProfileResult compares a pool between min and max with one that always has
// max sessions, under the same load.
type ProfileResult struct {
	DrainRatio          float64 `json:"drain_ratio"`           // time to drain the burst, to the fixed pool's
	SessionSecondsRatio float64 `json:"session_seconds_ratio"` // over the whole profile, to the fixed pool's
	DirectionChanges    int64   `json:"direction_changes"`     // the most in any one phase

	DrainSeconds        float64 `json:"drain_seconds"`
	FixedDrainSeconds   float64 `json:"fixed_drain_seconds"`
	SessionSeconds      float64 `json:"session_seconds"`
	FixedSessionSeconds float64 `json:"fixed_session_seconds"`
	SessionsAfterBurst  int     `json:"sessions_after_burst"`
	SessionsAtEnd       int     `json:"sessions_at_end"`
}

// Profile measures a pool against a fixed one, side by side; neither keeps a
// processor busy. Work is a session held for the time of service. With
// DrainRatio up to 1.10, SessionSecondsRatio under 0.5 and at most one
// direction change the pool does what it is for.
func Profile(ctx context.Context, config ProfileConfig) (ProfileResult, error) {
	config = config.withDefaults()
	fixed := config
	fixed.Min = config.Max

	var runs [2]profileRun
	var errs [2]error
	var work sync.WaitGroup
	for i, c := range []ProfileConfig{config, fixed} {
		work.Go(func() { runs[i], errs[i] = c.run(ctx) })
	}
	work.Wait()
	for _, err := range errs {
		if err != nil {
			return ProfileResult{}, fmt.Errorf("pool profile: %w", err)
		}
	}
	own, other := runs[0], runs[1]
	return ProfileResult{
		DrainRatio:          own.drain.Seconds() / other.drain.Seconds(),
		SessionSecondsRatio: own.sessionTime.Seconds() / other.sessionTime.Seconds(),
		DirectionChanges:    own.turns,
		DrainSeconds:        own.drain.Seconds(),
		FixedDrainSeconds:   other.drain.Seconds(),
		SessionSeconds:      own.sessionTime.Seconds(),
		FixedSessionSeconds: other.sessionTime.Seconds(),
		SessionsAfterBurst:  own.most,
		SessionsAtEnd:       own.least,
	}, nil
}

// profileRun is what one pool made of the profile.
type profileRun struct {
	drain, sessionTime time.Duration
	turns              int64 // the most in a phase
	most, least        int   // open at the end of the burst and of all
}

func (c ProfileConfig) run(ctx context.Context) (run profileRun, err error) {
	p, err := New(Config[int]{
		Open:  func(ctx context.Context) (int, error) { return 0, c.pass(ctx, c.Opening) },
		Close: func(context.Context, int) {},
		Min:   c.Min, Max: c.Max, Policy: c.Policy,
	})
	if err != nil {
		return run, err
	}
	p.Start()
	defer func() {
		if closeErr := p.Close(ctx); err == nil {
			err = closeErr
		}
	}()

	var changes int64
	for _, phase := range []func(context.Context, *Pool[int]) error{
		func(ctx context.Context, p *Pool[int]) error { return c.idle(ctx, p, c.Before) },
		func(ctx context.Context, p *Pool[int]) error {
			start := time.Now()
			err := c.burst(ctx, p)
			run.drain = time.Since(start)
			run.most = p.Stats().Open
			return err
		},
		func(ctx context.Context, p *Pool[int]) error { return c.idle(ctx, p, c.After) },
	} {
		if err := phase(ctx, p); err != nil {
			return run, err
		}
		stats := p.Stats()
		run.turns = max(run.turns, stats.DirectionChanges-changes)
		changes = stats.DirectionChanges
		run.sessionTime, run.least = stats.SessionTime, stats.Open
	}
	return run, nil
}

// idle does a single piece of work now and then.
func (c ProfileConfig) idle(ctx context.Context, p *Pool[int], length time.Duration) error {
	for end := time.Now().Add(length); time.Until(end) > 0; {
		if err := c.pass(ctx, min(c.Every, time.Until(end))); err != nil {
			return err
		}
		if err := c.one(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// burst does all its work as fast as the pool lets it.
func (c ProfileConfig) burst(ctx context.Context, p *Pool[int]) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var taken atomic.Int64
	var work sync.WaitGroup
	for range c.Workers {
		work.Go(func() {
			for taken.Add(1) <= int64(c.Burst) {
				if err := c.one(ctx, p); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	work.Wait()
	return context.Cause(ctx)
}

// one does one piece of work.
func (c ProfileConfig) one(ctx context.Context, p *Pool[int]) error {
	lease, err := p.Acquire(ctx, Bulk)
	if err != nil {
		return err
	}
	defer lease.Release(false)
	return c.pass(ctx, c.Service)
}

// pass lets time pass.
func (c ProfileConfig) pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
