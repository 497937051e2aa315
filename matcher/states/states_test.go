package states

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"herald/postgres/pgtest"
	"herald/subscriptions"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func attribute(name, kind string) subscriptions.Attribute {
	return subscriptions.Attribute{Name: name, Type: kind}
}

// prices keeps a product's newest price for a month.
func prices(t testing.TB) *Rule {
	t.Helper()
	return rule(t, subscriptions.Trigger{
		Name:   "price_fall",
		Change: &subscriptions.ChangeRule{Key: []string{"product"}, Keep: "720h"},
		Attributes: []subscriptions.Attribute{
			attribute("product", "string"), attribute("price", "number"), attribute("on_sale", "boolean"), attribute("until", "time"),
		},
	})
}

func rule(t testing.TB, trigger subscriptions.Trigger) *Rule {
	t.Helper()
	r, err := RuleOf(trigger)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// bench is a store on a database of its own, on a clock that a test sets.
type bench struct {
	testing.TB
	*Store
	pool  *pgxpool.Pool
	clock time.Time
}

func newBench(t testing.TB) *bench {
	b := &bench{TB: t, pool: pgtest.New(t), clock: noon}
	b.Store = NewStore(b.pool, func() time.Time { return b.clock }, slog.New(slog.DiscardHandler))
	return b
}

// observe expects the event to have its key.
func (b *bench) observe(r *Rule, e Event) Observation {
	b.Helper()
	if e.ID == uuid.Nil {
		e.ID = uuid.New()
	}
	if e.Received.IsZero() {
		e.Received = b.clock
	}
	o, ok, err := r.Observe(e)
	if err != nil || !ok {
		b.Fatalf("Observe(%v): %v, %v", e, ok, err)
	}
	return o
}

// step is what one event was told.
type step struct {
	Counts bool
	Known  bool
	Values map[string]any
}

// transact steps through events in one transaction.
func (b *bench) transact(events ...Observation) []step {
	b.Helper()
	steps, err := b.try(events...)
	if err != nil {
		b.Fatal(err)
	}
	return steps
}

func (b *bench) try(events ...Observation) (steps []step, err error) {
	ctx := context.Background()
	err = pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
		slots := make([]Slot, len(events))
		for i, e := range events {
			slots[i] = e.Slot
		}
		sequence, err := b.LockTx(ctx, tx, slots)
		if err != nil {
			return err
		}
		for _, e := range events {
			before, counts, err := sequence.Step(e)
			if err != nil {
				return err
			}
			steps = append(steps, step{counts, before.Known, before.Values})
		}
		return b.WriteTx(ctx, tx, sequence)
	})
	return steps, err
}

func (b *bench) price(r *Rule, product string, price float64, at time.Time) Observation {
	b.Helper()
	return b.observe(r, Event{Values: map[string]any{"product": product, "price": price}, Time: at, Received: at})
}

