package matcher_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/dispatch"
	"herald/matcher"
	"herald/problem"
	"herald/subscriptions"
)

func TestATriggerChangedElsewhereIsSeenByTheNextEvent(t *testing.T) {
	s := openShop(t)
	trigger := s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 49)
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	if r := s.accept(i, priceEvent("1", "kettle", 49)); r[0].Matches != 1 {
		t.Errorf("at first: %+v", r)
	}
	trigger.Condition = "event.product == param.product && event.price < param.target"
	trigger = s.save(trigger)
	if r := s.accept(i, priceEvent("2", "kettle", 49), priceEvent("3", "kettle", 48)); r[0].Matches != 0 || r[1].Matches != 1 {
		t.Errorf("with another bound: %+v", r)
	}
	trigger.Condition = "event.price <= param.target && event.product.startsWith(param.product)"
	trigger = s.save(trigger)
	if r := s.accept(i, priceEvent("4", "kettle, red", 49)); r[0].Matches != 1 {
		t.Errorf("with other keys: %+v", r)
	}
	if err := s.triggers.SetEnabled(s.ctx, "price_drop", false, "test"); err != nil {
		t.Fatal(err)
	}
	// A disabled trigger neither matches nor asks anything of the data.
	if r := s.accept(i, matcher.Event{ID: "5", Source: "/shop", Type: "price.changed"}); r[0].Matches != 0 {
		t.Errorf("disabled: %+v", r)
	}
	// The third change was seen before the transaction, by looking again at
	// what would have been refused.
	if st := i.Stats(); st.Retries != 2 {
		t.Errorf("%+v, want two retries", st)
	}
}

func TestARefusalDoesNotRestOnATriggerThatHasChanged(t *testing.T) {
	s := openShop(t)
	trigger := s.save(priceDrop())
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	bare := matcher.Event{ID: "1", Source: "/shop", Type: "price.changed", Data: map[string]any{"product": "kettle"}}
	if r, err := i.Accept(s.ctx, []matcher.Event{bare}); err != nil || r[0].Status != matcher.Refused {
		t.Fatalf("without a price: %+v, %v", r, err)
	}
	trigger.Attributes[1].Optional = true
	trigger = s.save(trigger)
	s.accept(i, bare)

	// And the other way: what was fine is refused once the trigger asks more.
	trigger.Attributes[1].Optional = false
	s.save(trigger)
	bare.ID = "2"
	if r, err := i.Accept(s.ctx, []matcher.Event{bare, priceEvent("3", "kettle", 1)}); err != nil ||
		r[0].Status != matcher.Refused || problem.CodeOf(r[0].Err) != problem.Invalid || r[1].Status != matcher.Accepted {
		t.Errorf("asked again: %+v, %v", r, err)
	}
}

func TestEventsMustSuitEveryTriggerOfTheirType(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	other := priceDrop()
	other.Name = "price_rise"
	other.Attributes = append(other.Attributes, attribute("stock", "number"))
	other.Condition = "event.product == param.product && event.price > param.target"
	s.save(other)
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	results, err := i.Accept(s.ctx, []matcher.Event{{ID: "1", Source: "/shop", Type: "price.changed", Data: map[string]any{"price": 1.0}}})
	if err != nil {
		t.Fatal(err)
	}
	var refused *problem.Error
	if !errors.As(results[0].Err, &refused) || len(refused.Fields) != 2 {
		t.Errorf("%+v, want product and stock missing, each told once", results[0].Err)
	}
}

func TestATriggerThatCannotBeUsedTurnsItsEventsAway(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	if _, err := s.pool.Exec(s.ctx, `UPDATE triggers SET definition = jsonb_set(definition, '{condition}', '"event.x"')`); err != nil {
		t.Fatal(err)
	}
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	other := matcher.Event{ID: "2", Source: "/shop", Type: "news"}
	results, err := i.Accept(s.ctx, []matcher.Event{priceEvent("1", "kettle", 1), other})
	if err != nil || results[0].Status != matcher.Refused || results[1].Status != matcher.Accepted {
		t.Fatalf("%+v, %v", results, err)
	}
	turnedAway(t, "the event of the broken trigger", results[0].Err, problem.Unavailable)
}

func TestParametersThatCannotBeReadKeepNobodyElseOut(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	bad := s.subscribe(s.member("wei"), "kettle", 49)
	s.subscribe(s.member("ann"), "kettle", 49)
	if _, err := s.pool.Exec(s.ctx, `UPDATE subscriptions SET params = '{"product": 5}' WHERE id = $1`, bad.ID); err != nil {
		t.Fatal(err)
	}
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	if r := s.accept(i, priceEvent("1", "kettle", 1)); r[0].Matches != 1 {
		t.Errorf("%+v, want only the readable one", r)
	}
}

