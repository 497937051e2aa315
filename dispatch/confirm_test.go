package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"herald/subscriptions"
)

// texting is a scripted sender of SMS.
type texting struct{ *scripted }

func (texting) Channel() subscriptions.Channel { return subscriptions.SMS }

// ladder is a bench without a running River client, whose member can be
// reached by SMS, whose provider says what arrived, and by e-mail after that.
type ladder struct {
	*bench
	ctx      context.Context // of a River job
	texts    *scripted
	receipts *Receipts
}

// takes takes everything.
func takes(context.Context, Message) (Receipt, error) { return Receipt{}, nil }

const patienceForTests = 10 * time.Minute

func newLadder(t *testing.T, receipts bool) *ladder {
	t.Helper()
	b := newIdleBench(t)
	l := &ladder{bench: b, ctx: jobContext(b), texts: &scripted{name: "texts"}, receipts: b.receipts(nil)}
	b.store.channels = []subscriptions.Channel{subscriptions.SMS, subscriptions.Email}
	b.exec(`INSERT INTO consents (member_id, channel, purpose, granted) SELECT $1, 'sms', p, true FROM unnest(ARRAY['transactional', 'service', 'marketing']) p`, b.member)
	b.exec(`INSERT INTO contact_points (member_id, channel, address, verified_at) VALUES ($1, 'sms', '+8613800138000', now())`, b.member)
	accounts, err := NewAccounts(b.pool, b.node, []AccountConfig{
		{Sender: texting{l.texts}, MaxSessions: 20, Receipts: receipts, tune: patient},
		{Sender: b.sender, MaxSessions: 20, tune: patient},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	accounts.Start()
	t.Cleanup(func() {
		ended, end := context.WithCancel(context.Background())
		end()
		_ = accounts.Close(ended)
	})
	if b.worker, err = NewWorker(b.store, accounts, b.worker.cfg); err != nil {
		t.Fatal(err)
	}
	l.forget()
	b.sender.does(nil)
	l.texts.does(takes)
	return l
}

// forget empties what dispatch keeps.
func (l *ladder) forget() {
	l.t.Helper()
	l.exec(`TRUNCATE notifications, deliveries, attempts, receipts, troubles, hand_overs, ledger, ledger_moves, river_job CASCADE`)
}

// climb makes a notification with patience and runs its first jobs.
func (l *ladder) climb() {
	l.t.Helper()
	l.enqueue(l.note(func(n *Notification) {
		n.Channels, n.Patience = []subscriptions.Channel{subscriptions.SMS, subscriptions.Email}, patienceForTests
	}))
	l.runJobs(l.ctx, l.t)
}

// passes lets time pass and runs what is due by then.
func (l *ladder) passes(d time.Duration) {
	l.t.Helper()
	l.clock.advance(d)
	l.exec(`UPDATE river_job SET state = 'available' WHERE state IN ('scheduled', 'retryable') AND scheduled_at <= $1`, l.clock.now())
	l.runJobs(l.ctx, l.t)
}

// stands says where the rungs stand; the one that counts has a mark.
func (l *ladder) stands() []string {
	l.t.Helper()
	rows, err := l.pool.Query(l.t.Context(), `
SELECT channel || ' ' || state || CASE WHEN reason = '' THEN '' ELSE ' ' || reason END || CASE WHEN counts THEN ' *' ELSE '' END
FROM deliveries ORDER BY rung`)
	if err != nil {
		l.t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		l.t.Fatal(err)
	}
	return list
}

func (l *ladder) rung(i int) uuid.UUID {
	l.t.Helper()
	return scalar[uuid.UUID](l.bench, `SELECT id FROM deliveries WHERE rung = $1`, i)
}

func (l *ladder) expect(want ...string) {
	l.t.Helper()
	if diff := cmp.Diff(want, l.stands()); diff != "" {
		l.t.Errorf("the ladder stands otherwise (-want +got):\n%s", diff)
	}
	l.balanced()
}

// failer is a test that can end.
type failer interface {
	Fatalf(format string, args ...any)
}

// runJobs runs every available job, as River would but without its pauses.
func (b *bench) runJobs(ctx context.Context, t failer) {
	for {
		var row rivertype.JobRow
		err := b.pool.QueryRow(ctx, `
UPDATE river_job SET state = 'running', attempted_at = now(), attempt = attempt + 1
WHERE id = (SELECT id FROM river_job WHERE state = 'available' ORDER BY id LIMIT 1)
RETURNING id, attempt, kind, args`).Scan(&row.ID, &row.Attempt, &row.Kind, &row.EncodedArgs)
		if errors.Is(err, pgx.ErrNoRows) {
			return
		}
		if err != nil {
			t.Fatalf("take a job: %v", err)
		}
		row.State = rivertype.JobStateRunning
		if row.Kind == (confirm{}).Kind() {
			err = workRow(ctx, b, &row, (&confirmer{worker: b.worker}).Work)
		} else {
			err = workRow(ctx, b, &row, b.worker.Work)
		}
		if err != nil {
			t.Fatalf("a job failed: %v", err)
		}
	}
}

func workRow[A river.JobArgs](ctx context.Context, b *bench, row *rivertype.JobRow, work func(context.Context, *river.Job[A]) error) error {
	job := &river.Job[A]{JobRow: row}
	if err := b.pool.QueryRow(ctx, `SELECT args FROM river_job WHERE id = $1`, row.ID).Scan(&job.Args); err != nil {
		return err
	}
	after := "completed"
	switch err := work(ctx, job); {
	case errors.As(err, new(*river.JobSnoozeError)):
		after = "scheduled"
	case err != nil:
		return err
	}
	_, err := b.pool.Exec(ctx, `
UPDATE river_job SET state = $2::text::river_job_state, finalized_at = CASE WHEN $2 = 'completed' THEN now() END
WHERE id = $1 AND state = 'running'`, row.ID, after)
	return err
}

func TestLadderClimbsWhenNobodyConfirms(t *testing.T) {
	l := newLadder(t, true)
	l.climb()
	l.expect("sms accepted *")
	l.passes(patienceForTests - time.Minute)
	l.expect("sms accepted *")
	l.passes(2 * time.Minute)
	l.expect("sms accepted", "email accepted *")

	l.receipts.must(t, Report{DeliveryID: l.rung(0), Event: ReportDelivered}) // late
	l.expect("sms delivered *", "email accepted")
	l.receipts.must(t, Report{DeliveryID: l.rung(1), Event: ReportDelivered})
	l.expect("sms delivered *", "email delivered")
	if n := scalar[int](l.bench, `SELECT count(*) FROM notifications, jsonb_array_elements(decision) step WHERE step ->> 'code' = 'ladder_stopped'`); n != 1 {
		t.Errorf("the decision says %d times that the ladder was stopped", n)
	}
}

func TestLadderRestsWhenItIsConfirmed(t *testing.T) {
	t.Run("by a receipt", func(t *testing.T) {
		l := newLadder(t, true)
		l.climb()
		l.receipts.must(t, Report{DeliveryID: l.rung(0), Event: ReportDelivered})
		l.passes(time.Hour)
		l.expect("sms delivered *")
	})
	t.Run("by a provider that would not say more", func(t *testing.T) {
		l := newLadder(t, false)
		l.climb()
		l.passes(time.Hour)
		l.expect("sms accepted *")
	})
}

func TestLadderStopsWhenALowerRungArrivesLate(t *testing.T) {
	l := newLadder(t, true)
	l.sender.fails(&SendError{Class: Transient, After: time.Hour})
	l.climb()
	l.passes(patienceForTests + time.Minute)
	l.expect("sms accepted", "email deferred transient *")
	l.receipts.must(t, Report{DeliveryID: l.rung(0), Event: ReportDelivered})
	l.expect("sms delivered *", "email suppressed delivered_otherwise")
	sent := len(l.sender.sent())
	l.sender.does(nil)
	l.passes(3 * time.Hour)
	l.expect("sms delivered *", "email suppressed delivered_otherwise")
	if got := len(l.sender.sent()); got != sent {
		t.Error("the upper rung went on")
	}
}

func TestLadderClimbsByABounce(t *testing.T) {
	l := newLadder(t, true)
	l.climb()
	l.receipts.must(t, Report{DeliveryID: l.rung(0), Event: ReportBounced})
	l.expect("sms failed bounced", "email pending *")
	l.runJobs(l.ctx, t)
	l.passes(time.Hour)
	l.expect("sms failed bounced", "email accepted *")
	l.receipts.must(t, Report{DeliveryID: l.rung(1), Event: ReportBounced})
	l.expect("sms failed bounced", "email failed bounced *")
}

// One batch may say that a rung came back and that a lower one arrived.
func TestLadderDoesNotClimbPastWhatArrived(t *testing.T) {
	l := newLadder(t, true)
	l.climb()
	l.passes(patienceForTests + time.Minute)
	l.receipts.must(t, Report{DeliveryID: l.rung(1), Event: ReportBounced}, Report{DeliveryID: l.rung(0), Event: ReportDelivered})
	l.expect("sms delivered *", "email failed bounced")
}

func TestLadderLeavesAnUnconfirmedRung(t *testing.T) {
	for name, test := range map[string]struct {
		fault *SendError
		rung  string
	}{
		"that waits":       {&SendError{Class: Transient, After: 2 * time.Hour}, "sms suppressed next_channel"},
		"that is in doubt": {&SendError{Class: Doubt}, "sms in_doubt waits_for_receipt"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLadder(t, true)
			l.texts.fails(test.fault)
			l.climb()
			l.passes(patienceForTests + time.Minute)
			l.expect(test.rung, "email accepted *")
			l.texts.does(takes)
			l.passes(4 * time.Hour)
			l.expect(test.rung, "email accepted *")
			if n := len(l.texts.sent()); n != 1 {
				t.Errorf("it was handed over %d times", n)
			}
		})
	}
}

// A rung that is in somebody's hands is left to them; what they say then
// counts for it, but it is not tried again.
func TestLadderClimbsBesideAHandOver(t *testing.T) {
	for name, test := range map[string]struct {
		answer error
		want   []string
	}{
		"that is taken":    {nil, []string{"sms accepted", "email accepted *"}},
		"that is refused":  {&SendError{Class: Permanent}, []string{"sms failed refused", "email accepted *"}},
		"that should wait": {&SendError{Class: Transient}, []string{"sms suppressed next_channel", "email accepted *"}},
		"that throttles":   {&SendError{Class: Throttled}, []string{"sms suppressed next_channel", "email accepted *"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLadder(t, true)
			l.texts.does(func(ctx context.Context, m Message) (Receipt, error) {
				l.clock.advance(patienceForTests)
				err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error { return l.worker.confirmTx(ctx, tx, []uuid.UUID{m.DeliveryID}, nil) })
				if err != nil {
					t.Error(err)
				}
				return Receipt{}, test.answer
			})
			l.climb()
			l.passes(3 * time.Hour)
			l.expect(test.want...)
			if n := len(l.texts.sent()); n != 1 {
				t.Errorf("it was handed over %d times", n)
			}
		})
	}
}

