// Package follower keeps a node's index of anchors what PostgreSQL has.
//
// In come the rows of subscription_anchors, all of them once and then those of
// the subscriptions that anchor_changes names; every transaction that changes
// anchors, or when a subscription is valid, writes there too. Out go an
// index.Index and, for each transaction that matches events, a View of it with
// a Fence: what has changed and is not in the index yet.
//
// # Why index and fence together are exact
//
// The follower's cursor is a snapshot of PostgreSQL (pg_current_snapshot): it
// says of every transaction whether its changes are in the index. A look for
// changes takes the snapshot N and all changes visible in N that were not
// visible in the cursor, reads what those subscriptions wait on now, at N or
// later, puts that into the index, and only then makes N the cursor. So the
// index has, of each subscription, the state at the cursor or a later one;
// that it may be later does no harm, and reading the same twice neither.
//
// A statement of another transaction, with the snapshot S, sees anchors that
// the index may lack only by changes visible in S and not in the cursor. The
// fence is that statement: it reads exactly those, with what the subscriptions
// wait on at S. Hence three rules. The cursor is read first (View), then the
// index, then the fence: what the index is in the middle of taking in when it
// is read has been committed before, so the fence sees it. And the fence says
// whether the cursor still means anything: changes that it would need may have
// been deleted as old, transactions may have been lost and their ids given out
// again (see anchor_line in the schema), the index may have been emptied to be
// loaded anew since. Then, as when there are too many changes, the SQL join
// decides, which needs no index.
//
// A transaction that takes long to commit holds nothing up: it is one id in
// the cursor. No clock is compared with another's.
package follower

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/matcher/index"
)

// Config is how a Follower works. Zero fields take the default given beside
// them.
type Config struct {
	Poll       time.Duration // 50 ms: between two looks for changes
	IdlePoll   time.Duration // 1 s: the same while nobody asks for a View
	Keep       time.Duration // 1 h: how long a change is kept for nodes that are behind
	AuditEvery time.Duration // 10 min: between two comparisons with the tables; negative: none
	Now        func() time.Time
	Logger     *slog.Logger // slog.Default()
}

func (c Config) withDefaults() Config {
	if c.Poll <= 0 {
		c.Poll = 50 * time.Millisecond
	}
	if c.IdlePoll <= 0 {
		c.IdlePoll = time.Second
	}
	c.IdlePoll = max(c.IdlePoll, c.Poll)
	if c.Keep <= 0 {
		c.Keep = time.Hour
	}
	if c.AuditEvery == 0 {
		c.AuditEvery = 10 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

const (
	pollWithin = 10 * time.Second // a look for changes, with taking them in
	loadWithin = 15 * time.Minute
	quietPolls = 40 // without change or View, before the looks become rare

	firstBackoff, lastBackoff = 100 * time.Millisecond, 5 * time.Second
)

// Follower keeps one index. Run does the work; the other methods may be called
// by any goroutine.
type Follower struct {
	pool   *pgxpool.Pool
	index  *index.Index
	cfg    Config
	counts counts

	// state is what the index may be used by; nil while it may not. Run
	// replaces it, and Distrust takes it away.
	state atomic.Pointer[state]
	asked atomic.Bool   // for a View, since the last look for changes
	idle  atomic.Bool   // the looks are rare
	wake  chan struct{} // holds one: look now
	turns turns

	auditing sync.Mutex

	// Of the goroutine of Run.
	triggers map[string]*index.Condition // nil: its condition cannot be used
	marks    []mark
}

// state is how far a loaded index has come.
type state struct {
	cursor
	load int64 // which load it goes back to
}

// New makes a follower that keeps x up to date once it runs. Nobody else may
// change x.
func New(pool *pgxpool.Pool, x *index.Index, cfg Config) *Follower {
	return &Follower{
		pool: pool, index: x, cfg: cfg.withDefaults(),
		wake: make(chan struct{}, 1), turns: turns{turned: make(chan struct{})},
		triggers: map[string]*index.Condition{},
	}
}

// Run loads the index and follows the tables until ctx ends. While the
// database is away it tries again, and nothing of what is loaded is lost.
func (f *Follower) Run(ctx context.Context) {
	var audits sync.WaitGroup
	if f.cfg.AuditEvery > 0 {
		audits.Go(func() { f.auditUntil(ctx) })
	}
	defer audits.Wait()
	defer f.state.Store(nil)
	loading := backoff{}
	for ctx.Err() == nil {
		began := f.cfg.Now()
		if err := f.load(ctx); err != nil {
			f.failed(ctx, "the index cannot be loaded", err)
			f.wait(ctx, loading.next())
			continue
		}
		f.follow(ctx)
		if f.cfg.Now().Sub(began) > time.Minute {
			loading = backoff{}
		}
		f.wait(ctx, loading.next())
	}
}

// follow takes changes in until the index has to be loaded anew.
func (f *Follower) follow(ctx context.Context) {
	var away backoff
	quiet := 0
	for ctx.Err() == nil {
		changes, err := f.poll(ctx)
		switch {
		case errors.Is(err, errLost), errors.Is(err, errGivenUp):
			f.cfg.Logger.WarnContext(ctx, "the index is loaded anew", "reason", err)
			return
		case err != nil:
			f.failed(ctx, "changes cannot be followed", err)
			f.wait(ctx, away.next())
			continue
		case changes > 0 || f.asked.Swap(false):
			quiet = 0
		default:
			quiet++
		}
		away = backoff{}
		f.prune(ctx)
		pause := f.cfg.Poll
		if quiet > quietPolls {
			f.idle.Store(true)
			pause = f.cfg.IdlePoll
		}
		f.wait(ctx, pause)
		f.idle.Store(false)
	}
}

func (f *Follower) failed(ctx context.Context, what string, err error) {
	if ctx.Err() != nil {
		return
	}
	f.counts.failures.Add(1)
	f.cfg.Logger.WarnContext(ctx, what, "error", err)
}

// wait returns after d, when somebody wants a look at once, or when ctx ends.
func (f *Follower) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.wake:
	case <-ctx.Done():
	}
}

