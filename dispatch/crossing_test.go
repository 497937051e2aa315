package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"herald/dispatch/caps"
	"herald/postgres"
	"herald/postgres/pgtest"
	"herald/subscriptions"
)

// These tests show, for what many transactions lock, that they lock it in one
// order: that none holds one of two rows while it waits for the other.

// loaded are deliveries as a worker has them.
func (b *bench) loaded(ids ...uuid.UUID) []*task {
	b.t.Helper()
	list := make([]*task, len(ids))
	for i, id := range ids {
		tasks, err := b.store.load(b.t.Context(), handOver{Deliveries: []uuid.UUID{id}})
		if err != nil || len(tasks) != 1 {
			b.t.Fatalf("loaded %d: %v", len(tasks), err)
		}
		list[i] = &tasks[0]
	}
	return list
}

// sent are the results of deliveries that a provider took.
func sent(tasks ...*task) (list []result) {
	for _, t := range tasks {
		list = append(list, result{t, verdict{state: Accepted, outcome: string(Accepted)}})
	}
	return list
}

// inOrder are ids as they are to be locked: those made within a millisecond
// are in no order.
func inOrder(ids []uuid.UUID) []uuid.UUID {
	slices.SortFunc(ids, compareIDs)
	return ids
}

// records is a transaction of its own that records results.
func (b *bench) records(results ...result) func() error {
	return func() error {
		return pgx.BeginFunc(context.WithoutCancel(b.t.Context()), b.pool, func(tx pgx.Tx) error { return b.recordTx(tx, results...) })
	}
}

func (b *bench) recordTx(tx pgx.Tx, results ...result) error {
	_, err := b.worker.recordTx(context.WithoutCancel(b.t.Context()), tx, outcomes{node: "node-1", account: "main", results: results})
	return err
}

// locks is a step of a transaction: a row, or some.
func (b *bench) locks(sql string, args ...any) func(pgx.Tx) error {
	return func(tx pgx.Tx) error {
		_, err := tx.Exec(b.t.Context(), sql, args...)
		return err
	}
}

func TestRecordsLockDeliveriesInOneOrder(t *testing.T) {
	b := newIdleBench(t)
	ids := inOrder(b.enqueue(b.note(), b.note()))
	tasks := b.loaded(ids[1], ids[0])
	const one = `SELECT FROM deliveries WHERE id = $1 FOR NO KEY UPDATE`
	pgtest.Cross(t, b.pool, b.locks(one, ids[0]), b.locks(one, ids[1]), b.records(sent(tasks...)...))
	if l := b.balanced(); l.Accepted != 2 {
		t.Errorf("%+v", l)
	}
}

// A worker that was held for dead records late what another has just noted
// as in doubt.
func TestRecordsOfTheSameAttemptsLockThemInOneOrder(t *testing.T) {
	b := newIdleBench(t)
	ids := inOrder(b.enqueue(b.note(), b.note()))
	results := sent(b.loaded(ids...)...)
	record := func(some ...result) func(pgx.Tx) error {
		return func(tx pgx.Tx) error { return b.recordTx(tx, some...) }
	}
	pgtest.Cross(t, b.pool, record(results[0]), record(results[1]), b.records(results[1], results[0]))
	if l := b.balanced(); l.Accepted != 2 {
		t.Errorf("%+v", l)
	}
}

func TestDecisionsAreWrittenInOneOrder(t *testing.T) {
	b := newIdleBench(t)
	ns := []Notification{b.note(), b.note()}
	b.enqueue(ns...)
	ids := inOrder([]uuid.UUID{ns[0].ID, ns[1].ID})
	const one = `UPDATE notifications SET decision = decision || '{"code": "retried_by_operator"}' WHERE id = $1`
	var told stepRows
	for _, id := range []uuid.UUID{ids[1], ids[0]} {
		told.add(id, Step{At: b.clock.now(), Code: "quiet_hours", OK: true})
	}
	pgtest.Cross(t, b.pool, b.locks(one, ids[0]), b.locks(one, ids[1]), func() error {
		return pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
			var batch pgx.Batch
			if err := told.queue(&batch); err != nil {
				return err
			}
			return tx.SendBatch(t.Context(), &batch).Close()
		})
	})
	for _, id := range ids {
		n, err := b.store.Notification(t.Context(), id)
		if d := n.Decision; err != nil || len(d) < 2 || d[len(d)-2].Code != "retried_by_operator" || d[len(d)-1].Code != "quiet_hours" {
			t.Errorf("the decision is %+v, %v", d, err)
		}
	}
}

// capped is a bench whose members' counts are kept, with a second member.
func capped(t *testing.T) (b *bench, second int64) {
	b = newIdleBench(t)
	b.caps(caps.Rules{subscriptions.Service: {{Max: 5, Within: time.Hour}}})
	second, _ = b.newMember("an", "an@example.com")
	return b, second
}

