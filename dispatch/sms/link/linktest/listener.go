package linktest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
)

// Listener keeps what a driver heard.
type Listener[T any] struct {
	mu      sync.Mutex
	heard   []T           // guarded by mu
	changed chan struct{} // of one
}

// Listen takes all that run gives, a driver's Reports or Receive, until the test
// ends.
func Listen[T any](t testing.TB, run func(context.Context, func(context.Context, []T) error) error) *Listener[T] {
	t.Helper()
	l := &Listener[T]{changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx, l.Take); !errors.Is(err, context.Canceled) {
			t.Errorf("listening ends with %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return l
}

// Take hears something.
func (l *Listener[T]) Take(_ context.Context, all []T) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, all...)
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return nil
}

// Heard is what was heard so far.
func (l *Listener[T]) Heard() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.heard)
}

// Await gives what was heard as soon as it is n. One goroutine at a time may
// wait.
func (l *Listener[T]) Await(t testing.TB, n int) []T {
	t.Helper()
	ctx := Within(t)
	for {
		heard := l.Heard()
		if len(heard) >= n {
			return heard
		}
		select {
		case <-l.changed:
		case <-ctx.Done():
			t.Fatalf("heard %d of %d: %+v", len(heard), n, heard)
		}
	}
}
