package link

import (
	"context"
	"sync"
)

// queue keeps what gateways told us until somebody took it.
type queue[T any] struct {
	most int

	running chan struct{} // has one element while run runs

	mu    sync.Mutex
	items []*item[T]          // guarded by mu, the oldest first
	keys  map[string]*item[T] // guarded by mu
	news  chan struct{}       // has one element when something was put
}

type item[T any] struct {
	key   string
	value T
	taken func()
}

// newQueue makes a queue that keeps most items.
func newQueue[T any](most int) *queue[T] {
	return &queue[T]{most: most, keys: map[string]*item[T]{}, news: make(chan struct{}, 1), running: make(chan struct{}, 1)}
}

// put keeps v until it was taken, when taken is called. It is false when there
// is no room. What has the key of something that still waits is that, told
// again: the gateway is answered where it told it last.
func (q *queue[T]) put(key string, v T, taken func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if known := q.keys[key]; known != nil {
		known.taken = taken
		return true
	}
	if len(q.items) >= q.most {
		return false
	}
	it := &item[T]{key, v, taken}
	q.items = append(q.items, it)
	q.keys[key] = it
	select {
	case q.news <- struct{}{}:
	default:
	}
	return true
}

// atOnce is how many items take is given in one call.
const atOnce = 200

// run gives what is in the queue to take, in order, until ctx ends or take
// fails; what it failed with stays. One call runs at a time; another waits.
func (q *queue[T]) run(ctx context.Context, take func(context.Context, []T) error) error {
	select {
	case q.running <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-q.running }()
	for {
		if values := q.first(); len(values) > 0 {
			if err := take(ctx, values); err != nil {
				return err
			}
			q.remove(len(values))
			continue
		}
		select {
		case <-q.news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *queue[T]) first() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	values := make([]T, min(len(q.items), atOnce))
	for i := range values {
		values[i] = q.items[i].value
	}
	return values
}

func (q *queue[T]) remove(n int) {
	q.mu.Lock()
	done := q.items[:n:n]
	q.items = q.items[n:]
	for _, it := range done {
		delete(q.keys, it.key)
	}
	q.mu.Unlock()
	for _, it := range done {
		it.taken()
	}
}
