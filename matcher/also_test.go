package matcher_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"herald/matcher"
	"herald/problem"
)

func TestEventsAndTheirPlaceAreOne(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 49)
	if _, err := s.pool.Exec(s.ctx, `CREATE TABLE places (at text)`); err != nil {
		t.Fatal(err)
	}
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	move := func(to string) matcher.Also {
		return func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO places VALUES ($1)`, to)
			return err
		}
	}
	lost := errors.New("the place is lost")
	_, err := i.AcceptAnd(s.ctx, []matcher.Event{priceEvent("1", "kettle", 49)}, func(ctx context.Context, tx pgx.Tx) error {
		return errors.Join(move("1")(ctx, tx), lost)
	})
	if !errors.Is(err, lost) || problem.CodeOf(err) == problem.Unavailable {
		t.Errorf("with a lost place: %v, want that error alone", err)
	}
	s.expect(map[string]int{"events": 0, "notifications": 0, "places": 0})

	bad := priceEvent("2", "kettle", 49)
	delete(bad.Data, "price")
	got, err := i.AcceptAnd(s.ctx, []matcher.Event{priceEvent("1", "kettle", 49), bad}, move("2"))
	if err != nil || got[0].Status != matcher.Accepted || got[0].Notifications != 1 || got[1].Status != matcher.Refused {
		t.Errorf("one good and one bad: %+v, %v", got, err)
	}
	s.expect(map[string]int{"events": 1, "notifications": 1, "places": 1})

	if got, err = i.AcceptAnd(s.ctx, []matcher.Event{bad}, move("3")); err != nil || got[0].Status != matcher.Refused {
		t.Errorf("a bad one alone: %+v, %v", got, err)
	}
	s.expect(map[string]int{"events": 1, "places": 2})

	if err := i.Close(s.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := i.AcceptAnd(s.ctx, nil, move("4")); problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("after Close: %v, want unavailable", err)
	}
}

func TestWhatElseIsDoneMayDependOnWhatBecameOfTheEvents(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	bad := priceEvent("2", "kettle", 49)
	delete(bad.Data, "price")
	events := []matcher.Event{priceEvent("1", "kettle", 49), bad}
	for _, first := range []matcher.Status{matcher.Accepted, matcher.Duplicate} {
		var told []matcher.Status
		_, err := i.AcceptWith(s.ctx, events, func(_ context.Context, _ pgx.Tx, results []matcher.Result) error {
			told = []matcher.Status{results[0].Status, results[1].Status}
			return nil
		})
		if err != nil || len(told) != 2 || told[0] != first || told[1] != matcher.Refused {
			t.Errorf("also was told %v (%v), want %s and refused", told, err, first)
		}
	}
}

func TestOwnEventsAreHeldAgainstTheirTriggerAlone(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	other := priceDrop()
	other.Name = "other"
	s.save(other)
	s.subscribe(s.member("wei"), "kettle", 49)
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	nothing := func(context.Context, pgx.Tx) error { return nil }

	own := priceEvent("1", "kettle", 49)
	own.Source, own.Trigger = "herald:test", "other"
	got, err := i.AcceptAnd(s.ctx, []matcher.Event{own}, nothing)
	if err != nil || got[0].Status != matcher.Accepted || got[0].Matches != 0 {
		t.Errorf("for another trigger: %+v, %v, want no match", got, err)
	}
	own.ID, own.Trigger = "2", "price_drop"
	if got, err = i.AcceptAnd(s.ctx, []matcher.Event{own}, nothing); err != nil || got[0].Matches != 1 {
		t.Errorf("for its trigger: %+v, %v, want one match", got, err)
	}
	own.ID, own.Trigger = "3", "gone"
	if got, err = i.AcceptAnd(s.ctx, []matcher.Event{own}, nothing); err != nil || got[0].Status != matcher.Accepted {
		t.Errorf("for a trigger that is gone: %+v, %v, want it taken", got, err)
	}
	forged := priceEvent("4", "kettle", 49)
	forged.Source = "herald:test"
	if got, err = i.Accept(s.ctx, []matcher.Event{forged}); err != nil || got[0].Status != matcher.Refused {
		t.Errorf("an own source from outside: %+v, %v, want it refused", got, err)
	}
}
