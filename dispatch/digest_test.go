package dispatch

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/dispatch/timing"
	"herald/problem"
	"herald/subscriptions"
	"herald/templates"
)

// gathered is a notification that is wanted once an hour.
func (b *bench) gathered(change ...func(*Notification)) Notification {
	return b.note(append([]func(*Notification){func(n *Notification) { n.Digest = timing.Hourly }}, change...)...)
}

// digestBench has a few items that are due at eleven.
func digestBench(t *testing.T, items int, change ...func(*WorkerConfig)) (*bench, []uuid.UUID) {
	t.Helper()
	b := newBench(t, change...)
	b.setsClock("2126-03-03T10:20:00Z")
	var ids []uuid.UUID
	for range items {
		ids = append(ids, b.enqueue(b.gathered())...)
	}
	return b, ids
}

// eleven lets the digest be gathered and handed over.
func (b *bench) eleven() {
	b.t.Helper()
	b.setsClock("2126-03-03T11:00:00Z")
	b.due(0)
	b.worked(2)
}

func TestDigestIsOneMessage(t *testing.T) {
	b, ids := digestBench(t, 5)
	if n := b.waiting(); n != 1 {
		t.Fatalf("%d jobs wait for one digest", n)
	}
	b.due(0) // too early
	b.worked(1)
	if len(b.sender.sent()) != 0 {
		t.Fatal("it went before its time")
	}
	b.eleven()
	sent := b.sender.sent()
	if len(sent) != 1 {
		t.Fatalf("%d messages", len(sent))
	}
	m := sent[0]
	if m.Content.Subject != "digest" || !strings.Contains(m.Content.Text, "count:5") || m.UnsubscribeURL != "u/"+m.DeliveryID.String()+"/7" {
		t.Errorf("got %+v", m)
	}
	for _, id := range ids {
		if !strings.Contains(m.Content.Text, "link:d/"+id.String()) {
			t.Errorf("%s is not in it", id)
		}
		if d := b.delivery(id); d.State != Accepted || d.Attempts != 1 || d.ProviderID != "p1" {
			t.Errorf("got %+v", d)
		}
	}
	if l := b.balanced(); l.Accepted != 5 {
		t.Errorf("%+v", l)
	}
	if n := scalar[int](b, `SELECT (SELECT count(*) FROM digests) + (SELECT count(*) FROM digest_items) + (SELECT count(*) FROM troubles)`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestDigestSpeaksForItsPurposeWhenItsSubscriptionsDiffer(t *testing.T) {
	b, _ := digestBench(t, 1)
	b.enqueue(b.gathered(func(n *Notification) { n.SubscriptionID = 8 }))
	b.eleven()
	if m := b.sender.sent(); len(m) != 1 || !strings.HasSuffix(m[0].UnsubscribeURL, "/0") {
		t.Errorf("got %+v", m)
	}
}

func TestDigestOfOneGoesAsItself(t *testing.T) {
	b, ids := digestBench(t, 1)
	b.eleven()
	if m := b.sender.sent(); len(m) != 1 || m[0].Content.Subject != "price_drop" || m[0].WireID != ids[0].String() {
		t.Errorf("got %+v", m)
	}
}

func TestDigestLeavesOutWhatIsOver(t *testing.T) {
	b, ids := digestBench(t, 3)
	b.exec(`UPDATE notifications SET expires_at = $2 WHERE id = (SELECT notification_id FROM deliveries WHERE id = $1)`,
		ids[0], b.clock.now())
	b.eleven()
	if m := b.sender.sent(); len(m) != 1 || !strings.Contains(m[0].Content.Text, "count:2") {
		t.Errorf("got %+v", m)
	}
	if d := b.delivery(ids[0]); d.State != Failed || d.Reason != "expired" {
		t.Errorf("got %+v", d)
	}
	b.balanced()
}

func TestDigestThatNobodyWantsAnyMore(t *testing.T) {
	b, _ := digestBench(t, 2)
	b.subscriptions.set("paused")
	b.eleven()
	if l := b.balanced(); l.Suppressed != 2 || len(b.sender.sent()) != 0 {
		t.Errorf("%+v", l)
	}
}

func TestDigestIsTriedAgainTogether(t *testing.T) {
	for _, class := range []Class{Transient, Throttled, Doubt} {
		t.Run(string(class), func(t *testing.T) {
			b, ids := digestBench(t, 4)
			b.sender.fails(&SendError{Class: class})
			b.eleven()
			if n := b.waiting(); n != 1 {
				t.Fatalf("%d jobs", n)
			}
			b.sender.does(nil)
			b.due(2 * time.Hour)
			b.worked(1)
			m := b.sender.sent()
			if len(m) != 2 || m[0].WireID != m[1].WireID || !strings.Contains(m[1].Content.Text, "count:4") {
				t.Errorf("got %+v", m)
			}
			for _, id := range ids {
				if d := b.delivery(id); d.State != Accepted || d.Attempts != 2 || (d.Repeated == 1) != (class == Doubt) {
					t.Errorf("got %+v", d)
				}
			}
			b.balanced()
		})
	}
}

func TestDigestGoesOnceThoughItsJobComesAgain(t *testing.T) {
	b, ids := digestBench(t, 3)
	b.setsClock("2126-03-03T11:00:00Z")
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		return b.store.gatherTx(t.Context(), tx, b.digest())
	})
	if err != nil {
		t.Fatal(err)
	}
	b.worked(1)
	if m := b.sender.sent(); len(m) != 1 {
		t.Fatalf("%d messages", len(m))
	}
	b.due(0)
	b.worked(1) // the digest's own job, whose first run committed and died
	if m := b.sender.sent(); len(m) != 1 {
		t.Errorf("%d messages", len(m))
	}
	for _, id := range ids {
		if d := b.delivery(id); d.State != Accepted {
			t.Errorf("got %+v", d)
		}
	}
	b.balanced()
}

