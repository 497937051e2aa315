package dispatch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"herald/subscriptions"
)

// doomedURL names the database of a process of this test that is a node
// which hands one message over and never comes back.
const doomedURL = "HERALD_TEST_DOOMED_NODE"

// runDoomedNode works on the database until it is killed. It says on standard
// output that a message is in its sender's hands.
func runDoomedNode(url string) {
	ctx := context.Background()
	must := func(err error) {
		if err != nil {
			fmt.Println("cannot:", err)
			os.Exit(1)
		}
	}
	pool, err := pgxpool.New(ctx, url)
	must(err)
	consents := subscriptions.NewConsents(pool, time.Now)
	store, err := NewStore(pool, consents, time.Now, StoreConfig{Channels: []subscriptions.Channel{subscriptions.Email}})
	must(err)
	node := NewNode(pool, "doomed", time.Now, slog.New(slog.DiscardHandler))
	node.every = 50 * time.Millisecond
	must(node.beat(ctx))
	sender := &scripted{script: func(context.Context, Message) (Receipt, error) {
		fmt.Println("handing over")
		select {}
	}}
	accounts, err := NewAccounts(pool, node, []AccountConfig{{Sender: sender, MaxSessions: 1}}, slog.New(slog.DiscardHandler))
	must(err)
	accounts.Start()
	w, err := NewWorker(store, accounts, WorkerConfig{
		Templates: rendered{}, Links: plainLinks{}, Contacts: subscriptions.NewContacts(pool, store, time.Now),
		Suppressions: consents, Node: node, Logger: slog.New(slog.DiscardHandler),
	})
	must(err)
	workers := river.NewWorkers()
	w.AddTo(workers)
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		ID: node.Name(), Workers: workers, Queues: w.Queues(), Logger: slog.New(slog.DiscardHandler),
	})
	must(err)
	must(client.Start(ctx))
	node.Run(ctx)
}

// killDoomedNode runs the doomed node until it has a message in hand, and
// kills it.
func killDoomedNode(t *testing.T, url string) {
	t.Helper()
	doomed := exec.CommandContext(t.Context(), os.Args[0])
	doomed.Env = append(os.Environ(), doomedURL+"="+url)
	out, err := doomed.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := doomed.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if line != "handing over\n" {
		t.Fatalf("the node said %q", line)
	}
	if err := doomed.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	_ = doomed.Wait() // "signal: killed", as it should
}

func TestWorkOfAKilledNodeIsTakenUp(t *testing.T) {
	b := newIdleBench(t)
	id := b.enqueue(b.note())[0]
	killDoomedNode(t, b.pool.Config().ConnString())

	if d := b.delivery(id); d.State != Pending || d.Attempts != 0 || scalar[int](b, `SELECT count(*) FROM hand_overs`) != 1 {
		t.Fatalf("when the node died: %+v", d)
	}
	b.exec(`UPDATE nodes SET beat_at = beat_at - interval '1 minute'`)
	b.exec(`UPDATE river_job SET attempted_at = attempted_at - interval '1 minute'`)
	node, worker := b.newWorker("heir", b.sender)
	node.every, node.silent = 20*time.Millisecond, silentAfter
	b.events = b.start("heir", worker)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { defer close(stopped); node.Run(ctx) }()
	b.worked(1)
	cancel()
	<-stopped

	d := b.delivery(id)
	if d.State != Accepted || d.Attempts != 2 || d.Repeated != 1 {
		t.Errorf("after the take-up: %+v", d)
	}
	if m := b.sender.sent(); len(m) != 1 || m[0].WireID != id.String() || m[0].Attempt != 2 {
		t.Errorf("sent %+v", m)
	}
	a := b.attemptsOf(id)
	if len(a) != 2 || a[0].Node != "doomed" || a[0].Outcome != "in_doubt" || a[1].Node != "heir" || !a[1].Repeats {
		t.Errorf("attempts %+v", a)
	}
	b.balanced()
}

// crash leaves a delivery in the hands of a node that never comes back, and its
// job for whoever takes it up.
func (b *bench) crash(id uuid.UUID) {
	b.t.Helper()
	b.exec(`
INSERT INTO hand_overs (job_id, node, account, deliveries)
SELECT id, 'dead', 'main', ARRAY[$1::uuid] FROM river_job WHERE args->'deliveries' ? $1::text`, id)
	b.exec(`UPDATE river_job SET attempt = attempt + 1`)
}

