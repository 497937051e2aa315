package collectors

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Config is what a Runner runs and by what. Fields are required unless they
// say otherwise.
type Config struct {
	Store      *Store
	Intake     Intake
	Collectors []Collector
	Node       string // of its own, also after a restart
	Now        func() time.Time
	Logger     *slog.Logger

	Lease      time.Duration // 15 s when zero: how long after a crash another node takes over
	FirstRetry time.Duration // 1 s when zero: the wait after a run that failed; later waits double
	LastRetry  time.Duration // 5 min when zero: the longest of them
	LookAgain  time.Duration // 2 s when zero: how often it looks for dead letters to try again
}

func (c Config) withDefaults() Config {
	for d, usual := range map[*time.Duration]time.Duration{
		&c.Lease: 15 * time.Second, &c.FirstRetry: time.Second, &c.LastRetry: 5 * time.Minute, &c.LookAgain: 2 * time.Second,
	} {
		if *d <= 0 {
			*d = usual
		}
	}
	return c
}

// Runner runs collectors on this node, each while no other node does. It is
// also their Prometheus figures.
type Runner struct {
	Config
	metrics *metrics
}

// NewRunner makes one that Run sets going.
func NewRunner(c Config) *Runner { return &Runner{c.withDefaults(), newMetrics()} }

// Register gives every collector its row. It fails with a Conflict when a name
// was that of a collector of another kind.
func (r *Runner) Register(ctx context.Context) error {
	for _, c := range r.Collectors {
		if err := r.Store.register(ctx, c.Name, c.Kind); err != nil {
			return err
		}
	}
	return nil
}

// Run runs the collectors until ctx ends, and returns when all of them have.
func (r *Runner) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, c := range r.Collectors {
		all.Go(func() { r.collect(ctx, c) })
	}
	all.Wait()
}

// collect waits for a collector's lease and runs it while the lease lasts,
// again and again.
func (r *Runner) collect(ctx context.Context, c Collector) {
	log := r.Logger.With("collector", c.Name)
	failing := false
	for ctx.Err() == nil {
		held, err := r.Store.acquire(ctx, c.Name, r.Node, r.Lease)
		if err == nil {
			failing = false
			r.hold(ctx, c, held, log)
			continue
		}
		if !errors.Is(err, errHeld) && ctx.Err() == nil && !failing {
			failing = true // it is said once
			log.ErrorContext(ctx, "a collector cannot be leased", "error", err)
		}
		if pause(ctx, r.Lease/3) != nil {
			return
		}
	}
}

// hold runs a collector until its lease is lost or ctx ends.
func (r *Runner) hold(ctx context.Context, c Collector, held lease, log *slog.Logger) {
	holding, lose := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() {
		defer lose() // what rests on it ends
		r.keep(holding, c.Name, held.until, log)
	})
	parts.Go(func() { r.tryAgain(holding, c, log) })
	r.metrics.running.WithLabelValues(c.Name).Set(1)
	r.runs(holding, c, held.beganAt, log)
	lose()
	parts.Wait()
	r.metrics.running.WithLabelValues(c.Name).Set(0)
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Lease/3)
	defer cancel()
	if err := r.Store.release(releasing, c.Name, r.Node); err != nil {
		log.WarnContext(ctx, "a collector's lease could not be given back", "error", err)
	}
}

// keep renews the lease, which holds until then, and returns when it is lost
// or, because the database is away, may be.
func (r *Runner) keep(ctx context.Context, name string, until time.Time, log *slog.Logger) {
	for pause(ctx, r.Lease/3) == nil {
		renewing, cancel := context.WithDeadline(ctx, until)
		began := time.Now()
		err := r.Store.renew(renewing, name, r.Node, r.Lease)
		cancel()
		switch {
		case err == nil:
			until = began.Add(r.Lease)
		case ctx.Err() != nil:
			return
		case errors.Is(err, errLost) || !time.Now().Before(until):
			log.WarnContext(ctx, "a collector's lease is lost", "error", err)
			return
		}
	}
}

// runs runs a collector by its schedule until ctx ends or the lease is lost.
func (r *Runner) runs(ctx context.Context, c Collector, beganAt *time.Time, log *slog.Logger) {
	next, failures := r.first(c, beganAt), 0
	for {
		if wait := next.Sub(r.Now()); wait > 0 {
			if err := r.Store.plan(ctx, c.Name, r.Node, next); err != nil && !errors.Is(err, errLost) && ctx.Err() == nil {
				log.WarnContext(ctx, "a collector's next run could not be noted", "error", err)
			}
			if pause(ctx, wait) != nil {
				return
			}
		}
		began := r.Now()
		err := r.run(ctx, c, log)
		if ctx.Err() != nil || errors.Is(err, errLost) {
			return
		}
		wrong := ""
		if err != nil {
			failures++
			wrong = reason(err)
			next = r.Now().Add(r.backoff(failures))
			r.metrics.failures.WithLabelValues(c.Name).Inc()
			log.WarnContext(ctx, "a collector's run failed", "failures", failures, "next", next, "error", err)
		} else {
			failures, next = 0, r.after(c, began)
		}
		if err := r.Store.end(ctx, c.Name, r.Node, next, wrong); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "the end of a collector's run could not be noted", "error", err)
		}
	}
}

// first is when a collector that last began to run at beganAt, on whichever
// node, is due. What was missed is made up for once.
func (r *Runner) first(c Collector, beganAt *time.Time) time.Time {
	switch {
	case c.Schedule == nil, beganAt == nil && c.AtOnce:
		return r.Now()
	case beganAt == nil:
		return c.Schedule.Next(r.Now())
	}
	return c.Schedule.Next(*beganAt)
}

// after is when it is due after a run.
func (r *Runner) after(c Collector, began time.Time) time.Time {
	if c.Schedule == nil {
		return r.Now()
	}
	return c.Schedule.Next(began)
}

func (r *Runner) run(ctx context.Context, c Collector, log *slog.Logger) error {
	position, err := r.Store.begin(ctx, c.Name, r.Node)
	if err != nil {
		return err
	}
	return c.Source.Collect(ctx, &Turn{
		name: c.Name, holder: r.Node, store: r.Store, intake: r.Intake, metrics: r.metrics, log: log, pause: pause, position: position,
	})
}

// backoff doubles from FirstRetry to LastRetry, less up to a quarter so that
// many collectors do not come at once.
func (r *Runner) backoff(failures int) time.Duration {
	d := r.FirstRetry
	for n := 1; n < failures && d < r.LastRetry; n++ {
		d *= 2
	}
	d = min(d, r.LastRetry)
	return d - rand.N(d/4+1)
}

// pause waits; its error is ctx's.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
