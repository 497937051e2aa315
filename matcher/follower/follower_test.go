package follower

import (
	"testing"
	"time"

	"herald/subscriptions"
)

func TestWhatTheStoreWritesIsSeenAtOnceAndThenInTheIndex(t *testing.T) {
	until := func(at time.Time) **time.Time {
		end := &at
		return &end
	}
	for name, act := range map[string]func(w *world, id int64) error{
		"created": func(w *world, _ int64) error {
			_, err := w.subscriptions.Create(w.ctx, w.order("below", "b", 3, 4))
			return err
		},
		"created for later": func(w *world, _ int64) error {
			o, from := w.order("below", "b", 3, 4), w.clock.now().Add(time.Hour)
			o.ValidFrom = &from
			_, err := w.subscriptions.Create(w.ctx, o)
			return err
		},
		"other parameters": func(w *world, id int64) error {
			_, err := w.subscriptions.Change(w.ctx, id, subscriptions.Change{Params: map[string]any{"product": "c", "low": 9.0, "high": 9.0}, Actor: "member"})
			return err
		},
		"valid for longer": func(w *world, id int64) error {
			_, err := w.subscriptions.Change(w.ctx, id, subscriptions.Change{ValidUntil: until(w.clock.now().Add(48 * time.Hour)), Actor: "member"})
			w.clock.move(30 * time.Hour)
			return err
		},
		"ended": func(w *world, id int64) error { return w.subscriptions.End(w.ctx, id, "cancelled", "member") },
		"expired": func(w *world, _ int64) error {
			w.clock.move(25 * time.Hour)
			_, _, err := w.subscriptions.ExpireDue(w.ctx, 10)
			return err
		},
		"the member is deleted": func(w *world, _ int64) error {
			_, err := w.pool.Exec(w.ctx, `DELETE FROM members WHERE id = $1`, w.member)
			return err
		},
		"the trigger has another condition": func(w *world, _ int64) error {
			w.save(trigger("below", "event.product == param.product && event.price >= param.low"))
			return nil
		},
		"a new trigger": func(w *world, _ int64) error {
			w.save(trigger("new", "event.product == param.product"))
			_, err := w.subscriptions.Create(w.ctx, w.order("new", "d", 0, 0))
			return err
		},
		"nothing": func(*world, int64) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			end := w.clock.now().Add(24 * time.Hour)
			o := w.order("below", "a", 5, 6)
			o.ValidUntil = &end
			id := w.subscribe(o).ID
			o = w.order("between", "a", 5, 6)
			o.ValidUntil, o.Repeats = &end, "daily"
			w.subscribe(o)

			f := w.loaded()
			if err := act(w, id); err != nil {
				t.Fatal(err)
			}
			w.complete(f, w.probes())
			w.equal(f)
			w.clock.move(30 * time.Hour)
			w.complete(f, w.probes())
		})
	}
}

func TestNothingIsFoundBeforeTheIndexIsLoaded(t *testing.T) {
	w := newWorld(t)
	f := New(w.pool, nil, Config{})
	if _, ok := f.View(); ok {
		t.Error("there is a view")
	}
	if s := f.Stats(); s.Loaded || s.Loads != 0 {
		t.Errorf("stats %+v", s)
	}
}
