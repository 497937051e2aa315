package follower

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/matcher/index"
	"herald/matcher/predicate"
	"herald/postgres/pgtest"
	"herald/subscriptions"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// patience is how long a test waits for what must happen.
const patience = time.Minute

// rare is a follower's pace in tests that say themselves when it looks.
const rare = time.Hour

// world is a database with triggers, and members' subscriptions as the tests
// write them.
type world struct {
	testing.TB
	ctx           context.Context
	pool          *pgxpool.Pool
	member        int64
	triggers      *subscriptions.Triggers
	subscriptions *subscriptions.Store
	clock         *clock
	bounds        map[string]predicate.Bound
}

// clock stands still until it is told to move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(by)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return worldOn(t, pgtest.New(t))
}

func worldOn(t testing.TB, pool *pgxpool.Pool) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	w := &world{TB: t, ctx: ctx, pool: pool, clock: &clock{at: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}}
	w.triggers = subscriptions.NewTriggers(pool, w.clock.now)
	w.subscriptions = subscriptions.NewStore(pool, w.triggers, subscriptions.NewConsents(pool, w.clock.now), w.clock.now)
	w.bounds = map[string]predicate.Bound{}
	for _, definition := range []subscriptions.Trigger{
		trigger("equal", "event.product == param.product"),
		trigger("below", "event.product == param.product && event.price <= param.low"),
		trigger("between", "event.product == param.product && event.price >= param.low && event.price <= param.high"),
	} {
		w.save(definition)
	}
	w.member = w.join("ann")
	return w
}

func trigger(name, condition string) subscriptions.Trigger {
	words := subscriptions.Text{"en": name, "zh": name}
	attribute := func(name, kind string) subscriptions.Attribute {
		return subscriptions.Attribute{Name: name, Type: kind, Title: words}
	}
	param := func(name, kind string) subscriptions.Param {
		return subscriptions.Param{Name: name, Type: kind, Title: words}
	}
	return subscriptions.Trigger{
		Name: name, Title: words, Help: words, EventType: "price.changed", Condition: condition,
		Attributes: []subscriptions.Attribute{attribute("product", "string"), attribute("price", "number")},
		Params:     []subscriptions.Param{param("product", "string"), param("low", "number"), param("high", "number")},
		Summary:    words, Channels: []subscriptions.Channel{subscriptions.Email}, Purpose: subscriptions.Service,
		Priority: 2, Expiry: "24h", Template: "price_drop",
	}
}

func (w *world) save(t subscriptions.Trigger) {
	w.Helper()
	saved, err := w.triggers.Save(w.ctx, t, "test")
	if err != nil {
		w.Fatalf("save trigger %s: %v", t.Name, err)
	}
	condition, err := saved.Compile()
	if err != nil {
		w.Fatal(err)
	}
	w.bounds[t.Name] = condition.Bound()
}

func (w *world) join(account string) (id int64) {
	w.Helper()
	if err := w.pool.QueryRow(w.ctx, `INSERT INTO members (account, display_name) VALUES ($1, $1) RETURNING id`, account).Scan(&id); err != nil {
		w.Fatalf("register %s: %v", account, err)
	}
	return id
}

// order is Ann's choice of a trigger.
func (w *world) order(trigger, product string, low, high float64) subscriptions.Order {
	return subscriptions.Order{
		MemberID: w.member, Trigger: trigger, Origin: "api", Actor: "member",
		Params: map[string]any{"product": product, "low": low, "high": high},
	}
}

func (w *world) subscribe(o subscriptions.Order) subscriptions.Subscription {
	w.Helper()
	s, err := w.subscriptions.Create(w.ctx, o)
	if err != nil {
		w.Fatalf("subscribe to %s: %v", o.Trigger, err)
	}
	return s
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.pool.Exec(w.ctx, sql, args...); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

// follow runs a follower until the test ends.
func (w *world) follow(cfg Config) *Follower {
	w.Helper()
	if cfg.AuditEvery == 0 {
		cfg.AuditEvery = -1
	}
	f := New(w.pool, index.New(), cfg)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		f.Run(ctx)
	}()
	w.Cleanup(func() {
		cancel()
		<-stopped
	})
	return f
}

// loaded is a follower that has loaded all and looks only when told.
func (w *world) loaded() *Follower {
	w.Helper()
	f := w.follow(Config{Poll: rare, IdlePoll: rare})
	w.sync(f)
	w.sync(f) // after the first look, which follows the load at once
	return f
}

