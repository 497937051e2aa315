package pool

import (
	"context"
	"slices"
	"time"
)

// keep makes the pool what the plan says, whenever something happened or it is
// time, until the pool is closed. It has no clock running while the pool is at
// its smallest and nobody waits.
func (p *Pool[S]) keep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-p.lifetime.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		again, told := p.look()
		for _, tell := range told {
			tell()
		}
		timer.Stop()
		if again > 0 {
			timer.Reset(again)
		}
	}
}

// look is one look of the keeper. It says after what time it must look again,
// 0 for not before something happens, and what OnCircuit is to be told.
func (p *Pool[S]) look() (again time.Duration, told []func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, nil
	}
	now := time.Now()
	p.tripIfDue(now)
	p.planned = min(max(p.planned, p.config.Min), p.ceiling())
	if p.mayPlan(now) {
		p.plan(now)
	}
	p.closeSurplus()
	p.openMissing(now)
	p.settle(now)
	told, p.told = p.told, nil
	return p.lookAgain(now), told
}

// mayPlan reports whether what waits says anything about the load.
func (p *Pool[S]) mayPlan(now time.Time) bool {
	return p.circuit.state == CircuitClosed && now.Compare(p.paused) >= 0
}

// plan asks Policy.Plan and notes which way it goes.
func (p *Pool[S]) plan(now time.Time) {
	before := p.planned
	p.planned = p.config.Policy.Plan(Sample{
		Planned:    p.planned,
		Wanted:     p.wanted(),
		Peak:       p.peak.over(now),
		Waiting:    p.waiters(),
		Urgent:     p.waiting[Urgent].Len(),
		OldestWait: p.oldestWait(now),
		SinceGrown: now.Sub(p.books.grown),
		SinceGiven: now.Sub(p.books.given),
		Min:        p.config.Min,
		Max:        p.config.Max,
		Limit:      p.limit,
	})
	p.books.turned(now, p.planned-before)
}

func (p *Pool[S]) waiters() int { return p.waiting[Bulk].Len() + p.waiting[Urgent].Len() }

func (p *Pool[S]) oldestWait(now time.Time) time.Duration {
	var oldest time.Duration
	for class := range p.waiting {
		if w := p.waiting[class].first(); w != nil {
			oldest = max(oldest, now.Sub(w.since))
		}
	}
	return oldest
}

// closeSurplus closes idle sessions that the plan does not hold: one at a time,
// or at once where the node has no right to them.
func (p *Pool[S]) closeSurplus() {
	for len(p.idle) > 0 && p.size() > p.planned {
		if p.size() <= p.ceiling() && p.books.closing > 0 {
			return
		}
		p.closeOldest()
	}
}

// openMissing opens what the plan holds, as much at once as is allowed now.
// Sessions that are still closing count: the provider has not forgotten them.
func (p *Pool[S]) openMissing(now time.Time) {
	if now.Before(p.paused) || now.Before(p.circuit.next) {
		return
	}
	target, atOnce := p.planned, p.config.OpenAtOnce
	switch {
	case p.circuit.state == CircuitHalfOpen:
		return
	case p.circuit.state == CircuitOpen:
		target, atOnce = p.size()+1, 1
	case p.circuit.doubtful():
		atOnce = 1
	}
	for p.size() < target && p.books.opening < atOnce && p.size()+p.books.closing < p.ceiling() {
		if p.circuit.state == CircuitOpen {
			p.circuit.state = CircuitHalfOpen
		}
		p.books.opening++
		p.work.Go(p.open)
	}
}

// open opens one session.
func (p *Pool[S]) open() {
	ctx, cancel := context.WithTimeout(p.lifetime, p.config.OpenTimeout)
	session, err := p.config.Open(ctx)
	cancel()

	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.books.opening--
	if err != nil {
		p.openFailed(now, err)
	} else {
		p.joined(&member[S]{session: session, opened: now, rests: now})
	}
	p.settle(now)
	p.nudge()
}

func (p *Pool[S]) openFailed(now time.Time, err error) {
	p.books.failed++
	if p.closed {
		return
	}
	p.circuit.openFailed(now, err, p.config.Hopeless(err))
	p.tripIfDue(now)
}

// joined takes a new session in.
func (p *Pool[S]) joined(m *member[S]) {
	p.books.opened++
	if !p.closed && p.circuit.opened() {
		p.told = append(p.told, func() { p.config.OnCircuit(false, nil, time.Time{}) })
	}
	if p.closed || p.circuit.state != CircuitClosed || p.size() >= p.ceiling() {
		p.closeSession(m)
		return
	}
	p.rest(m)
}

// tripIfDue opens the circuit if the account has failed enough.
func (p *Pool[S]) tripIfDue(now time.Time) {
	if p.closed || !p.circuit.trips(now, len(p.idle)+len(p.inUse) == 0) {
		return
	}
	p.circuit.open(now)
	p.planned = min(p.config.Min, p.ceiling())
	for len(p.idle) > 0 {
		p.closeOldest()
	}
	p.refuseAll(p.refusal(now))
	err, next := p.circuit.lastErr, p.circuit.next
	p.told = append(p.told, func() { p.config.OnCircuit(true, err, next) })
	p.nudge()
}

// closeOldest closes the session that has rested longest.
func (p *Pool[S]) closeOldest() {
	m := p.idle[0]
	p.idle[0] = nil
	p.idle = p.idle[1:]
	p.closeSession(m)
}

// closeSession closes a session that is neither idle nor in use any more.
func (p *Pool[S]) closeSession(m *member[S]) {
	p.books.closing++
	p.work.Go(func() {
		ctx, cancel := context.WithTimeout(p.grace, p.config.CloseTimeout)
		defer cancel()
		p.config.Close(ctx, m.session)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.books.closing--
		p.books.closed++
		p.nudge()
	})
}

// lookAgain is the time until the keeper must look though nothing happens, or
// 0 when it need not.
func (p *Pool[S]) lookAgain(now time.Time) time.Duration {
	policy, retry := p.config.Policy, p.circuit.next.Sub(now)
	switch {
	case now.Before(p.paused):
		return p.paused.Sub(now)
	case p.circuit.state == CircuitHalfOpen:
		return 0 // the end of the probe wakes it
	case p.circuit.state == CircuitOpen:
		return max(0, retry) // if it is past, there is no room, and what makes some wakes it
	}
	var again []time.Duration
	if retry > 0 && p.size() < p.planned {
		again = append(again, retry)
	}
	if p.planned < p.ceiling() && p.waiters() > 0 {
		again = append(again, policy.GrowEvery)
	}
	if p.planned > min(p.config.Min, p.ceiling()) {
		again = append(again, policy.GiveBackEvery)
	}
	if len(again) == 0 {
		return 0
	}
	return slices.Min(again)
}
