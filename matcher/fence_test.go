package matcher_test

import (
	"fmt"
	"testing"
	"time"

	"herald/matcher"
	"herald/matcher/follower"
	"herald/subscriptions"
)

// Two nodes, whose indexes are loaded and then look no more: what they lack
// the fence has, or the tables.
func TestWhatWasAcknowledgedIsSeenByTheNextEventOnEveryNode(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	ann := s.subscribe(s.member("ann"), "kettle", 10)
	nodes := map[string]*follower.Follower{"one": s.followEvery(time.Hour), "other": s.followEvery(time.Hour)}
	intakes := map[string]*matcher.Intake{}
	for name, f := range nodes {
		intakes[name] = s.intake(s.deliveries, matcher.IntakeConfig{Follower: f})
	}
	var wei subscriptions.Subscription
	change := func(c subscriptions.Change) {
		t.Helper()
		c.Actor = "member"
		if _, err := s.subscriptions.Change(s.ctx, wei.ID, c); err != nil {
			t.Fatal(err)
		}
	}
	for n, step := range []struct {
		what     string
		do       func()
		ann, wei bool // are told of a kettle at 40
	}{
		{"subscribed", func() { wei = s.subscribe(s.member("wei"), "kettle", 49) }, false, true},
		{"wants it cheaper", func() { change(subscriptions.Change{Params: map[string]any{"product": "kettle", "target": 40.0}}) }, false, true},
		{"and cheaper", func() { change(subscriptions.Change{Params: map[string]any{"product": "kettle", "target": 39.0}}) }, false, false},
		{"the trigger is anchored anew", func() {
			trigger := priceDrop()
			trigger.Condition = "event.product == param.product && event.price >= param.target"
			s.save(trigger)
		}, true, true},
		{"an index is given up", func() { nodes["one"].Distrust("of a test") }, true, true},
		{"ended", func() {
			if err := s.subscriptions.End(s.ctx, wei.ID, "cancelled", "member"); err != nil {
				t.Fatal(err)
			}
		}, true, false},
	} {
		step.do()
		for name, i := range intakes {
			id := fmt.Sprintf("%d-%s", n, name)
			s.accept(i, priceEvent(id, "kettle", 40))
			told := s.outcomes("/shop", id)
			_, toAnn := told[ann.ID]
			if _, toWei := told[wei.ID]; toAnn != step.ann || toWei != step.wei {
				t.Errorf("%s, node %s: Ann told %t, want %t; Wei told %t, want %t", step.what, name, toAnn, step.ann, toWei, step.wei)
			}
		}
	}
	for name, i := range intakes {
		if stats := i.Stats(); stats.Indexed == 0 || stats.Missed > 0 {
			t.Errorf("node %s: %d transactions by the index, %d candidates missed", name, stats.Indexed, stats.Missed)
		}
	}
}

// The join that now and then is asked besides finds what neither index nor
// fence can know of.
func TestWhatAnIndexMissesIsToldAllTheSameAndAnAlarm(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	f := s.followEvery(time.Hour)
	i := s.intake(s.deliveries, matcher.IntakeConfig{Follower: f, AuditOneIn: 1})
	sub := s.subscribe(s.member("wei"), "kettle", 49)
	if _, err := s.pool.Exec(s.ctx, `DELETE FROM anchor_changes`); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		id := fmt.Sprint(n)
		s.accept(i, priceEvent(id, "kettle", 49))
		if got := s.outcomes("/shop", id)[sub.ID]; got != matcher.Notified {
			t.Errorf("event %s: outcome %q", id, got)
		}
		if err := f.Sync(s.ctx); err != nil { // it is loaded anew
			t.Fatal(err)
		}
		if stats, index := i.Stats(), f.Stats(); stats.Missed != 1 || index.Distrusts != 1 || index.Loads != 2 {
			t.Errorf("event %s: %d candidates missed, the index distrusted %d and loaded %d times; want 1, 1 and 2", id, stats.Missed, index.Distrusts, index.Loads)
		}
	}
}
