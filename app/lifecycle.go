package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// cleanups are the ends of things, registered the moment each came to be and
// run last-in first-out, once.
type cleanups struct {
	log *slog.Logger

	mu    sync.Mutex
	steps []cleanup
}

type cleanup struct {
	name string
	end  func(context.Context) error
}

// onStop registers how to end what was just begun.
func (c *cleanups) onStop(name string, end func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steps = append(c.steps, cleanup{name, end})
}

// run ends everything, newest first. A step that fails does not keep the
// others from running. When ctx ends, the steps that are left get graceAfter
// each, so that what holds files and processes is still let go.
func (c *cleanups) run(ctx context.Context) error {
	c.mu.Lock()
	steps := c.steps
	c.steps = nil
	c.mu.Unlock()

	var failed []error
	for i := len(steps) - 1; i >= 0; i-- {
		if err := c.step(ctx, steps[i]); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

const graceAfter = 3 * time.Second

func (c *cleanups) step(ctx context.Context, s cleanup) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), graceAfter)
		defer cancel()
	}
	began := time.Now()
	if err := s.end(ctx); err != nil {
		c.log.Error("did not stop cleanly", "part", s.name, "error", err)
		return fmt.Errorf("stopping %s: %w", s.name, err)
	}
	c.log.Debug("stopped", "part", s.name, "took", time.Since(began))
	return nil
}
