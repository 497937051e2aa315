// Package pool keeps the sessions of one account: between min and max of them,
// more when work waits, fewer when it has been quiet, given out by priority.
//
// A user asks with Acquire, works with the session of its Lease and gives it
// back with Release or Fail. Policy.Plan, a pure function, says how many
// sessions there should be; one goroutine, the keeper, opens and closes them
// accordingly. SetLimit tells the pool its share of the account's sessions,
// Throttle that the provider wants a pause, and Stats says how it stands. What
// a session is the pool does not know.
package pool

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Pool holds the sessions of one account. It is used from any goroutine.
type Pool[S any] struct {
	config Config[S]

	wake     chan struct{}   // asks the keeper to look, at most one call is kept
	drained  chan struct{}   // closed when the pool is closed and nothing is in use
	lifetime context.Context // ends when the pool is closed: no more opening
	end      context.CancelFunc
	grace    context.Context // ends when the time to close is up: no more politeness
	endGrace context.CancelFunc
	work     sync.WaitGroup // the keeper, and whoever opens or closes a session

	mu      sync.Mutex // guards what follows; nothing of the user's is called under it
	started bool
	closed  bool
	limit   int
	planned int
	peak    peak
	idle    []*member[S] // by the time they were given back: the last is given out first
	inUse   map[*member[S]]Class
	taken   [classes]int // inUse by class
	waiting [classes]queue[S]
	circuit circuit
	paused  time.Time // nothing is given out or opened before it
	told    []func()  // calls of OnCircuit that are due
	books   books
}

// member is a session while it belongs to the pool.
type member[S any] struct {
	session S
	opened  time.Time
	rests   time.Time // since when
}

// New checks the configuration. The pool opens nothing before Start, so that
// SetLimit can come first.
func New[S any](config Config[S]) (*Pool[S], error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	p := &Pool[S]{
		config:  config,
		wake:    make(chan struct{}, 1),
		drained: make(chan struct{}),
		limit:   config.Max,
		inUse:   map[*member[S]]Class{},
		circuit: newCircuit(config),
	}
	p.lifetime, p.end = context.WithCancel(context.Background())
	p.grace, p.endGrace = context.WithCancel(context.Background())
	return p, nil
}

// Start opens the first sessions and lets work in. It is called once.
func (p *Pool[S]) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.started {
		return
	}
	now := time.Now()
	p.started = true
	p.peak = newPeak(p.config.Policy.IdleTimeout, now)
	p.books.began(now)
	p.work.Go(p.keep)
}

// SetLimit sets this node's share of the account's sessions, from 0; it may
// be more than Max. Sessions above it are closed: those that rest at once, the
// others as they are given back. Without a share Acquire waits for one.
func (p *Pool[S]) SetLimit(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = max(0, n)
	p.nudge()
}

// Throttle pauses the account until then: nothing is given out and no session
// is opened. Work that has a session goes on. An earlier time than one given
// before changes nothing.
func (p *Pool[S]) Throttle(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !until.After(p.paused) {
		return
	}
	p.paused = until
	now := time.Now()
	if until.Sub(now) > p.config.PauseWait {
		p.refuseAll(p.refusal(now))
	}
	p.settle(now)
	p.nudge()
}

// Close refuses work from now on, waits for the sessions in use and closes all.
// When ctx ends it closes those in use as well, says so in its error, and their
// Release does nothing. When it returns, no goroutine of the pool is left.
func (p *Pool[S]) Close(ctx context.Context) error {
	p.shut()
	defer p.endGrace()
	defer context.AfterFunc(ctx, p.endGrace)()
	defer p.work.Wait()
	select {
	case <-p.drained:
		return nil
	case <-ctx.Done():
		p.endGrace()
		left := p.seize()
		if left == 0 {
			return nil
		}
		return fmt.Errorf("pool: %d sessions were closed in use: %w", left, context.Cause(ctx))
	}
}

// shut is the first half of Close.
func (p *Pool[S]) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	p.end()
	p.refuseAll(ErrClosed)
	for len(p.idle) > 0 {
		p.closeOldest()
	}
	p.settle(time.Now())
}

// seize closes the sessions in use and says how many they were.
func (p *Pool[S]) seize() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := len(p.inUse)
	for m := range p.inUse {
		p.putDown(m)
		p.closeSession(m)
	}
	p.settle(time.Now())
	return left
}

// settle ends every change: it gives what is free to those who wait and keeps
// the books. The mutex is held.
func (p *Pool[S]) settle(now time.Time) {
	p.hand(now)
	if p.started {
		p.peak.observe(now, p.wanted())
		p.books.session(now, p.size())
	}
	if p.closed && len(p.inUse) == 0 {
		select {
		case <-p.drained:
		default:
			close(p.drained)
		}
	}
}

// nudge makes the keeper look soon.
func (p *Pool[S]) nudge() {
	select {
	case p.wake <- struct{}{}:
	default: // it is about to
	}
}

// size is how many sessions are open or being opened.
func (p *Pool[S]) size() int { return len(p.idle) + len(p.inUse) + p.books.opening }

// ceiling is the most sessions there may be.
func (p *Pool[S]) ceiling() int { return min(p.config.Max, p.limit) }

// reserve is how many of so many open sessions bulk work leaves alone. What
// urgent work has in use counts as left alone.
func (p *Pool[S]) reserve(open int) int {
	if open < 2 || p.config.Reserved <= 0 {
		return 0
	}
	return max(1, p.config.Reserved*open/p.config.Max)
}

// wanted is how many open sessions would leave nobody waiting, or the ceiling
// where that is less.
func (p *Pool[S]) wanted() int {
	bulk := p.taken[Bulk] + p.waiting[Bulk].Len()
	wanted := bulk + p.taken[Urgent] + p.waiting[Urgent].Len()
	for bulk > 0 && wanted < p.ceiling() && wanted-p.reserve(wanted) < bulk {
		wanted++
	}
	return min(wanted, max(p.ceiling(), len(p.inUse)))
}
