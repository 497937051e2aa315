package matcher_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"herald/dispatch"
	"herald/matcher"
	"herald/subscriptions"
)

// letters keeps the data of what was enqueued, and fails while it is broken.
type letters struct {
	data   []map[string]any
	broken error
}

func (l *letters) EnqueueTx(_ context.Context, _ pgx.Tx, ns []dispatch.Notification) error {
	if l.broken != nil {
		return l.broken
	}
	for _, n := range ns {
		l.data = append(l.data, n.Data)
	}
	return nil
}

// priceFall is met by a price of at most nine tenths of the one before.
func priceFall() subscriptions.Trigger {
	t := priceDrop()
	t.Name = "price_fall"
	t.Params = t.Params[:1]
	t.Summary = words("{{ param.product }}")
	t.Condition = "event.product == param.product && event.price * 10 <= previous.price * 9"
	t.Change = &subscriptions.ChangeRule{Key: []string{"product"}, Keep: "720h"}
	return t
}

func priceAt(id string, price float64, after time.Duration) matcher.Event {
	e := priceEvent(id, "kettle", price)
	e.Time = opening.Add(after)
	return e
}

func TestAMessageTellsOfTheEventBefore(t *testing.T) {
	s := openShop(t)
	s.save(priceFall())
	s.order(s.member("wei"), "price_fall", map[string]any{"product": "kettle"})
	out := &letters{}
	node := s.intake(out, matcher.IntakeConfig{})
	s.accept(node, priceAt("1", 100, -2*time.Hour), priceAt("2", 90, -time.Hour), priceAt("3", 81.01, -time.Minute))
	want := []any{map[string]any{"product": "kettle", "price": 100.0, "time": opening.Add(-2 * time.Hour)}}
	var got []any
	for _, data := range out.data {
		got = append(got, data["previous"])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatWasNotTakenIsNotTheEventBefore(t *testing.T) {
	s := openShop(t)
	s.save(priceFall())
	s.order(s.member("wei"), "price_fall", map[string]any{"product": "kettle"})
	out := &letters{}
	node := s.intake(out, matcher.IntakeConfig{})
	s.accept(node, priceAt("1", 100, -4*time.Hour))
	out.broken = errors.New("no room")
	fall := priceAt("2", 80, -3*time.Hour)
	if _, err := node.Accept(s.ctx, []matcher.Event{fall}); err == nil {
		t.Fatal("taken without room")
	}
	out.broken = nil
	if r := s.accept(node, fall); r[0].Matches != 1 {
		t.Errorf("sent again: %+v", r)
	}
	for range 2 { // a replay of all neither meets nor changes anything
		for _, r := range s.accept(node, fall, priceAt("1", 100, -4*time.Hour)) {
			if r.Status != matcher.Duplicate || r.Matches != 0 {
				t.Errorf("replayed: %+v", r)
			}
		}
	}
	if r := s.accept(node, priceAt("3", 73, -2*time.Hour), priceAt("late", 1, -3*time.Hour-1), priceAt("4", 65.7, -time.Hour)); r[0].Matches != 0 || r[1].Matches != 0 || r[2].Matches != 1 {
		t.Errorf("the next ones: %+v", r)
	}
	s.expect(map[string]int{"matches": 2, "events": 5, "trigger_states": 1})
}

func TestTheFirstTimeInThirtyDays(t *testing.T) {
	s := openShop(t)
	first := priceFall()
	first.Name, first.Condition = "first", "event.product == param.product && !previous.known"
	s.save(first)
	s.order(s.member("wei"), "first", map[string]any{"product": "kettle"})
	node := s.intake(nobody, matcher.IntakeConfig{})
	const day = 24 * time.Hour
	s.clock.set(opening.Add(100 * day))
	results := s.accept(node,
		priceAt("1", 1, 0), priceAt("2", 1, time.Hour), priceAt("3", 1, 30*day+time.Hour), priceAt("4", 1, 60*day+time.Hour+time.Microsecond))
	for i, want := range []int{1, 0, 0, 1} {
		if results[i].Matches != want {
			t.Errorf("event %d: %+v, want %d matches", i+1, results[i], want)
		}
	}
}
