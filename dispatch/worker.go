package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/subscriptions"
	"herald/templates"
)

// Templates fills templates; *templates.Store does. Render fails with
// problem.NotFound or problem.Invalid when the template is to blame, and with
// any other error when it could not be read.
type Templates interface {
	Render(ctx context.Context, name, channel, locale string, data map[string]any) (templates.Content, error)
}

// Links makes the addresses that messages carry.
type Links interface {
	// Unsubscribe ends a subscription (0: what the delivery's purpose stands
	// for) by GET with a page and by one-click POST.
	Unsubscribe(deliveryID uuid.UUID, subscriptionID int64) string
	// Delivery answers why the member got this.
	Delivery(deliveryID uuid.UUID) string
	// Alerts is the member's own list.
	Alerts() string
	// Alert is where the member changes or extends one of them.
	Alert(subscriptionID int64) string
}

// Contacts notes what a hand-over taught about an address;
// *subscriptions.Contacts does.
type Contacts interface {
	SetStandingTx(ctx context.Context, tx pgx.Tx, id int64, s subscriptions.Standing, reason string) error
}

// Suppressions keeps addresses that must not be contacted;
// *subscriptions.Consents does.
type Suppressions interface {
	SuppressTx(ctx context.Context, tx pgx.Tx, s subscriptions.Suppression) error
}

// Subscriptions tells which subscriptions no longer want their messages, and
// why; *subscriptions.Store does.
type Subscriptions interface {
	Silenced(ctx context.Context, ids []int64) (map[int64]string, error)
}

// Campaigns tells whether a campaign's messages may go ("" when they may,
// "paused" or "stopped"), and how many a second (0: as many as can).
type Campaigns interface {
	Hold(ctx context.Context, campaignID int64) (string, error)
	Rate(ctx context.Context, campaignID int64) (int, error)
}

// WorkerConfig is what a Worker needs beside its store. The first block must
// be given; every zero field of the second takes the default that is named.
type WorkerConfig struct {
	Templates     Templates
	Links         Links
	Contacts      Contacts
	Suppressions  Suppressions
	Subscriptions Subscriptions // nil: a subscription that was ended or paused is not noticed
	Campaigns     Campaigns     // nil: no campaign is ever paused
	Announcer     Announcer     // nil: nobody is told what became of messages
	Node          *Node
	Logger        *slog.Logger

	Workers     int           // chunks of one channel in hand at once, of each of urgent and bulk; 20
	FirstRetry  time.Duration // the wait before the second attempt; the later ones grow from it; 1 minute
	SendTimeout time.Duration // how long a hand-over may take where its account says nothing else; 1 minute
	RecordFor   time.Duration // how long the recording of an outcome is tried; 30 seconds
	Doubt       DoubtPolicies // what a class is not in has the usual policy of its channel
}

func (c WorkerConfig) withDefaults() (WorkerConfig, error) {
	if c.Templates == nil || c.Links == nil || c.Contacts == nil || c.Suppressions == nil || c.Node == nil || c.Logger == nil {
		return c, errors.New("dispatch: a worker needs templates, links, contacts, suppressions, a node and a logger")
	}
	if c.Workers < 0 || c.FirstRetry < 0 || c.SendTimeout < 0 || c.RecordFor < 0 {
		return c, errors.New("dispatch: a worker's numbers and times cannot be negative")
	}
	orDefault := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	orDefault(&c.FirstRetry, time.Minute)
	orDefault(&c.SendTimeout, time.Minute)
	orDefault(&c.RecordFor, 30*time.Second)
	if c.Workers == 0 {
		c.Workers = 20
	}
	return c, c.Doubt.check()
}

// Worker hands deliveries over. It is the River worker of its accounts'
// channels, and a prometheus.Collector of what it did.
type Worker struct {
	river.WorkerDefaults[handOver]

	store    *Store
	accounts *Accounts
	cfg      WorkerConfig
	metrics  metrics
	draining atomic.Bool

	mu   sync.Mutex
	held map[int64]bool // the jobs in this process's hands
}

// NewWorker makes a worker for the accounts' channels.
func NewWorker(store *Store, accounts *Accounts, cfg WorkerConfig) (*Worker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Worker{store: store, accounts: accounts, cfg: cfg, metrics: newMetrics(), held: map[int64]bool{}}, nil
}

// AddTo registers the worker with the River client that is to run it.
func (w *Worker) AddTo(workers *river.Workers) {
	river.AddWorker(workers, w)
	river.AddWorker(workers, &confirmer{worker: w})
	river.AddWorker(workers, &bulkWorker{worker: w})
	river.AddWorker(workers, &digester{worker: w})
}

// Queues are the queues the River client must work: for each channel one for
// what is urgent and one for the rest, one for confirmations and one for what
// operators want done.
func (w *Worker) Queues() map[string]river.QueueConfig {
	queues := map[string]river.QueueConfig{confirmQueue: {MaxWorkers: confirmWorkers}, bulkQueue: {MaxWorkers: 1}}
	for _, ch := range w.accounts.Channels() {
		for _, priority := range []int{lastUrgent, lastUrgent + 1} {
			// More than two for a session would only keep chunks from other nodes.
			workers := min(w.cfg.Workers, 2*w.accounts.sessions(ch))
			if ch == subscriptions.Voice { // a call costs its worker time and little else
				workers = w.accounts.sessions(ch)
			}
			queue := river.QueueConfig{MaxWorkers: workers, FetchCooldown: wakeEvery}
			if priority <= lastUrgent {
				queue.FetchCooldown, queue.FetchPollInterval = wakeUrgent, urgentEvery
			}
			queues[queueFor(ch, priority)] = queue
		}
	}
	return queues
}

