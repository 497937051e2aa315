package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/dispatch/limits"
	"herald/dispatch/pool"
)

// run is one River worker's way through a chunk, slice by slice. It belongs to
// that worker's goroutine.
type run struct {
	*Worker
	job   *river.Job[handOver]
	began time.Time
	// again is when the job must come again for what is left of it; 0: nothing is.
	again time.Duration
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
		if r.draining.Load() || time.Since(r.began) > runFor || ctx.Err() != nil {
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
	return nil
}

// parcel is a message and the deliveries that it makes: one, or all the items
// of a digest.
type parcel struct {
	tasks   []*task
	message Message
	at      time.Time // not before; zero: now
	failed  int       // sessions that broke before the provider heard of it
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
		if err := r.record(ctx, outcomes{job: r.job.Args, node: r.cfg.Node.Name(), results: decided}); err != nil {
			return err
		}
	}
	for len(parcels) > 0 {
		left, err := r.handOver(ctx, parcels)
		if err != nil {
			return err
		}
		parcels = left
	}
	return nil
}

// sessionTries is how many sessions may break under a message before that
// counts as an attempt at it.
const sessionTries = 3

// handOver gives the first of the parcels, and as many more as a session takes
// at once, to their provider. It returns those that are still to go.
func (r *run) handOver(ctx context.Context, parcels []*parcel) (left []*parcel, err error) {
	head := parcels[0]
	t := head.first()
	routes := r.accounts.route(t.Channel, t.Purpose, t.Address)
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
	taken, err = r.reserve(ctx, account, taken)
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
		return left, r.record(ctx, o)
	}
	results, unheard := r.speak(ctx, lease, account, taken)
	account.took(len(taken)-len(unheard), time.Since(began))
	o.results = results
	if err := r.record(ctx, o); err != nil {
		return nil, err
	}
	return append(unheard, left...), nil
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

// How far ahead of a rate's pace messages are taken into hand: bulk a little,
// so that what is urgent is never far behind it.
const (
	bulkHorizon   = 250 * time.Millisecond
	urgentHorizon = 2 * time.Second
)

// reserve asks when the parcels may go by their account's and campaign's
// rates. Those whose turn is not soon are left to the job's next run.
func (r *run) reserve(ctx context.Context, a *account, parcels []*parcel) ([]*parcel, error) {
	wants := make([][]limits.Want, len(parcels))
	limited := false
	for i, p := range parcels {
		t := p.first()
		wants[i] = a.limits.Wants(t.Address, a.parts(p.message), r.store.now())
		pace, err := r.pace(ctx, t)
		if err != nil {
			return nil, err
		}
		if pace.PerSecond > 0 {
			wants[i] = slices.Insert(wants[i], min(1, len(wants[i])), limits.Campaign(t.CampaignID, pace))
		}
		limited = limited || len(wants[i]) > 0
	}
	if !limited {
		return parcels, nil
	}
	horizon := bulkHorizon
	if parcels[0].first().urgent() {
		horizon = urgentHorizon
	}
	slots, err := r.accounts.rates.Reserve(ctx, wants, horizon)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var mine []*parcel
	for i, p := range parcels {
		if !slots[i].Reserved {
			r.later(slots[i].After)
			continue
		}
		p.at = now.Add(slots[i].After)
		mine = append(mine, p)
	}
	slices.SortStableFunc(mine, func(x, y *parcel) int { return x.at.Compare(y.at) })
	return mine, nil
}

// pace is the rate of a delivery's campaign, if it has one.
func (r *run) pace(ctx context.Context, t *task) (limits.Limit, error) {
	if t.CampaignID == 0 || r.cfg.Campaigns == nil {
		return limits.Limit{}, nil
	}
	perSecond, err := r.cfg.Campaigns.Rate(ctx, t.CampaignID)
	if err != nil {
		return limits.Limit{}, fmt.Errorf("ask for the pace of campaign %d: %w", t.CampaignID, err)
	}
	if perSecond <= 0 {
		return limits.Limit{}, nil
	}
	return limits.Limit{PerSecond: float64(perSecond), Burst: 1}, nil
}

