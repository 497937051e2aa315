package matcher_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/dispatch"
	"herald/matcher"
	"herald/matcher/follower"
	"herald/matcher/index"
	"herald/postgres/pgtest"
	"herald/subscriptions"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// opening is when the shop's clock starts.
var opening = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// shop is Herald without faces: the real stores and an intake.
type shop struct {
	testing.TB
	ctx           context.Context
	pool          *pgxpool.Pool
	triggers      *subscriptions.Triggers
	subscriptions *subscriptions.Store
	events        *matcher.Events
	deliveries    *dispatch.Store
	clock         *clock
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

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func openShop(t testing.TB) *shop {
	t.Helper()
	s := &shop{TB: t, ctx: context.Background(), pool: pgtest.New(t), clock: &clock{at: opening}}
	consents := subscriptions.NewConsents(s.pool, s.clock.now)
	s.triggers = subscriptions.NewTriggers(s.pool, s.clock.now)
	s.subscriptions = subscriptions.NewStore(s.pool, s.triggers, consents, s.clock.now)
	s.events = matcher.NewEvents(s.pool)
	deliveries, err := dispatch.NewStore(s.pool, consents, s.clock.now, dispatch.StoreConfig{Channels: []subscriptions.Channel{subscriptions.Email}})
	if err != nil {
		t.Fatal(err)
	}
	s.deliveries = deliveries
	return s
}

// intake is closed at the end of the test.
func (s *shop) intake(enqueue matcher.Enqueuer, cfg matcher.IntakeConfig) *matcher.Intake {
	s.Helper()
	if cfg.Now == nil {
		cfg.Now = s.clock.now
	}
	i := matcher.NewIntake(s.pool, s.triggers, enqueue, cfg)
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := i.Close(ctx); err != nil {
			s.Errorf("close the intake: %v", err)
		}
	})
	return i
}

// follow is an index that follows the tables until the end of the test.
func (s *shop) follow() *follower.Follower {
	s.Helper()
	return s.followEvery(5 * time.Millisecond)
}

// followEvery is the same at another pace.
func (s *shop) followEvery(poll time.Duration) *follower.Follower {
	s.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	f := follower.New(s.pool, index.New(), follower.Config{Poll: poll})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	s.Cleanup(func() { cancel(); <-ended })
	if err := f.Sync(s.ctx); err != nil {
		s.Fatal(err)
	}
	return f
}

func (s *shop) save(t subscriptions.Trigger) subscriptions.Trigger {
	s.Helper()
	saved, err := s.triggers.Save(s.ctx, t, "test")
	if err != nil {
		s.Fatalf("save trigger %s: %v", t.Name, err)
	}
	return saved
}

// member registers one who can be reached and agrees to everything.
func (s *shop) member(account string) int64 {
	s.Helper()
	var id int64
	err := s.pool.QueryRow(s.ctx, `
		WITH m AS (INSERT INTO members (account, display_name, locale) VALUES ($1, initcap($1), 'zh-CN') RETURNING id),
		     c AS (INSERT INTO contact_points (member_id, channel, address, verified_at)
		           SELECT id, 'email', $1 || '@example.com', now() FROM m)
		SELECT id FROM m`, account).Scan(&id)
	if err != nil {
		s.Fatalf("register %s: %v", account, err)
	}
	return id
}

// subscribe orders price_drop for a product below a target, with whatever else
// the changes say.
func (s *shop) subscribe(member int64, product string, target float64, changes ...func(*subscriptions.Order)) subscriptions.Subscription {
	s.Helper()
	order := subscriptions.Order{
		MemberID: member, Trigger: "price_drop", Origin: "api", Actor: "member",
		Params: map[string]any{"product": product, "target": target},
	}
	for _, change := range changes {
		change(&order)
	}
	sub, err := s.subscriptions.Create(s.ctx, order)
	if err != nil {
		s.Fatalf("subscribe to %s: %v", product, err)
	}
	return sub
}

