package matcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/problem"
)

const (
	// fanOutRow is how many subscriptions one row of fan_outs holds, and one
	// transaction decides of.
	fanOutRow = 1000
	// expandEvery is how often a node looks for rows that others have written.
	expandEvery = 500 * time.Millisecond
	// expandRetry is the wait after a row has failed once; it doubles, up to
	// expandRetryMax.
	expandRetry, expandRetryMax = 2 * time.Second, 5 * time.Minute
)

// spread writes the candidates of an event that very many wait for as rows of
// fan_outs, and returns the others.
func (t *transaction) spread(ctx context.Context, candidates []candidate) ([]candidate, error) {
	var rows [][]any
	rest := candidates[:0]
	for len(candidates) > 0 {
		n := 1
		for n < len(candidates) && candidates[n].entry == candidates[0].entry && candidates[n].hit == candidates[0].hit {
			n++
		}
		group := candidates[:n]
		candidates = candidates[n:]
		if n <= t.cfg.FanOut {
			rest = append(rest, group...)
			continue
		}
		made, err := t.fanOuts(group)
		if err != nil {
			return nil, err
		}
		rows = append(rows, made...)
		sum := t.tally[group[0].entry]
		sum.expanding += n
		t.tally[group[0].entry] = sum
	}
	if len(rows) == 0 {
		return rest, nil
	}
	t.spreads = true
	columns := []string{"event_id", "trigger", "subscriptions", "previous", "next_at"}
	if _, err := t.tx.CopyFrom(ctx, pgx.Identifier{"fan_outs"}, columns, pgx.CopyFromRows(rows)); err != nil {
		return nil, fmt.Errorf("write fan-outs: %w", err)
	}
	return rest, nil
}

// fanOuts are the rows for the candidates of one hit.
func (t *transaction) fanOuts(group []candidate) ([][]any, error) {
	entry, hit := group[0].entry, group[0].entry.plan.hits[group[0].hit]
	var previous []byte // null: none is known
	if hit.known {
		var err error
		if previous, err = json.Marshal(hit.previous); err != nil {
			return nil, fmt.Errorf("keep the event before %s: %w", entry.id, err)
		}
	}
	var rows [][]any
	for len(group) > 0 {
		n := min(fanOutRow, len(group))
		ids := make([]int64, n)
		for k, c := range group[:n] {
			ids[k] = c.subscription
		}
		rows = append(rows, []any{entry.id, hit.trigger.Name, ids, previous, t.received})
		group = group[n:]
	}
	return rows, nil
}

// wake tells this node's expanders that there are rows.
func (i *Intake) wake() {
	select {
	case i.spreading <- struct{}{}:
	default:
	}
}

// expandUntilClosed is an expander.
func (i *Intake) expandUntilClosed() {
	look := time.NewTicker(expandEvery)
	defer look.Stop()
	for {
		select {
		case <-i.stopping:
			return
		case <-look.C:
		case <-i.spreading:
		}
		for i.expand() && !i.isStopping() {
		}
	}
}

func (i *Intake) isStopping() bool {
	select {
	case <-i.stopping:
		return true
	default:
		return false
	}
}

// expand decides of one row; false when none is due, or the database is away.
func (i *Intake) expand() bool {
	ctx, cancel := context.WithTimeout(i.lifetime, i.cfg.CommitTimeout)
	defer cancel()
	row, err := i.expandOne(ctx)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false
	case err == nil:
		return true
	case i.lifetime.Err() != nil:
		return false
	}
	i.cfg.Logger.Error("a fan-out failed, it is tried again", "fan_out", row.id, "trigger", row.trigger, "event", row.event, "error", err)
	return row.id != 0 && !outage(err) && i.postpone(ctx, row, err) == nil
}

// fanOut is a row of fan_outs.
type fanOut struct {
	id            int64
	event         uuid.UUID
	trigger       string
	subscriptions []int64
	previous      []byte
	attempts      int
}

const takeFanOut = `
	DELETE FROM fan_outs
	WHERE id = (SELECT id FROM fan_outs WHERE next_at <= $1 ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
	RETURNING id, event_id, trigger, subscriptions, previous, attempts`

