package pool

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Class is the priority of work. Urgent work comes before bulk work; within a
// class, who asked first is served first.
type Class int

// The classes of work.
const (
	Bulk Class = iota
	Urgent
	classes
)

// ErrClosed is the error of Acquire when the pool is closed.
var ErrClosed = errors.New("pool: closed")

// Refused is the error of Acquire when the account takes no work for a while.
type Refused struct {
	// Throttled says that the provider wants a pause; otherwise the circuit is
	// open because the account fails.
	Throttled bool
	Next      time.Time // when to ask again
	Err       error     // why the circuit is open
}

func (e *Refused) Error() string {
	next := e.Next.UTC().Format(time.RFC3339)
	if e.Throttled {
		return "pool: the account is paused until " + next
	}
	return fmt.Sprintf("pool: the account fails and is tried again at %s: %v", next, e.Err)
}

func (e *Refused) Unwrap() error { return e.Err }

// Lease is a session in one user's hands, until its first Release or Fail;
// later ones do nothing.
type Lease[S any] struct {
	Session S
	pool    *Pool[S]
	member  *member[S]
}

// Release gives the session back. A broken one is closed, and replaced at
// once, when nobody is to blame: a server may end a connection after so many
// messages.
func (l *Lease[S]) Release(broken bool) {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.putDown(l.member) {
		return
	}
	now := time.Now()
	if !broken {
		p.circuit.worked()
		l.member.rests = now
	}
	p.takeBack(l.member, broken, now)
}

// Fail gives a session back that failed with err: it is closed, replaced after
// a while, and counts towards opening the circuit.
func (l *Lease[S]) Fail(err error) {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.putDown(l.member) {
		return
	}
	now := time.Now()
	p.books.broken++
	if !p.closed {
		p.circuit.broke(now, l.member.opened, err)
	}
	p.tripIfDue(now)
	p.takeBack(l.member, true, now)
}

// takeBack closes a session that came back or lets it rest. The mutex is held.
func (p *Pool[S]) takeBack(m *member[S], broken bool, now time.Time) {
	tooMany := p.size() >= min(p.planned, p.ceiling()) // without m, which was put down
	if broken || tooMany || p.closed || p.circuit.state != CircuitClosed {
		p.closeSession(m)
		p.nudge()
	} else {
		p.rest(m)
	}
	p.settle(now)
}

// rest puts m among the idle sessions, by the time since when it rests.
func (p *Pool[S]) rest(m *member[S]) {
	i := len(p.idle)
	for i > 0 && p.idle[i-1].rests.After(m.rests) {
		i--
	}
	p.idle = slices.Insert(p.idle, i, m)
}

// putDown takes m out of use, and reports whether it was in use.
func (p *Pool[S]) putDown(m *member[S]) bool {
	class, ok := p.inUse[m]
	if ok {
		delete(p.inUse, m)
		p.taken[class]--
	}
	return ok
}

// Acquire gives a session, opening more where work waits. It waits until ctx
// ends, and fails with ctx's error, with a *Refused when the account takes no
// work now, or with ErrClosed.
func (p *Pool[S]) Acquire(ctx context.Context, class Class) (*Lease[S], error) {
	first := false
	for {
		m, err := p.take(ctx, class, first)
		if err != nil {
			return nil, err
		}
		lease := &Lease[S]{Session: m.session, pool: p, member: m}
		if p.config.Alive == nil || time.Since(m.rests) < p.config.CheckAfter {
			return lease, nil
		}
		checking, cancel := context.WithTimeout(ctx, p.config.CheckTimeout)
		err = p.config.Alive(checking, m.session)
		cancel()
		if err == nil {
			return lease, nil
		}
		lease.Release(true)
		first = true // it had its turn
	}
}

// take gives a session that may have rested too long; first puts the caller
// before the others of its class.
func (p *Pool[S]) take(ctx context.Context, class Class, first bool) (*member[S], error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w, err := p.ask(ctx, class, first)
	if err != nil {
		return nil, err
	}
	select {
	case a := <-w.answer:
		return a.member, a.err
	case <-ctx.Done():
		return p.giveUp(ctx, class, w)
	}
}

// ask joins the queue of the class.
func (p *Pool[S]) ask(ctx context.Context, class Class, first bool) (*waiter[S], error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.closed {
		return nil, ErrClosed
	}
	if refusal := p.refusal(now); refusal != nil {
		return nil, refusal
	}
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(p.paused) {
		return nil, &Refused{Throttled: true, Next: p.paused}
	}
	w := &waiter[S]{since: now, answer: make(chan answer[S], 1)}
	w.place = p.waiting[class].add(w, first)
	p.settle(now)
	if w.place != nil && p.planned < p.ceiling() {
		p.nudge()
	}
	return w, nil
}

// giveUp leaves the queue, or gives back what was given at the last moment.
func (p *Pool[S]) giveUp(ctx context.Context, class Class, w *waiter[S]) (*member[S], error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if w.place != nil {
		p.waiting[class].remove(w)
		p.settle(now)
		return nil, ctx.Err()
	}
	a := <-w.answer
	if a.err != nil {
		return nil, a.err
	}
	if p.putDown(a.member) {
		p.takeBack(a.member, false, now)
	}
	return nil, ctx.Err()
}

// hand gives idle sessions to those who wait. The mutex is held.
func (p *Pool[S]) hand(now time.Time) {
	for len(p.idle) > 0 && now.Compare(p.paused) >= 0 && p.circuit.state == CircuitClosed {
		class := Urgent
		if p.waiting[Urgent].Len() == 0 {
			class = Bulk
			open := len(p.idle) + len(p.inUse)
			if p.taken[Bulk] >= open-p.reserve(open) {
				return
			}
		}
		w := p.waiting[class].first()
		if w == nil {
			return
		}
		m := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		p.inUse[m] = class
		p.taken[class]++
		p.waiting[class].remove(w)
		w.answer <- answer[S]{member: m}
	}
}

// refusal is why no work is taken now, or nil. The mutex is held.
func (p *Pool[S]) refusal(now time.Time) error {
	switch {
	case p.circuit.state == CircuitOpen:
		return &Refused{Next: p.circuit.next, Err: p.circuit.lastErr}
	case p.circuit.state == CircuitHalfOpen:
		return &Refused{Next: now.Add(p.config.BackoffFirst), Err: p.circuit.lastErr}
	case p.paused.Sub(now) > p.config.PauseWait:
		return &Refused{Throttled: true, Next: p.paused}
	default:
		return nil
	}
}

// refuseAll fails everybody who waits.
func (p *Pool[S]) refuseAll(err error) {
	for class := range p.waiting {
		for w := p.waiting[class].first(); w != nil; w = p.waiting[class].first() {
			p.waiting[class].remove(w)
			w.answer <- answer[S]{err: err}
		}
	}
}

// waiter is an Acquire that waits. Its place is nil once it has its answer.
type waiter[S any] struct {
	since  time.Time
	place  *list.Element
	answer chan answer[S] // holds one, so that nobody waits for the waiter
}

type answer[S any] struct {
	member *member[S]
	err    error
}

// queue is who waits, the first first.
type queue[S any] struct{ list.List }

func (q *queue[S]) add(w *waiter[S], first bool) *list.Element {
	if first {
		return q.PushFront(w)
	}
	return q.PushBack(w)
}

func (q *queue[S]) first() *waiter[S] {
	if q.Len() == 0 {
		return nil
	}
	return q.Front().Value.(*waiter[S])
}

func (q *queue[S]) remove(w *waiter[S]) {
	q.Remove(w.place)
	w.place = nil
}