const (
	// intendSQL notes that the deliveries are about to be in an account's
	// hands. It does so only for the run of the job that River knows of, and
	// holds that still meanwhile: a run that was given up for dead can begin
	// nothing.
	intendSQL = `
INSERT INTO hand_overs (job_id, node, account, deliveries, started_at)
SELECT id, $3, $4, $5, $6 FROM river_job
WHERE id = $1 AND attempt = $2 AND state = 'running'
FOR SHARE
RETURNING id, deliveries`

	// intendRungsSQL is intendSQL for deliveries of which some ($7) are rungs
	// of ladders: those whose ladder was stopped or went on since they were
	// loaded are left out, and nobody stops the others from now on.
	intendRungsSQL = `
WITH still AS MATERIALIZED (
    SELECT id FROM deliveries
    WHERE id = ANY($7) AND turn = $8 AND state IN ('pending', 'deferred', 'in_doubt')
    ORDER BY id
    FOR SHARE
)
INSERT INTO hand_overs (job_id, node, account, deliveries, started_at)
SELECT id, $3, $4, $5::uuid[] || ARRAY(SELECT id FROM still), $6 FROM river_job
WHERE id = $1 AND attempt = $2 AND state = 'running'
FOR SHARE
RETURNING id, deliveries`
)

// intend notes that the parcels are about to be handed over, and gives those
// that still may be; the others are left to the job's next run.
func (r *run) intend(ctx context.Context, account string, parcels []*parcel) (id int64, still []*parcel, err error) {
	var alone, rungs, noted []uuid.UUID
	for _, p := range parcels {
		for _, t := range p.tasks {
			if len(t.Ladder) > 1 {
				rungs = append(rungs, t.ID)
			} else {
				alone = append(alone, t.ID)
			}
		}
	}
	if alone == nil {
		alone = []uuid.UUID{}
	}
	query := intendSQL
	args := []any{r.job.ID, r.job.Attempt, r.cfg.Node.Name(), account, alone, r.store.now()}
	if rungs != nil {
		query, args = intendRungsSQL, append(args, rungs, r.job.Args.Turn)
	}
	err = r.store.pool.QueryRow(ctx, query, args...).Scan(&id, &noted)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil, errSuperseded
	}
	if err != nil {
		return 0, nil, fmt.Errorf("note the intent: %w", err)
	}
	if len(noted) == len(alone)+len(rungs) {
		return id, parcels, nil
	}
	for _, p := range parcels {
		if slices.ContainsFunc(p.tasks, func(t *task) bool { return !slices.Contains(noted, t.ID) }) {
			r.later(soon)
			continue
		}
		still = append(still, p)
	}
	return id, still, nil
}

// speak hands the parcels over on a session, gives it back, and says what came
// of each; unheard are those that the provider has not heard of because the
// session broke, and that go at once on another.
func (r *run) speak(ctx context.Context, lease *pool.Lease[Session], a *account, parcels []*parcel) (results []result, unheard []*parcel) {
	began := time.Now()
	var broke error
	errs := r.send(ctx, lease.Session, parcels, func(p *parcel, receipt Receipt, err error) {
		if receipt.Account == "" {
			receipt.Account = a.name
		}
		failure := (*SendError)(nil)
		if err != nil {
			failure = asSendError(err)
			failure.Account = a.name
			switch failure.Class {
			case SessionFatal:
				broke = failure
				if p.failed++; p.failed < sessionTries {
					unheard = append(unheard, p)
					return
				}
			case Throttled:
				a.pool.Throttle(time.Now().Add(max(failure.After, throttlePause)))
			case Configuration:
				broke = failure
				r.cfg.Logger.ErrorContext(ctx, "an account is set up wrongly: deliveries wait until it is mended",
					"channel", p.first().Channel, "account", a.name, "code", failure.Code, "delivery", p.first().ID)
			case Transient, Doubt:
				if lease.Session.Broken() { // an account that breaks again and again is not the messages' fault
					broke = failure
				}
			}
		}
		wait := r.waitFor(p)
		for _, t := range p.tasks {
			v := r.decide(t, receipt, err, wait)
			v.carriedBy = p.carrierOf(t)
			if v.stays {
				r.later(v.wait)
			}
			results = append(results, result{t, v})
			r.metrics.attempts.WithLabelValues(string(t.Channel), v.outcome).Inc()
		}
		r.metrics.seconds.WithLabelValues(string(p.first().Channel)).Observe(time.Since(began).Seconds())
	})
	switch {
	case broke != nil:
		lease.Fail(broke)
	case errs != nil: // the session said what it should not
		lease.Fail(errs)
	default:
		lease.Release(lease.Session.Broken())
	}
	return results, unheard
}

