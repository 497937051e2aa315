package campaigns

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/calendars"
	"herald/dispatch"
	"herald/postgres/pgtest"
	"herald/subscriptions"
	"herald/templates"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// clock is a time that the test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// book is an Enqueuer that writes down who was told, in the transaction it is
// given, and Ledgers of that.
type book struct {
	pool *pgxpool.Pool

	mu        sync.Mutex
	fault     func(batch int) error // asked before each batch
	batch     int
	foresight func(dispatch.Prospect) dispatch.Foreseen
	open      int64 // notifications that are not final yet, by the ledger
	events    []string
	woken     []int64
}

func (b *book) EnqueueTx(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error {
	b.mu.Lock()
	b.batch++
	fault, batch := b.fault, b.batch
	b.mu.Unlock()
	rows := make([][]any, len(ns))
	for i, n := range ns {
		rows[i] = []any{n.CampaignID, n.MemberID, n.Template, n.ExpiresAt}
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"told"}, []string{"run", "member", "template", "expires"}, pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	if fault != nil {
		return fault(batch)
	}
	return nil
}

// Foresee asks the test's foresight, or lets everything go at once.
func (b *book) Foresee(_ context.Context, _ subscriptions.Querier, list []dispatch.Prospect) ([]dispatch.Foreseen, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	foreseen := make([]dispatch.Foreseen, len(list))
	for i, one := range list {
		foreseen[i].State = dispatch.Pending
		if b.foresight != nil {
			foreseen[i] = b.foresight(one)
		}
	}
	return foreseen, nil
}

func (b *book) WakeTx(_ context.Context, _ pgx.Tx, runs []int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.woken = append(b.woken, runs...)
	return nil
}

func (b *book) RunLedger(ctx context.Context, runID int64) (dispatch.Ledger, error) {
	var l dispatch.Ledger
	err := b.pool.QueryRow(ctx, `SELECT count(*) FROM told WHERE run = $1`, runID).Scan(&l.Targeted)
	b.mu.Lock()
	defer b.mu.Unlock()
	l.Pending = min(b.open, l.Targeted)
	l.Accepted = l.Targeted - l.Pending
	l.Balanced = true
	return l, err
}

func (b *book) AnnounceTx(_ context.Context, _ pgx.Tx, event string, _ map[string]any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, event)
	return nil
}

func (b *book) set(change func(*book)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

// desk is a Store on a database of its own, with a book and a clock.
type desk struct {
	testing.TB
	pool  *pgxpool.Pool
	clock *clock
	book  *book
	store *Store
}

var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{TB: t, pool: pgtest.New(t), clock: &clock{at: monday}}
	d.book = &book{pool: d.pool}
	if _, err := d.pool.Exec(t.Context(), `CREATE TABLE told (run bigint, member bigint, template text, expires timestamptz)`); err != nil {
		t.Fatal(err)
	}
	d.store = d.node()
	return d
}

// node is another Store on the same database.
func (d *desk) node() *Store {
	d.Helper()
	s, err := NewStore(d.pool, Config{
		Templates: templates.NewStore(d.pool, nil, d.clock.now), Triggers: subscriptions.NewTriggers(d.pool, d.clock.now),
		Consents: subscriptions.NewConsents(d.pool, d.clock.now), Calendars: calendars.NewStore(d.pool, d.clock.now), Enqueuer: d.book, Ledgers: d.book, Announcer: d.book,
		Channels: []subscriptions.Channel{subscriptions.Email, subscriptions.SMS}, Now: d.clock.now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		d.Fatal(err)
	}
	return s
}

// members registers so many, m1 to mN.
func (d *desk) members(n int) {
	d.Helper()
	d.exec(`INSERT INTO members (account, display_name, attributes)
		SELECT 'm' || i, 'Member ' || i, jsonb_build_object('even', i % 2 = 0) FROM generate_series(1, $1) AS i`, n)
}

func (d *desk) exec(sql string, args ...any) {
	d.Helper()
	if _, err := d.pool.Exec(context.Background(), sql, args...); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) number(sql string, args ...any) int {
	d.Helper()
	var n int
	if err := d.pool.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		d.Fatal(err)
	}
	return n
}

func (d *desk) told() int { return d.number(`SELECT count(*) FROM told`) }

// toldOnce fails unless exactly these many were told, nobody twice.
func (d *desk) toldOnce(want int) {
	d.Helper()
	if all, each := d.told(), d.number(`SELECT count(DISTINCT member) FROM told`); all != want || each != want {
		d.Errorf("%d messages to %d members, want one for each of %d", all, each, want)
	}
}

// plan is one that can be saved; tests change one thing.
func plan(change ...func(*Plan)) Plan {
	p := Plan{
		Name: "A week of tea", Segment: Segment{All: true}, Channels: []subscriptions.Channel{subscriptions.Email},
		Messages: []Wording{{Channel: subscriptions.Email, Locale: "en", Subject: "Tea for {{ member.name }}", Body: "20 % off, {{ member.name }}."}},
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

func (d *desk) create(change ...func(*Plan)) Campaign {
	d.Helper()
	c, err := d.store.Create(context.Background(), plan(change...), "operator:ann")
	if err != nil {
		d.Fatal(err)
	}
	return c
}

func (d *desk) started(change ...func(*Plan)) Campaign {
	d.Helper()
	c := d.create(change...)
	return d.must(d.store.Start(context.Background(), c.ID, "operator:ann"))
}

func (d *desk) must(c Campaign, err error) Campaign {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
	return c
}

func (d *desk) get(id int64) Campaign {
	d.Helper()
	return d.must(d.store.Get(context.Background(), id))
}

// ranges are the ids of those that are not read.
func (d *desk) ranges() []int64 {
	d.Helper()
	rows, err := d.pool.Query(context.Background(), `SELECT id FROM campaign_ranges WHERE NOT done ORDER BY id`)
	if err != nil {
		d.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		d.Fatal(err)
	}
	return ids
}

// prepare reads every open range.
func (d *desk) prepare() {
	d.Helper()
	for _, id := range d.ranges() {
		if err := d.store.prepareRange(context.Background(), id); err != nil {
			d.Fatal(err)
		}
	}
}

// look is what the periodic job does.
func (d *desk) look() {
	d.Helper()
	for _, step := range []func(context.Context) error{d.store.fireDue, d.store.tend} {
		if err := step(context.Background()); err != nil {
			d.Fatal(err)
		}
	}
}

func (d *desk) inState(id int64, want State) {
	d.Helper()
	if c := d.get(id); c.State != want {
		d.Errorf("campaign %d is %s, want %s", id, c.State, want)
	}
}

func sprint(v any) string { return fmt.Sprint(v) }
