package matcher

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"herald/problem"
)

// request is what one caller waits for: at most BatchEvents of its events.
type request struct {
	entries []*entry
	bytes   int64         // of their data
	taken   atomic.Bool   // by a committer, or withdrawn by its caller
	done    chan struct{} // closed by the committer
	err     error         // set before done is closed
}

// submit puts entries into the queue and waits for their transaction.
func (i *Intake) submit(ctx context.Context, entries []*entry) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	r := &request{entries: entries, done: make(chan struct{})}
	for _, e := range entries {
		r.bytes += int64(len(e.data))
	}
	if err := i.put(r); err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	if r.taken.CompareAndSwap(false, true) {
		return unavailable(fmt.Errorf("withdrawn from the queue: %w", ctx.Err()))
	}
	<-r.done
	return r.err
}

func (i *Intake) put(r *request) error {
	i.closing.RLock()
	defer i.closing.RUnlock()
	if i.closed {
		return unavailable(errors.New("the intake is closed"))
	}
	n := int64(len(r.entries))
	heavy := i.weight.Add(r.bytes) > int64(i.cfg.QueueBytes) && i.waiting.Load() > 0
	if i.waiting.Add(n) > int64(i.cfg.QueueEvents) || heavy {
		i.waiting.Add(-n)
		i.weight.Add(-r.bytes)
		i.counts.throttled.Add(n)
		return &problem.Error{Code: problem.Throttled, Message: "too many events are waiting", After: time.Second}
	}
	i.queue <- r
	return nil
}

// commitUntilClosed is a committer. It ends when the queue is closed and empty.
func (i *Intake) commitUntilClosed() {
	for first := range i.queue {
		var batch []*request
		events := i.take(first, &batch)
		for events < i.cfg.BatchEvents {
			next, ok := i.poll()
			if !ok {
				break
			}
			events += i.take(next, &batch)
		}
		if len(batch) > 0 {
			i.commit(batch)
		}
	}
}

// poll is the next waiting request; ok is false when none waits.
func (i *Intake) poll() (r *request, ok bool) {
	select {
	case r, ok = <-i.queue:
		return r, ok
	default:
		return nil, false
	}
}

// take adds a request to the batch, unless its caller has withdrawn it, and
// returns how many events came with it.
func (i *Intake) take(r *request, batch *[]*request) int {
	i.waiting.Add(-int64(len(r.entries)))
	i.weight.Add(-r.bytes)
	if !r.taken.CompareAndSwap(false, true) {
		return 0
	}
	*batch = append(*batch, r)
	return len(r.entries)
}

// commit commits a batch together. When the events themselves, and not the
// database, are the trouble, each request is tried alone, so that one caller's
// events cannot keep another's out.
func (i *Intake) commit(batch []*request) {
	var all []*entry
	for _, r := range batch {
		all = append(all, r.entries...)
	}
	err := i.transact(i.lifetime, all, nil)
	for _, r := range batch {
		r.err = err
		if err != nil && len(batch) > 1 && !outage(err) {
			if r.err = i.transact(i.lifetime, r.entries, nil); r.err != nil && outage(r.err) {
				err = r.err // spare the others the wait
			}
		}
		if r.err != nil {
			i.cfg.Logger.Error("events could not be taken", "events", len(r.entries), "error", r.err)
			r.err = unavailable(r.err)
		}
		close(r.done)
	}
}
