package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"herald/dispatch/pool"
	"herald/postgres/pgtest"
	"herald/problem"
	"herald/subscriptions"
	"herald/templates"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(doomedURL); url != "" {
		runDoomedNode(url)
		return
	}
	pgtest.Main(m)
}

// scripted is a Sender whose sessions do what the test says, and that
// remembers what they were given. By default they take everything.
type scripted struct {
	name     string // empty: main
	mu       sync.Mutex
	opening  error // what Open fails with
	fragile  bool  // every failure breaks the session
	script   func(ctx context.Context, m Message) (Receipt, error)
	messages []Message
	inHand   map[uuid.UUID]bool
	overlaps int // deliveries that were handed over twice at the same time
}

func (s *scripted) Channel() subscriptions.Channel { return subscriptions.Email }

func (s *scripted) Account() string { return cmp.Or(s.name, "main") }

func (s *scripted) Open(context.Context) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opening != nil {
		return nil, s.opening
	}
	return &scriptedSession{scripted: s}, nil
}

// scriptedSession is broken by what breaks a session.
type scriptedSession struct {
	*scripted
	broken bool
}

func (s *scriptedSession) Broken() bool                { return s.broken }
func (s *scriptedSession) Close(context.Context) error { return nil }

func (s *scriptedSession) Send(ctx context.Context, m Message) (Receipt, error) {
	r, err := s.scripted.send(ctx, m)
	if class := asSendError(err).Class; err != nil && (s.fragile || class == SessionFatal || class == Doubt) {
		s.broken = true
	}
	return r, err
}

func (s *scripted) send(ctx context.Context, m Message) (Receipt, error) {
	s.mu.Lock()
	s.messages = append(s.messages, m)
	if s.inHand == nil {
		s.inHand = map[uuid.UUID]bool{}
	}
	if s.inHand[m.DeliveryID] {
		s.overlaps++
	}
	s.inHand[m.DeliveryID] = true
	script := s.script
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.inHand, m.DeliveryID)
	}()
	if script == nil {
		return Receipt{ProviderID: "p1", Account: "main", Code: "250 2.0.0"}, nil
	}
	return script(ctx, m)
}

