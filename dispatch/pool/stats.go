package pool

import "time"

// Stats is how a pool stands. Open + Opening + Closing is what the provider
// may see of this node.
type Stats struct {
	Min, Max int
	Limit    int // this node's share
	Planned  int // how many sessions there should be

	Open    int // idle or in use
	Idle    int
	InUse   int
	Opening int
	Closing int

	WaitingUrgent int
	WaitingBulk   int
	OldestWait    time.Duration

	Circuit     CircuitState
	NextTry     time.Time // no session is opened before it; zero or past: no wait
	PausedUntil time.Time // the provider's pause; zero or past: none
	LastError   error     // of opening or using a session; nil: none yet
	LastErrorAt time.Time

	// Since Start. SessionTime is the sum of the times that sessions were open
	// or being opened. DirectionChanges counts how often the plan turned from
	// growing to giving back or the other way; what SetLimit forces is neither.
	SessionTime      time.Duration
	Opened           int64
	Closed           int64
	FailedToOpen     int64
	Broken           int64
	DirectionChanges int64
}

// Stats is how the pool stands now.
func (p *Pool[S]) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.started {
		p.books.session(now, p.size())
	}
	return Stats{
		Min:              p.config.Min,
		Max:              p.config.Max,
		Limit:            p.limit,
		Planned:          p.planned,
		Open:             len(p.idle) + len(p.inUse),
		Idle:             len(p.idle),
		InUse:            len(p.inUse),
		Opening:          p.books.opening,
		Closing:          p.books.closing,
		WaitingUrgent:    p.waiting[Urgent].Len(),
		WaitingBulk:      p.waiting[Bulk].Len(),
		OldestWait:       p.oldestWait(now),
		Circuit:          p.circuit.state,
		NextTry:          p.circuit.next,
		PausedUntil:      p.paused,
		LastError:        p.circuit.lastErr,
		LastErrorAt:      p.circuit.lastErrAt,
		SessionTime:      p.books.sessionTime,
		Opened:           p.books.opened,
		Closed:           p.books.closed,
		FailedToOpen:     p.books.failed,
		Broken:           p.books.broken,
		DirectionChanges: p.books.turns,
	}
}

// books is what the pool counts. It is guarded by the pool's mutex.
type books struct {
	opening, closing               int // under way
	opened, closed, failed, broken int64

	grown, given time.Time // the last step up and down
	direction    int       // of the last step: +1, -1, or 0 before the first
	turns        int64     // changes of direction

	sessionTime time.Duration
	counted     time.Time // up to when sessionTime is
	size        int       // since then
}

func (b *books) began(now time.Time) { b.counted = now }

// session counts the time of the sessions there were, and says how many there
// are from now on.
func (b *books) session(now time.Time, size int) {
	b.sessionTime += time.Duration(b.size) * now.Sub(b.counted)
	b.counted, b.size = now, size
}

// turned notes a step of the plan.
func (b *books) turned(now time.Time, step int) {
	if step == 0 {
		return
	}
	direction := 1
	if step < 0 {
		direction = -1
		b.given = now
	} else {
		b.grown = now
	}
	if b.direction == -direction {
		b.turns++
	}
	b.direction = direction
}
