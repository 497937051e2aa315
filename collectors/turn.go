package collectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/matcher"
	"herald/problem"
)

// Turn is one run of a collector on the node that holds its lease.
type Turn struct {
	name, holder string
	store        *Store
	intake       Intake
	metrics      *metrics
	log          *slog.Logger
	pause        func(context.Context, time.Duration) error

	position json.RawMessage // as last committed
	waiting  *int64
	dead     map[string]bool // keys of the last page's dead letters
}

const (
	// triesOfPage is how often a page is handed over while the intake has no
	// room for it or the database is away; the collector backs off then.
	triesOfPage = 5
	// waitLeast is the wait between two of them when the intake names none.
	waitLeast = 100 * time.Millisecond
)

// Position reads where the collector stands into what its kind keeps; into is
// left as it is when the collector has not taken anything yet.
func (t *Turn) Position(into any) error {
	if err := json.Unmarshal(t.position, into); err != nil {
		return fmt.Errorf("read the position: %w", err)
	}
	return nil
}

// Waiting says how much is known to wait outside; it shows with the next page.
func (t *Turn) Waiting(n int64) { t.waiting = &n }

// Dead reports whether the item with a key became a dead letter, of the page
// that was taken last.
func (t *Turn) Dead(key string) bool { return t.dead[key] }

// Take hands a page over: its events, the dead letters among them and the
// position behind them are committed together. An error means that the page is
// not in, or that it is not known: the run must end, and the next one begins at
// the position that was kept. No more than a thousand items should share a page.
func (t *Turn) Take(ctx context.Context, items []Item, position any) error {
	after, err := json.Marshal(position)
	if err != nil {
		return fmt.Errorf("write the position: %w", err)
	}
	t.dead = map[string]bool{}
	err = t.take(ctx, items, after)
	if err != nil && len(items) > 0 && ctx.Err() == nil && busy(err) {
		err = t.isolate(ctx, items, after, err)
	}
	return err
}

// isolate finds the items that keep a page out though the database works, and
// makes dead letters of them. Those before them go in with the old position: a
// crash in between gives them to the intake twice, and it knows them.
func (t *Turn) isolate(ctx context.Context, items []Item, after json.RawMessage, why error) error {
	if problem.CodeOf(why) == problem.Throttled || t.once(ctx, nil, t.position) != nil {
		return why // it is not the items
	}
	for _, item := range items {
		if err := t.once(ctx, []Item{item}, t.position); err != nil && busy(err) {
			item.Err = err
			err = t.once(ctx, []Item{item}, t.position)
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	return t.take(ctx, nil, after)
}

// take hands a page over, waiting while there is no room for it.
func (t *Turn) take(ctx context.Context, items []Item, after json.RawMessage) error {
	for tries := 1; ; tries++ {
		err := t.once(ctx, items, after)
		if err == nil || !busy(err) || tries == triesOfPage {
			return err
		}
		var p *problem.Error
		_ = errors.As(err, &p) // busy has seen it
		t.log.DebugContext(ctx, "a collector waits for the intake", "collector", t.name, "after", p.After)
		if err := t.pause(ctx, max(p.After, waitLeast)); err != nil {
			return err
		}
	}
}

// busy reports whether the intake may take the same later.
func busy(err error) bool {
	code := problem.CodeOf(err)
	return code == problem.Throttled || code == problem.Unavailable
}

// once hands a page over.
func (t *Turn) once(ctx context.Context, items []Item, after json.RawMessage) error {
	events := eventsOf(items)
	now := t.store.now()
	var by step
	var letters []dead
	_, err := t.intake.AcceptWith(ctx, events, func(ctx context.Context, tx pgx.Tx, results []matcher.Result) error {
		by = step{position: after, waiting: t.waiting, lag: lag(events, now)}
		letters = refused(items, results)
		by.refused = len(letters)
		for _, r := range results {
			switch r.Status {
			case matcher.Accepted:
				by.accepted++
			case matcher.Duplicate:
				by.duplicates++
			case matcher.Refused: // among the letters
			}
		}
		if err := t.store.advanceTx(ctx, tx, t.name, t.holder, by); err != nil {
			return err
		}
		return t.store.buryTx(ctx, tx, t.name, letters)
	})
	if err != nil {
		return fmt.Errorf("hand over %d events: %w", len(events), err)
	}
	t.position = after
	for _, l := range letters {
		t.dead[l.Key] = true
	}
	t.metrics.took(t.name, by)
	return nil
}

// eventsOf are the items that are events.
func eventsOf(items []Item) []matcher.Event {
	var events []matcher.Event
	for _, item := range items {
		if item.Err == nil {
			events = append(events, item.Event)
		}
	}
	return events
}

// refused are the items that are no events and those whose event was refused,
// in their order; results are those of the events.
func refused(items []Item, results []matcher.Result) []dead {
	var list []dead
	n := 0
	for _, item := range items {
		err := item.Err
		if err == nil {
			result := results[n]
			n++
			if result.Status != matcher.Refused {
				continue
			}
			err = result.Err
		}
		list = append(list, dead{item, reason(err)})
	}
	return list
}

// reason is why something was refused, in words for operators.
func reason(err error) string {
	var p *problem.Error
	if errors.As(err, &p) {
		told := *p
		told.Err = nil // for the log
		if told.Code == problem.Malformed {
			told.Fields = nil // the message names the place
		}
		return told.Error()
	}
	if err == nil {
		return "refused"
	}
	return err.Error()
}

// lag is how long ago the newest event happened; nil when none says.
func lag(events []matcher.Event, now time.Time) *float64 {
	var newest time.Time
	for _, e := range events {
		if e.Time.After(newest) {
			newest = e.Time
		}
	}
	if newest.IsZero() {
		return nil
	}
	seconds := max(now.Sub(newest).Seconds(), 0)
	return &seconds
}

// Buried calls each with the dead letters of a batch, in the order they were
// found, until it returns an error.
func (t *Turn) Buried(ctx context.Context, batch string, each func(Letter) error) error {
	const some = 100
	for after := int64(0); ; {
		letters, err := t.store.ofBatch(ctx, t.name, batch, after, some)
		if err != nil {
			return err
		}
		for _, l := range letters {
			if err := each(l); err != nil {
				return err
			}
			after = l.ID
		}
		if len(letters) < some {
			return nil
		}
	}
}
