package fax

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/dispatch"
	"herald/dispatch/fax/pages"
	"herald/e2e/peers"
	"herald/hardware/sim/hfaxd"
	"herald/postgres/pgtest"
	"herald/templates"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// font is read once: it has eleven megabytes.
var font = sync.OnceValues(func() (*pages.Font, error) { return pages.OpenFont("") })

// patience is when a test gives up.
const patience = 6 * peers.Patience

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

// bench is a sender at work with a simulated server.
type bench struct {
	*Sender
	t     *testing.T
	db    *pgxpool.Pool
	sim   *hfaxd.Server
	wire  *wire
	clock *clock
}

// start makes a bench; change may be nil.
func start(t *testing.T, change func(*Account, *settings)) *bench {
	t.Helper()
	sim := hfaxd.New(hfaxd.Config{Accounts: map[string]string{"shop": "secret"}, PageTime: time.Millisecond, RetryAfter: 10 * time.Millisecond})
	if err := sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{t: t, db: pgtest.New(t), sim: sim, wire: &wire{}, clock: &clock{}}
	b.Sender = b.another(change)
	return b
}

// another is a sender of another run, or node.
func (b *bench) another(change func(*Account, *settings)) *Sender {
	b.t.Helper()
	host, port, err := net.SplitHostPort(b.sim.Addr())
	if err != nil {
		b.t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		b.t.Fatal(err)
	}
	quick := func(s *settings) {
		s.server.Dial = b.wire.dial
		s.every, s.pause = 20*time.Millisecond, 10*time.Millisecond
	}
	cfg := Account{
		Name: "fax", Host: host, Port: number, Username: "shop", Password: "secret", Timeout: patience,
		SenderName: "先锋商城", SenderNumber: "+86 21 5555 0100", TimeZone: "Asia/Shanghai", tune: quick,
	}
	if change != nil {
		var set settings
		change(&cfg, &set)
		cfg.tune = func(s *settings) {
			quick(s)
			change(&Account{}, s)
		}
	}
	face, err := font()
	if err != nil {
		b.t.Fatal(err)
	}
	store := NewStore(b.db)
	store.now = b.clock.now
	s, err := New(cfg, Deps{Store: store, Font: face, Logger: newLogger(), Now: b.clock.now})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// message is one whose delivery there is, of so many pages.
func (b *bench) message(number, pages int) dispatch.Message {
	b.t.Helper()
	id := uuid.Must(uuid.NewV7())
	if _, err := b.db.Exec(b.t.Context(), `
WITH m AS (
    INSERT INTO members (account) VALUES ($2) RETURNING id
), n AS (
    INSERT INTO notifications (id, member_id, purpose, priority, template, data, ladder, decision, expires_at)
    SELECT $1, id, 'service', 2, 'order', '{}', '{fax}', '[]', now() + interval '1 hour' FROM m
)
INSERT INTO deliveries (id, notification_id, member_id, trigger, rung, channel, state)
SELECT $1, $1, id, 'order', 0, 'fax', 'pending' FROM m`, id, id.String()); err != nil {
		b.t.Fatal(err)
	}
	text := "尊敬的客户：您的订单已发货。\n\n"
	for page := 2; page <= pages; page++ {
		for range 32 {
			text += fmt.Sprintf("第 %d 页的一行。\n\n", page)
		}
	}
	return dispatch.Message{
		DeliveryID: id, WireID: id.String(), Attempt: 1, Address: fmt.Sprintf("+862155550%03d", number), Name: "王小明",
		Content: templates.Content{Subject: "订单", Text: text, Locale: "zh"}, ExpiresAt: b.clock.now().Add(time.Hour),
	}
}

func (b *bench) faults(faults ...hfaxd.Fault) {
	b.t.Helper()
	if err := b.sim.SetFaults(faults...); err != nil {
		b.t.Fatal(err)
	}
}

// open is a session.
func (b *bench) open() dispatch.Session {
	b.t.Helper()
	s, err := b.Open(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// send hands a message over.
func (b *bench) send(m dispatch.Message) dispatch.Receipt {
	b.t.Helper()
	r, err := b.open().Send(b.t.Context(), m)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// follow runs the follower of a sender until it has given so many reports.
func (b *bench) follow(s *Sender, wanted int) []dispatch.Report {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	var got []dispatch.Report
	_ = s.Reports(ctx, func(_ context.Context, reports []dispatch.Report) error {
		if got = append(got, reports...); len(got) >= wanted {
			cancel()
		}
		return nil
	})
	if len(got) != wanted {
		b.t.Fatalf("there are %d reports, want %d: %+v", len(got), wanted, got)
	}
	return got
}

// await runs the follower until something holds.
func (b *bench) await(holds func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	f := b.follower(func(context.Context, []dispatch.Report) error { return nil })
	for !holds() {
		if err := f.look(ctx); err != nil {
			b.t.Fatal(err)
		}
	}
	cancel()
	f.close()
}

// rows are the jobs of a delivery, in order.
func (b *bench) rows(m dispatch.Message) []job {
	b.t.Helper()
	found, err := b.store.jobs(b.t.Context(), jobColumns+`WHERE delivery_id = $1 ORDER BY begun_at, further`, m.DeliveryID)
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// arrived is what arrived of a message, in order.
func (b *bench) arrived(m dispatch.Message) []hfaxd.Fax {
	var all []hfaxd.Fax
	for _, one := range b.sim.Faxes().All() {
		if one.Number == m.Address {
			all = append(all, one)
		}
	}
	return all
}