const lockCount = `SELECT FROM cap_counts WHERE member_id = $1 FOR UPDATE`

// What ends on its last rung is given back together with what ends otherwise.
func TestRecordsLockCountsInOneOrder(t *testing.T) {
	b, second := capped(t)
	b.store.channels = append(b.store.channels, subscriptions.SMS)
	ids := b.enqueue(b.note(), b.note(func(n *Notification) {
		n.MemberID, n.Channels = second, []subscriptions.Channel{subscriptions.Email, subscriptions.SMS}
	}))
	tasks := b.loaded(ids...)
	pgtest.Cross(t, b.pool, b.locks(lockCount, b.member), b.locks(lockCount, second),
		b.records(result{tasks[0], stop(tasks[0], Suppressed, "paused")}, result{tasks[1], stop(tasks[1], Suppressed, "no_consent")}))
	if n := scalar[int](b, `SELECT sum(cardinality(ids)) FROM cap_counts`); n != 0 {
		t.Errorf("%d still count", n)
	}
}

// Counts come before digests, also where a ladder leads into one.
func TestCountsAreLockedBeforeDigests(t *testing.T) {
	b, _ := capped(t)
	b.setsClock("2126-03-03T10:59:30Z") // a digest that a ladder leads into goes with the next minute
	b.store.channels = append(b.store.channels, subscriptions.SMS)
	b.exec(`
WITH k AS (INSERT INTO consents (member_id, channel, purpose, granted) VALUES ($1, 'sms', 'service', true))
INSERT INTO contact_points (member_id, channel, address, verified_at) VALUES ($1, 'sms', '+8613800138000', now())`, b.member)
	climbs := b.gathered(func(n *Notification) { n.Channels = []subscriptions.Channel{subscriptions.Email, subscriptions.SMS} })
	tasks := b.loaded(b.enqueue(climbs, b.note())...)
	enqueues := func(tx pgx.Tx) error {
		return b.store.EnqueueTx(t.Context(), tx, []Notification{b.gathered(func(n *Notification) { n.Channels = []subscriptions.Channel{subscriptions.SMS} })})
	}
	failed := result{tasks[0], stop(tasks[0], Failed, "refused")}
	pgtest.Cross(t, b.pool, b.locks(lockCount, b.member), enqueues, b.records(failed, result{tasks[1], stop(tasks[1], Suppressed, "paused")}))
	if n := scalar[int](b, `SELECT count(*) FROM digests WHERE channel = 'sms'`); n != 1 {
		t.Errorf("%d digests", n)
	}
	b.balanced()
}

// A digest goes while a ladder that has one of its items leads into it.
func TestDeliveriesAreLockedBeforeDigests(t *testing.T) {
	b := newIdleBench(t)
	b.setsClock("2126-03-03T10:20:00Z")
	id := b.enqueue(b.gathered())[0]
	var d digest
	if err := b.pool.QueryRow(t.Context(), `SELECT member_id, channel, purpose, due_at FROM digests`).Scan(&d.MemberID, &d.Channel, &d.Purpose, &d.DueAt); err != nil {
		t.Fatal(err)
	}
	adds := func(tx pgx.Tx) error { return b.store.EnqueueTx(t.Context(), tx, []Notification{b.gathered()}) }
	b.setsClock("2126-03-03T10:20:00Z")
	ladder := b.locks(`SELECT FROM deliveries WHERE id = $1 FOR NO KEY UPDATE`, id)
	pgtest.Cross(t, b.pool, ladder, adds, func() error {
		return pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
			if err := b.store.gatherTx(t.Context(), tx, d); !errors.Is(err, errGrew) {
				return fmt.Errorf("gathered without what came meanwhile: %w", err)
			}
			return nil
		})
	})
}

func TestEarlyReportsAreKeptInOneOrder(t *testing.T) {
	b := newIdleBench(t)
	r := b.receipts(nil)
	keep := func(ids ...string) func(pgx.Tx) error {
		return func(tx pgx.Tx) error {
			var list []Report
			for _, id := range ids {
				list = append(list, Report{Account: "main", ProviderID: id, Event: ReportDelivered})
			}
			_, err := r.takeTx(t.Context(), tx, list)
			return err
		}
	}
	pgtest.Cross(t, b.pool, keep("p1"), keep("p2"), func() error {
		return pgx.BeginFunc(t.Context(), b.pool, keep("p2", "p1"))
	})
}