func TestCrashBetweenIntentAndOutcome(t *testing.T) {
	t.Run("it is sent once more and marked", func(t *testing.T) {
		b := newIdleBench(t)
		id := b.enqueue(b.note())[0]
		b.crash(id)
		b.events = b.start(b.node.Name(), b.worker)
		b.worked(1)
		if d := b.delivery(id); d.State != Accepted || d.Repeated != 1 || len(b.sender.sent()) != 1 {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("refused for now, it stays in doubt", func(t *testing.T) {
		b := newIdleBench(t)
		id := b.enqueue(b.note())[0]
		b.crash(id)
		b.sender.fails(&SendError{Class: Transient})
		b.events = b.start(b.node.Name(), b.worker)
		b.worked(1)
		if d := b.delivery(id); d.State != InDoubt || d.Reason != "transient" || b.waiting() != 1 {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("though who was held for dead has put the job off", func(t *testing.T) {
		b := newIdleBench(t)
		id := b.enqueue(b.note())[0]
		b.crash(id)
		b.exec(`UPDATE river_job SET attempt = 0, attempted_by = '{dead}'`) // as River does (river_job.attempted_by, JobSnooze)
		b.events = b.start(b.node.Name(), b.worker)
		b.worked(1)
		if d := b.delivery(id); d.State != Accepted || d.Attempts != 2 || d.Repeated != 1 {
			t.Errorf("got %+v", d)
		}
		if n := scalar[int](b, `SELECT count(*) FROM hand_overs`); n != 0 {
			t.Errorf("%d hand-overs are left", n)
		}
	})
	t.Run("no longer wanted, it rests in doubt", func(t *testing.T) {
		b := newIdleBench(t)
		id := b.enqueue(b.note())[0]
		b.crash(id)
		b.exec(`UPDATE consents SET granted = false`)
		b.events = b.start(b.node.Name(), b.worker)
		b.worked(1)
		if d := b.delivery(id); d.State != InDoubt || d.Reason != "no_consent" || len(b.sender.sent()) != 0 {
			t.Errorf("got %+v", d)
		}
		if a := b.attemptsOf(id); len(a) != 1 || a[0].Outcome != "in_doubt" || a[0].EndedAt == nil {
			t.Errorf("attempts %+v", a)
		}
	})
	t.Run("in the hands of a node that lives, it is left alone", func(t *testing.T) {
		b := newIdleBench(t)
		id := b.enqueue(b.note())[0]
		b.crash(id)
		b.exec(`INSERT INTO nodes (name) VALUES ('dead')`) // it lives
		b.events = b.start(b.node.Name(), b.worker)
		if e := b.worked(1)[0]; e.Kind != river.EventKindJobSnoozed {
			t.Errorf("the job was %s", e.Kind)
		}
		b.due(b.worker.longest()) // too long for any hand-over
		b.worked(1)
		if d := b.delivery(id); d.State != Accepted || d.Repeated != 1 {
			t.Errorf("got %+v", d)
		}
	})
}

func TestOutcomeIsRecordedThoughConnectionsBreak(t *testing.T) {
	b := newBench(t)
	b.sender.does(func(ctx context.Context, _ Message) (Receipt, error) {
		_, err := b.pool.Exec(ctx, `
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		if err != nil {
			return Receipt{}, err
		}
		return Receipt{ProviderID: "p9"}, nil
	})
	id := b.enqueue(b.note())[0]
	b.worked(1)
	b.pool.Reset() // it may have others that are cut
	if d := b.delivery(id); d.State != Accepted || d.ProviderID != "p9" || d.Attempts != 1 || d.Repeated != 0 {
		t.Errorf("got %+v", d)
	}
}

func TestOutcomeThatCannotBeRecordedLeavesDoubt(t *testing.T) {
	b := newIdleBench(t, func(c *WorkerConfig) { c.RecordFor = 200 * time.Millisecond })
	events, stop := b.startUntil(b.node.Name(), b.worker)
	b.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$`)
	b.exec(`CREATE TRIGGER refuse BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION refuse()`)
	id := b.enqueue(b.note())[0]
	if e := waitFor(t, events, 1)[0]; e.Kind != river.EventKindJobFailed {
		t.Errorf("the job was %s", e.Kind)
	}
	stop()
	b.exec(`DROP TRIGGER refuse ON attempts`)
	_, insists := b.newWorker(b.node.Name(), b.sender)
	b.events = b.start(b.node.Name(), insists)
	b.due(0)
	b.worked(1)
	d := b.delivery(id)
	if d.State != Accepted || d.Attempts != 2 || d.Repeated != 1 {
		t.Errorf("got %+v", d)
	}
	if a := b.attemptsOf(id); a[0].Outcome != "in_doubt" || !a[1].Repeats {
		t.Errorf("attempts %+v", a)
	}
}

// held is a delivery in a node's hands.
type held struct {
	node     string
	job      *river.Job[handOver]
	task     *task
	handOver int64
}

// takes lets a node begin to hand a delivery over, whoever has it already.
func (b *bench) takes(node string, id uuid.UUID) held {
	b.t.Helper()
	n, w := b.newWorker(node, b.sender)
	job := &river.Job[handOver]{JobRow: &rivertype.JobRow{}, Args: handOver{Deliveries: []uuid.UUID{id}}}
	err := b.pool.QueryRow(b.t.Context(), `
UPDATE river_job SET state = 'running', attempt = attempt + 1 RETURNING id, attempt`).Scan(&job.ID, &job.Attempt)
	if err != nil {
		b.t.Fatal(err)
	}
	b.exec(`UPDATE nodes SET beat_at = '-infinity' WHERE name <> $1`, n.Name())
	if _, err := w.settleLost(b.t.Context(), job); err != nil {
		b.t.Fatal(err)
	}
	tasks, err := b.store.load(b.t.Context(), job.Args)
	if err != nil || len(tasks) != 1 {
		b.t.Fatalf("loaded %d: %v", len(tasks), err)
	}
	r := &run{Worker: w, job: job}
	intent, _, err := r.intend(b.t.Context(), "main", []*parcel{{tasks: []*task{&tasks[0]}}})
	if err != nil {
		b.t.Fatal(err)
	}
	return held{n.Name(), job, &tasks[0], intent}
}

// A worker that was held for dead, and comes back while another has its
// delivery in hand, may add what it knows but not what the other decides.
func TestOutcomeThatComesLate(t *testing.T) {
	begin := func(t *testing.T) (b *bench, first, second held) {
		b = newIdleBench(t)
		id := b.enqueue(b.note())[0]
		first = b.takes("node-0", id)
		return b, first, b.takes("node-1", id)
	}
	record := func(b *bench, of held, v verdict) {
		b.t.Helper()
		o := outcomes{job: of.job.Args, handOver: of.handOver, node: of.node, account: "main", results: []result{{of.task, v}}}
		if _, err := b.worker.record(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a refusal is noted and decides nothing", func(t *testing.T) {
		b, first, _ := begin(t)
		record(b, first, verdict{state: Failed, reason: "refused", outcome: "permanent"})
		if d := b.delivery(first.task.ID); d.State != InDoubt {
			t.Errorf("got %+v", d)
		}
		if a := b.attemptsOf(first.task.ID); a[0].Outcome != "permanent" {
			t.Errorf("attempts %+v", a)
		}
	})
	t.Run("an acceptance is the truth", func(t *testing.T) {
		b, first, second := begin(t)
		record(b, first, verdict{state: Accepted, outcome: "accepted"})
		record(b, second, verdict{state: Failed, reason: "refused", outcome: "permanent"})
		if d := b.delivery(first.task.ID); d.State != Accepted {
			t.Errorf("got %+v", d)
		}
		if a := b.attemptsOf(first.task.ID); a[0].Outcome != "accepted" || a[1].Outcome != "permanent" {
			t.Errorf("attempts %+v", a)
		}
	})
	t.Run("it does not take private data from who has the delivery now", func(t *testing.T) {
		b, first, second := begin(t)
		b.exec(`UPDATE notifications SET private = true`)
		first.task.Private, second.task.Private = true, true
		record(b, first, verdict{state: Failed, reason: "refused", outcome: "permanent"})
		if scalar[bool](b, `SELECT data = '{}' FROM notifications`) {
			t.Error("the data is gone while another worker may still need it")
		}
		record(b, second, verdict{state: Failed, reason: "refused", outcome: "permanent"})
		if !scalar[bool](b, `SELECT data = '{}' FROM notifications`) {
			t.Error("the data is kept beyond the end")
		}
	})
}

// A worker that was held for dead does not complete the job that another has
// by now: what that one leaves for later would be forgotten.
func TestAJobIsNotCompletedByWhoWasHeldForDead(t *testing.T) {
	b := newBench(t)
	b.sender.does(func(ctx context.Context, _ Message) (Receipt, error) {
		_, err := b.pool.Exec(ctx, `WITH settled AS (DELETE FROM hand_overs) UPDATE deliveries SET state = 'in_doubt', reason = 'held'`)
		return Receipt{}, errors.Join(err, &SendError{Class: Permanent})
	})
	id := b.enqueue(b.note())[0]
	if e := b.worked(1)[0]; e.Kind != river.EventKindJobFailed {
		t.Errorf("the job was %s", e.Kind)
	}
	if d := b.delivery(id); d.State != InDoubt || b.waiting() != 1 {
		t.Errorf("got %+v, with %d jobs", d, b.waiting())
	}
}

// The same when it finds nothing to hand over.
func TestAJobIsNotCompletedByWhoWasHeldForDeadAndIdle(t *testing.T) {
	b := newIdleBench(t)
	id := b.enqueue(b.note())[0]
	b.exec(`UPDATE deliveries SET turn = turn + 1`) // it is another job's by now
	job := &river.Job[handOver]{JobRow: &rivertype.JobRow{}, Args: handOver{Deliveries: []uuid.UUID{id}}}
	begins := func() {
		t.Helper()
		err := b.pool.QueryRow(t.Context(), `UPDATE river_job SET state = 'running', attempt = attempt + 1 RETURNING id, attempt`).Scan(&job.ID, &job.Attempt)
		if err != nil {
			t.Fatal(err)
		}
	}
	begins()
	b.exec(`UPDATE river_job SET attempt = attempt + 1`) // it was rescued, and runs elsewhere
	if err := b.worker.Work(t.Context(), job); !errors.Is(err, errSuperseded) {
		t.Errorf("who was held for dead ends the job: %v", err)
	}
	begins()
	if err := b.worker.Work(t.Context(), job); err != nil {
		t.Errorf("whose job it is cannot end it: %v", err)
	}
}

func TestTemplateThatFailsAfterACrashLeavesTheDoubt(t *testing.T) {
	b := newIdleBench(t)
	id := b.enqueue(b.note(func(n *Notification) { n.Template = "broken" }))[0]
	b.crash(id)
	b.events = b.start(b.node.Name(), b.worker)
	b.worked(1)
	if d := b.delivery(id); d.State != InDoubt || d.Reason != "template_failed" {
		t.Errorf("got %+v, though it may have arrived before", d)
	}
}

func TestDeliveryIsNeverInTwoHands(t *testing.T) {
	b := newIdleBench(t)
	ns := make([]Notification, 40)
	for i := range ns {
		ns[i] = b.note()
	}
	ids := b.enqueue(ns...)
	_, other := b.newWorker("node-2", b.sender)
	b.events = b.start("node-1", b.worker)
	others := b.start("node-2", other)
	limit := time.Now().Add(2 * time.Minute)
	for b.waiting() > 0 && time.Now().Before(limit) {
		// A take-up that errs: the nodes live.
		b.exec(`
UPDATE river_job SET state = 'available', scheduled_at = now()
WHERE id IN (SELECT id FROM river_job WHERE state IN ('running', 'scheduled', 'retryable') FOR UPDATE SKIP LOCKED)`)
		select {
		case <-b.events:
		case <-others:
		case <-time.After(20 * time.Millisecond):
		}
	}
	if b.sender.overlaps != 0 || len(b.sender.sent()) != len(ids) {
		t.Errorf("%d messages for %d deliveries, %d at the same time", len(b.sender.sent()), len(ids), b.sender.overlaps)
	}
	if l := b.balanced(); l.Accepted != int64(len(ids)) {
		t.Errorf("%+v", l)
	}
}

func TestNodeThatCannotBeatStartsNoHandOver(t *testing.T) {
	b := newBench(t)
	b.node.beatAt.Store(nil)
	id := b.enqueue(b.note())[0]
	if e := b.worked(1)[0]; e.Kind != river.EventKindJobSnoozed {
		t.Errorf("the job was %s", e.Kind)
	}
	if d := b.delivery(id); d.Attempts != 0 {
		t.Errorf("got %+v", d)
	}
}
