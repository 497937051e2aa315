package matcher_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/dispatch"
	"herald/matcher"
)

// told counts by subscription who was told, and gives a signal of each call.
type told struct {
	mu     sync.Mutex
	times  map[int64]int
	calls  chan int // how many were told at once
	refuse func(call int) error
	n      int
}

func (e *told) EnqueueTx(_ context.Context, _ pgx.Tx, ns []dispatch.Notification) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n++
	if err := e.refuse(e.n); err != nil {
		e.calls <- 0
		return err
	}
	for _, n := range ns {
		e.times[n.SubscriptionID]++
	}
	e.calls <- len(ns)
	return nil
}

// await waits until so many have been told.
func (e *told) await(t testing.TB, n int) {
	t.Helper()
	limit := time.After(time.Minute)
	for sum := 0; sum < n; {
		select {
		case some := <-e.calls:
			sum += some
		case <-limit:
			t.Fatalf("%d of %d were told within a minute", sum, n)
		}
	}
}

// everybody subscribes n members to the kettle.
func (s *shop) everybody(n int) {
	s.Helper()
	s.fill(n)
	for _, sql := range []string{
		`UPDATE subscriptions SET params = jsonb_build_object('product', 'kettle', 'target', 49)`,
		`UPDATE subscription_anchors SET key = 's6:kettle'`,
	} {
		if _, err := s.pool.Exec(s.ctx, sql); err != nil {
			s.Fatal(err)
		}
	}
}

func TestVeryManyAreToldAfterTheAnswer(t *testing.T) {
	const n = 2500
	s := openShop(t)
	s.everybody(n)
	e := &told{times: map[int64]int{}, calls: make(chan int, 100), refuse: func(int) error { return nil }}
	first, second := s.intake(e, matcher.IntakeConfig{FanOut: 100}), s.intake(e, matcher.IntakeConfig{FanOut: 100})
	got := s.accept(first, priceEvent("1", "kettle", 49))
	if got[0].Expanding != n || got[0].Matches != 0 {
		t.Errorf("the answer: %+v, want %d expanding", got[0], n)
	}
	e.await(t, n)
	// The same event again, by whichever node, tells nobody again.
	if got := s.accept(second, priceEvent("1", "kettle", 49)); got[0].Status != matcher.Duplicate || got[0].Expanding != 0 {
		t.Errorf("the event again: %+v", got[0])
	}
	if len(e.times) != n {
		t.Errorf("%d were told, want %d", len(e.times), n)
	}
	for id, times := range e.times {
		if times != 1 {
			t.Fatalf("subscription %d was told %d times", id, times)
		}
	}
	if err := errors.Join(first.Close(s.ctx), second.Close(s.ctx)); err != nil {
		t.Fatal(err)
	}
	s.expect(map[string]int{"events": 1, "matches": n, "fan_outs": 0})
	if stats := first.Stats(); stats.Expanded+second.Stats().Expanded != 3 {
		t.Errorf("%d and %d transactions, want 3 for 2500", stats.Expanded, second.Stats().Expanded)
	}
}

func TestAFanOutThatFailsIsTriedAgain(t *testing.T) {
	const n = 1500
	s := openShop(t)
	s.everybody(n)
	e := &told{times: map[int64]int{}, calls: make(chan int, 100), refuse: func(call int) error {
		if call == 1 {
			return errors.New("no room")
		}
		return nil
	}}
	i := s.intake(e, matcher.IntakeConfig{FanOut: 100, Expanders: 1})
	s.accept(i, priceEvent("1", "kettle", 49))
	if refused := <-e.calls; refused != 0 {
		t.Fatalf("the first attempt told %d", refused)
	}
	e.await(t, 500) // the other row is not held up
	s.await("fan_outs", 1)
	if b, err := s.events.Backlog(s.ctx); err != nil || b.Subscriptions != 1000 || b.Failing != 1000 || !strings.Contains(b.Error, "no room") {
		t.Errorf("what waits: %+v, %v, want 1,000 with the reason", b, err)
	}
	s.clock.set(opening.Add(3 * time.Second))
	e.await(t, 1000)
	if err := i.Close(s.ctx); err != nil {
		t.Fatal(err)
	}
	s.expect(map[string]int{"matches": n, "fan_outs": 0})
}

func TestAFanOutOfAChangedTrigger(t *testing.T) {
	s := openShop(t)
	s.everybody(150)
	e := &told{times: map[int64]int{}, calls: make(chan int, 100), refuse: func(call int) error {
		if call == 1 {
			return errors.New("no room")
		}
		return nil
	}}
	i := s.intake(e, matcher.IntakeConfig{FanOut: 100, Expanders: 1})
	s.accept(i, priceEvent("1", "kettle", 49))
	<-e.calls
	// Before it is tried again the condition has become another one.
	dearer := priceDrop()
	dearer.Condition = "event.product == param.product && event.price > param.target"
	s.save(dearer)
	s.clock.set(opening.Add(3 * time.Second))
	s.await("fan_outs", 0)
	if len(e.times) > 0 {
		t.Errorf("%d were told of what they no longer wait for", len(e.times))
	}
	s.expect(map[string]int{"matches": 0})
}