func (f *Follower) kick() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// View is the index as one transaction may use it. Zero is of no use.
type View struct {
	Index    *index.Index
	follower *Follower
	state    *state
}

// View is to be taken before the index is read, see the package's comment; ok
// is false while the index cannot be used.
func (f *Follower) View() (v View, ok bool) {
	f.asked.Store(true)
	if f.idle.CompareAndSwap(true, false) {
		f.kick()
	}
	s := f.state.Load()
	return View{Index: f.index, follower: f, state: s}, s != nil
}

// holds reports whether the index has not been given up since the view was taken.
func (v View) holds() bool {
	s := v.follower.state.Load()
	return s != nil && s.load == v.state.load
}

// Distrust gives the index up and has it loaded anew, because of what somebody
// has found out.
func (f *Follower) Distrust(reason string) {
	if f.state.Swap(nil) == nil {
		return
	}
	f.counts.distrusts.Add(1)
	f.cfg.Logger.Error("the index is not what the tables say", "reason", reason)
	f.kick()
}

// Sync returns when the index has all that was committed before the call.
func (f *Follower) Sync(ctx context.Context) error {
	return f.turns.next(ctx, f.kick)
}

// turns counts the times that the index was brought up to date.
type turns struct {
	mu           sync.Mutex
	begun, ended int64         // the last that began, the last that ended well
	turned       chan struct{} // closed when one ends well
}

// begin serves those who wait for a turn up to now, as wake says.
func (t *turns) begin(wake <-chan struct{}) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-wake:
	default:
	}
	t.begun++
	return t.begun
}

func (t *turns) end(turn int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = turn
	close(t.turned)
	t.turned = make(chan struct{})
}

// next waits for the end of a turn that has not begun yet.
func (t *turns) next(ctx context.Context, kick func()) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	kick()
	for wanted := t.begun + 1; t.ended < wanted; {
		turned := t.turned
		t.mu.Unlock()
		select {
		case <-turned:
		case <-ctx.Done():
		}
		t.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// backoff is how long to wait before the next try: longer each time, and not
// the same for all nodes.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, firstBackoff), lastBackoff)
	return b.last/2 + rand.N(b.last)
}