// throttlePause is how long an account rests whose provider finds it too fast
// and names no time.
const throttlePause = time.Second

// waitFor asks how long a parcel waits for its next attempt: all its items
// equally long, so that they stay together.
func (r *run) waitFor(p *parcel) func(wish time.Duration) time.Duration {
	var wait time.Duration
	return func(wish time.Duration) time.Duration {
		if wait == 0 {
			wait = waitAfter(r.cfg.FirstRetry, p.first().Attempts+1, wish)
		}
		return wait
	}
}

func (r *run) decide(t *task, receipt Receipt, err error, wait func(wish time.Duration) time.Duration) verdict {
	policy := r.cfg.Doubt.of(t.Channel, t.Purpose)
	return decide(t, policy, receipt, err, t.ExpiresAt.Sub(r.store.now()), wait)
}

// send calls the session within the time limit and done once for each parcel.
// A panic leaves open how far it came.
func (r *run) send(ctx context.Context, s Session, parcels []*parcel, done func(*parcel, Receipt, error)) (panicked error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.SendTimeout+urgentHorizon)
	defer cancel()
	answered := make([]bool, len(parcels))
	defer func() {
		if p := recover(); p != nil {
			panicked = fmt.Errorf("panic: %v", p)
			r.cfg.Logger.ErrorContext(ctx, "a sender panicked", "delivery", parcels[0].first().ID, "panic", fmt.Sprint(p))
			for i, answered := range answered {
				if !answered {
					done(parcels[i], Receipt{}, &SendError{Class: Doubt, Err: panicked})
				}
			}
		}
	}()
	answer := func(i int, receipt Receipt, err error) {
		if marked := (*SendError)(nil); err != nil && ctx.Err() != nil && !errors.As(err, &marked) {
			err = &SendError{Class: Doubt, Err: err} // it was cut off and does not say where
		}
		answered[i] = true
		done(parcels[i], receipt, err)
	}
	for first := 0; first < len(parcels); {
		pauseFor(ctx, time.Until(parcels[first].at))
		last := first + 1
		for last < len(parcels) && time.Until(parcels[last].at) < paceStep {
			last++
		}
		r.sendGroup(ctx, s, parcels[first:last], func(i int, receipt Receipt, err error) { answer(first+i, receipt, err) })
		first = last
	}
	return nil
}

// paceStep is how much sooner than its pace a message may go, to travel with
// the one before it.
const paceStep = 10 * time.Millisecond

// sendGroup hands over what may go at once.
func (r *run) sendGroup(ctx context.Context, s Session, parcels []*parcel, answer func(int, Receipt, error)) {
	if batch, able := s.(BatchSession); able && len(parcels) > 1 && !s.Broken() {
		messages := make([]Message, len(parcels))
		for i, p := range parcels {
			messages[i] = p.message
		}
		batch.SendBatch(ctx, messages, answer)
		return
	}
	for i, p := range parcels {
		if s.Broken() || ctx.Err() != nil {
			answer(i, Receipt{}, &SendError{Class: SessionFatal, Err: errUnheard})
			continue
		}
		receipt, err := s.Send(ctx, p.message)
		answer(i, receipt, err)
	}
}

// errUnheard is why a message was not handed over on a session.
var errUnheard = errors.New("the session broke before it was this message's turn")
