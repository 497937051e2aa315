package follower

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"herald/matcher/index"
)

// Why an index cannot be brought up to date from where it is.
var (
	errLost    = errors.New("what has changed since cannot be told any more")
	errGivenUp = errors.New("the index was given up")
)

// cursor is a snapshot of PostgreSQL: it sees the transactions before max
// except those pending. See "Transaction ID and Snapshot Information
// Functions" in PostgreSQL's manual.
type cursor struct {
	line     string   // anchor_line.id: whose transactions they are
	min, max uint64   // min is the first of pending, or max
	pending  []uint64 // transactions that ran when it was taken
}

// fits is an SQL condition: the changes since the cursor ($1 max, $2 pending,
// $3 line, $4 min) are all still there, and of the same line of transactions.
// An id is given out twice where PostgreSQL lost what came last, or when a
// dump was restored elsewhere.
const fits = `(
	coalesce((SELECT id FROM anchor_line) = $3::uuid, false)
	AND pg_snapshot_xmax(pg_current_snapshot()) >= $1
	AND (SELECT before FROM anchor_changes_pruned) <= $4)`

// recent is the changes since the cursor as a table, as many as limit says of
// each kind. The planner is kept from what it would make of the values and of
// the tables' size: planning anew takes longer than running, and only the ends
// of the index are ever to be read. Of pending transactions, those that still
// run are not looked up: that would read, to no avail, all that they have
// written so far.
func recent(limit int) string {
	return fmt.Sprintf(`(
		(SELECT trigger, subscription_id FROM anchor_changes WHERE xid >= (SELECT $1::xid8) ORDER BY xid, seq LIMIT %[1]d)
		UNION ALL
		SELECT c.trigger, c.subscription_id
		FROM unnest((SELECT $2::xid8[])) AS pending (xid)
		CROSS JOIN LATERAL (
			SELECT trigger, subscription_id FROM anchor_changes WHERE xid = pending.xid ORDER BY xid, seq LIMIT %[1]d
		) AS c
		WHERE pg_visible_in_snapshot(pending.xid, pg_current_snapshot())
	)`, limit)
}

const (
	// fewChanges are read by a statement of their own: with the limit of many,
	// the planner of a table that has just grown would read all of it.
	fewChanges = 2000
	// maxChanges is how many changes are taken in one by one; after more, all
	// is loaded anew.
	maxChanges = 100_000
)

var (
	selectFewChanges = selectChanges(fewChanges + 1)
	selectAllChanges = selectChanges(maxChanges + 1)
)

func selectChanges(limit int) string {
	return `
	SELECT ` + fits + `, ` + selectSnapshot + `, array_agg(trigger), array_agg(subscription_id)
	FROM ` + recent(limit) + ` AS recent`
}

const selectSnapshot = `
	pg_snapshot_xmin(pg_current_snapshot()), pg_snapshot_xmax(pg_current_snapshot()),
	ARRAY(SELECT pg_snapshot_xip(pg_current_snapshot()))`

// changes is what happened between two snapshots.
type changes struct {
	to     cursor
	whole  map[string]bool  // triggers all of whose subscriptions may have changed
	single map[int64]string // the triggers of other subscriptions that may have
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// since reads what has changed since c. Errors: errLost.
func since(ctx context.Context, q querier, c cursor) (changes, error) {
	found := changes{to: cursor{line: c.line}, whole: map[string]bool{}, single: map[int64]string{}}
	var usable bool
	var triggers []string
	var ids []*int64
	read := func(query string) error {
		return q.QueryRow(ctx, query, c.max, c.pending, c.line, c.min).
			Scan(&usable, &found.to.min, &found.to.max, &found.to.pending, &triggers, &ids)
	}
	err := read(selectFewChanges)
	if err == nil && len(ids) > fewChanges {
		err = read(selectAllChanges)
	}
	if err != nil {
		return changes{}, fmt.Errorf("read changes: %w", err)
	}
	if !usable || len(ids) > maxChanges {
		return changes{}, errLost
	}
	for i, id := range ids {
		if id == nil {
			found.whole[triggers[i]] = true
		} else {
			found.single[*id] = triggers[i]
		}
	}
	return found, nil
}

// poll takes in what has changed, and returns how many changes there were.
func (f *Follower) poll(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, pollWithin)
	defer cancel()
	turn := f.turns.begin(f.wake)
	was := f.state.Load()
	if was == nil {
		return 0, errGivenUp
	}
	f.counts.polls.Add(1)
	found, err := since(ctx, f.pool, was.cursor)
	if err != nil {
		return 0, err
	}
	if err := f.apply(ctx, found); err != nil {
		return 0, err
	}
	if !f.state.CompareAndSwap(was, &state{found.to, was.load}) {
		return 0, errGivenUp
	}
	f.turns.end(turn)
	n = len(found.whole) + len(found.single)
	f.counts.changes.Add(int64(n))
	return n, nil
}

// rereadAtOnce is how many subscriptions are read by one statement.
const rereadAtOnce = 5000

// apply puts into the index what the changed subscriptions wait on now.
func (f *Follower) apply(ctx context.Context, found changes) error {
	byTrigger := map[string][]int64{}
	for id, trigger := range found.single {
		if _, known := f.triggers[trigger]; !known {
			found.whole[trigger] = true
		}
		byTrigger[trigger] = append(byTrigger[trigger], id)
	}
	if len(found.whole) > 0 {
		if err := f.reload(ctx, slices.Collect(maps.Keys(found.whole))); err != nil {
			return err
		}
	}
	for trigger, ids := range byTrigger {
		c := f.triggers[trigger]
		if c == nil || found.whole[trigger] {
			continue
		}
		for some := range slices.Chunk(ids, rereadAtOnce) {
			if err := f.reread(ctx, c, some); err != nil {
				return err
			}
		}
	}
	return nil
}

// reread puts into the index what subscriptions of one trigger wait on now.
func (f *Follower) reread(ctx context.Context, c *index.Condition, ids []int64) error {
	rows, err := f.pool.Query(ctx, selectAnchors+` WHERE s.id = ANY($1) ORDER BY s.id`, binaryAnchors, ids)
	if err != nil {
		return fmt.Errorf("read changed anchors: %w", err)
	}
	gone := make(map[int64]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}
	err = eachAnchored(rows, func(a *anchored) error {
		delete(gone, a.id)
		return c.Add(a.id, a.keys, a.window)
	})
	if err != nil {
		return fmt.Errorf("read changed anchors: %w", err)
	}
	for id := range gone {
		c.Remove(id)
	}
	return nil
}
