package matcher

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Also is what a transaction does besides: it commits with the events or not
// at all. It is called again when the transaction has to be tried again.
type Also = func(ctx context.Context, tx pgx.Tx) error

// AcceptAnd accepts events and does something else in the same transaction:
// all of it happens or nothing. Bad events are refused one by one, as by
// Accept, and do not hold up the rest; also is called when none is left, too.
//
// It is for Herald's own sources, which keep their place in the database. They
// send events with a Trigger, and only such may come from a source that begins
// with OwnSource. The events do not wait in the queue and are not divided: a call should have
// no more than a thousand. An error of also comes back wrapped; others are
// those of Accept.
func (i *Intake) AcceptAnd(ctx context.Context, events []Event, also Also) ([]Result, error) {
	return i.AcceptWith(ctx, events, func(ctx context.Context, tx pgx.Tx, _ []Result) error { return also(ctx, tx) })
}

// AcceptWith is AcceptAnd for those who do something else for each event,
// depending on what becomes of it: results, one for each event in the order
// given, are what AcceptWith returns when the transaction commits.
func (i *Intake) AcceptWith(ctx context.Context, events []Event,
	also func(ctx context.Context, tx pgx.Tx, results []Result) error,
) ([]Result, error) {
	if !i.enter() {
		return nil, unavailable(errors.New("the intake is closed"))
	}
	defer i.committers.Done()
	results := make([]Result, len(events))
	entries, err := i.prepare(ctx, events, results)
	if err != nil {
		return nil, unavailable(err)
	}
	err = i.transact(ctx, entries, func(ctx context.Context, tx pgx.Tx) error { return also(ctx, tx, results) })
	if err != nil {
		var failed alsoError
		if errors.As(err, &failed) {
			return nil, fmt.Errorf("beside %d events: %w", len(events), failed.error)
		}
		return nil, unavailable(err)
	}
	i.counts.refused.Add(int64(countRefused(results)))
	return results, nil
}

// alsoError is an error of Also, which is its caller's and not the database's.
type alsoError struct{ error }

func (e alsoError) Unwrap() error { return e.error }

// enter counts a caller whom Close waits for; false when it has been closed.
func (i *Intake) enter() bool {
	i.closing.RLock()
	defer i.closing.RUnlock()
	if i.closed {
		return false
	}
	i.committers.Add(1)
	return true
}
