package matcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"herald/dispatch"
)

// maxAttempts is how often a transaction is tried when others are in its way.
const maxAttempts = 8

// errStale says that a trigger has changed since the events were planned.
var errStale = errors.New("the triggers have changed")

// transaction is one attempt to commit events and all that they cause.
type transaction struct {
	*Intake
	tx        pgx.Tx
	catalogue *catalogue
	received  time.Time
	search    search

	fresh  []*entry   // those recorded by this transaction, in the order given
	met    []*pairing // in the order of fresh, then by subscription
	locked bool       // they were locked when they were loaded
	at     time.Time  // when the subscriptions were locked
	tally  map[*entry]tally

	spreads bool // it has written rows of fan_outs
}

// tally is what an event came to.
type tally struct{ matches, notifications, expanding int }

// transact commits entries and what also does, trying again while other
// transactions or changed triggers are in the way. The entries' results are
// filled in before also is called. It ends with the intake's lifetime, too,
// whosever ctx is.
func (i *Intake) transact(ctx context.Context, entries []*entry, also Also) error {
	ctx, cancel := context.WithTimeout(ctx, i.cfg.CommitTimeout)
	defer cancel()
	defer context.AfterFunc(i.lifetime, cancel)()
	for attempt := 1; ; attempt++ {
		catalogue, err := i.shelf.current(ctx)
		if err != nil {
			return err
		}
		planned := replan(entries, catalogue)
		t := i.begin(catalogue)
		err = pgx.BeginFunc(ctx, i.pool, func(tx pgx.Tx) error {
			t.tx = tx
			if err := t.run(ctx, planned); err != nil {
				return err
			}
			t.report(planned)
			if also == nil {
				return nil
			}
			if err := also(ctx, tx); err != nil {
				return alsoError{err}
			}
			return nil
		})
		if err == nil {
			i.counts.committed(entries)
			if t.spreads {
				i.wake()
			}
			return nil
		}
		stale := errors.Is(err, errStale)
		if attempt == maxAttempts || !stale && !crossed(err) {
			return fmt.Errorf("commit events: %w", err)
		}
		i.counts.retries.Add(1)
		if stale {
			if _, err := i.shelf.replace(ctx, catalogue); err != nil {
				return err
			}
		}
	}
}

// begin is a transaction that has nothing yet.
func (i *Intake) begin(c *catalogue) *transaction {
	return &transaction{Intake: i, catalogue: c, received: i.now(), tally: map[*entry]tally{}}
}

// replan plans again what was planned with another catalogue, and returns the
// entries that are not refused now.
func replan(entries []*entry, c *catalogue) []*entry {
	planned := make([]*entry, 0, len(entries))
	for _, e := range entries {
		if e.plan.of != c {
			var err error
			if e.plan, err = c.plan(e.event); err != nil {
				e.result.Status, e.result.Err = Refused, err
				continue
			}
		}
		e.result.Status, e.result.Err = Accepted, nil
		planned = append(planned, e)
	}
	return planned
}

// run is the straight line of a transaction.
func (t *transaction) run(ctx context.Context, entries []*entry) error {
	if len(entries) == 0 {
		return nil
	}
	t.look(entries)
	if err := t.record(ctx, entries); err != nil {
		return err
	}
	if err := t.watch(ctx); err != nil {
		return err
	}
	if err := t.compareWithPrevious(ctx); err != nil {
		return err
	}
	candidates, err := t.find(ctx)
	if err != nil {
		return err
	}
	if candidates, err = t.spread(ctx, candidates); err != nil {
		return err
	}
	return t.settle(ctx, candidates)
}

// settle holds candidates against their events, decides of those that meet,
// and writes all that follows.
func (t *transaction) settle(ctx context.Context, candidates []candidate) error {
	if err := t.meet(ctx, candidates); err != nil {
		return err
	}
	if len(t.met) == 0 {
		return nil
	}
	if err := t.lock(ctx); err != nil {
		return err
	}
	matches, notifications, err := t.decide()
	if err != nil {
		return err
	}
	if err := t.write(ctx, matches); err != nil {
		return err
	}
	if len(notifications) == 0 {
		return nil
	}
	if err := t.enqueue.EnqueueTx(ctx, t.tx, notifications); err != nil {
		return fmt.Errorf("enqueue notifications: %w", err)
	}
	return nil
}

// send makes a round trip, and fails with errStale when by then a trigger has
// changed since the events were planned: what was read may be of another
// version than what it is compared with.
func (t *transaction) send(ctx context.Context, batch *pgx.Batch) error {
	var state string
	batch.Queue(selectState).QueryRow(func(row pgx.Row) error { return row.Scan(&state) })
	if err := t.tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	if state != t.catalogue.state {
		return errStale
	}
	return nil
}

// decide judges the pairings one by one, in the order of the events, so that
// each sees the counters as the one before it left them.
func (t *transaction) decide() ([]Match, []dispatch.Notification, error) {
	var matches []Match
	var notifications []dispatch.Notification
	for _, p := range t.met {
		if p.subscription.gone {
			continue
		}
		before := p.subscription.standing
		m := Match{SubscriptionID: p.subscription.id, EventID: p.entry.id, At: t.at}
		m.Outcome = p.subscription.judge(p.hit.trigger.coolDown, t.at)
		sum := t.tally[p.entry]
		sum.matches++
		if m.Outcome == Notified {
			n, err := t.notification(p, before)
			if err != nil {
				return nil, nil, err
			}
			m.NotificationID = n.ID
			notifications = append(notifications, n)
			sum.notifications++
		}
		t.tally[p.entry] = sum
		matches = append(matches, m)
	}
	return matches, notifications, nil
}

// report fills in the results of entries, as they will be once the transaction
// has committed.
func (t *transaction) report(entries []*entry) {
	recorded := make(map[*entry]bool, len(t.fresh))
	for _, e := range t.fresh {
		recorded[e] = true
	}
	for _, e := range entries {
		if !recorded[e] {
			e.result.Status = Duplicate
			continue
		}
		sum := t.tally[e]
		e.result.Matches, e.result.Notifications, e.result.Expanding = sum.matches, sum.notifications, sum.expanding
	}
}

// crossed reports whether a transaction failed only because of another one
// (PostgreSQL, appendix A: 40001 serialization_failure, 40P01 deadlock_detected,
// and 23514 check_violation: an event was on its way to the partition for what
// has none while the partition of its day was made).
func crossed(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "23514")
}

// outage reports whether the database, or the time for it, is gone, rather
// than something being wrong with what was asked of it (PostgreSQL, appendix
// A: classes 08 connection, 53 resources, 57 operator intervention, 58 system).
func outage(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return len(pg.Code) == 5 && strings.Contains("08 53 57 58", pg.Code[:2])
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
