package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/dispatch/pool"
)

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
// of each; unheard are those that the provider did not take because the session
// broke, and that go at once on another.
func (r *run) speak(ctx context.Context, lease *pool.Lease[Session], a *account, parcels []*parcel) (results []result, unheard []*parcel) {
	began := time.Now()
	var broke error
	errs := r.send(ctx, lease.Session, r.sendTimeout(a), parcels, func(p *parcel, receipt Receipt, err error) {
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
				if p.again(a) {
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
				if !lease.Session.Broken() {
					break
				}
				broke = failure // an account that breaks again and again is not the messages' fault
				if failure.Class == Transient && r.accounts.beside(a, p.first()) && p.again(a) {
					unheard = append(unheard, p)
					return
				}
			}
		}
		wait := r.waitFor(p)
		for i, t := range p.tasks {
			v := r.decide(t, a, receipt, err, wait)
			v.carriedBy = p.carrierOf(t)
			if i == 0 && (failure == nil || failure.Class == Doubt) {
				v.parts = p.parts
			}
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

// again notes that a session of a broke before the provider took the parcel,
// and reports whether it may go at once on another.
func (p *parcel) again(a *account) bool {
	p.broke = a
	p.failed++
	return p.failed < sessionTries
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

func (r *run) decide(t *task, a *account, receipt Receipt, err error, wait func(wish time.Duration) time.Duration) verdict {
	policy := r.cfg.Doubt.of(t.Channel, t.Purpose)
	_, asks := a.Sender.(Resolver)
	return decide(t, policy, asks, receipt, err, t.ExpiresAt.Sub(r.store.now()), wait)
}

// send calls the session within the time limit and done once for each parcel.
// A panic leaves open how far it came.
func (r *run) send(ctx context.Context, s Session, limit time.Duration, parcels []*parcel, done func(*parcel, Receipt, error)) (panicked error) {
	ctx, cancel := context.WithTimeout(ctx, limit+urgentHorizon)
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