// Drain makes the jobs in hand end after what they are handing over just now.
// What is left of them is available to other nodes at once.
func (w *Worker) Drain() { w.draining.Store(true) }

// runFor is how long a job works on its chunk before others have a turn.
const runFor = 30 * time.Second

// acquireFor is how long a job waits for a session.
const acquireFor = 10 * time.Second

// longest is how long a job can be in hand at most: after that it is lost.
func (w *Worker) longest() time.Duration {
	sending := w.cfg.SendTimeout
	for _, a := range w.accounts.list {
		sending = max(sending, a.SendTimeout)
	}
	return runFor + acquireFor + sending + w.cfg.RecordFor + 10*time.Second
}

// sendTimeout is how long a hand-over by an account may take.
func (w *Worker) sendTimeout(a *account) time.Duration {
	if a.SendTimeout > 0 {
		return a.SendTimeout
	}
	return w.cfg.SendTimeout
}

// RescueAfter is what river.Config.RescueStuckJobsAfter should be: a job that
// ran for longer was dropped by a River client that lives, but could not
// write that its job had failed.
func (w *Worker) RescueAfter() time.Duration { return 2 * w.longest() }

// Timeout bounds a job; it leaves time to record what a slow account did.
func (w *Worker) Timeout(*river.Job[handOver]) time.Duration { return w.longest() }

// retryCeiling is the longest wait between two tries of a job that failed
// because something of ours was away, and soon the shortest.
const (
	retryCeiling = 15 * time.Second
	soon         = time.Second
)

// NextRetry is for jobs that failed because something of ours was away; what a
// provider refused has a new job with a wait of its own.
func (w *Worker) NextRetry(job *river.Job[handOver]) time.Time { return tryAgainAt(len(job.Errors)) }

// tryAgainAt is when a job comes again that has failed so often before.
func tryAgainAt(failures int) time.Time {
	return time.Now().Add(min(soon<<min(failures, 10), retryCeiling))
}

// Work hands a chunk over. An error means that something could not be decided
// or recorded, and River tries again soon.
func (w *Worker) Work(ctx context.Context, job *river.Job[handOver]) error {
	if !w.cfg.Node.Alive() || !w.hold(job.ID) {
		return river.JobSnooze(soon)
	}
	defer w.release(job.ID)

	wait, err := w.settleLost(ctx, job)
	if err != nil {
		return err
	}
	if wait > 0 {
		return river.JobSnooze(wait)
	}
	tasks, err := w.store.load(ctx, job.Args)
	if err != nil {
		return err
	}
	r := &run{Worker: w, job: job, began: time.Now()}
	return r.through(ctx, tasks)
}

// hold takes a job into this process's hands; false: it is there already.
func (w *Worker) hold(id int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[id] {
		return false
	}
	w.held[id] = true
	return true
}

func (w *Worker) release(id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, id)
}

// lostRow is a hand-over that a run of the job did not come back from.
type lostRow struct {
	ID         int64
	Node       string
	Account    string
	Deliveries []uuid.UUID
	StartedAt  time.Time
	NodeAlive  bool
}

const lostSQL = `
SELECT h.id, h.node, h.account, h.deliveries, h.started_at,
       EXISTS (SELECT FROM nodes WHERE name = h.node AND beat_at > now() - $2::interval)
FROM hand_overs h
WHERE h.job_id = $1`

// outcomeUnknown is the detail of an attempt whose worker never came back.
const outcomeUnknown = "no outcome was recorded: the worker was lost after it may have handed over"

// settleLost notes the doubt about what earlier runs of the job had in hand.
// wait is how long to leave the job alone, because somebody who lives may
// still be at it.
func (w *Worker) settleLost(ctx context.Context, job *river.Job[handOver]) (wait time.Duration, err error) {
	// River counts a run down that puts its job off, also one that was held for
	// dead and whose job is in other hands by then: who had it is never unsaid.
	if job.Attempt <= 1 && len(job.AttemptedBy) <= 1 { // nobody had it before
		return 0, nil
	}
	rows, err := w.store.pool.Query(ctx, lostSQL, job.ID, w.cfg.Node.silent)
	if err != nil {
		return 0, fmt.Errorf("look for lost hand-overs: %w", err)
	}
	lost, err := pgx.CollectRows(rows, pgx.RowToStructByPos[lostRow])
	if err != nil {
		return 0, fmt.Errorf("look for lost hand-overs: %w", err)
	}
	for _, h := range lost {
		if h.NodeAlive && h.Node != w.cfg.Node.Name() && w.store.now().Sub(h.StartedAt) < w.longest() {
			return soon, nil
		}
	}
	for _, h := range lost {
		tasks, err := w.store.load(ctx, handOver{Deliveries: h.Deliveries, Turn: job.Args.Turn})
		if err != nil {
			return 0, err
		}
		_, provider := w.accounts.resolver(h.Account)
		o := outcomes{job: job.Args, handOver: h.ID, node: h.Node, account: h.Account, began: h.StartedAt}
		for i := range tasks {
			v := verdict{outcome: string(Doubt), account: h.Account, detail: outcomeUnknown}
			v.state, v.reason = w.cfg.Doubt.of(tasks[i].Channel, tasks[i].Purpose).rest(provider != nil)
			o.results = append(o.results, result{&tasks[i], v})
		}
		if _, err := w.record(ctx, o); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
