package replies

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"herald/access"
	"herald/dispatch"
	"herald/postgres/pgtest"
	"herald/subscriptions"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	weis  = "+8613800138000"
	lins  = "+8613900139000"
	other = "+447911123456" // nobody's whom we know
)

// desk is a Store on real stores, with a clock that the test moves.
type desk struct {
	*Store
	t          testing.TB
	pool       *pgxpool.Pool
	time       time.Time
	news       *news
	members    *subscriptions.Members
	contacts   *subscriptions.Contacts
	consents   *subscriptions.Consents
	deliveries *dispatch.Store
	messages   int
}

func newDesk(t testing.TB, change ...func(*Config)) *desk {
	t.Helper()
	d := &desk{t: t, pool: pgtest.New(t), time: time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC), news: &news{}}
	now := func() time.Time { return d.time }
	d.members = subscriptions.NewMembers(d.pool, access.NewPasswords(1), access.NewThrottle(d.pool, now), now)
	d.consents = subscriptions.NewConsents(d.pool, now)
	var err error
	d.deliveries, err = dispatch.NewStore(d.pool, d.consents, now, dispatch.StoreConfig{Channels: []subscriptions.Channel{subscriptions.SMS}})
	must(t, err)
	d.contacts = subscriptions.NewContacts(d.pool, d.deliveries, now)
	cfg := Config{
		Contacts: d.contacts, Suppressions: d.consents, Deliveries: d.deliveries, Announcer: d.news,
		Logger: slog.New(slog.DiscardHandler), Now: now,
	}
	for _, c := range change {
		c(&cfg)
	}
	d.Store, err = NewStore(d.pool, cfg)
	must(t, err)
	return d
}

// member has a number, verified or not.
func (d *desk) member(account, number string, verified bool) subscriptions.Member {
	d.t.Helper()
	m, err := d.members.Register(d.t.Context(), subscriptions.Registration{
		Account: account, Contacts: []subscriptions.NewContact{{Channel: subscriptions.SMS, Address: number, Verified: verified}},
	})
	must(d.t, err)
	return m
}

// inbound is a message that has not come before.
func (d *desk) inbound(from, text string) dispatch.Inbound {
	d.messages++
	return dispatch.Inbound{
		Account: "smsc", Channel: subscriptions.SMS, Key: fmt.Sprint("k", d.messages), From: from, To: "10690000", Text: text, At: d.time,
	}
}

// writes takes a message and gives it as it is kept.
func (d *desk) writes(from, text string) Reply {
	d.t.Helper()
	must(d.t, d.Take(d.t.Context(), []dispatch.Inbound{d.inbound(from, text)}))
	return d.all()[0]
}

// all are the replies that are kept, newest first.
func (d *desk) all() []Reply {
	d.t.Helper()
	found, err := d.Find(d.t.Context(), Filter{All: true, Limit: 500})
	must(d.t, err)
	return found
}

// reason is why a number is suppressed; empty: it is not.
func (d *desk) reason(number string) string {
	d.t.Helper()
	found, err := d.consents.Suppressions(d.t.Context(), subscriptions.SuppressionFilter{Channel: subscriptions.SMS, Address: number})
	must(d.t, err)
	if len(found) == 0 {
		return ""
	}
	return found[0].Reason
}

// answers are the messages of our own that were enqueued, newest first.
func (d *desk) answers() []dispatch.Delivery {
	d.t.Helper()
	found, err := d.deliveries.Find(d.t.Context(), dispatch.Search{})
	must(d.t, err)
	return found.Deliveries
}

// sent writes down that an account sent a message to a member.
func (d *desk) sent(m subscriptions.Member, account, number string) dispatch.Delivery {
	d.t.Helper()
	d.time = d.time.Add(time.Second) // deliveries are in the order of time
	n := []dispatch.Notification{{
		MemberID: m.ID, Purpose: subscriptions.Transactional, Priority: 1, Template: "order_status",
		Channels: []subscriptions.Channel{subscriptions.SMS}, ExpiresAt: d.time.Add(time.Hour),
	}}
	must(d.t, pgx.BeginFunc(d.t.Context(), d.pool, func(tx pgx.Tx) error { return d.deliveries.EnqueueTx(d.t.Context(), tx, n) }))
	made := d.answers()[0]
	_, err := d.pool.Exec(d.t.Context(), `UPDATE deliveries SET state = 'accepted', account = $2, address = $3 WHERE id = $1`, made.ID, account, number)
	must(d.t, err)
	return made
}

// counted is a figure of the metrics.
func (d *desk) counted(kind Kind, outcome string) float64 {
	return testutil.ToFloat64(d.taken.WithLabelValues(string(kind), outcome))
}

func (d *desk) rows(table string) int {
	d.t.Helper()
	var n int
	must(d.t, d.pool.QueryRow(d.t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

// news is an Announcer that remembers.
type news struct {
	mu   sync.Mutex
	deaf bool
	list []dispatch.Announcement
	fail error
}

func (n *news) Listening(string) bool { return !n.deaf }

func (n *news) AnnounceTx(_ context.Context, _ pgx.Tx, told []dispatch.Announcement) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, told...)
	return n.fail
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
