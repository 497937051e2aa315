package sim

import (
	"context"
	"slices"
	"sync"
)

// Box keeps the newest of what came in. A T never changes once it is in, and
// is only ever added behind those handed out, so lists of them are shared:
// read them only. It is safe for many goroutines.
type Box[T any] struct {
	keep   int
	number func(item *T, id int64)

	mu      sync.Mutex
	items   []T           // guarded by mu
	total   int64         // guarded by mu
	last    int64         // guarded by mu: the newest ID; not reset by Clear
	arrived chan struct{} // guarded by mu: closed at the next arrival; nil: nobody waits
}

// NewBox keeps so many; older ones are forgotten, but still counted. number
// gives a T its ID; nil: it has none.
func NewBox[T any](keep int, number func(item *T, id int64)) *Box[T] {
	return &Box[T]{keep: max(1, keep), number: number}
}

// Add keeps an item and gives it its ID, which it returns: from 1, in order of
// arrival.
func (b *Box[T]) Add(item T) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total++
	b.last++
	if b.number != nil {
		b.number(&item, b.last)
	}
	b.items = append(b.items, item)
	if len(b.items) >= 2*b.keep { // copied seldom, so that adding stays cheap
		b.items = slices.Clone(b.items[len(b.items)-b.keep:])
	}
	if b.arrived != nil {
		close(b.arrived)
		b.arrived = nil
	}
	return b.last
}

// All are those kept, the oldest first.
func (b *Box[T]) All() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept()
}

// kept wants mu held.
func (b *Box[T]) kept() []T { return slices.Clip(b.items[max(0, len(b.items)-b.keep):]) }

// Count is how many came in since the start or the last Clear, forgotten ones
// included.
func (b *Box[T]) Count() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

// Clear forgets all and counts from zero again.
func (b *Box[T]) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items, b.total = nil, 0
}

// Find is the one with an ID; false: there is none, or it was forgotten.
func (b *Box[T]) Find(id int64) (item T, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.kept()
	gone := b.last - int64(len(kept))
	if id <= gone || id > b.last {
		return item, false
	}
	return kept[id-gone-1], true
}

// After are those kept that came in behind the one with an ID.
func (b *Box[T]) After(id int64) []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.kept()
	gone := b.last - int64(len(kept))
	return kept[min(max(id, gone), b.last)-gone:]
}

// WaitFor returns nil as soon as enough says so of those kept and of the
// count, or ctx's error when ctx ends first. enough is asked at once and after
// every arrival; it must read only.
func (b *Box[T]) WaitFor(ctx context.Context, enough func(kept []T, total int64) bool) error {
	for {
		b.mu.Lock()
		if b.arrived == nil {
			b.arrived = make(chan struct{})
		}
		kept, total, arrived := b.kept(), b.total, b.arrived
		b.mu.Unlock()
		if enough(kept, total) {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