func words(en string) subscriptions.Text { return subscriptions.Text{"en": en, "zh": en + "。"} }

func attribute(name, kind string) subscriptions.Attribute {
	return subscriptions.Attribute{Name: name, Type: kind, Title: words(name)}
}

func param(name, kind string) subscriptions.Param {
	return subscriptions.Param{Name: name, Type: kind, Title: words(name)}
}

// priceDrop has no cool-down.
func priceDrop() subscriptions.Trigger {
	was := attribute("was", "number")
	was.Optional = true
	return subscriptions.Trigger{
		Name: "price_drop", Title: words("Price drop"), Help: words("Help"), EventType: "price.changed",
		Attributes: []subscriptions.Attribute{attribute("product", "string"), attribute("price", "number"), was},
		Params:     []subscriptions.Param{param("product", "string"), param("target", "number")},
		Condition:  "event.product == param.product && event.price <= param.target",
		Summary:    words("{{ param.product }} at {{ param.target }}"),
		Channels:   []subscriptions.Channel{subscriptions.Email},
		Purpose:    subscriptions.Service, Priority: 2, Expiry: "24h", Template: "price_drop",
	}
}

func priceEvent(id, product string, price float64) matcher.Event {
	return matcher.Event{
		ID: id, Source: "/shop", Type: "price.changed",
		Data: map[string]any{"product": product, "price": price},
	}
}

func numbered(n int, product string, price float64) []matcher.Event {
	events := make([]matcher.Event, n)
	for i := range events {
		events[i] = priceEvent(fmt.Sprintf("%s-%05d", product, i), product, price)
	}
	return events
}

// accept expects every event to be taken.
func (s *shop) accept(i *matcher.Intake, events ...matcher.Event) []matcher.Result {
	s.Helper()
	results, err := i.Accept(s.ctx, events)
	if err != nil {
		s.Fatalf("Accept: %v", err)
	}
	for _, r := range results {
		if r.Status == matcher.Refused {
			s.Fatalf("event %s refused: %v", r.ID, r.Err)
		}
	}
	return results
}

// count counts rows: "matches WHERE outcome = 'notified'".
func (s *shop) count(what string) int {
	s.Helper()
	var n int
	if err := s.pool.QueryRow(s.ctx, "SELECT count(*) FROM "+what).Scan(&n); err != nil {
		s.Fatalf("count %s: %v", what, err)
	}
	return n
}

// await asks until there are so many rows.
func (s *shop) await(what string, n int) {
	s.Helper()
	for limit := time.Now().Add(time.Minute); s.count(what) != n; {
		if time.Now().After(limit) {
			s.Fatalf("there were not %d %s within a minute", n, what)
		}
	}
}

// expect compares counts of rows, by what is counted.
func (s *shop) expect(want map[string]int) {
	s.Helper()
	for what, n := range want {
		if got := s.count(what); got != n {
			s.Errorf("%d %s, want %d", got, what, n)
		}
	}
}

// outcomes are what became of an event's matches, by subscription.
func (s *shop) outcomes(source, id string) map[int64]matcher.Outcome {
	s.Helper()
	event, err := s.events.BySource(s.ctx, source, id)
	if err != nil {
		s.Fatal(err)
	}
	matches, err := s.events.Matches(s.ctx, event.UUID, 1000)
	if err != nil {
		s.Fatal(err)
	}
	out := map[int64]matcher.Outcome{}
	for _, m := range matches {
		out[m.SubscriptionID] = m.Outcome
		if (m.Outcome == matcher.Notified) == (m.NotificationID == uuid.Nil) {
			s.Errorf("a match that is %s has the notification %s", m.Outcome, m.NotificationID)
		}
	}
	return out
}

// enqueuer is an Enqueuer of a function.
type enqueuer func(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error

func (f enqueuer) EnqueueTx(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error {
	return f(ctx, tx, ns)
}