func TestCrashBetweenIntentAndOutcomeOfADigest(t *testing.T) {
	b := newIdleBench(t)
	b.setsClock("2126-03-03T10:20:00Z")
	ids := b.enqueue(b.gathered(), b.gathered(), b.gathered())
	d := b.digest()
	if err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return b.store.gatherTx(t.Context(), tx, d) }); err != nil {
		t.Fatal(err)
	}
	b.exec(`DELETE FROM river_job WHERE kind = 'dispatch_digest'`)
	b.exec(`INSERT INTO hand_overs (job_id, node, account, deliveries) SELECT id, 'dead', 'main', $1 FROM river_job`, ids)
	b.exec(`UPDATE river_job SET attempt = attempt + 1`)
	b.setsClock("2126-03-03T11:00:00Z")
	b.events = b.start(b.node.Name(), b.worker)
	b.worked(1)
	wire := scalar[string](b, `SELECT args->>'wire' FROM river_job`)
	if m := b.sender.sent(); len(m) != 1 || m[0].WireID != fmt.Sprintf("%s-%d", wire, b.contact) {
		t.Errorf("sent %+v", m)
	}
	for _, id := range ids {
		if d := b.delivery(id); d.State != Accepted || d.Attempts != 2 || d.Repeated != 1 {
			t.Errorf("got %+v", d)
		}
	}
	b.balanced()
}

// digest is the one that gathers.
func (b *bench) digest() (d digest) {
	b.t.Helper()
	err := b.pool.QueryRow(b.t.Context(), `SELECT member_id, channel, purpose, due_at FROM digests`).Scan(&d.MemberID, &d.Channel, &d.Purpose, &d.DueAt)
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

func TestDigestIsBegunOnceByMany(t *testing.T) {
	b := newIdleBench(t)
	_, other := b.newWorker("node-2", b.sender)
	b.setsClock("2126-03-03T10:20:00Z")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			ns := []Notification{b.gathered(), b.gathered()}
			if err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return b.store.EnqueueTx(t.Context(), tx, ns) }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := b.waiting(); n != 1 {
		t.Fatalf("%d jobs", n)
	}
	b.setsClock("2126-03-03T11:00:00Z")
	b.due(0)
	b.events = b.start("node-1", b.worker)
	others := b.start("node-2", other)
	for range 2 {
		select {
		case <-b.events:
		case <-others:
		case <-time.After(2 * time.Minute):
			t.Fatal("nobody works")
		}
	}
	if m := b.sender.sent(); len(m) != 1 || !strings.Contains(m[0].Content.Text, "count:40") {
		t.Errorf("%d messages", len(m))
	}
	if l := b.balanced(); l.Accepted != 40 {
		t.Errorf("%+v", l)
	}
}

func TestDigestWaitsForWhoeverIsAddingToIt(t *testing.T) {
	b, _ := digestBench(t, 2)
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if err := b.store.EnqueueTx(t.Context(), tx, []Notification{b.gathered()}); err != nil {
		t.Fatal(err)
	}
	b.setsClock("2126-03-03T11:00:00Z")
	b.due(0)
	b.untilLocked()
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.worked(2)
	if m := b.sender.sent(); len(m) != 1 || !strings.Contains(m[0].Content.Text, "count:3") {
		t.Errorf("got %+v", m)
	}
}

