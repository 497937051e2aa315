package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
)

func TestCleanupsRunNewestFirstAndOnce(t *testing.T) {
	var order []string
	c := &cleanups{log: slog.New(slog.DiscardHandler)}
	broken := errors.New("broken")
	for _, name := range []string{"database", "workers", "listener"} {
		c.onStop(name, func(context.Context) error {
			order = append(order, name)
			if name == "workers" {
				return broken
			}
			return nil
		})
	}

	if err := c.run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("run = %v, want the failure of one step", err)
	}
	if want := []string{"listener", "workers", "database"}; !slices.Equal(order, want) {
		t.Errorf("order = %v, want %v", order, want)
	}
	if err := c.run(t.Context()); err != nil || len(order) != 3 {
		t.Errorf("second run = %v and ran %d steps, want nothing done", err, len(order)-3)
	}
}

func TestCleanupsStillRunWhenTheTimeIsUp(t *testing.T) {
	c := &cleanups{log: slog.New(slog.DiscardHandler)}
	ended := errors.New("no context left")
	c.onStop("database", func(ctx context.Context) error {
		if ctx.Err() != nil {
			return ended
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.run(ctx); err != nil {
		t.Errorf("run = %v, want the step to get time of its own", err)
	}
}