// A rung that was stopped after a worker loaded it is not handed over.
func TestStoppedRungIsNotTakenInHand(t *testing.T) {
	l := newLadder(t, true)
	l.texts.fails(&SendError{Class: Permanent})
	l.enqueue(l.note(func(n *Notification) { n.Channels = []subscriptions.Channel{subscriptions.SMS, subscriptions.Email} }))
	id := l.rung(0)
	tasks, err := l.store.load(t.Context(), handOver{Deliveries: []uuid.UUID{id}})
	if err != nil || len(tasks) != 1 {
		t.Fatalf("%d tasks: %v", len(tasks), err)
	}
	l.exec(`UPDATE deliveries SET state = 'suppressed', turn = turn + 1`)
	job := &river.Job[handOver]{JobRow: &rivertype.JobRow{}}
	err = l.pool.QueryRow(t.Context(), `
UPDATE river_job SET state = 'running', attempt = 1 WHERE kind = $1 AND finalized_at IS NULL RETURNING id, attempt`, handOver{}.Kind()).Scan(&job.ID, &job.Attempt)
	if err != nil {
		t.Fatal(err)
	}
	_, still, err := (&run{Worker: l.worker, job: job}).intend(t.Context(), "texts", []*parcel{{tasks: []*task{&tasks[0]}}})
	if err != nil || len(still) != 0 {
		t.Errorf("%d parcels are taken in hand: %v", len(still), err)
	}
}

// What waits for its hour has not used up anybody's patience.
func TestPatienceBeginsWhenARungMayGo(t *testing.T) {
	l := newLadder(t, true)
	l.enqueue(l.note(func(n *Notification) {
		n.Channels, n.Patience = []subscriptions.Channel{subscriptions.SMS, subscriptions.Email}, patienceForTests
	}))
	hour := l.clock.now().Add(time.Hour)
	l.exec(`UPDATE deliveries SET next_attempt_at = $1`, hour)
	l.exec(`UPDATE river_job SET state = 'scheduled', scheduled_at = $1 WHERE kind = 'dispatch_hand_over' AND finalized_at IS NULL`, hour)
	l.passes(patienceForTests + time.Minute)
	l.expect("sms pending *")
	l.passes(50 * time.Minute)
	l.expect("sms accepted *")
	l.passes(patienceForTests)
	l.expect("sms accepted", "email accepted *")
}