// expandOne takes the next row and decides of its subscriptions, in one
// transaction. The row is returned where it failed, too.
func (i *Intake) expandOne(ctx context.Context) (row fanOut, err error) {
	for attempt := 1; ; attempt++ {
		catalogue, err := i.shelf.current(ctx)
		if err != nil {
			return row, err
		}
		t := i.begin(catalogue)
		err = pgx.BeginFunc(ctx, i.pool, func(tx pgx.Tx) (err error) {
			t.tx = tx
			row = fanOut{}
			err = tx.QueryRow(ctx, takeFanOut, t.received).
				Scan(&row.id, &row.event, &row.trigger, &row.subscriptions, &row.previous, &row.attempts)
			if err != nil {
				return err
			}
			return t.expand(ctx, row)
		})
		if err == nil {
			i.counts.expanded(t)
			return row, nil
		}
		stale := errors.Is(err, errStale)
		if attempt == maxAttempts || !stale && !crossed(err) {
			return row, err
		}
		i.counts.retries.Add(1)
		if stale {
			if _, err := i.shelf.replace(ctx, catalogue); err != nil {
				return row, err
			}
		}
	}
}

// expand decides of a row's subscriptions. A trigger that is gone or does not
// fit the event any more meets nothing.
func (t *transaction) expand(ctx context.Context, row fanOut) error {
	rows, err := t.tx.Query(ctx, selectEvents+`WHERE id = $1`, row.event)
	if err != nil {
		return fmt.Errorf("read event %s: %w", row.event, err)
	}
	record, err := pgx.CollectExactlyOneRow(rows, scanRecord)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // it is too old to be kept
	}
	if err != nil {
		return fmt.Errorf("read event %s: %w", row.event, err)
	}
	e := &entry{event: record.Event, id: row.event}
	e.event.Trigger = row.trigger
	e.plan, err = t.catalogue.plan(e.event)
	if err != nil && problem.CodeOf(err) != problem.Invalid {
		return err
	}
	if len(e.plan.hits) == 0 {
		t.cfg.Logger.Warn("a trigger has changed: who waited for an event is not told", "trigger", row.trigger, "event", row.event)
		return t.send(ctx, &pgx.Batch{}) // unless it has changed again
	}
	if err := e.plan.hits[0].recall(row.previous); err != nil {
		return err
	}
	candidates := make([]candidate, len(row.subscriptions))
	for k, id := range row.subscriptions {
		candidates[k] = candidate{e, 0, id}
	}
	return t.settle(ctx, candidates)
}

// recall gives a hit the event before its own as it was written with fanOuts.
func (h *hit) recall(previous []byte) error {
	if previous == nil {
		return nil
	}
	var values map[string]any
	if err := json.Unmarshal(previous, &values); err != nil {
		return fmt.Errorf("read the event before: %w", err)
	}
	h.previous, h.known = h.trigger.retype(values), true
	return nil
}

// postpone lets a row that failed wait.
func (i *Intake) postpone(ctx context.Context, row fanOut, failure error) error {
	wait := min(expandRetry<<min(row.attempts, 20), expandRetryMax)
	_, err := i.pool.Exec(ctx, `UPDATE fan_outs SET attempts = attempts + 1, next_at = $2, error = $3 WHERE id = $1`,
		row.id, i.now().Add(wait), failure.Error())
	return err
}

// Backlog is what waits of events that very many wait for.
type Backlog struct {
	Subscriptions int64  // to be held against their events
	Failing       int64  // of those, which have been tried in vain
	Error         string // of the last of these attempts; no personal data
}

// Backlog tells what waits in the database, of all nodes.
func (s *Events) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	err := s.pool.QueryRow(ctx, `
		SELECT coalesce(sum(cardinality(subscriptions)), 0),
		       coalesce(sum(cardinality(subscriptions)) FILTER (WHERE attempts > 0), 0),
		       coalesce((SELECT error FROM fan_outs WHERE attempts > 0 ORDER BY next_at DESC LIMIT 1), '')
		FROM fan_outs`).Scan(&b.Subscriptions, &b.Failing, &b.Error)
	if err != nil {
		return Backlog{}, fmt.Errorf("read the fan-outs: %w", err)
	}
	return b, nil
}