func (b *bench) expect(what string, got []step, want ...step) {
	b.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func knows(product string, price float64, at time.Time) step {
	return step{true, true, map[string]any{"product": product, "price": price, "time": at}}
}

func TestEachEventIsComparedWithTheNewestBeforeIt(t *testing.T) {
	b, r := newBench(t), prices(t)
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	b.expect("the first two of a thing, and another's",
		b.transact(b.price(r, "kettle", 49, at(0)), b.price(r, "pan", 20, at(1)), b.price(r, "kettle", 45, at(2))),
		step{Counts: true}, step{Counts: true}, knows("kettle", 49, at(0)))
	b.expect("the next transaction", b.transact(b.price(r, "kettle", 47, at(3)), b.price(r, "kettle", 46, at(4))),
		knows("kettle", 45, at(2)), knows("kettle", 47, at(3)))
	b.expect("late ones", b.transact(b.price(r, "kettle", 1, at(4).Add(-time.Microsecond)), b.price(r, "pan", 1, at(0))),
		step{}, step{})
	b.expect("after late ones nothing has changed", b.transact(b.price(r, "kettle", 48, at(5)), b.price(r, "pan", 21, at(5))),
		knows("kettle", 46, at(4)), knows("pan", 20, at(1)))
	b.expect("at equal times the later accepted counts", b.transact(b.price(r, "kettle", 44, at(5)), b.price(r, "kettle", 43, at(5))),
		knows("kettle", 48, at(5)), knows("kettle", 44, at(5)))
	b.expect("and in the next transaction", b.transact(b.price(r, "kettle", 42, at(5))), knows("kettle", 43, at(5)))
}

func TestAnEventOfNoTimeIsNeverLate(t *testing.T) {
	b, r := newBench(t), prices(t)
	values := map[string]any{"product": "kettle", "price": 1.0}
	b.transact(b.price(r, "kettle", 49, noon))
	before := b.observe(r, Event{Values: values, Received: noon.Add(-time.Second)}) // by a clock that is behind
	b.expect("without a time", b.transact(before), knows("kettle", 49, noon))
	ahead := b.observe(r, Event{Values: values, Time: noon.Add(time.Hour), Received: noon})
	b.expect("from the future", b.transact(ahead), knows("kettle", 1, noon))
	b.expect("the next", b.transact(b.price(r, "kettle", 2, noon.Add(time.Second))), knows("kettle", 1, noon))
	soon := noon.Add(time.Minute)
	b.expect("a clock a minute ahead is believed", b.transact(b.observe(r, Event{Values: values, Time: soon, Received: noon})),
		knows("kettle", 2, noon.Add(time.Second)))
	b.expect("so this is late", b.transact(b.price(r, "kettle", 3, noon.Add(2*time.Second))), step{})
}

func TestAStateIsKnownForAsLongAsItIsKept(t *testing.T) {
	b, r := newBench(t), prices(t)
	const keep = 720 * time.Hour
	b.transact(b.price(r, "kettle", 49, noon))
	b.clock = noon.Add(keep)
	b.expect("to the instant", b.transact(b.price(r, "kettle", 48, noon.Add(keep))), knows("kettle", 49, noon))
	b.expect("and no longer", b.transact(b.price(r, "kettle", 47, noon.Add(2*keep+time.Microsecond))), step{Counts: true})
	b.expect("but it still tells what is late", b.transact(b.price(r, "kettle", 46, noon.Add(2*keep))), step{})
}

func TestStatesKeepTheirTypes(t *testing.T) {
	b, r := newBench(t), prices(t)
	values := map[string]any{
		"product": "水壶\u2028\"", "price": 0.1 + 0.2, "on_sale": false, "until": noon.Add(123456789 * time.Nanosecond), "undeclared": []any{1.0},
	}
	b.transact(b.observe(r, Event{Values: values, Time: noon}))
	want := maps.Clone(values)
	delete(want, "undeclared")
	want["time"] = noon
	next := b.observe(r, Event{Values: values, Time: noon.Add(time.Second)})
	b.expect("from the database", b.transact(next), step{true, true, want})

	changed := rule(t, subscriptions.Trigger{
		Name:       "price_fall",
		Change:     &subscriptions.ChangeRule{Key: []string{"product"}, Keep: "720h"},
		Attributes: []subscriptions.Attribute{attribute("product", "string"), attribute("price", "string"), attribute("until", "number")},
	})
	last := b.observe(changed, Event{Values: map[string]any{"product": "水壶\u2028\"", "price": "1"}, Time: noon.Add(time.Hour)})
	b.expect("after its types were changed", b.transact(last),
		step{true, true, map[string]any{"product": "水壶\u2028\"", "time": noon.Add(time.Second)}})
}

func TestWithoutItsKeyAnEventIsNotObserved(t *testing.T) {
	r := prices(t)
	if _, ok, err := r.Observe(Event{Values: map[string]any{"price": 1.0}, Time: noon, Received: noon}); ok || err != nil {
		t.Errorf("without a product: %v, %v", ok, err)
	}
	if _, ok, err := r.Observe(Event{Values: map[string]any{"product": []any{}}, Time: noon, Received: noon}); ok || err == nil {
		t.Errorf("with a list for a product: %v, %v", ok, err)
	}
	s := &Sequence{}
	if _, _, err := s.Step(Observation{}); err == nil {
		t.Error("a slot that was not locked can be stepped through")
	}
	if _, err := RuleOf(subscriptions.Trigger{Change: &subscriptions.ChangeRule{Keep: "for ever"}}); err == nil {
		t.Error("a rule keeps states for ever")
	}
}

// TestASequenceIsTheWholeHistory compares transactions of any size with one
// walk through all events in memory.
func TestASequenceIsTheWholeHistory(t *testing.T) {
	b, r := newBench(t), prices(t)
	const keep = 720 * time.Hour
	rapid.Check(t, func(t *rapid.T) {
		if _, err := b.pool.Exec(context.Background(), `DELETE FROM trigger_states`); err != nil {
			t.Fatal(err)
		}
		type newest struct {
			price float64
			at    time.Time
		}
		known := map[string]newest{}
		for n := range rapid.IntRange(1, 8).Draw(t, "transactions") {
			var events []Observation
			var want []step
			for i := range rapid.IntRange(0, 6).Draw(t, "events") {
				product := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "product")
				at := noon.Add(rapid.SampledFrom([]time.Duration{0, 1, 2, 3, keep/time.Microsecond + 1, keep/time.Microsecond + 2}).Draw(t, "µs") * time.Microsecond)
				price := float64(10*n + i)
				events = append(events, b.price(r, product, price, at))
				before, some := known[product]
				switch {
				case some && at.Before(before.at):
					want = append(want, step{})
					continue
				case some && at.Sub(before.at) <= keep:
					want = append(want, knows(product, before.price, before.at))
				default:
					want = append(want, step{Counts: true})
				}
				known[product] = newest{price, at}
			}
			if diff := cmp.Diff(want, b.transact(events...)); diff != "" {
				t.Fatalf("transaction %d (-want +got)\n%s", n, diff)
			}
		}
	})
}