func (w *world) sync(f *Follower) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := f.Sync(ctx); err != nil {
		w.Fatalf("the index does not catch up: %v", err)
	}
}

// probe is what an event is looked up by.
type probe struct {
	trigger string
	predicate.Probe
}

// probes are all that tell the world's subscriptions apart.
func (w *world) probes() []probe {
	var all []probe
	for name := range w.bounds {
		for _, product := range products {
			for value := -1.0; value <= 11; value += 1.5 {
				all = append(all, probe{name, predicate.Probe{Key: keyOf(product), Value: value}})
			}
		}
	}
	return all
}

var products = []string{"a", "b", "c", "d"}

// keyOf is the anchor of event.product == param.product.
func keyOf(product string) string { return fmt.Sprintf("s%d:%s", len(product), product) }

const oracle = `
	SELECT a.subscription_id FROM subscription_anchors a JOIN subscriptions s ON s.id = a.subscription_id
	WHERE a.trigger = $1 AND a.key = $2 AND s.valid_from <= $4 AND (s.valid_until IS NULL OR s.valid_until > $4)
		AND CASE $5 WHEN '' THEN true WHEN '<=' THEN a.bound >= $3 WHEN '>=' THEN a.bound <= $3
			WHEN 'between' THEN a.bound <= $3 AND a.upper >= $3 END
	ORDER BY 1`

// found is what three ways find by one probe: the index, the fence, and the
// SQL join.
type found struct {
	probe
	index, fence, join []int64
}

// look uses the index as a transaction that matches does, and asks the oracle
// in the fence's snapshot; ok is false while the index cannot be used at all.
func (w *world) look(f *Follower, probes []probe) (results []found, fence *Fence, ok bool) {
	w.Helper()
	v, ok := f.View()
	if !ok {
		return nil, nil, false
	}
	at := w.clock.now()
	results = make([]found, len(probes))
	for i, p := range probes {
		results[i] = found{probe: p, index: v.Index.Condition(p.trigger).Match(p.Probe, at, nil)}
	}
	fence = &Fence{}
	err := pgx.BeginTxFunc(w.ctx, w.pool, reading, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		v.QueueFence(batch, fence)
		for i, p := range probes {
			batch.Queue(oracle, p.trigger, p.Key, p.Value, at, string(w.bounds[p.trigger])).Query(func(rows pgx.Rows) (err error) {
				results[i].join, err = pgx.CollectRows(rows, pgx.RowTo[int64])
				return err
			})
		}
		return tx.SendBatch(w.ctx, batch).Close()
	})
	if err != nil {
		w.Errorf("fence: %v", err)
		return nil, nil, false
	}
	for i, p := range probes {
		results[i].fence = fence.Match(p.trigger, w.bounds[p.trigger], p.Probe, nil)
	}
	return results, fence, true
}

// complete fails the test where index and fence lack what the join finds, and
// returns how many probes were judged so.
func (w *world) complete(f *Follower, probes []probe) (judged int) {
	w.Helper()
	results, fence, ok := w.look(f, probes)
	if !ok {
		return 0
	}
	for _, r := range results {
		if fence.Changed(r.trigger) {
			continue
		}
		judged++
		for _, id := range r.join {
			if !slices.Contains(r.index, id) && !slices.Contains(r.fence, id) {
				w.Errorf("%s %v: %d is missing; index %v, fence %v, join %v", r.trigger, r.Probe, id, r.index, r.fence, r.join)
			}
		}
	}
	return judged
}

// equal fails the test where the index, all by itself, is not what the join
// finds.
func (w *world) equal(f *Follower) {
	w.Helper()
	w.sync(f)
	results, fence, ok := w.look(f, w.probes())
	if !ok {
		w.Fatal("the index cannot be used")
	}
	for _, r := range results {
		if fence.Changed(r.trigger) || len(r.fence) > 0 {
			w.Errorf("%s %v: the fence has %v (changed: %t), though all is in the index", r.trigger, r.Probe, r.fence, fence.Changed(r.trigger))
		}
		slices.Sort(r.index)
		if !slices.Equal(slices.Compact(r.index), r.join) {
			w.Errorf("%s %v: index %v, join %v", r.trigger, r.Probe, r.index, r.join)
		}
	}
	if n, err := f.Audit(w.ctx); n != 0 || err != nil {
		w.Errorf("the audit finds %d differences, %v", n, err)
	}
}

// seeded is a source of chance whose seed a failing test tells.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}
