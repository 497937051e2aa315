package ismg

import (
	"sync"
	"time"
)

// Outbox has what an account must be told, until it says that it has it.
type Outbox[T any] struct {
	// Most is how much is kept; the oldest goes first.
	Most int

	mu      sync.Mutex
	entries []*entry[T]   // guarded by mu, in the order they were added in
	changed chan struct{} // guarded by mu: closed at the next change; nil: nobody waits
}

type entry[T any] struct {
	value  T
	due    time.Time
	inHand bool // of a Teller
}

// Add has v told when it is due.
func (o *Outbox[T]) Add(v T, due time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.entries) >= o.Most {
		o.entries = o.entries[1:]
	}
	o.entries = append(o.entries, &entry[T]{value: v, due: due})
	o.change()
}

// Len is how much has not been told.
func (o *Outbox[T]) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.entries)
}

// change wants mu held.
func (o *Outbox[T]) change() {
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
}

// Await returns when there is something to tell; it is false when over is
// closed first.
func (o *Outbox[T]) Await(over <-chan struct{}) bool { return o.find(over, false) != nil }

// next takes the first that is due in hand; it is nil when over is closed first.
func (o *Outbox[T]) next(over <-chan struct{}) *entry[T] { return o.find(over, true) }

func (o *Outbox[T]) find(over <-chan struct{}, take bool) *entry[T] {
	for {
		select {
		case <-over:
			return nil
		default:
		}
		e, wait, changed := o.look(take)
		if e != nil {
			return e
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-over:
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// look gives the first that is due, or how long to wait for it, and what is
// closed when that is no longer so.
func (o *Outbox[T]) look(take bool) (e *entry[T], wait time.Duration, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	wait = time.Hour
	for _, e := range o.entries {
		left := e.due.Sub(now)
		if !e.inHand && left <= 0 {
			e.inHand = take
			return e, 0, nil
		}
		if !e.inHand {
			wait = min(wait, left)
		}
	}
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return nil, wait, o.changed
}

// settle gives an entry out of hand: it was taken, or is told again after a while.
func (o *Outbox[T]) settle(e *entry[T], taken bool, again time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e.inHand = false
	e.due = time.Now().Add(again)
	if taken {
		for i, other := range o.entries {
			if other == e {
				o.entries = append(o.entries[:i:i], o.entries[i+1:]...)
				break
			}
		}
	}
	o.change()
}

// Teller tells what is in an Outbox on one connection.
type Teller[T any] struct {
	Outbox *Outbox[T]
	// Send tells v under a number that its answer will have.
	Send func(number uint32, v T) error
	// Number gives the number under which v is told now.
	Number func(v T) uint32
	// Window is how much may be unanswered.
	Window int
	// Again is when something is told again that was refused for now, or not
	// answered.
	Again time.Duration

	mu   sync.Mutex
	open map[uint32]*told[T] // guarded by mu
	room chan struct{}
}

type told[T any] struct {
	entry *entry[T]
	limit *time.Timer
}

// Run tells until over is closed or Send fails. What is unanswered then is told
// by another.
func (t *Teller[T]) Run(over <-chan struct{}) {
	t.mu.Lock()
	t.open = map[uint32]*told[T]{}
	t.room = make(chan struct{}, t.Window)
	t.mu.Unlock()
	defer t.giveBack()
	for {
		select {
		case t.room <- struct{}{}:
		case <-over:
			return
		}
		e := t.Outbox.next(over)
		if e == nil {
			return
		}
		number := t.Number(e.value)
		t.mu.Lock()
		t.open[number] = &told[T]{e, time.AfterFunc(t.Again, func() { t.Answered(number, false) })}
		t.mu.Unlock()
		if t.Send(number, e.value) != nil {
			return
		}
	}
}

// Answered takes the answer to a number.
func (t *Teller[T]) Answered(number uint32, taken bool) {
	t.mu.Lock()
	one := t.open[number]
	delete(t.open, number)
	t.mu.Unlock()
	if one == nil {
		return
	}
	one.limit.Stop()
	t.Outbox.settle(one.entry, taken, t.Again)
	<-t.room
}

func (t *Teller[T]) giveBack() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range t.open {
		one.limit.Stop()
		t.Outbox.settle(one.entry, false, 0)
	}
	t.open = nil
}
