package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/problem"
)

// Trace is a look at the line of an account's hardware.
type Trace struct {
	AskedBy string
	AskedAt time.Time
	Until   time.Time
	// Lines are the last that were seen, the oldest first; erased an hour
	// after the end.
	Lines []TraceLine
}

const (
	// traceFor is how long a line is watched.
	traceFor = 10 * time.Minute
	// traceLines is how many lines are kept, the last, and keepTrace how long
	// after the end.
	traceLines = 200
	keepTrace  = time.Hour
)

// BeginTrace asks the node that has the account's hardware to watch its line
// for ten minutes, anew when it is watched already. It is problem.NotFound when no living
// node has hardware by that name. Who asked is kept.
func (s *Store) BeginTrace(ctx context.Context, account, actor string) error {
	now := s.now()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE account_traces SET until = $2 WHERE account = $1 AND until > $2`, account, now); err != nil {
			return fmt.Errorf("end the trace before: %w", err)
		}
		tag, err := tx.Exec(ctx, `
INSERT INTO account_traces (account, asked_by, asked_at, until)
SELECT $1, $2, $3, $4
WHERE EXISTS (
    SELECT FROM account_states s JOIN nodes n ON n.name = s.node AND n.beat_at > now() - $5::interval
    WHERE s.account = $1 AND s.device IS NOT NULL)`, account, actor, now, now.Add(traceFor), silentAfter)
		if err != nil {
			return fmt.Errorf("ask for a trace: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return problem.New(problem.NotFound, "no node has hardware of account %s", account)
		}
		return nil
	})
}

// EndTrace ends what BeginTrace began, if it has not ended.
func (s *Store) EndTrace(ctx context.Context, account string) error {
	if _, err := s.pool.Exec(ctx, `UPDATE account_traces SET until = $2 WHERE account = $1 AND until > $2`, account, s.now()); err != nil {
		return fmt.Errorf("end the trace: %w", err)
	}
	return nil
}

// Traces are the newest looks at an account's line, the last of them first;
// only that has its lines.
func (s *Store) Traces(ctx context.Context, account string) ([]Trace, error) {
	rows, err := s.pool.Query(ctx, `
SELECT asked_by, asked_at, until, CASE WHEN row_number() OVER (ORDER BY id DESC) = 1 THEN lines END
FROM account_traces WHERE account = $1 ORDER BY id DESC LIMIT 10`, account)
	if err != nil {
		return nil, fmt.Errorf("read the traces: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t Trace, err error) {
		return t, row.Scan(&t.AskedBy, &t.AskedAt, &t.Until, &t.Lines)
	})
	if err != nil {
		return nil, fmt.Errorf("read the traces: %w", err)
	}
	return list, nil
}

// watch is a trace that this node carries out, or 0. It belongs to the
// bookkeeper's goroutine.
type watch struct {
	id   int64
	last time.Time // of the lines that were written
}

const (
	tracesSQL = `
SELECT DISTINCT ON (account) id, account FROM account_traces
WHERE account = ANY($1) AND until > $2
ORDER BY account, id DESC`

	writeTraceSQL = `UPDATE account_traces SET lines = $2 WHERE id = $1`

	eraseTracesSQL = `UPDATE account_traces SET lines = NULL WHERE lines IS NOT NULL AND until < $1`
)

// followTraces watches the lines of this node's hardware that somebody asked
// to see, and writes what it sees.
func (b *Bookkeeper) followTraces(ctx context.Context) error {
	devices := b.devices()
	if len(devices) == 0 {
		return nil
	}
	names := make([]string, 0, len(devices))
	for name := range devices {
		names = append(names, name)
	}
	rows, err := b.store.pool.Query(ctx, tracesSQL, names, b.store.now())
	if err != nil {
		return fmt.Errorf("read which traces are wanted: %w", err)
	}
	wanted := map[string]int64{}
	var id int64
	var account string
	if _, err = pgx.ForEachRow(rows, []any{&id, &account}, func() error { wanted[account] = id; return nil }); err != nil {
		return fmt.Errorf("read which traces are wanted: %w", err)
	}
	var errs []error
	for name, device := range devices {
		errs = append(errs, b.followTrace(ctx, name, device, wanted[name]))
	}
	return errors.Join(errs...)
}

// followTrace turns a trace on or off, and writes what was seen; wanted is 0 for none.
func (b *Bookkeeper) followTrace(ctx context.Context, name string, device Device, wanted int64) error {
	at := b.watches[name]
	if at.id != 0 {
		if err := b.writeTrace(ctx, device, &at); err != nil {
			return err
		}
	}
	switch {
	case wanted == at.id:
	case wanted == 0:
		device.SwitchTrace(false)
		at = watch{}
	default:
		device.SwitchTrace(true)
		at = watch{id: wanted}
		b.cfg.Logger.InfoContext(ctx, "the account's line is watched: somebody asked to", "account", name)
	}
	b.watches[name] = at
	return nil
}

// writeTrace writes the last lines if there are new ones. A node whose
// hardware is elsewhere sees none and writes none.
func (b *Bookkeeper) writeTrace(ctx context.Context, device Device, at *watch) error {
	lines := device.TraceLines()
	if len(lines) == 0 || !lines[len(lines)-1].At.After(at.last) {
		return nil
	}
	last := lines[len(lines)-1].At
	lines = slices.Clone(lines[max(0, len(lines)-traceLines):])
	for i := range lines {
		lines[i].Text, lines[i].Covered = storable(lines[i].Text), storable(lines[i].Covered)
	}
	text, err := json.Marshal(lines)
	if err != nil {
		return fmt.Errorf("write the trace: %w", err)
	}
	if _, err := b.store.pool.Exec(ctx, writeTraceSQL, at.id, string(text)); err != nil {
		return fmt.Errorf("write the trace: %w", err)
	}
	at.last = last
	return nil
}

// endTraces is the node's last word to its hardware.
func (b *Bookkeeper) endTraces() {
	for name, device := range b.devices() {
		if b.watches[name].id != 0 {
			device.SwitchTrace(false)
			delete(b.watches, name)
		}
	}
}
