package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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

// Subscriptions tells how a subscription, or what follows it, stands now;
// *subscriptions.Store does.
type Subscriptions interface {
	Latest(ctx context.Context, id int64) (subscriptions.Subscription, error)
}

// WorkerConfig is what a Worker needs beside its store. The first block must
// be given; every zero field of the second takes the default that is named.
type WorkerConfig struct {
	Templates     Templates
	Links         Links
	Contacts      Contacts
	Suppressions  Suppressions
	Subscriptions Subscriptions // nil: a subscription that was ended or paused is not noticed
	Node          *Node
	Logger        *slog.Logger

	Workers     int           // deliveries of one channel in hand at once; 50
	FirstRetry  time.Duration // the wait before the second attempt; the later ones grow from it; 1 minute
	SendTimeout time.Duration // how long a Sender may take; 1 minute
	RecordFor   time.Duration // how long the recording of an outcome is tried; 30 seconds
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
		c.Workers = 50
	}
	return c, nil
}

// Worker hands deliveries over. It is the River worker of its senders'
// channels, and a prometheus.Collector of what it did.
type Worker struct {
	river.WorkerDefaults[handOver]

	store   *Store
	senders map[subscriptions.Channel]Sender
	cfg     WorkerConfig
	metrics metrics

	mu   sync.Mutex
	held map[uuid.UUID]bool // the deliveries in this process's hands
}

// NewWorker makes a worker for the senders' channels.
func NewWorker(store *Store, senders []Sender, cfg WorkerConfig) (*Worker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &Worker{
		store: store, cfg: cfg, metrics: newMetrics(),
		senders: map[subscriptions.Channel]Sender{},
		held:    map[uuid.UUID]bool{},
	}
	for _, s := range senders {
		if w.senders[s.Channel()] != nil {
			return nil, fmt.Errorf("dispatch: two senders for %s", s.Channel())
		}
		w.senders[s.Channel()] = s
	}
	return w, nil
}

// AddTo registers the worker with the River client that is to run it.
func (w *Worker) AddTo(workers *river.Workers) { river.AddWorker(workers, w) }

// Queues are the queues the River client must work, one for each sender's channel.
func (w *Worker) Queues() map[string]river.QueueConfig {
	queues := map[string]river.QueueConfig{}
	for ch := range w.senders {
		queues[queueFor(ch)] = river.QueueConfig{MaxWorkers: w.cfg.Workers, FetchCooldown: wakeEvery}
	}
	return queues
}

// longest is how long a hand-over can be in hand at most: after that it is lost.
func (w *Worker) longest() time.Duration { return w.cfg.SendTimeout + w.cfg.RecordFor + 10*time.Second }

// RescueAfter is what river.Config.RescueStuckJobsAfter should be: a job that
// ran for longer was dropped by a River client that lives, but could not
// write that its job had failed.
func (w *Worker) RescueAfter() time.Duration { return 2 * w.longest() }

// Timeout bounds a job; it leaves time to record what a slow Sender did.
func (w *Worker) Timeout(*river.Job[handOver]) time.Duration { return w.longest() }

// retryCeiling is the longest wait between two tries of a job that failed
// because something of ours was away, and soon the shortest.
const (
	retryCeiling = 15 * time.Second
	soon         = time.Second
)

// NextRetry is for jobs that failed because something of ours was away; what a
// provider refused has a new job with a wait of its own.
func (w *Worker) NextRetry(job *river.Job[handOver]) time.Time {
	return time.Now().Add(min(soon<<min(len(job.Errors), 10), retryCeiling))
}

// Work makes one attempt at one delivery. An error means that nothing could
// be decided or recorded, and River tries again soon.
func (w *Worker) Work(ctx context.Context, job *river.Job[handOver]) error {
	id := job.Args.Delivery
	if !w.cfg.Node.Alive() || !w.hold(id) {
		return river.JobSnooze(soon)
	}
	defer w.release(id)

	t, err := w.store.load(ctx, id, w.cfg.Node.silent)
	if errors.Is(err, pgx.ErrNoRows) {
		return river.JobCancel(fmt.Errorf("there is no delivery %s", id))
	}
	if err != nil {
		return fmt.Errorf("read delivery %s: %w", id, err)
	}
	if t.State.Final() {
		return nil
	}
	if wait := w.notYet(t); wait > 0 {
		return river.JobSnooze(wait)
	}
	v, message, err := w.prepare(ctx, &t)
	if err != nil {
		return fmt.Errorf("prepare delivery %s: %w", id, err)
	}
	if v == nil || v.outcome != "" { // an attempt is made, or failed at its first step
		claimed, err := w.store.claim(ctx, &t, w.cfg.Node.Name())
		if err != nil {
			return fmt.Errorf("claim delivery %s: %w", id, err)
		}
		if !claimed { // somebody else was quicker
			return river.JobSnooze(soon)
		}
	}
	if v == nil {
		message.Attempt = t.Attempts
		outcome := w.handOver(ctx, t, message)
		v = &outcome
	}
	return w.record(ctx, job, t, *v)
}

// notYet is how long the job must wait: until the delivery is due, or until
// whoever has it in hand is done or certainly lost.
func (w *Worker) notYet(t task) time.Duration {
	now := w.store.now()
	if t.NextAttemptAt != nil && t.NextAttemptAt.After(now) {
		return t.NextAttemptAt.Sub(now)
	}
	inHand := t.OpenNode != "" && t.OpenNode != w.cfg.Node.Name() && t.OpenNodeAlive
	if inHand && now.Sub(t.OpenSince) < w.longest() {
		return soon
	}
	return 0
}

// hold takes a delivery into this process's hands; false: it is there already.
func (w *Worker) hold(id uuid.UUID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[id] {
		return false
	}
	w.held[id] = true
	return true
}

func (w *Worker) release(id uuid.UUID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, id)
}