// TestNodesSeeOneOrder lets nodes with the same new slots, in different orders,
// cross: of each slot the events are one chain.
func TestNodesSeeOneOrder(t *testing.T) {
	b, r := newBench(t), prices(t)
	const nodes, transactions, slots = 6, 15, 5
	var mu sync.Mutex
	links := map[string]map[float64]float64{} // by slot: the price after each price; 0: the first
	var group sync.WaitGroup
	for node := range nodes {
		group.Go(func() {
			for n := range transactions {
				events := make([]Observation, slots)
				for i := range events {
					product := (i*(node+1) + n) % slots
					events[i] = b.price(r, fmt.Sprint("p", product), float64(1+node*1000+n*10+i), noon)
				}
				steps, err := b.try(events...)
				if err != nil {
					b.Error(err)
					return
				}
				mu.Lock()
				for i, s := range steps {
					before, _ := s.Values["price"].(float64)
					slot := events[i].Key
					if links[slot] == nil {
						links[slot] = map[float64]float64{}
					}
					if other, taken := links[slot][before]; taken {
						b.Errorf("%s: both %v and %v come after %v", slot, other, events[i].values["price"], before)
					}
					links[slot][before] = events[i].values["price"].(float64)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	total := 0
	for slot, after := range links {
		n, at := 0, 0.0
		for next, ok := after[at]; ok; next, ok = after[at] {
			n, at = n+1, next
		}
		if n != len(after) {
			t.Errorf("%s: a chain of %d, want %d", slot, n, len(after))
		}
		total += n
	}
	if total != nodes*transactions*slots {
		t.Errorf("%d events, want %d", total, nodes*transactions*slots)
	}
}

func TestWhatIsRolledBackWasNeverSeen(t *testing.T) {
	b, r := newBench(t), prices(t)
	ctx := context.Background()
	b.transact(b.price(r, "kettle", 49, noon))
	for _, how := range []string{"rolled back", "killed"} {
		tx, err := b.pool.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		events := []Observation{b.price(r, "kettle", 1, noon.Add(time.Hour)), b.price(r, "pan", 1, noon.Add(time.Hour))}
		sequence, err := b.LockTx(ctx, tx, []Slot{events[0].Slot, events[1].Slot})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if _, counts, err := sequence.Step(e); !counts || err != nil {
				t.Fatal(counts, err)
			}
		}
		if err := b.WriteTx(ctx, tx, sequence); err != nil {
			t.Fatal(err)
		}
		if how == "killed" {
			if _, err := b.pool.Exec(ctx, `SELECT pg_terminate_backend($1, 10000)`, tx.Conn().PgConn().PID()); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(ctx); err == nil {
				t.Fatal("a killed connection commits")
			}
		}
		_ = tx.Rollback(ctx)
	}
	b.expect("afterwards", b.transact(b.price(r, "kettle", 48, noon.Add(time.Minute)), b.price(r, "pan", 20, noon.Add(time.Minute))),
		knows("kettle", 49, noon), step{Counts: true})
}

func TestStatesAreForgottenWhenNothingCanAskForThem(t *testing.T) {
	b, r := newBench(t), prices(t)
	ctx := context.Background()
	const keep = 720 * time.Hour
	var many []Observation
	for i := range forgetAtOne + 1 {
		many = append(many, b.price(r, fmt.Sprint("p", i), 1, noon))
	}
	b.transact(many...)
	b.clock = noon.Add(time.Hour)
	b.transact(b.price(r, "p0", 2, noon.Add(-time.Hour)), b.price(r, "last", 2, noon.Add(-time.Hour)))
	left := func(at time.Time, want int) {
		t.Helper()
		b.clock = at
		if err := b.forget(ctx); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := b.pool.QueryRow(ctx, `SELECT count(*) FROM trigger_states`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != want {
			t.Errorf("at %s: %d states, want %d", at, n, want)
		}
	}
	left(noon.Add(keep+slack), forgetAtOne+2)
	held, err := b.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.LockTx(ctx, held, []Slot{many[0].Slot}); err != nil {
		t.Fatal(err)
	}
	left(noon.Add(keep+slack+24*time.Hour), 1)
	if err := held.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	left(noon.Add(keep+slack+24*time.Hour), 0)
	b.expect("after that the next is the first", b.transact(b.price(r, "p1", 3, b.clock)), step{Counts: true})
}

func TestRunForgetsUntilItsContextEnds(t *testing.T) {
	b, r := newBench(t), prices(t)
	b.transact(b.price(r, "kettle", 49, noon))
	b.clock = noon.Add(800 * time.Hour)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		b.Run(ctx)
		close(done)
	}()
	for n := 1; n > 0; {
		if err := b.pool.QueryRow(ctx, `SELECT count(*) FROM trigger_states`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-done
	b.pool.Close()
	if err := b.forget(context.Background()); err == nil {
		t.Error("without a database states are forgotten")
	}
}

func BenchmarkTransactionOf1000(b *testing.B) {
	s, r := newBench(b), prices(b)
	n := 0
	for b.Loop() {
		events := make([]Observation, 1000)
		for i := range events {
			events[i] = s.price(r, fmt.Sprint("p", (i*7919+n*1000)%100_000), float64(n), noon)
		}
		s.transact(events...)
		n++
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "events/s")
}
