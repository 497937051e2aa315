package matcher

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/matcher/follower"
	"herald/matcher/states"
	"herald/problem"
	"herald/subscriptions"
	"herald/timeid"
)

// IntakeConfig is how much an Intake takes at once. Zero fields take the
// default given beside them.
type IntakeConfig struct {
	BatchEvents int // 1,000: events that share one transaction, about
	QueueEvents int // 10,000, at least BatchEvents: events that may wait
	QueueBytes  int // 64 MiB: of their data, as JSON; one request may always wait
	Committers  int // 4: transactions at once, a connection each
	FanOut      int // 1,000: subscriptions that may wait for one event; more are told after it is taken
	Expanders   int // 2: transactions at once that tell them
	// Follower keeps this node's index; nil: the tables are asked. Of so many
	// transactions one asks them all the same, and holds the index against it.
	Follower      *follower.Follower
	AuditOneIn    int           // 1,000
	CommitTimeout time.Duration // 30 s: how long a transaction may take, retries included
	Now           func() time.Time
	Logger        *slog.Logger // slog.Default()
}

func (c IntakeConfig) withDefaults() IntakeConfig {
	if c.BatchEvents <= 0 {
		c.BatchEvents = 1000
	}
	if c.QueueEvents <= 0 {
		c.QueueEvents = 10_000
	}
	c.QueueEvents = max(c.QueueEvents, c.BatchEvents)
	if c.QueueBytes <= 0 {
		c.QueueBytes = 64 << 20
	}
	if c.Committers <= 0 {
		c.Committers = 4
	}
	if c.FanOut <= 0 {
		c.FanOut = 1000
	}
	if c.Expanders <= 0 {
		c.Expanders = 2
	}
	if c.AuditOneIn <= 0 {
		c.AuditOneIn = 1000
	}
	if c.CommitTimeout <= 0 {
		c.CommitTimeout = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Intake accepts events. Callers' events wait in one bounded queue; each
// committer takes all that waits, up to BatchEvents, into one transaction
// (group commit), so that many small requests cost what one large one does.
// Expanders decide of what was too much for that, afterwards.
type Intake struct {
	pool    *pgxpool.Pool
	enqueue Enqueuer
	cfg     IntakeConfig
	shelf   *shelf
	states  *states.Store
	counts  counts

	spreading chan struct{} // of one: there may be rows of fan_outs
	stopping  chan struct{} // closed by Close

	queue   chan *request
	waiting atomic.Int64 // events in queue
	weight  atomic.Int64 // bytes of their data

	closing sync.RWMutex // held for reading while a request is put into queue
	closed  bool         // guarded by closing

	lifetime   context.Context // of the transactions, not of their callers
	cancel     context.CancelFunc
	committers sync.WaitGroup // expanders and callers of AcceptAnd, too
}

// entry is one event on its way. The committer that took it owns it.
type entry struct {
	event  Event
	id     uuid.UUID // ours
	data   []byte    // as JSON
	plan   plan
	result *Result
	place  int // among the events that its transaction recorded; -1: it was recorded before
}

// NewIntake starts the committers; Close stops them. The triggers are read
// when the first event comes, and again whenever a transaction finds that one
// has changed, on whichever node.
func NewIntake(pool *pgxpool.Pool, triggers *subscriptions.Triggers, enqueue Enqueuer, cfg IntakeConfig) *Intake {
	cfg = cfg.withDefaults()
	i := &Intake{
		pool: pool, enqueue: enqueue, cfg: cfg,
		shelf:  &shelf{pool: pool, triggers: triggers, logger: cfg.Logger},
		states: states.NewStore(pool, cfg.Now, cfg.Logger),
		// Every request holds at least one event, so this never blocks
		// before QueueEvents does.
		queue:     make(chan *request, cfg.QueueEvents),
		spreading: make(chan struct{}, 1),
		stopping:  make(chan struct{}),
	}
	i.lifetime, i.cancel = context.WithCancel(context.Background())
	for range cfg.Committers {
		i.committers.Go(i.commitUntilClosed)
	}
	for range cfg.Expanders {
		i.committers.Go(i.expandUntilClosed)
	}
	return i
}

// Accept records events and all that they cause, and returns when that is
// durable. There is a result for each event, in the order given: bad events
// are refused one by one, each with a *problem.Error, while the others go in.
//
// An error means that nothing was accepted, except when the connection broke
// during the commit: sending the same events again is right in every case,
// since what was accepted before is then a Duplicate. It is a *problem.Error:
// Throttled when the queue is full, Unavailable when the database fails or
// the intake closes, each with After.
//
// When ctx ends while the events wait, they are withdrawn and Accept returns
// at once; once they are in a transaction it returns the transaction's outcome,
// at the latest after CommitTimeout. Events of one call are committed in
// order, those beyond BatchEvents in further transactions: if a later one
// fails, its events are Refused with the reason and there is no error.
func (i *Intake) Accept(ctx context.Context, events []Event) ([]Result, error) {
	results := make([]Result, len(events))
	entries, err := i.prepare(ctx, events, results)
	if err != nil {
		return nil, unavailable(err)
	}
	committed := false
	for chunk := range slices.Chunk(entries, i.cfg.BatchEvents) {
		if err == nil {
			err = i.submit(ctx, chunk)
			committed = committed || err == nil
		}
		if err != nil {
			refuseAll(chunk, err)
		}
	}
	if err != nil && !committed {
		return nil, err
	}
	i.counts.refused.Add(int64(countRefused(results)))
	return results, nil
}

func refuseAll(entries []*entry, err error) {
	for _, e := range entries {
		e.result.Status, e.result.Err = Refused, err
	}
}

func countRefused(results []Result) int {
	n := 0
	for _, r := range results {
		if r.Status == Refused {
			n++
		}
	}
	return n
}

const refusal = "the event cannot be accepted"

// prepare checks events outside any transaction and plans their look-up. What
// is refused has its result; the rest are returned.
func (i *Intake) prepare(ctx context.Context, events []Event, results []Result) ([]*entry, error) {
	catalogue, err := i.shelf.current(ctx)
	if err != nil {
		return nil, err
	}
	now := i.now()
	var entries []*entry
	confirmed := false
	for n, e := range events {
		result := &results[n]
		*result = Result{Source: e.Source, ID: e.ID, Status: Accepted}
		data, bad := e.check(now)
		if len(bad) > 0 {
			result.Status, result.Err = Refused, bad.Err(refusal)
			continue
		}
		p, err := catalogue.plan(e)
		if err != nil && !confirmed {
			// A refusal must not rest on a trigger that has changed.
			if catalogue, err = i.shelf.confirm(ctx, catalogue); err != nil {
				return nil, err
			}
			confirmed = true
			p, err = catalogue.plan(e)
		}
		if err != nil {
			result.Status, result.Err = Refused, err
			continue
		}
		// Ids are in the order of the events, as times that are equal are not.
		id := timeid.New(now.Add(time.Duration(n) * time.Microsecond))
		entries = append(entries, &entry{event: e, id: id, data: data, plan: p, result: result})
	}
	return entries, nil
}

func (i *Intake) now() time.Time { return i.cfg.Now().UTC().Truncate(time.Microsecond) }

// Close takes no more events, commits those that wait, and returns when the
// committers have ended. When ctx ends first, what is not yet committed is
// given up (its callers are told so) and the error is ctx's.
func (i *Intake) Close(ctx context.Context) error {
	i.closing.Lock()
	if !i.closed {
		i.closed = true
		close(i.queue)
		close(i.stopping)
	}
	i.closing.Unlock()
	defer i.cancel()
	drained := make(chan struct{})
	go func() {
		i.committers.Wait()
		close(drained)
	}()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		i.cancel()
		<-drained
		return fmt.Errorf("close the intake: %w", ctx.Err())
	}
}

// unavailable is the problem of events that Herald could not take, though
// nothing is wrong with them.
func unavailable(err error) error {
	return &problem.Error{Code: problem.Unavailable, Message: "the events cannot be taken now", After: time.Second, Err: err}
}
