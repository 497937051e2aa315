package subscriptions

import (
	"sync"
	"testing"
)

func TestAnchorsOfAnOlderPlannerAreMadeAnew(t *testing.T) {
	d := newDesk(t)
	s := d.create(t, d.order())
	spoil := func() {
		t.Helper()
		if _, err := d.pool.Exec(t.Context(), `UPDATE subscription_anchors SET key = 'old'; UPDATE triggers SET planner = 1`); err != nil {
			t.Fatal(err)
		}
	}
	spoil()
	var nodes sync.WaitGroup
	for range 3 {
		nodes.Go(func() {
			if err := NewTriggers(d.pool, d.now).Replan(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
	d.wantAnchors(t, s.ID, "s4:NFLX 49")
	told := 0
	if err := d.pool.QueryRow(t.Context(), `SELECT count(*) FROM anchor_changes WHERE trigger = 'price_drop' AND subscription_id IS NULL`).Scan(&told); err != nil || told != 1 {
		t.Errorf("%d notes, %v, want one", told, err)
	}
	spoil()
	if _, err := d.pool.Exec(t.Context(), `UPDATE triggers SET definition = jsonb_set(definition, '{condition}', '"no condition"')`); err != nil {
		t.Fatal(err)
	}
	if err := d.triggers.Replan(t.Context()); err != nil {
		t.Errorf("a condition that no longer compiles stops the start: %v", err)
	}
}