// River's scheduler locks many jobs in an order of its own.
func TestWakingACampaignWaitsForNobody(t *testing.T) {
	b := newIdleBench(t)
	b.enqueue(b.note(func(n *Notification) { n.CampaignID = 7 }), b.note(func(n *Notification) { n.CampaignID = 7; n.Template = "other" }))
	b.exec(`UPDATE river_job SET state = 'scheduled', scheduled_at = now() + interval '1 minute'`)
	scheduler, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = scheduler.Rollback(context.WithoutCancel(t.Context())) }()
	if err := b.locks(`SELECT FROM river_job ORDER BY id DESC LIMIT 1 FOR UPDATE`)(scheduler); err != nil {
		t.Fatal(err)
	}
	err = pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		if err := b.locks(`SET LOCAL lock_timeout = '5s'`)(tx); err != nil {
			return err
		}
		return b.store.WakeTx(t.Context(), tx, []int64{7})
	})
	if err != nil {
		t.Error(err)
	}
	if n := scalar[int](b, `SELECT count(*) FROM river_job WHERE scheduled_at <= now()`); n != 1 {
		t.Errorf("%d jobs were woken", n)
	}
}

// A recount meets those who list troubles meanwhile, whose order is their own.
func TestRecountGoesOnWhenTroublesMove(t *testing.T) {
	b, ids := mixed(t)
	b.exec(`INSERT INTO troubles (delivery_id, state, reason) VALUES ($1, 'failed', '')`, ids[0])
	if c := b.check(); c.OK {
		t.Fatal("nothing was found")
	}
	unlists := b.locks(`UPDATE troubles SET reason = 'moved' WHERE delivery_id = $1`, ids[0])
	nothing := func(pgx.Tx) error { return nil }
	pgtest.Cross(t, b.pool, unlists, nothing, func() error {
		after, err := b.store.Recount(t.Context(), "operator:ann")
		if err == nil && !after.OK {
			err = fmt.Errorf("found %+v", after.Differences)
		}
		return err
	})
}

// Who waits for a lock has a connection: nobody waits for another with a lock.
func TestAConfirmationAsksForItsCampaignBeforeItLocks(t *testing.T) {
	asked := &unconnected{}
	b := newIdleBench(t, func(c *WorkerConfig) { c.Campaigns = asked })
	asked.pool = b.pool
	b.store.channels = append(b.store.channels, subscriptions.SMS)
	b.enqueue(b.note(func(n *Notification) {
		n.CampaignID, n.Patience, n.Channels = 7, time.Minute, []subscriptions.Channel{subscriptions.Email, subscriptions.SMS}
	}))
	job := &river.Job[confirm]{JobRow: &rivertype.JobRow{}}
	if err := b.pool.QueryRow(t.Context(), `SELECT args FROM river_job WHERE kind = $1`, confirm{}.Kind()).Scan(&job.Args); err != nil {
		t.Fatal(err)
	}
	if err := (&confirmer{worker: b.worker}).Work(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if n := scalar[int](b, `SELECT count(*) FROM river_job WHERE kind = $1`, confirm{}.Kind()); asked.times != 1 || n != 2 {
		t.Errorf("asked %d times, %d jobs", asked.times, n)
	}
}

// unconnected is Campaigns that are paused, and must not be asked by somebody
// who has locked deliveries.
type unconnected struct {
	pool  *pgxpool.Pool
	times int
}

func (u *unconnected) Hold(ctx context.Context, _ int64) (string, error) {
	u.times++
	var n int
	err := u.pool.QueryRow(ctx, `
		SELECT count(*) FROM pg_locks
		WHERE relation IN ('notifications'::regclass, 'deliveries'::regclass) AND mode IN ('RowShareLock', 'RowExclusiveLock')
		  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n)
	if err == nil && n > 0 {
		err = fmt.Errorf("asked with %d locks in hand", n)
	}
	return "paused", err
}

func (u *unconnected) Rate(context.Context, int64) (int, error) { return 0, nil }

// A check of very many rows takes longer than a transaction may stand still,
// and needs no second connection.
func TestACheckNeedsOneConnection(t *testing.T) {
	db, err := postgres.Open(t.Context(), postgres.Config{URL: pgtest.URL(t), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.WithoutCancel(t.Context())) }()
	store, err := NewStore(db.Pool(), subscriptions.NewConsents(db.Pool(), time.Now), time.Now, StoreConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if c, err := store.CheckLedger(ctx, time.Time{}, "operator:ann"); err != nil || !c.OK {
		t.Fatalf("got %+v, %v", c, err)
	}
	if _, err := db.Pool().Exec(ctx, `UPDATE ledger_checks SET found = 1`); err != nil {
		t.Fatal(err)
	}
	if c, err := store.Recount(ctx, "operator:ann"); err != nil || !c.OK {
		t.Errorf("got %+v, %v", c, err)
	}
	if err := db.Pool().Ping(ctx); err != nil {
		t.Errorf("its connection is kept: %v", err)
	}
}
