package follower

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/matcher/predicate"
	"herald/subscriptions"
)

// reading is how the tables are read: all of one moment.
var reading = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// load fills the index with all that there is.
func (f *Follower) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadWithin)
	defer cancel()
	f.state.Store(nil) // before the index is touched
	turn, began := f.turns.begin(f.wake), f.cfg.Now()
	if err := f.settle(ctx); err != nil {
		return err
	}
	var at cursor
	var n int64
	err := pgx.BeginTxFunc(ctx, f.pool, reading, func(tx pgx.Tx) (err error) {
		err = tx.QueryRow(ctx, `SELECT id::text, `+selectSnapshot+` FROM anchor_line`).Scan(&at.line, &at.min, &at.max, &at.pending)
		if err != nil {
			return err
		}
		n, err = f.fill(ctx, tx, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("load anchors: %w", err)
	}
	took := f.cfg.Now().Sub(began)
	f.state.Store(&state{at, f.counts.loads.Add(1)})
	f.counts.loadTime.Store(int64(took))
	f.turns.end(turn)
	f.cfg.Logger.InfoContext(ctx, "the index is loaded", "subscriptions", n, "took", took.Round(time.Millisecond))
	return nil
}

// reload fills the index anew with the subscriptions of some triggers.
func (f *Follower) reload(ctx context.Context, triggers []string) error {
	err := pgx.BeginTxFunc(ctx, f.pool, reading, func(tx pgx.Tx) error {
		_, err := f.fill(ctx, tx, triggers)
		return err
	})
	if err != nil {
		return fmt.Errorf("load anchors of changed triggers: %w", err)
	}
	return nil
}

// settle makes sure that this line of transactions has a name and that the
// changes are its own. A dump brings along what another server counted, which
// here may lie in the future; then all of it goes.
func (f *Follower) settle(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
		var foreign bool
		err := tx.QueryRow(ctx, `
			SELECT (SELECT before FROM anchor_changes_pruned) > pg_snapshot_xmin(pg_current_snapshot())
				OR EXISTS (SELECT FROM anchor_changes WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()))`).Scan(&foreign)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		if foreign {
			batch.Queue(`DELETE FROM anchor_line`)
			batch.Queue(`DELETE FROM anchor_changes`)
			batch.Queue(`UPDATE anchor_changes_pruned SET before = '0'`)
		}
		batch.Queue(`INSERT INTO anchor_line DEFAULT VALUES ON CONFLICT DO NOTHING`)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("settle the line of transactions: %w", err)
	}
	return nil
}

// fill declares triggers, nil being all, and adds their subscriptions; it
// returns how many those are.
func (f *Follower) fill(ctx context.Context, tx pgx.Tx, triggers []string) (n int64, err error) {
	// Compiling such a plan takes longer than running it.
	if _, err := tx.Exec(ctx, `SET LOCAL jit = off`); err != nil {
		return 0, err
	}
	if err := f.declare(ctx, tx, triggers); err != nil {
		return 0, err
	}
	where, args := ``, []any{binaryAnchors}
	if triggers != nil {
		where, args = ` WHERE a.trigger = ANY($1)`, append(args, triggers)
	}
	rows, err := tx.Query(ctx, selectAllAnchors+where+` ORDER BY a.subscription_id`, args...)
	if err != nil {
		return 0, err
	}
	adders := newAdders()
	err = eachAnchored(rows, func(a *anchored) error {
		n++
		if c := f.triggers[string(a.trigger)]; c != nil {
			return adders.add(c, a)
		}
		return nil
	})
	return n, cmp.Or(err, adders.close())
}

const selectDefinitions = `SELECT name, definition FROM triggers WHERE $1::text[] IS NULL OR name = ANY($1)`

// declare empties the index of triggers, nil being all, and prepares it for
// the conditions that these have now.
func (f *Follower) declare(ctx context.Context, tx pgx.Tx, triggers []string) error {
	rows, err := tx.Query(ctx, selectDefinitions, triggers)
	if err != nil {
		return fmt.Errorf("read triggers: %w", err)
	}
	for name, c := range f.triggers {
		if triggers != nil && !slices.Contains(triggers, name) {
			continue
		}
		if c != nil {
			c.Drop()
		}
		delete(f.triggers, name)
	}
	var name string
	var definition []byte
	_, err = pgx.ForEachRow(rows, []any{&name, &definition}, func() error {
		f.triggers[name] = nil
		bound, err := boundOf(definition)
		if err != nil {
			// The matcher turns its events away.
			f.cfg.Logger.ErrorContext(ctx, "a stored trigger cannot be used, and is not in the index", "trigger", name, "error", err)
			return nil
		}
		f.triggers[name] = f.index.Condition(name)
		f.triggers[name].Declare(bound)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read triggers: %w", err)
	}
	return nil
}

// boundOf is how the anchors of a stored trigger compare.
func boundOf(definition []byte) (predicate.Bound, error) {
	var t subscriptions.Trigger
	if err := json.Unmarshal(definition, &t); err != nil {
		return "", err
	}
	condition, err := t.Compile()
	if err != nil {
		return "", err
	}
	return condition.Bound(), nil
}
