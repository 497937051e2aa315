// Package collectortest is Herald behind a collector, for tests of sources: a
// database with the starter triggers, the real intake, and faults of it. What
// fails ends the test.
package collectortest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/collectors"
	"herald/dispatch"
	"herald/matcher"
	"herald/matcher/eventform"
	"herald/postgres/pgtest"
	"herald/subscriptions"
)

// Patience is when a test gives up.
const Patience = time.Minute

// lease is so long that a busy machine loses none, and its third, after which
// another node looks again, short enough to wait for.
const lease = 6 * time.Second

// Herald takes what collectors collect.
type Herald struct {
	testing.TB
	Pool     *pgxpool.Pool
	Store    *collectors.Store
	Triggers *subscriptions.Triggers
	Intake   *Intake
	Logger   *slog.Logger
	nodes    atomic.Int64
}

// New opens it on a database of its own.
func New(t testing.TB) *Herald {
	t.Helper()
	h := &Herald{TB: t, Pool: pgtest.New(t), Logger: slog.New(slog.DiscardHandler)}
	h.Store = collectors.NewStore(h.Pool, time.Now)
	h.Triggers = subscriptions.NewTriggers(h.Pool, time.Now)
	h.Must(h.Triggers.LoadStarter(t.Context()))
	intake := matcher.NewIntake(h.Pool, h.Triggers, nobody{}, matcher.IntakeConfig{Logger: h.Logger})
	t.Cleanup(func() { h.Must(intake.Close(context.WithoutCancel(t.Context()))) })
	h.Intake = &Intake{inner: intake}
	return h
}

// nobody is told anything: nobody has subscribed.
type nobody struct{}

func (nobody) EnqueueTx(context.Context, pgx.Tx, []dispatch.Notification) error {
	return errors.New("nobody has subscribed")
}

// Intake is the real one with faults.
type Intake struct {
	inner *matcher.Intake

	mu     sync.Mutex
	before func() error
	after  func() error
	Pages  atomic.Int64 // handed over so far
}

// Fail makes it call before ahead of each transaction, and after behind each
// that committed; an error of either is what the caller gets. Both may be nil.
func (i *Intake) Fail(before, after func() error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.before, i.after = before, after
}

func (i *Intake) faults() (before, after func() error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.before, i.after
}

// AcceptWith implements collectors.Intake.
func (i *Intake) AcceptWith(ctx context.Context, events []matcher.Event,
	also func(context.Context, pgx.Tx, []matcher.Result) error,
) ([]matcher.Result, error) {
	before, after := i.faults()
	if before != nil {
		if err := before(); err != nil {
			return nil, err
		}
	}
	i.Pages.Add(1)
	results, err := i.inner.AcceptWith(ctx, events, also)
	if err == nil && after != nil {
		err = after()
	}
	return results, err
}

// Once is a fault that comes once, and then never again.
func Once(err error) func() error {
	var done atomic.Bool
	return func() error {
		if done.CompareAndSwap(false, true) {
			return err
		}
		return nil
	}
}

// Types are what the triggers want.
func (h *Herald) Types(ctx context.Context) (eventform.Types, error) {
	triggers, err := h.Triggers.List(ctx)
	return eventform.TypesOf(triggers), err
}

// Start runs a collector on a node of its own until the test ends, or stop is
// called: then it has ended.
func (h *Herald) Start(c collectors.Collector) (stop func()) {
	h.Helper()
	r := collectors.NewRunner(collectors.Config{
		Store: h.Store, Intake: h.Intake, Collectors: []collectors.Collector{c}, Node: fmt.Sprintf("node-%d", h.nodes.Add(1)),
		Now: time.Now, Logger: h.Logger, Lease: lease,
		FirstRetry: 10 * time.Millisecond, LastRetry: 50 * time.Millisecond, LookAgain: 10 * time.Millisecond,
	})
	h.Must(r.Register(h.Context()))
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.Context()))
	var done sync.WaitGroup
	done.Go(func() { r.Run(ctx) })
	stop = func() {
		cancel()
		done.Wait()
	}
	h.Cleanup(stop)
	return stop
}

// Soon is the schedule of tests.
const Soon = collectors.Every(10 * time.Millisecond)

// Until waits for something that a collector brings about.
func (h *Herald) Until(what string, is func() bool) {
	h.Helper()
	limit := time.NewTimer(Patience)
	defer limit.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-limit.C:
			list, err := h.Store.List(h.Context())
			h.Fatalf("waited %v for %s; collectors: %+v, %v", Patience, what, list, err)
		}
	}
}

// Must fails the test when there is an error.
func (h *Herald) Must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// State is a collector's.
func (h *Herald) State(name string) collectors.State {
	h.Helper()
	s, err := h.Store.Get(h.Context(), name)
	h.Must(err)
	return s
}

// Letters are a collector's dead letters.
func (h *Herald) Letters(name string) []collectors.Letter {
	h.Helper()
	list, err := h.Store.Letters(h.Context(), collectors.LetterFilter{Collector: name, Limit: 1000})
	h.Must(err)
	return list
}

// Count is how many events were taken.
func (h *Herald) Count() int {
	h.Helper()
	var n int
	h.Must(h.Pool.QueryRow(h.Context(), `SELECT count(*) FROM events`).Scan(&n))
	return n
}

// UntilTaken waits for so many events, and makes sure that there are no more.
func (h *Herald) UntilTaken(n int) {
	h.Helper()
	h.Until(fmt.Sprintf("%d events", n), func() bool { return h.Count() >= n })
	if got := h.Count(); got != n {
		h.Fatalf("%d events were taken, want %d", got, n)
	}
}

// Events are the events that were taken, by source and id, without times.
func (h *Herald) Events() []matcher.Event {
	h.Helper()
	rows, err := h.Pool.Query(h.Context(), `SELECT source, source_id, type, subject, data FROM events ORDER BY source, length(source_id), source_id`)
	h.Must(err)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (matcher.Event, error) {
		var e matcher.Event
		var data []byte
		if err := row.Scan(&e.Source, &e.ID, &e.Type, &e.Subject, &data); err != nil {
			return e, err
		}
		return e, json.Unmarshal(data, &e.Data)
	})
	h.Must(err)
	return list
}

// Price is an event that the starter triggers know.
func Price(id, product string, price float64) matcher.Event {
	return matcher.Event{
		ID: id, Source: "/shop", Type: "price.changed",
		Data: map[string]any{"product": product, "name": product, "price": price, "currency": "EUR"},
	}
}
