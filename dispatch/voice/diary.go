package voice

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"herald/hardware/sip"
)

// diary writes down what happens in a call while it goes on, so that after a
// crash it is known how far it came. Those who note something never wait for
// the database: a goroutine of the diary does.
type diary struct {
	store  *Store
	logger *slog.Logger
	now    func() time.Time
	dirty  chan struct{} // something is to be written
	ended  chan struct{} // closed by end
	writes sync.WaitGroup

	mu  sync.Mutex
	row row // guarded by mu
}

// writeWithin is how long a line of the diary may take to be written, also
// after the context of the call ended.
const writeWithin = 10 * time.Second

func newDiary(ctx context.Context, store *Store, r row, logger *slog.Logger, now func() time.Time) *diary {
	d := &diary{
		store: store, logger: logger.With("call", r.ID, "delivery", r.DeliveryID), now: now,
		dirty: make(chan struct{}, 1), ended: make(chan struct{}), row: r,
	}
	d.writes.Go(func() { d.keepWriting(context.WithoutCancel(ctx)) })
	return d
}

func (d *diary) keepWriting(ctx context.Context) {
	for {
		select {
		case <-d.dirty:
			d.write(ctx, d.snapshot())
		case <-d.ended:
			return
		}
	}
}

func (d *diary) write(ctx context.Context, r row) {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	if err := d.store.update(ctx, r); err != nil {
		d.logger.ErrorContext(ctx, "what became of a call is not written down", "error", err)
	}
}

func (d *diary) snapshot() row {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.row
	r.Steps = slices.Clone(r.Steps)
	return r
}

// change changes the row, and has it written soon.
func (d *diary) change(how func(*row)) {
	d.mu.Lock()
	how(&d.row)
	d.mu.Unlock()
	select {
	case d.dirty <- struct{}{}:
	default: // it is to be written anyway
	}
}

// note notes a step. Who answered is noted with the answer.
func (d *diary) note(s step) {
	d.change(func(r *row) {
		if s.Code == codeAnswered {
			for i := range r.Steps {
				if r.Steps[i].Code == codeAnswered {
					// What was read for a snapshot is not to be changed.
					args := maps.Clone(r.Steps[i].Args)
					if args == nil {
						args = map[string]any{}
					}
					maps.Copy(args, s.Args)
					r.Steps[i].Args = args
					return
				}
			}
		}
		r.Steps = append(r.Steps, s)
	})
}

// watch notes a step of the line.
func (d *diary) watch(s sip.Step) {
	one := step{At: s.At}
	switch s.Kind {
	case sip.Dialled:
		one.Code = codeDialled
	case sip.Ringing:
		if d.snapshot().has(codeRinging) { // it is told again and again
			return
		}
		one.Code = codeRinging
	case sip.Answered:
		one.Code, one.Args = codeAnswered, map[string]any{"by": string(unknown)}
	case sip.Pressed:
		one.Code, one.Args = codePressed, map[string]any{"digit": s.Digit}
	case sip.Transferred:
		one.Code = codeTransferred
	case sip.HungUp:
		one.Code, one.Args = codeHungUp, map[string]any{"by": string(s.By)}
	case sip.Failed:
		one.Code, one.Args = codeFailed, map[string]any{"class": string(s.Class), "code": s.Code}
	case sip.EarlySound, sip.Played, sip.Held, sip.Resumed: // of no use to those who read it
		return
	}
	d.note(one)
}

// end closes the diary: nothing follows. It returns the row as it was written.
func (d *diary) end(ctx context.Context, how func(*row)) row {
	close(d.ended)
	d.writes.Wait()
	now := d.now()
	d.mu.Lock()
	how(&d.row)
	d.row.EndedAt = &now
	inOrder(d.row.Steps)
	d.mu.Unlock()
	r := d.snapshot()
	d.write(context.WithoutCancel(ctx), r)
	return r
}

// inOrder puts the steps of a call that is over in order of time. What was heard
// is only known when the call is over, and was heard before.
func inOrder(steps []step) {
	over := slices.IndexFunc(steps, func(s step) bool { return s.Code == codeHungUp })
	for i, s := range steps {
		if s.Code == codeHeard && over >= 0 && s.At.After(steps[over].At) {
			steps[i].At = steps[over].At
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(ranks[a.Code], ranks[b.Code]))
	})
}

// ranks order what happens at the same time.
var ranks = map[string]int{codeHeard: -1, codeHungUp: 1}
