package follower

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// fence is what a transaction is told at this moment.
func (w *world) fence(f *Follower) *Fence {
	w.Helper()
	v, ok := f.View()
	if !ok {
		w.Fatal("the index cannot be used")
	}
	return w.fenceOf(v)
}

func (w *world) fenceOf(v View) *Fence {
	w.Helper()
	fence, batch := &Fence{}, &pgx.Batch{}
	v.QueueFence(batch, fence)
	if err := w.pool.SendBatch(w.ctx, batch).Close(); err != nil {
		w.Fatal(err)
	}
	return fence
}

// many adds subscriptions of one member to "equal", as one transaction.
func (w *world) many(tx pgx.Tx, n int) {
	w.Helper()
	_, err := tx.Exec(w.ctx, `
		WITH made AS (
			INSERT INTO subscriptions (member_id, trigger, params, channels, origin, valid_from, created_at)
			SELECT $1, 'equal', '{}', '{email}', 'test', $3, $3 FROM generate_series(1, $2) RETURNING id
		), noted AS (
			INSERT INTO anchor_changes (trigger, subscription_id) SELECT 'equal', id FROM made
		)
		INSERT INTO subscription_anchors (subscription_id, trigger, key) SELECT id, 'equal', 's1:a' FROM made`,
		w.member, n, w.clock.now())
	if err != nil {
		w.Fatalf("add %d subscriptions: %v", n, err)
	}
}

func (w *world) begin() pgx.Tx {
	w.Helper()
	tx, err := w.pool.Begin(w.ctx)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = tx.Rollback(w.ctx) })
	return tx
}

func (w *world) commit(tx pgx.Tx) {
	w.Helper()
	if err := tx.Commit(w.ctx); err != nil {
		w.Fatal(err)
	}
}

func TestMoreThanAFenceCarriesIsLeftToTheJoin(t *testing.T) {
	w := newWorld(t)
	f := w.loaded()
	tx := w.begin()
	w.many(tx, maxFence)
	w.commit(tx)
	if w.fence(f).Changed("equal") {
		t.Errorf("%d changes are too many", maxFence)
	}
	w.complete(f, w.probes())
	tx = w.begin()
	w.many(tx, 1)
	w.commit(tx)
	if !w.fence(f).Changed("equal") {
		t.Errorf("%d changes are not too many", maxFence+1)
	}
	w.equal(f)
	if s := f.Stats(); s.Joins != 1 {
		t.Errorf("%d joins, want 1", s.Joins)
	}
}

func TestAnchorsBeyondWhatAFenceCarriesAreLeftToTheJoin(t *testing.T) {
	w := newWorld(t)
	f := w.loaded()
	tx := w.begin()
	w.many(tx, 5)
	if _, err := tx.Exec(w.ctx, `INSERT INTO subscription_anchors (subscription_id, trigger, key) SELECT id, 'equal', 'x' || n FROM subscriptions, generate_series(1, 900) n`); err != nil {
		t.Fatal(err)
	}
	w.commit(tx)
	if !w.fence(f).Changed("equal") {
		t.Error("a fence that carries not all says so")
	}
	w.equal(f)
}

func TestManyThatLeftHideNobodyWhoCame(t *testing.T) {
	w := newWorld(t)
	tx := w.begin()
	w.many(tx, maxFence+1)
	w.commit(tx)
	f := w.loaded()
	w.exec(`DELETE FROM subscriptions`) // changes without anchors
	w.subscribe(w.order("equal", "a", 0, 0))
	if !w.fence(f).Changed("equal") {
		t.Error("a fence that was cut off before the last change says so")
	}
	w.equal(f)
}

func TestALongTransactionHoldsNothingUp(t *testing.T) {
	w := newWorld(t)
	f := w.loaded()
	long := w.begin()
	w.many(long, 100)
	w.sync(f)
	for range 3 {
		tx := w.begin()
		w.many(tx, maxFence)
		w.commit(tx)
		w.sync(f)
	}
	fence := w.fence(f)
	if fence.Changed("equal") || len(fence.waiting) > 0 {
		t.Errorf("the fence carries %v, though all that is committed is in the index", fence.waiting)
	}
	w.commit(long)
	if fence := w.fence(f); len(fence.waiting[place{"equal", "s1:a"}]) != 100 {
		t.Errorf("the fence carries %v, want the long transaction's 100", fence.waiting)
	}
	w.equal(f)
}

func TestAViewOfAnIndexThatWasGivenUpIsOfNoUse(t *testing.T) {
	w := newWorld(t)
	f := w.loaded()
	v, ok := f.View()
	if !ok {
		t.Fatal("the index cannot be used")
	}
	f.Distrust("the oracle found more")
	if !w.fenceOf(v).Changed("equal") {
		t.Error("the fence of a view from before lets the index decide")
	}
	w.sync(f)
	if !w.fenceOf(v).Changed("equal") {
		t.Error("the fence of a view from before lets the index decide, now that it is loaded again")
	}
	w.equal(f)
	if s := f.Stats(); s.Distrusts != 1 || s.Loads != 2 {
		t.Errorf("stats %+v, want 1 distrust and 2 loads", s)
	}
}