func TestItemThatComesAfterItsDigestGoesAtOnce(t *testing.T) {
	b, _ := digestBench(t, 2)
	b.eleven()
	b.setsClock("2126-03-03T10:59:15Z") // by the clock of another node
	late := b.enqueue(b.gathered())[0]
	b.eleven()
	if d := b.delivery(late); d.State != Accepted || len(b.sender.sent()) != 2 {
		t.Errorf("got %+v", d)
	}
	b.balanced()
}

// withoutDigest is Templates without one for digests.
type withoutDigest struct{ rendered }

func (r withoutDigest) Render(ctx context.Context, name, channel, locale string, data map[string]any) (templates.Content, error) {
	if name == "digest" {
		return templates.Content{}, problem.New(problem.NotFound, "there is no template %s", name)
	}
	return r.rendered.Render(ctx, name, channel, locale, data)
}

func TestDigestWithoutATemplateFallsApart(t *testing.T) {
	b, _ := digestBench(t, 3, func(c *WorkerConfig) { c.Templates = withoutDigest{} })
	b.eleven()
	if m := b.sender.sent(); len(m) != 3 || m[0].WireID == m[1].WireID {
		t.Errorf("got %+v", m)
	}
	b.balanced()
}

func TestDigestStaysTogetherUpTheLadder(t *testing.T) {
	b := newBench(t)
	b.store.channels = append(b.store.channels, subscriptions.SMS)
	b.exec(`INSERT INTO contact_points (member_id, channel, address, verified_at) VALUES ($1, 'sms', '+8613800138000', now())`, b.member)
	b.exec(`INSERT INTO consents (member_id, channel, purpose, granted) VALUES ($1, 'sms', 'service', true)`, b.member)
	b.setsClock("2126-03-03T10:20:00Z")
	both := func(n *Notification) { n.Channels = []subscriptions.Channel{"email", "sms"} }
	b.enqueue(b.gathered(both), b.gathered(both))
	b.sender.fails(&SendError{Class: Permanent})
	b.eleven()
	if d := b.digest(); d.Channel != subscriptions.SMS || scalar[int](b, `SELECT count(*) FROM digest_items`) != 2 {
		t.Errorf("got %+v", d)
	}
	if l := b.balanced(); l.Deferred != 2 {
		t.Errorf("%+v", l)
	}
}

// A digest comes back to the return path of one of its items, and is reported
// by the provider's id: what is said holds for all that were in it, and for
// nothing else.
func TestReportsOfADigestHoldForAllItsItems(t *testing.T) {
	tests := map[string]struct {
		report func(m Message) Report
		state  State
	}{
		"it comes back":             {func(m Message) Report { return Report{DeliveryID: m.DeliveryID, Event: ReportBounced, Code: "5.1.1"} }, Failed},
		"the provider says it came": {func(m Message) Report { return Report{DeliveryID: m.DeliveryID, Event: ReportDelivered} }, Delivered},
		"by the provider's id":      {func(Message) Report { return Report{Account: "main", ProviderID: "p1", Event: ReportBounced} }, Failed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b, ids := digestBench(t, 4)
			b.eleven()
			b.sender.does(func(context.Context, Message) (Receipt, error) { return Receipt{ProviderID: "p2"}, nil })
			alone := b.enqueue(b.note())[0]
			b.worked(1)
			receipts := b.receipts(nil)
			for range 2 { // the second changes nothing
				receipts.must(t, test.report(b.sender.sent()[0]))
			}
			for _, id := range ids {
				if d := b.delivery(id); d.State != test.state {
					t.Errorf("an item is %s %q, want %s", d.State, d.Reason, test.state)
				}
			}
			if d := b.delivery(alone); d.State != Accepted {
				t.Errorf("another message is %s", d.State)
			}
			b.balanced()
		})
	}
}

// An item that left its digest before it was taken is not spoken of any more.
func TestReportsOfADigestLeaveOutWhatWentAlone(t *testing.T) {
	b, ids := digestBench(t, 3)
	b.sender.fails(&SendError{Class: Transient})
	b.eleven()
	head := b.sender.sent()[0].DeliveryID
	other := ids[0]
	if other == head {
		other = ids[1]
	}
	b.exec(`UPDATE notifications SET expires_at = $2 WHERE id = (SELECT notification_id FROM deliveries WHERE id = $1)`, other, b.clock.now())
	b.sender.does(nil)
	b.due(2 * time.Hour)
	b.worked(1)
	b.receipts(nil).must(t, Report{DeliveryID: head, Event: ReportBounced})
	for _, id := range ids {
		want := "bounced"
		if id == other {
			want = "expired"
		}
		if d := b.delivery(id); d.State != Failed || d.Reason != want {
			t.Errorf("it is %s %q, want failed %q", d.State, d.Reason, want)
		}
	}
}
