package subscriptions

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"herald/problem"
)

func TestEnd(t *testing.T) {
	d := newDesk(t)
	o := d.order()
	o.Digest = "hourly"
	s := d.create(t, o)
	if err := d.store.End(t.Context(), s.ID, "tired", "member"); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("an end nobody knows: %v", err)
	}
	if err := d.store.End(t.Context(), 4711, "cancelled", "member"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("the end of nothing: %v", err)
	}
	for range 2 { // a second time is no mistake
		if err := d.store.End(t.Context(), s.ID, "unsubscribed", "member"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.store.Get(t.Context(), s.ID)
	if err != nil || got.State != Ended || got.EndedBy != "unsubscribed" || !got.EndedAt.Equal(d.time) || got.Params["product"] != "NFLX" || got.Digest != "hourly" {
		t.Errorf("ended %+v, %v", got, err)
	}
	if anchors := d.anchors(t, s.ID); len(anchors) != 0 {
		t.Errorf("anchors %v are left", anchors)
	}
	if diff := cmp.Diff([]string{"created by member", "ended by member"}, d.history(t, s.ID)); diff != "" {
		t.Errorf("history:\n%s", diff)
	}
}

// Unsubscribing must neither stop an operator's save of a large trigger nor be
// stopped by it: both take the trigger before its subscriptions.
func TestEndWhileTheTriggerIsSaved(t *testing.T) {
	d := newDesk(t)
	s := d.create(t, d.order())
	tx, err := d.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := selectTrigger(t.Context(), tx, "price_drop", "FOR NO KEY UPDATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `DELETE FROM subscription_anchors`); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.store.End(context.WithoutCancel(t.Context()), s.ID, "unsubscribed", "member") }()
	for waiting := 0; waiting == 0; {
		if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if err := insertAnchors(t.Context(), tx, [][]any{{s.ID, "price_drop", "key", 1.0, nil}}); err != nil {
		t.Errorf("the save: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the end: %v", err)
	}
	if got, err := d.store.Get(t.Context(), s.ID); err != nil || got.State != Ended {
		t.Errorf("it is %s, %v", got.State, err)
	}
}