func (s *scripted) does(script func(ctx context.Context, m Message) (Receipt, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

func (s *scripted) fails(e *SendError) {
	s.does(func(context.Context, Message) (Receipt, error) { return Receipt{}, e })
}

func (s *scripted) sent() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// rendered is Templates that prints the template's name and data.
type rendered struct{}

func (rendered) Render(_ context.Context, name, _, locale string, data map[string]any) (templates.Content, error) {
	switch name {
	case "missing":
		return templates.Content{}, problem.New(problem.NotFound, "there is no template %s", name)
	case "broken":
		return templates.Content{}, problem.New(problem.Invalid, "line 3: unknown filter")
	case "panics":
		panic("a filter went wrong")
	case "away":
		return templates.Content{}, errors.New("connection refused")
	}
	return templates.Content{Subject: name, Text: fmt.Sprint(data), Locale: locale, Version: 1}, nil
}

type plainLinks struct{}

func (plainLinks) Unsubscribe(d uuid.UUID, s int64) string { return fmt.Sprintf("u/%s/%d", d, s) }
func (plainLinks) Delivery(d uuid.UUID) string             { return "d/" + d.String() }
func (plainLinks) Alerts() string                          { return "alerts" }
func (plainLinks) Alert(int64) string                      { return "alert" }

// clock is a time that the test moves; it starts at the present.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// wishes is Subscriptions that all say the same.
type wishes struct {
	mu  sync.Mutex
	why string
}

func (w *wishes) Silenced(_ context.Context, ids []int64) (map[int64]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	why := map[int64]string{}
	for _, id := range ids {
		why[id] = w.why
	}
	return why, nil
}

func (w *wishes) set(why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.why = why
}

// bench is a whole dispatch on a database of its own, with a running River
// client, a scripted sender and a clock that the test moves.
type bench struct {
	t             testing.TB
	pool          *pgxpool.Pool
	clock         *clock
	store         *Store
	consents      *subscriptions.Consents
	sender        *scripted
	subscriptions *wishes
	accounts      *Accounts
	worker        *Worker
	node          *Node
	events        <-chan *river.Event
	member        int64
	contact       int64
}

func newBench(t testing.TB, change ...func(*WorkerConfig)) *bench {
	t.Helper()
	b := newIdleBench(t, change...)
	b.events = b.start(b.node.Name(), b.worker)
	return b
}

// newIdleBench is a bench whose River client does not run.
func newIdleBench(t testing.TB, change ...func(*WorkerConfig)) *bench {
	t.Helper()
	b := &bench{
		t: t, pool: pgtest.New(t), clock: &clock{}, sender: &scripted{},
		subscriptions: &wishes{},
	}
	b.consents = subscriptions.NewConsents(b.pool, b.clock.now)
	var err error
	if b.store, err = NewStore(b.pool, b.consents, b.clock.now, StoreConfig{Channels: []subscriptions.Channel{subscriptions.Email}}); err != nil {
		t.Fatal(err)
	}
	b.node, b.worker = b.newWorker("node-1", b.sender, change...)
	b.member, b.contact = b.newMember("wei", "wei@example.com")
	return b
}

// newWorker is a worker on a node that has just beaten.
func (b *bench) newWorker(name string, sender Sender, change ...func(*WorkerConfig)) (*Node, *Worker) {
	b.t.Helper()
	return b.newWorkerOf(name, []AccountConfig{{Sender: sender, MaxSessions: 20, tune: patient}}, change...)
}

// newWorkerOf is newWorker with accounts of the test's choice.
func (b *bench) newWorkerOf(name string, list []AccountConfig, change ...func(*WorkerConfig)) (*Node, *Worker) {
	b.t.Helper()
	node := NewNode(b.pool, name, time.Now, slog.New(slog.DiscardHandler))
	node.silent = time.Hour // these tests do not beat
	if err := node.beat(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	cfg := WorkerConfig{
		Templates: rendered{}, Links: plainLinks{}, Contacts: subscriptions.NewContacts(b.pool, b.store, b.clock.now),
		Suppressions: b.consents, Subscriptions: b.subscriptions, Node: node, Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	accounts, err := NewAccounts(b.pool, node, list, slog.New(slog.DiscardHandler))
	if err != nil {
		b.t.Fatal(err)
	}
	accounts.Start()
	b.t.Cleanup(func() {
		ended, end := context.WithCancel(context.Background())
		end() // what a test left in a sender's hands stays there
		_ = accounts.Close(ended)
	})
	w, err := NewWorker(b.store, accounts, cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return node, w
}

// patient is a pool that does not mind what its sessions do.
func patient(c *pool.Config[Session]) {
	c.Hopeless, c.BreakLimit, c.PauseWait = nil, 1_000_000, time.Hour
	c.BackoffFirst, c.BackoffLongest = time.Millisecond, time.Millisecond
}

// start runs a River client for w until the test ends and gives its events:
// one for each time it ran a job.
func (b *bench) start(name string, w *Worker) <-chan *river.Event {
	b.t.Helper()
	events, stop := b.startUntil(name, w)
	b.t.Cleanup(stop)
	return events
}

// startUntil is start with an end of the test's choice.
func (b *bench) startUntil(name string, w *Worker) (_ <-chan *river.Event, stop func()) {
	b.t.Helper()
	workers := river.NewWorkers()
	w.AddTo(workers)
	client, err := river.NewClient(riverpgxv5.New(b.pool), &river.Config{
		ID: name, Workers: workers, Queues: w.Queues(), Logger: slog.New(slog.DiscardHandler),
		FetchCooldown: wakeEvery, FetchPollInterval: 20 * time.Millisecond, RescueStuckJobsAfter: w.RescueAfter(),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	events, unsubscribe := client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: 100_000,
		Kinds: []river.EventKind{
			river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobSnoozed, river.EventKindJobCancelled,
		},
	})
	if err := client.Start(context.WithoutCancel(b.t.Context())); err != nil {
		b.t.Fatal(err)
	}
	return events, func() {
		unsubscribe()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := client.StopAndCancel(ctx); err != nil {
			b.t.Errorf("stop River: %v", err)
		}
	}
}

// worked waits until jobs were run n times.
func (b *bench) worked(n int) []*river.Event {
	b.t.Helper()
	return waitFor(b.t, b.events, n)
}

func waitFor[E any](t testing.TB, from <-chan E, n int) []E {
	t.Helper()
	limit := time.After(2 * time.Minute)
	got := make([]E, 0, n)
	for len(got) < n {
		select {
		case e := <-from:
			got = append(got, e)
		case <-limit:
			t.Fatalf("waited for %d, got %d", n, len(got))
		}
	}
	return got
}

// due lets time pass and makes waiting jobs available, as River's scheduler
// does every five seconds. It says how many.
func (b *bench) due(after time.Duration) int {
	b.t.Helper()
	b.clock.advance(after)
	tag, err := b.pool.Exec(b.t.Context(), `
UPDATE river_job SET state = 'available', scheduled_at = now() WHERE state IN ('scheduled', 'retryable')`)
	if err != nil {
		b.t.Fatal(err)
	}
	return int(tag.RowsAffected())
}

func (b *bench) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.pool.Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatal(err)
	}
}

// newMember is a member with a verified address that may be used for
// everything.
func (b *bench) newMember(account, address string) (member, contact int64) {
	b.t.Helper()
	err := b.pool.QueryRow(b.t.Context(), `
WITH m AS (INSERT INTO members (account, display_name, locale) VALUES ($1, 'Wei', 'zh-CN') RETURNING id),
     k AS (INSERT INTO consents (member_id, channel, purpose, granted)
           SELECT m.id, 'email', p, true FROM m, unnest(ARRAY['transactional', 'service', 'marketing']) p)
INSERT INTO contact_points (member_id, channel, address, verified_at)
SELECT id, 'email', $2, now() FROM m RETURNING member_id, id`, account, address).Scan(&member, &contact)
	if err != nil {
		b.t.Fatal(err)
	}
	return member, contact
}

// note is a notification for the bench's member that is worth sending for a day.
func (b *bench) note(change ...func(*Notification)) Notification {
	n := Notification{
		MemberID: b.member, Trigger: "price_drop", SubscriptionID: 7, EventID: uuid.New(),
		Purpose: subscriptions.Service, Priority: 2, Template: "price_drop",
		Data:      map[string]any{"event": map[string]any{"price": 48}},
		Channels:  []subscriptions.Channel{subscriptions.Email},
		Decision:  Decision{{At: b.clock.now(), Code: "event_received", OK: true, Args: map[string]any{"type": "price.changed"}}},
		ExpiresAt: b.clock.now().Add(24 * time.Hour),
	}
	for _, c := range change {
		c(&n)
	}
	return n
}

// enqueue commits notifications and gives their deliveries' ids, in order.
func (b *bench) enqueue(ns ...Notification) []uuid.UUID {
	b.t.Helper()
	err := pgx.BeginFunc(b.t.Context(), b.pool, func(tx pgx.Tx) error { return b.store.EnqueueTx(b.t.Context(), tx, ns) })
	if err != nil {
		b.t.Fatal(err)
	}
	ids := make([]uuid.UUID, len(ns))
	for i, n := range ns {
		ids[i] = scalar[uuid.UUID](b, `SELECT id FROM deliveries WHERE notification_id = $1`, n.ID)
	}
	return ids
}

func scalar[T any](b *bench, sql string, args ...any) T {
	b.t.Helper()
	var v T
	if err := b.pool.QueryRow(b.t.Context(), sql, args...).Scan(&v); err != nil {
		b.t.Fatal(err)
	}
	return v
}

// untilLocked waits until a transaction waits for another.
func (b *bench) untilLocked() {
	b.t.Helper()
	for scalar[int](b, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`) == 0 {
		if err := b.t.Context().Err(); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) delivery(id uuid.UUID) Delivery {
	b.t.Helper()
	d, err := b.store.Delivery(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

// attemptsOf are the attempts at a delivery, in order.
func (b *bench) attemptsOf(id uuid.UUID) []attempt {
	b.t.Helper()
	found, err := b.store.attempts(b.t.Context(), b.delivery(id).NotificationID)
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// waiting is how many jobs will still run.
func (b *bench) waiting() int {
	b.t.Helper()
	return scalar[int](b, `SELECT count(*) FROM river_job WHERE finalized_at IS NULL`)
}

func (b *bench) balanced() Ledger {
	b.t.Helper()
	l, err := b.store.Ledger(b.t.Context(), Filter{})
	if err != nil {
		b.t.Fatal(err)
	}
	if !l.Balanced {
		b.t.Fatalf("the ledger does not balance: %+v", l)
	}
	return l
}
