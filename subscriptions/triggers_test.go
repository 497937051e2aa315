package subscriptions

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"herald/matcher/predicate"
	"herald/problem"
)

// desk is where subscriptions are taken: all stores on one database with one
// trigger, price_drop, and one member.
type desk struct {
	*people
	triggers *Triggers
	store    *Store
	member   Member
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	p := newPeople(t)
	d := &desk{people: p, triggers: NewTriggers(p.pool, p.now)}
	d.store = NewStore(p.pool, d.triggers, p.consents, p.now)
	d.save(t, priceDrop(t))
	d.member = p.register(t, Registration{Account: "wei", TimeZone: "Asia/Shanghai", Origin: "portal"})
	return d
}

func (p *people) now() time.Time { return p.time }

func (d *desk) save(t testing.TB, trigger Trigger) Trigger {
	t.Helper()
	saved, err := d.triggers.Save(t.Context(), trigger, "operator:ann")
	if err != nil {
		t.Fatalf("save %s: %v", trigger.Name, err)
	}
	return saved
}

// order is a subscription to a price drop of NFLX to 49.
func (d *desk) order() Order {
	return Order{
		MemberID: d.member.ID, Trigger: "price_drop", Params: map[string]any{"product": "NFLX", "target": 49.0},
		Origin: "portal", Actor: "member",
	}
}

func (d *desk) create(t testing.TB, o Order) Subscription {
	t.Helper()
	s, err := d.store.Create(t.Context(), o)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return s
}

