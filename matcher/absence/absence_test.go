package absence

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/postgres/pgtest"
	"herald/subscriptions"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	µs  = time.Microsecond
	day = 24 * time.Hour
)

func orders() subscriptions.Trigger {
	return subscriptions.Trigger{
		Name: "order_unpaid", EventType: "order.created", Version: 1, Enabled: true,
		Attributes: []subscriptions.Attribute{{Name: "order", Type: "string"}, {Name: "total", Type: "number"}},
		Absence:    &subscriptions.Absence{Key: []string{"order"}, ClosedBy: []string{"order.paid", "order.cancelled"}, Within: "24h"},
	}
}

// silence is opened and closed by the same events, and closed by others.
func silence() subscriptions.Trigger {
	t := orders()
	t.Name, t.EventType = "silent", "seen"
	t.Absence = &subscriptions.Absence{Key: []string{"order"}, ClosedBy: []string{"seen", "gone"}, Within: "24h"}
	return t
}

func ruleOf(t testing.TB, trigger subscriptions.Trigger) *Rule {
	t.Helper()
	r, err := RuleOf(trigger)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// yard is a database with a sweep on a clock that a test sets. It is itself the
// consumer: what fired is kept in a table, as Intake keeps events.
type yard struct {
	testing.TB
	*Sweep
	clock time.Time
	rules []*Rule
	// before and after are called around in, inside the transaction; an error
	// of theirs fails it.
	before, after func(ctx context.Context, tx pgx.Tx, list []Absence) error
	committed     func() error // what the consumer says of a commit that went well
}

func newYard(t testing.TB, triggers ...subscriptions.Trigger) *yard {
	t.Helper()
	nothing := func(context.Context, pgx.Tx, []Absence) error { return nil }
	y := &yard{TB: t, clock: noon, before: nothing, after: nothing, committed: func() error { return nil }}
	pool := pgtest.New(t)
	y.Sweep = NewSweep(pool, y, SweepConfig{Now: func() time.Time { return y.clock }, Logger: slog.New(slog.DiscardHandler)})
	if _, err := pool.Exec(t.Context(), `CREATE TABLE fired (id text PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	for _, trigger := range triggers {
		y.save(trigger)
	}
	return y
}

// save puts a version of a trigger in force.
func (y *yard) save(t subscriptions.Trigger) {
	y.Helper()
	definition, err := json.Marshal(t)
	if err != nil {
		y.Fatal(err)
	}
	_, err = y.pool.Exec(y.Context(), `INSERT INTO trigger_versions (name, version, definition, saved_by) VALUES ($1, $2, $3, 'test')`, t.Name, t.Version, definition)
	if err != nil {
		y.Fatal(err)
	}
	y.rules = slices.DeleteFunc(y.rules, func(r *Rule) bool { return r.trigger == t.Name })
	if watches(t) {
		y.rules = append(y.rules, ruleOf(y, t))
	}
}

// AcceptAbsences implements Consumer.
func (y *yard) AcceptAbsences(ctx context.Context, list []Absence, in func(context.Context, pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, y.pool, func(tx pgx.Tx) error {
		if err := y.before(ctx, tx, list); err != nil {
			return err
		}
		for _, a := range list {
			if _, err := tx.Exec(ctx, `INSERT INTO fired VALUES ($1) ON CONFLICT DO NOTHING`, a.ID()); err != nil {
				return err
			}
		}
		if err := in(ctx, tx); err != nil {
			return err
		}
		return y.after(ctx, tx, list)
	})
	if err != nil {
		return err
	}
	return y.committed()
}

// numbered is an id that orders by number.
func numbered(n int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// happening is an event of order "1", number n.
type happening struct {
	n    int
	kind string
	at   time.Duration // after noon
}

func (h happening) event(received time.Time) Event {
	return Event{ID: numbered(h.n), Type: h.kind, Data: []byte(`{"order":"1"}`), Time: noon.Add(h.at), Received: received}
}

// recordTx keeps what events mean to every rule.
func (y *yard) recordTx(ctx context.Context, tx pgx.Tx, order string, events ...happening) error {
	var openings []Opening
	var closings []Closing
	for _, h := range events {
		e := h.event(y.clock)
		for _, r := range y.rules {
			key, bad := r.Key(map[string]any{"order": order})
			if len(bad) > 0 || key == "" {
				return errors.New("an order without a key")
			}
			if r.Opens(e.Type) {
				openings = append(openings, r.Opening(key, e))
			}
			if r.Closes(e.Type) {
				closings = append(closings, r.Closing(key, e))
			}
		}
	}
	return RecordTx(ctx, tx, openings, closings)
}

func (y *yard) record(events ...happening) {
	y.Helper()
	if err := y.recordFor("1", events...); err != nil {
		y.Fatal(err)
	}
}

func (y *yard) recordFor(order string, events ...happening) error {
	ctx := context.Background()
	return pgx.BeginFunc(ctx, y.pool, func(tx pgx.Tx) error { return y.recordTx(ctx, tx, order, events...) })
}

// sweep is a turn at an instant after noon.
func (y *yard) sweep(at time.Duration) {
	y.Helper()
	y.clock = noon.Add(at)
	if _, err := y.Turn(context.Background()); err != nil {
		y.Fatal(err)
	}
}

// fired are the openers whose watches have fired, by number.
func (y *yard) fired() []int {
	y.Helper()
	rows, err := y.pool.Query(context.Background(), `SELECT id FROM fired ORDER BY id`)
	if err != nil {
		y.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (int, error) {
		var id string
		if err := row.Scan(&id); err != nil {
			return 0, err
		}
		opener, err := uuid.Parse(id[len(id)-36:])
		return int(binary.BigEndian.Uint64(opener[8:])), err
	})
	if err != nil {
		y.Fatal(err)
	}
	return list
}

func (y *yard) expectFired(what string, want ...int) {
	y.Helper()
	if got := y.fired(); !slices.Equal(got, want) {
		y.Errorf("%s: fired %v, want %v", what, got, want)
	}
}

func (y *yard) count(table string) (n int) {
	y.Helper()
	if err := y.pool.QueryRow(context.Background(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		y.Fatal(err)
	}
	return n
}

func (y *yard) clear() {
	y.Helper()
	if _, err := y.pool.Exec(context.Background(), `DELETE FROM watches; DELETE FROM watch_ends; DELETE FROM fired`); err != nil {
		y.Fatal(err)
	}
	y.clock = noon
}

const created, paid, cancelled, seen, gone = "order.created", "order.paid", "order.cancelled", "seen", "gone"

func TestWhatEndsAWatch(t *testing.T) {
	y := newYard(t, orders(), silence())
	for _, c := range []struct {
		rule   string
		events []happening // each received by itself, in this order
		fires  []int
	}{
		{"nothing", []happening{{1, created, 0}}, []int{1}},
		{"a closer", []happening{{1, created, 0}, {2, paid, time.Hour}}, nil},
		{"any of the closers", []happening{{1, created, 0}, {2, cancelled, time.Hour}}, nil},
		{"a closer of the same instant", []happening{{1, created, 0}, {2, paid, 0}}, nil},
		{"a closer of the due instant", []happening{{1, created, 0}, {2, paid, day}}, nil},
		{"not a closer after it, though received before the sweep", []happening{{1, created, 0}, {2, paid, day + µs}}, []int{1}},
		{"not a closer before the opener", []happening{{1, created, 0}, {2, paid, -µs}}, []int{1}},
		{"a closer received first", []happening{{2, paid, time.Hour}, {1, created, 0}}, nil},
		{"a closer received first, of the due instant", []happening{{2, paid, day}, {1, created, 0}}, nil},
		{"a closer received first, of the same instant", []happening{{2, paid, 0}, {1, created, 0}}, nil},
		{"not a closer received first and late", []happening{{2, paid, day + µs}, {1, created, 0}}, []int{1}},
		{"not a closer received first of an earlier one", []happening{{2, paid, -µs}, {1, created, 0}}, []int{1}},
		{"the nearer of two closers received first", []happening{{2, paid, time.Hour}, {3, paid, 2 * day}, {1, created, 0}}, nil},
		{"a further opener changes nothing", []happening{{1, created, 0}, {2, created, time.Hour}}, []int{1}},
		{"nor one of the due instant", []happening{{1, created, 0}, {2, created, day}}, []int{1}},
		{"one after it opens again", []happening{{1, created, 0}, {2, created, day + µs}}, []int{1, 2}},
		{"a further opener received first", []happening{{2, created, time.Hour}, {1, created, 0}}, []int{1}},
		{"a closer ends the further ones, too", []happening{{1, created, 0}, {2, created, time.Hour}, {3, paid, 2 * time.Hour}}, nil},
		{"but an opener after the closer opens again", []happening{{1, created, 0}, {2, created, 2 * time.Hour}, {3, paid, time.Hour}}, []int{2}},
		{"a late opener of what was closed", []happening{{1, created, time.Hour}, {2, paid, 2 * time.Hour}, {3, created, 0}}, nil},
		{"silence: the last one fires", []happening{{1, seen, 0}, {2, seen, time.Hour}, {3, seen, 2 * time.Hour}}, []int{3}},
		{"silence, received the other way round", []happening{{3, seen, 2 * time.Hour}, {2, seen, time.Hour}, {1, seen, 0}}, []int{3}},
		{"silence: two of one instant", []happening{{1, seen, 0}, {2, seen, 0}}, []int{2}},
		{"silence: two of one instant, the other way round", []happening{{2, seen, 0}, {1, seen, 0}}, []int{2}},
		{"silence broken too late", []happening{{1, seen, 0}, {2, seen, day + µs}}, []int{1, 2}},
		{"silence: gone is gone", []happening{{1, seen, 0}, {2, gone, 0}}, nil},
	} {
		t.Run(c.rule, func(t *testing.T) {
			y.clear()
			for _, h := range c.events {
				y.record(h)
			}
			y.sweep(10 * day)
			y.expectFired("one by one", c.fires...)
			y.clear()
			y.record(c.events...)
			y.sweep(10 * day)
			y.expectFired("in one transaction", c.fires...)
			if n := y.count("watches"); n != 0 {
				t.Errorf("%d watches are left", n)
			}
		})
	}
}

func TestAWatchFiresOnceTheClockIsPastItsDueTime(t *testing.T) {
	y := newYard(t, orders())
	y.record(happening{1, created, 0})
	y.sweep(day)
	y.expectFired("at the instant")
	y.record(happening{2, created, 1}) // a further one
	y.sweep(day + µs)
	y.expectFired("just after", 1)
	y.record(happening{3, paid, day})
	y.record(happening{4, created, day})
	y.sweep(2*day + µs)
	y.expectFired("an opener from before it fired changes nothing, even afterwards", 1)
	y.record(happening{5, created, day + µs})
	y.record(happening{6, created, time.Hour})
	y.sweep(2*day + 2*µs)
	y.expectFired("an opener received after its due time fires at the next sweep", 1, 5)
}

func TestAnAbsenceTellsOfItsOpener(t *testing.T) {
	y := newYard(t, orders())
	var got []Absence
	y.after = func(_ context.Context, _ pgx.Tx, list []Absence) error {
		got = list
		return nil
	}
	e := Event{ID: numbered(7), Type: created, Subject: "order/1", Data: []byte(`{"order": "1", "total": 12.5, "extra": [true]}`), Received: noon.Add(999)}
	err := pgx.BeginFunc(t.Context(), y.pool, func(tx pgx.Tx) error {
		return RecordTx(t.Context(), tx, []Opening{y.rules[0].Opening("k", e)}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	y.sweep(2 * day)
	want := []Absence{{
		Trigger: "order_unpaid", Type: created, Opener: numbered(7), Subject: "order/1",
		Data:     map[string]any{"order": "1", "total": 12.5, "extra": []any{true}},
		OpenedAt: noon, DueAt: noon.Add(day),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if id := got[0].ID(); id != "order_unpaid/00000000-0000-0000-0000-000000000007" {
		t.Error(id)
	}
}

func TestTheKeyIsReadByItsType(t *testing.T) {
	trigger := orders()
	trigger.Absence.Key = []string{"order", "total"}
	r := ruleOf(t, trigger)
	same, bad := r.Key(map[string]any{"order": "1", "total": 2, "more": []any{}})
	other, _ := r.Key(map[string]any{"order": "1", "total": 2.0})
	if same == "" || same != other || len(bad) > 0 {
		t.Errorf("%q and %q, %v", same, other, bad)
	}
	for _, data := range []map[string]any{nil, {"order": "1"}, {"order": "1", "total": nil}} {
		if key, bad := r.Key(data); key != "" || len(bad) > 0 {
			t.Errorf("%v: %q, %v, want no key", data, key, bad)
		}
	}
	if key, bad := r.Key(map[string]any{"order": 1.0, "total": 2.0}); key != "" || len(bad) != 1 || bad[0].Path != "data.order" {
		t.Errorf("a number for a text: %q, %v", key, bad)
	}
	trigger.Absence.Within = "a day"
	if _, err := RuleOf(trigger); err == nil {
		t.Error("a rule waits for a day in words")
	}
}

func TestWatchesOfATriggerThatChanged(t *testing.T) {
	change := func(f func(*subscriptions.Trigger)) func(*yard) {
		return func(y *yard) {
			t := orders()
			t.Version = 2
			f(&t)
			y.save(t)
		}
	}
	for _, c := range []struct {
		rule   string
		change func(*yard)
		fires  []int
	}{
		{"disabled", change(func(t *subscriptions.Trigger) { t.Enabled = false }), nil},
		{"no absence trigger any more", change(func(t *subscriptions.Trigger) { t.Absence = nil }), nil},
		{"another key", change(func(t *subscriptions.Trigger) { t.Absence.Key = []string{"total"} }), nil},
		{"a key of another type", change(func(t *subscriptions.Trigger) { t.Attributes[0].Type = "number" }), nil},
		{"another event type", change(func(t *subscriptions.Trigger) { t.EventType = "basket.created" }), nil},
		{"other closers", change(func(t *subscriptions.Trigger) { t.Absence.ClosedBy = []string{"order.paid"} }), []int{1}},
		{"a longer wait, which is for later watches", change(func(t *subscriptions.Trigger) { t.Absence.Within = "2400h" }), []int{1}},
		{"disabled and enabled again", func(y *yard) {
			off, on := orders(), orders()
			off.Version, off.Enabled = 2, false
			on.Version = 3
			y.save(off)
			y.save(on)
			y.record(happening{2, created, 2 * time.Hour}) // its own watch counts
		}, []int{2}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			y := newYard(t, orders())
			y.record(happening{1, created, 0})
			c.change(y)
			y.sweep(3 * day)
			y.expectFired(c.rule, c.fires...)
			if n := y.count("watches"); n != 0 {
				t.Errorf("%d watches are left", n)
			}
		})
	}
}

func TestEndsAreForgottenWhenNoOpenerCanAskForThem(t *testing.T) {
	y := newYard(t, orders())
	y.clock = noon.Add(time.Hour) // when the closer is received
	y.record(happening{1, paid, 0})
	y.sweep(time.Hour + day + forgetLater)
	y.record(happening{2, created, 0})
	y.sweep(time.Hour + day + forgetLater)
	y.expectFired("while it is remembered")
	y.sweep(time.Hour + day + forgetLater + µs)
	if n := y.count("watch_ends"); n != 0 {
		t.Errorf("%d ends are left", n)
	}
	y.record(happening{3, created, 0})
	y.sweep(10 * day)
	y.expectFired("afterwards", 3)
	if n := y.count("watch_ends"); n != 1 {
		t.Errorf("%d ends, want that of the watch that fired", n)
	}
	short := orders()
	short.Absence.Within = "1s"
	if c := ruleOf(t, short).Closing("k", happening{1, paid, 0}.event(noon)); c.forgetAt != noon.Add(time.Hour) {
		t.Errorf("of a short wait: forgotten at %s", c.forgetAt)
	}
}

func mustBegin(t testing.TB, pool *pgxpool.Pool) pgx.Tx {
	t.Helper()
	tx, err := pool.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}
