package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
)

// run is one River worker's way through a chunk, slice by slice. It belongs to
// that worker's goroutine.
type run struct {
	*Worker
	job   *river.Job[handOver]
	began time.Time
	// again is when the job must come again for what is left of it; 0: nothing is.
	again time.Duration
	// handed says that something was handed over, and recorded as this run's.
	handed bool
}

// later leaves a delivery to the job's next run, no sooner than after d.
func (r *run) later(d time.Duration) {
	d = max(d, time.Millisecond)
	if r.again == 0 || d < r.again {
		r.again = d
	}
}

// through takes the chunk to its end, or as far as it comes now.
func (r *run) through(ctx context.Context, tasks []task) error {
	for len(tasks) > 0 {
		if r.over(ctx) {
			return river.JobSnooze(0)
		}
		n := min(len(tasks), sliceMax)
		if r.job.Args.Together {
			n = len(tasks)
		}
		if err := r.slice(ctx, tasks[:n]); err != nil {
			return err
		}
		tasks = tasks[n:]
	}
	if r.again > 0 {
		return river.JobSnooze(r.again)
	}
	return r.complete(ctx)
}

// complete ends the job, unless River has given it to a later run: this one
// was held for dead then, and to complete the job would end that one's, too.
func (r *run) complete(ctx context.Context) error {
	if r.handed {
		return nil
	}
	var ours bool
	err := r.store.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM river_job WHERE id = $1 AND attempt = $2 AND state = 'running')`, r.job.ID, r.job.Attempt).Scan(&ours)
	if err != nil {
		return fmt.Errorf("see whose the job is: %w", err)
	}
	if !ours {
		return errSuperseded
	}
	return nil
}

// over reports whether it is time for others: what is left of the chunk is
// available at once.
func (r *run) over(ctx context.Context) bool {
	return r.draining.Load() || time.Since(r.began) > runFor || ctx.Err() != nil
}

// parcel is a message and the deliveries that it makes: one, or all the items
// of a digest.
type parcel struct {
	tasks   []*task
	message Message
	at      time.Time // not before; zero: now
	failed  int       // sessions that broke before the provider took it
	broke   *account  // whose session that was, the last time
	parts   int       // as its account counts them; 0: it does not
	passed  int       // accounts that were passed over because a quota was used up
}

func (p *parcel) first() *task { return p.tasks[0] }

// carrierOf is the delivery whose id the message bears, when that is another.
func (p *parcel) carrierOf(t *task) uuid.UUID {
	if p.message.DeliveryID == t.ID {
		return uuid.Nil
	}
	return p.message.DeliveryID
}

// slice decides about some deliveries, hands over those that may go, and
// records what came of them.
func (r *run) slice(ctx context.Context, tasks []task) error {
	parcels, decided, err := r.prepare(ctx, tasks)
	if err != nil {
		return err
	}
	if len(decided) > 0 {
		if _, err := r.record(ctx, outcomes{job: r.job.Args, node: r.cfg.Node.Name(), results: decided}); err != nil {
			return err
		}
	}
	for len(parcels) > 0 {
		left, err := r.handOver(ctx, parcels)
		if err != nil {
			return err
		}
		if parcels = left; len(parcels) > 0 && r.over(ctx) { // a modem needs seconds for each
			return river.JobSnooze(0)
		}
	}
	return nil
}

// sessionTries is how many sessions may break under a message before that
// counts as an attempt at it.
const sessionTries = 3

// handOver gives the first of the parcels, and as many more as a session takes
// at once, to their provider. It returns those that are still to go.
func (r *run) handOver(ctx context.Context, parcels []*parcel) (left []*parcel, err error) {
	t := parcels[0].first()
	routes := r.routes(parcels[0])
	waiting, cancel := context.WithTimeout(ctx, acquireFor)
	lease, account, err := acquire(waiting, routes, t)
	cancel()
	var none *noWay
	switch {
	case errors.As(err, &none):
		r.later(none.after)
		return parcels[1:], nil
	case err != nil && ctx.Err() == nil: // no session became free
		r.later(soon)
		return nil, nil
	case err != nil:
		return nil, river.JobSnooze(0)
	}
	taken, left := r.cut(parcels, account)
	taken, passed, err := r.reserve(ctx, account, taken)
	left = append(passed, left...)
	if err == nil && !r.cfg.Node.Alive() {
		err = river.JobSnooze(soon)
	}
	if err != nil || len(taken) == 0 {
		lease.Release(false)
		return left, err
	}
	began := time.Now()
	o := outcomes{job: r.job.Args, node: r.cfg.Node.Name(), account: account.name, began: r.store.now()}
	if o.handOver, taken, err = r.intend(ctx, account.name, taken); err != nil {
		lease.Release(false)
		return nil, err
	}
	if len(taken) == 0 { // every ladder was stopped
		lease.Release(false)
		_, err := r.record(ctx, o)
		return left, err
	}
	results, unheard := r.speak(ctx, lease, account, taken)
	account.took(len(taken)-len(unheard), time.Since(began))
	o.results = results
	late, err := r.record(ctx, o)
	if err == nil && late {
		err = errSuperseded
	}
	r.handed = err == nil
	return append(unheard, left...), err
}

// routes are the accounts that a parcel may take, best first. The one that
// broke under it a moment ago, or that left it in doubt and cannot tell what
// became of it, comes after all others that work.
func (r *run) routes(p *parcel) []*account {
	t := p.first()
	routes := r.accounts.route(t.Channel, t.Purpose, t.Address)
	if p.broke == nil && !t.doubtful() {
		return routes
	}
	last := func(a *account) bool {
		_, tells := a.Sender.(Resolver)
		return !a.works() || a == p.broke || t.doubtful() && a.name == t.Account && !tells
	}
	slices.SortStableFunc(routes, func(x, y *account) int { return compareBool(last(x), last(y)) })
	return routes
}

// cut takes the parcels that go with the first: those that would take the same
// account, as many as it does at once.
func (r *run) cut(parcels []*parcel, a *account) (taken, left []*parcel) {
	size := a.slice()
	narrow := len(r.accounts.list) > 1
	for i, p := range parcels {
		t := p.first()
		switch {
		case len(taken) == size:
			return taken, append(left, parcels[i:]...)
		case narrow && i > 0 && a.fits(t.Purpose, t.Address) != a.fits(parcels[0].first().Purpose, parcels[0].first().Address):
			left = append(left, p)
		default:
			taken = append(taken, p)
		}
	}
	return taken, left
}