// anchors are the anchors of a subscription as "key bound".
func (d *desk) anchors(t testing.TB, id int64) []string {
	t.Helper()
	rows, err := d.pool.Query(t.Context(), `SELECT key || ' ' || coalesce(bound::text, 'none') FROM subscription_anchors WHERE subscription_id = $1 ORDER BY 1`, id)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (d *desk) history(t testing.TB, id int64) []string {
	t.Helper()
	records, err := d.store.History(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range records {
		lines = append(lines, fmt.Sprintf("%s by %s", r.Change, r.Actor))
	}
	return lines
}

func TestSaveKeepsVersions(t *testing.T) {
	d := newDesk(t)
	first, err := d.triggers.Get(t.Context(), "price_drop")
	if err != nil {
		t.Fatal(err)
	}
	changed := first
	changed.Priority = 4
	second := d.save(t, changed)
	if second.Version != 2 || second.Priority != 4 || !second.Enabled {
		t.Errorf("saved %+v", second)
	}
	if _, err := d.triggers.Save(t.Context(), changed, "operator:bob"); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("saving over a newer version: %v", err)
	}
	if err := d.triggers.SetEnabled(t.Context(), "price_drop", false, "operator:bob"); err != nil {
		t.Fatal(err)
	}
	second.Version = 0
	third := d.save(t, second)
	if third.Version != 4 || third.Enabled {
		t.Errorf("after it was disabled and saved: version %d, enabled %v", third.Version, third.Enabled)
	}
	got, err := d.triggers.Get(t.Context(), "price_drop")
	if diff := cmp.Diff(third, got); diff != "" || err != nil {
		t.Errorf("get gives another than save, %v:\n%s", err, diff)
	}
	var savers string
	err = d.pool.QueryRow(t.Context(), `SELECT string_agg(version || ' ' || saved_by, ', ' ORDER BY version) FROM trigger_versions`).Scan(&savers)
	if want := "1 operator:ann, 2 operator:ann, 3 operator:bob, 4 operator:ann"; savers != want || err != nil {
		t.Errorf("versions %q, %v, want %q", savers, err, want)
	}
}

func TestSaveRefusesMistakesAndStrangers(t *testing.T) {
	d := newDesk(t)
	bad := priceDrop(t)
	bad.Condition = "event.prize == param.target"
	_, err := d.triggers.Save(t.Context(), bad, "operator:ann")
	wantField(t, err, "condition", "name")
	if _, err := d.triggers.Get(t.Context(), "nothing"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("get of what there is not: %v", err)
	}
	if err := d.triggers.SetEnabled(t.Context(), "nothing", true, "operator:ann"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("enabling what there is not: %v", err)
	}
}

func TestSaveAnchorsAnew(t *testing.T) {
	d := newDesk(t)
	s := d.create(t, d.order())
	before := d.anchors(t, s.ID)
	if len(before) != 1 {
		t.Fatalf("anchors %v, want one", before)
	}
	trigger := priceDrop(t)
	trigger.Condition = "event.product == param.product && event.price <= param.target && event.currency == param.currency"
	trigger.Params = append(trigger.Params, Param{Name: "currency", Type: "string", Title: Text{"en": "Currency"}, Default: "EUR"})
	d.save(t, trigger)
	after := d.anchors(t, s.ID)
	if len(after) != 1 || after[0] == before[0] {
		t.Errorf("anchors %v, before %v", after, before)
	}
	got, err := d.store.Get(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"product": "NFLX", "target": 49.0, "currency": "EUR"}
	if diff := cmp.Diff(want, got.Params); diff != "" || got.Version != 2 {
		t.Errorf("version %d with parameters, want -, got +:\n%s", got.Version, diff)
	}

	d.save(t, priceDrop(t)) // the parameter goes again
	if diff := cmp.Diff(before, d.anchors(t, s.ID)); diff != "" {
		t.Errorf("anchors after all is as it was:\n%s", diff)
	}
	lines := []string{"created by member", "changed by operator:ann", "changed by operator:ann"}
	if diff := cmp.Diff(lines, d.history(t, s.ID)); diff != "" {
		t.Errorf("history:\n%s", diff)
	}
}

func TestSaveRefusesWhatSubscriptionsDoNotFit(t *testing.T) {
	for _, c := range []struct {
		change     string
		make       func(*Trigger)
		path, rule string
	}{
		{"a new parameter that must be given", func(d *Trigger) {
			d.Params = append(d.Params, Param{Name: "colour", Type: "string", Title: Text{"en": "Colour"}})
		}, "params.colour", "required"},
		{"a bound beyond what was chosen, whatever the default", func(d *Trigger) {
			d.Params[1].Min, d.Params[1].Default = pointer(50.0), 60.0
		}, "params.target", "min"},
		{"a parameter gone that had to be given", func(d *Trigger) {
			d.Params, d.Condition, d.Summary = d.Params[:1], "event.product == param.product", Text{"en": "a"}
		}, "params.target", "unknown"},
	} {
		t.Run(c.change, func(t *testing.T) {
			d := newDesk(t)
			s := d.create(t, d.order())
			trigger := priceDrop(t)
			c.make(&trigger)
			_, err := d.triggers.Save(t.Context(), trigger, "operator:ann")
			if problem.CodeOf(err) != problem.Conflict {
				t.Errorf("error %v, want a conflict", err)
			}
			wantField(t, err, c.path, c.rule)
			if got, err := d.triggers.Get(t.Context(), "price_drop"); err != nil || got.Version != 1 || len(d.anchors(t, s.ID)) != 1 {
				t.Errorf("the refused save left a trace: version %d, %v", got.Version, err)
			}
			if err := d.store.End(t.Context(), s.ID, "cancelled", "member"); err != nil {
				t.Fatal(err)
			}
			d.save(t, trigger) // nobody minds now
		})
	}
}

func TestSaveAnchorsMoreThanAPage(t *testing.T) {
	d := newDesk(t)
	_, err := d.pool.Exec(t.Context(), `
		INSERT INTO subscriptions (member_id, trigger, params, channels, origin)
		SELECT $1, 'price_drop', jsonb_build_object('product', 'p' || n, 'target', n), '{email}', 'import'
		FROM generate_series(1, $2::int) n`, d.member.ID, 2*anchorPage+1)
	if err != nil {
		t.Fatal(err)
	}
	trigger := priceDrop(t)
	trigger.Condition = "event.product == param.product && event.price < param.target"
	d.save(t, trigger)
	var n int
	err = d.pool.QueryRow(t.Context(), `SELECT count(DISTINCT subscription_id) FROM subscription_anchors`).Scan(&n)
	if n != 2*anchorPage+1 || err != nil {
		t.Errorf("%d subscriptions anchored, %v", n, err)
	}
}

// A subscription that is made while its trigger is saved gets the anchors of
// the definition in force after both.
func TestSaveAndCreateAtOnce(t *testing.T) {
	d := newDesk(t)
	tx, err := d.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := selectTrigger(t.Context(), tx, "price_drop", "FOR SHARE"); err != nil {
		t.Fatal(err)
	}
	saved := make(chan error, 1)
	trigger := priceDrop(t)
	trigger.Condition = "event.product == param.product"
	go func() {
		_, err := d.triggers.Save(context.WithoutCancel(t.Context()), trigger, "operator:ann")
		saved <- err
	}()
	// However far the save has come, it cannot pass the lock held here.
	order, params, err := ordered(d.order(), priceDrop(t), d.store.instant())
	if err != nil {
		t.Fatal(err)
	}
	s, err := insert(t.Context(), tx, order)
	if err != nil {
		t.Fatal(err)
	}
	if err := anchor(t.Context(), tx, priceDrop(t), s.ID, params, predicate.Member{Account: "wei"}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-saved; err != nil {
		t.Fatal(err)
	}
	anchors := d.anchors(t, s.ID)
	if len(anchors) != 1 || anchors[0][len(anchors[0])-4:] != "none" {
		t.Errorf("anchors %v, want the new definition's, without a bound", anchors)
	}
}
