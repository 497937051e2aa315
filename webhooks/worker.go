package webhooks

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// WorkerConfig sets a Worker up; zero fields take the default named beside them.
type WorkerConfig struct {
	Workers int           // messages in hand at once on this node; 20
	Timeout time.Duration // how long an endpoint may take to answer; 15 seconds
	// RootCAs are the authorities behind the endpoints' certificates; nil: the
	// system's.
	RootCAs *x509.CertPool
	// DisableAfter is how long an endpoint may fail before a message that fails
	// for good switches it off; 5 days.
	DisableAfter time.Duration
	Version      string // Herald's, for the header User-Agent; "dev"
}

func (c WorkerConfig) withDefaults() (WorkerConfig, error) {
	if c.Workers < 0 || c.Timeout < 0 || c.DisableAfter < 0 {
		return c, errors.New("webhooks: a worker's numbers and times cannot be negative")
	}
	if c.Workers == 0 {
		c.Workers = 20
	}
	if c.Timeout == 0 {
		c.Timeout = postTimeout
	}
	if c.DisableAfter == 0 {
		c.DisableAfter = 5 * 24 * time.Hour
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	return c, nil
}

// Worker posts messages. It is the River worker of the queue of webhooks, and
// a prometheus.Collector of what it did.
type Worker struct {
	river.WorkerDefaults[post]

	store   *Store
	cfg     WorkerConfig
	poster  *poster
	gates   *gates
	metrics metrics
	chance  func() float64 // from 0 to 1, for jitter
}

// NewWorker makes a worker of a store's messages.
func NewWorker(store *Store, cfg WorkerConfig) (*Worker, error) {
	return newWorker(store, cfg, nil)
}

func newWorker(store *Store, cfg WorkerConfig, resolver *net.Resolver) (*Worker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Worker{
		store: store, cfg: cfg, poster: newPoster(store.guard, cfg, resolver, store.now),
		gates: newGates(cfg.Workers), metrics: newMetrics(), chance: rand.Float64,
	}, nil
}

// AddTo registers the worker, and the sweep, with the River client that is to
// run them.
func (w *Worker) AddTo(workers *river.Workers) {
	river.AddWorker(workers, w)
	river.AddWorker(workers, &sweeper{store: w.store})
}

// Queues are the queues that the River client must work, beside its default one.
func (w *Worker) Queues() map[string]river.QueueConfig {
	return map[string]river.QueueConfig{queue: {MaxWorkers: w.cfg.Workers, FetchCooldown: fetchEvery}}
}

// fetchEvery is how often at most free hands are given new messages.
const fetchEvery = 20 * time.Millisecond

// Close ends the connections that are kept open, when the River client has stopped.
func (w *Worker) Close() { w.poster.close() }

// recordFor is how long the recording of an attempt is tried, and leisure what
// a job may need besides.
const (
	recordFor = 10 * time.Second
	leisure   = 10 * time.Second
)

// Timeout bounds a job.
func (w *Worker) Timeout(*river.Job[post]) time.Duration { return w.cfg.Timeout + recordFor + leisure }

// The waits between the runs of a job that failed because the database was away.
const (
	soon  = time.Second
	later = 15 * time.Second
)

// NextRetry is for jobs that failed because something of ours was away; what an
// endpoint did not take has a new job with a wait of its own.
func (*Worker) NextRetry(job *river.Job[post]) time.Time {
	return time.Now().Add(min(soon<<min(len(job.Errors), 10), later))
}

// task is a message with the endpoint it is for, as a worker reads them.
type task struct {
	message  uuid.UUID
	name     string // its type
	body     string
	state    State
	attempts int
	tries    int
	endpoint Endpoint
}

const taskSQL = `
SELECT type, body, state, attempts, tries
FROM webhook_messages
WHERE endpoint_id = $1 AND id = $2`

// load reads a task. pgx.ErrNoRows when the message or its endpoint is gone.
func (s *Store) load(ctx context.Context, p post) (t task, err error) {
	t.message = p.Message
	var b pgx.Batch
	b.Queue(taskSQL, p.Endpoint, p.Message).QueryRow(func(row pgx.Row) error {
		return row.Scan(&t.name, &t.body, &t.state, &t.attempts, &t.tries)
	})
	b.Queue(endpointSQL, p.Endpoint).Query(func(rows pgx.Rows) error {
		var err error
		t.endpoint, err = pgx.CollectExactlyOneRow(rows, scanEndpoint)
		return err
	})
	return t, s.pool.SendBatch(ctx, &b).Close()
}

// Work makes one attempt at one message. An error means that nothing could be
// recorded, and River tries again soon: the receiver knows the webhook-id.
func (w *Worker) Work(ctx context.Context, job *river.Job[post]) error {
	t, err := w.store.load(ctx, job.Args)
	if errors.Is(err, pgx.ErrNoRows) {
		return w.store.drop(ctx, job.Args)
	}
	if err != nil {
		return fmt.Errorf("read webhook message %s: %w", job.Args.Message, err)
	}
	if t.state != Pending || t.attempts+1 != job.Args.Attempt {
		return nil // another run of this job has done it
	}
	if !t.endpoint.Enabled && t.name != Ping {
		return w.record(ctx, t, time.Time{}, outcome{class: SwitchedOff})
	}
	if wait := w.held(t); wait > 0 {
		return river.JobSnooze(wait)
	}
	leave, ok := w.gates.enter(ctx, t.endpoint.ID, t.endpoint.failures == 0)
	if !ok {
		return river.JobSnooze(soon + time.Duration(w.chance()*float64(later-soon)))
	}
	defer leave()

	at := w.store.now()
	o := w.attempt(ctx, t, at)
	if o.class != "" && ctx.Err() != nil {
		return ctx.Err() // it was us who broke off
	}
	return w.record(ctx, t, at, o)
}

// held is how long an endpoint that asked for patience is left alone. Those
// who wait come back one after the other.
func (w *Worker) held(t task) time.Duration {
	if t.endpoint.HoldUntil == nil || t.name == Ping {
		return 0
	}
	rest := t.endpoint.HoldUntil.Sub(w.store.now())
	if rest <= 0 {
		return 0
	}
	return rest + time.Duration(w.chance()*float64(min(rest, later)))
}

// attempt signs a message and posts it.
func (w *Worker) attempt(ctx context.Context, t task, at time.Time) outcome {
	secrets, err := w.store.secretsOf(t.endpoint, at)
	if err != nil {
		w.store.log.ErrorContext(ctx, "a webhook cannot be signed", "endpoint", t.endpoint.ID, "error", err)
		return outcome{class: NoSecret}
	}
	o := w.poster.post(ctx, letter{url: t.endpoint.URL, id: t.message.String(), body: t.body, at: at, secrets: secrets})
	w.metrics.observe(o)
	return o
}

// secretsOf are what an endpoint's messages are signed with at an instant, the
// newest first.
func (s *Store) secretsOf(e Endpoint, at time.Time) ([]signingSecret, error) {
	secret, err := s.vault.open(e.ID, e.secret)
	if err != nil {
		return nil, err
	}
	secrets := []signingSecret{secret}
	if e.OldSecretUntil != nil && at.Before(*e.OldSecretUntil) {
		if old, err := s.vault.open(e.ID, e.oldSecret); err == nil {
			secrets = append(secrets, old)
		}
	}
	return secrets, nil
}

// drop removes a message whose endpoint is gone, with its history.
func (s *Store) drop(ctx context.Context, p post) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM webhook_messages WHERE endpoint_id = $1 AND id = $2`, p.Endpoint, p.Message)
	if err != nil {
		return fmt.Errorf("drop webhook message %s: %w", p.Message, err)
	}
	return nil
}
