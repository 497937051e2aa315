package follower

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"herald/matcher/predicate"
)

// maxFence is the most that a fence carries: changes, or their anchors where
// these are more. Beyond, the join is cheaper.
const maxFence = 2000

// Anchors are looked up by all ids at once, which, however many the planner
// expects, is by their index, or by one scan of a small table.
var selectFence = fmt.Sprintf(`
	WITH recent AS MATERIALIZED %[1]s
	SELECT %[2]s, (SELECT count(*) FROM recent), c.trigger, c.subscription_id, c.key, c.bound, c.upper
	FROM (VALUES (1)) AS always
	LEFT JOIN (
		SELECT trigger, subscription_id, NULL AS key, NULL::float8 AS bound, NULL::float8 AS upper
		FROM recent WHERE subscription_id IS NULL
		UNION ALL
		SELECT trigger, subscription_id, key, bound, upper
		FROM subscription_anchors WHERE subscription_id = ANY(ARRAY(SELECT subscription_id FROM recent))
	) AS c ON true
	LIMIT %[3]d`, recent(maxFence+1), fits, maxFence+1)

// Fence is what has changed and may not be in the index yet. It is filled in
// when the batch that it was queued in is read; before, it means nothing.
type Fence struct {
	view    View
	lost    bool // the index and what follows may lack something
	whole   map[string]bool
	waiting map[place][]waiting
}

// place is where subscriptions are looked up.
type place struct{ trigger, key string }

// waiting is a subscription at a place, as the SQL join finds it.
type waiting struct {
	id           int64
	bound, upper float64
}

// QueueFence adds the statement of the fence to a batch of the transaction
// that matches events. The batch is to be sent after the view's index was read
// for them; see the package's comment.
func (v View) QueueFence(batch *pgx.Batch, into *Fence) {
	*into = Fence{view: v, lost: true}
	c := v.state.cursor
	v.follower.counts.fences.Add(1)
	batch.Queue(selectFence, c.max, c.pending, c.line, c.min).Query(into.read)
}

func (f *Fence) read(rows pgx.Rows) error {
	var fits bool
	var changes int
	var trigger, key *string
	var id *int64
	var bound, upper *float64
	n := 0
	_, err := pgx.ForEachRow(rows, []any{&fits, &changes, &trigger, &id, &key, &bound, &upper}, func() error {
		n++
		switch {
		case trigger == nil: // nothing
		case id == nil:
			f.add(*trigger)
		default:
			f.wait(place{*trigger, *key}, waiting{*id, figure(bound), figure(upper)})
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.lost = !fits || changes > maxFence || n > maxFence || !f.view.holds()
	if f.lost {
		f.view.follower.counts.joins.Add(1)
	}
	return nil
}

func figure(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

func (f *Fence) add(trigger string) {
	if f.whole == nil {
		f.whole = map[string]bool{}
	}
	f.whole[trigger] = true
}

func (f *Fence) wait(at place, w waiting) {
	if f.waiting == nil {
		f.waiting = map[place][]waiting{}
	}
	f.waiting[at] = append(f.waiting[at], w)
}

// Changed reports whether the candidates of a trigger must come from the SQL
// join in this transaction: all of its subscriptions may have changed, or more
// than a fence carries, or the index cannot be relied on.
func (f *Fence) Changed(trigger string) bool { return f.lost || f.whole[trigger] }

// Match appends to into the subscriptions of a trigger that a probe finds and
// that the index may lack, as the SQL join would; some may be in both.
func (f *Fence) Match(trigger string, bound predicate.Bound, probe predicate.Probe, into []int64) []int64 {
	for _, w := range f.waiting[place{trigger, probe.Key}] {
		if bound.Meets(probe.Value, w.bound, w.upper) {
			into = append(into, w.id)
		}
	}
	return into
}