// blocked returns once a statement of another connection waits for a lock.
func (s *shop) blocked() {
	s.Helper()
	for deadline := time.Now().Add(time.Minute); s.count(`pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0; {
		if time.Now().After(deadline) {
			s.Fatal("nothing waits for a lock")
		}
	}
}

// While an event waits for a subscription's row, the subscription changes.
// Candidates that an anchor tells all of are locked when they are loaded, the
// others once they have met.
func TestASubscriptionIsJudgedAsItIsWhenLocked(t *testing.T) {
	t.Run("when loaded", func(t *testing.T) { judgedWhenLocked(t, priceDrop()) })
	t.Run("when met", func(t *testing.T) {
		trigger := priceDrop()
		trigger.Condition += " && event.product.contains(param.product)"
		judgedWhenLocked(t, trigger)
	})
}

func judgedWhenLocked(t *testing.T, trigger subscriptions.Trigger) {
	for name, c := range map[string]struct {
		change string
		want   int
	}{
		"still met":      {`UPDATE subscriptions SET params = '{"product": "kettle", "target": 30}' WHERE id = $1`, 1},
		"no longer met":  {`UPDATE subscriptions SET params = '{"product": "kettle", "target": 29}' WHERE id = $1`, 0},
		"ended":          {`DELETE FROM subscriptions WHERE id = $1`, 0},
		"sent meanwhile": {`UPDATE subscriptions SET sent = sent + 1 WHERE id = $1`, 1},
		"gathered now":   {`UPDATE subscriptions SET digest = 'hourly' WHERE id = $1`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := openShop(t)
			s.save(trigger)
			sub := s.subscribe(s.member("wei"), "kettle", 49, func(o *subscriptions.Order) { o.MaxNotifications = 1 })
			i := s.intake(s.deliveries, matcher.IntakeConfig{})
			var pending <-chan answer
			err := pgx.BeginFunc(s.ctx, s.pool, func(tx pgx.Tx) error {
				s.clock.set(opening.Add(time.Minute))
				if _, err := tx.Exec(s.ctx, c.change, sub.ID); err != nil {
					return err
				}
				pending = s.send(s.ctx, i, priceEvent("1", "kettle", 30))
				s.blocked()
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			a := <-pending
			taken(t, name, a)
			if a.results[0].Matches != c.want {
				t.Errorf("%d matches, want %d", a.results[0].Matches, c.want)
			}
			if name == "sent meanwhile" && s.outcomes("/shop", "1")[sub.ID] != matcher.CapReached {
				t.Errorf("outcomes %v, want the cap reached", s.outcomes("/shop", "1"))
			}
			if gathered := s.count(`deliveries WHERE state = 'deferred' AND reason = 'digest'`) == 1; gathered != (name == "gathered now") {
				t.Errorf("gathered: %t", gathered)
			}
		})
	}
}

// A trigger saved while an event is between its join and its locks.
func TestATriggerSavedInTheMiddleOfATransaction(t *testing.T) {
	s := openShop(t)
	trigger := s.save(priceDrop())
	sub := s.subscribe(s.member("wei"), "kettle", 49)
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	var pending <-chan answer
	err := pgx.BeginFunc(s.ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(s.ctx, `SELECT FROM subscriptions WHERE id = $1 FOR NO KEY UPDATE`, sub.ID); err != nil {
			return err
		}
		pending = s.send(s.ctx, i, priceEvent("1", "kettle", 49))
		s.blocked()
		trigger.Condition = "event.product == param.product && event.price < param.target"
		_, err := s.triggers.Save(s.ctx, trigger, "test")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	a := <-pending
	taken(t, "the event", a)
	if a.results[0].Matches != 0 || i.Stats().Retries != 1 {
		t.Errorf("%+v, %+v, want it judged by the new condition", a.results, i.Stats())
	}
}

// A condition that fails on one subscriber's constants is not met there.
func TestASenselessPatternKeepsNobodyElseOut(t *testing.T) {
	s := openShop(t)
	trigger := priceDrop()
	trigger.Params = append(trigger.Params, param("pattern", "string"))
	trigger.Condition = "event.product.matches(param.pattern) && event.price <= param.target"
	s.save(trigger)
	for account, pattern := range map[string]string{"wei": "(", "ann": "^ket"} {
		s.subscribe(s.member(account), "x", 49, func(o *subscriptions.Order) { o.Params["pattern"] = pattern })
	}
	var told []dispatch.Notification
	i := s.intake(enqueuer(func(_ context.Context, _ pgx.Tx, ns []dispatch.Notification) error {
		told = append(told, ns...)
		return nil
	}), matcher.IntakeConfig{})
	if r := s.accept(i, priceEvent("1", "kettle", 1)); r[0].Matches != 1 || len(told) != 1 || i.Stats().Senseless != 1 {
		t.Errorf("%+v, %d told, %+v", r, len(told), i.Stats())
	}
}
