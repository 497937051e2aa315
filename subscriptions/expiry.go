package subscriptions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/matcher/predicate"
)

// expiryChunk is how many subscriptions one transaction ends at most.
const expiryChunk = 500

// herald is the actor of what Herald does by itself.
const herald = "herald"

// due is a reason to end subscriptions, as a condition on s, now being $1.
type due struct{ by, condition string }

var dues = [...]due{
	{"expired", `s.valid_until <= $1`},
	{"exhausted", `s.max_notifications IS NOT NULL AND s.sent >= s.max_notifications
		AND (s.valid_until IS NULL OR s.valid_until > $1)`},
}

// ExpireDue moves at most limit subscriptions whose time is over, or whose
// notifications are used up, to history. One that repeats gets its follow-up
// in the same transaction: the same terms with nothing sent yet, valid from
// where the ended one's time is over and for one period of the member's
// calendar (see periodEnd); after a long standstill for the period that holds
// now, without the ones that were missed. Its cool-down goes on.
//
// expired counts all that were moved, renewed the follow-ups. Any number of
// nodes may do this at once: each takes what no other has. A subscription
// that cannot be followed stays where it is; err then names it, and the others
// are done nevertheless.
func (s *Store) ExpireDue(ctx context.Context, limit int) (expired, renewed int, err error) {
	run := &expiryRun{store: s, now: s.instant(), failed: []int64{}}
	for _, d := range dues {
		for limit > run.expired {
			chunk := min(expiryChunk, limit-run.expired)
			n, err := run.chunk(ctx, d, chunk)
			if err != nil {
				return run.expired, run.renewed, errors.Join(run.failures, err)
			}
			if n < chunk {
				break
			}
		}
	}
	return run.expired, run.renewed, run.failures
}

// expiryRun is one pass over what is due.
type expiryRun struct {
	store            *Store
	now              time.Time
	expired, renewed int
	failed           []int64 // not to be taken again in this pass
	failures         error
}

// expiring is a subscription that is due, with what its follow-up needs.
type expiring struct {
	stored
	reads predicate.Member
	next  *stored // its follow-up; nil: none
	keys  []predicate.Key
	bound predicate.Bound
}

// chunk ends up to n subscriptions and returns how many it found.
func (r *expiryRun) chunk(ctx context.Context, d due, n int) (found int, err error) {
	var ended, renewed int
	err = pgx.BeginFunc(ctx, r.store.pool, func(tx pgx.Tx) error {
		taken, err := r.take(ctx, tx, d, n)
		if err != nil {
			return err
		}
		found = len(taken)
		if taken, err = r.plan(ctx, tx, taken); err != nil || len(taken) == 0 {
			return err
		}
		ended = len(taken)
		renewed, err = r.carryOut(ctx, tx, d, taken)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("end subscriptions as %s: %w", d.by, err)
	}
	r.expired, r.renewed = r.expired+ended, r.renewed+renewed
	return found, nil
}

// take locks up to n that nobody else holds. Their triggers and members are
// locked too, or else passed over, so that nothing here ever waits.
func (r *expiryRun) take(ctx context.Context, tx pgx.Tx, d due, n int) ([]*expiring, error) {
	rows, err := tx.Query(ctx, `
		SELECT s.id, `+memberReads+`
		FROM subscriptions s
		JOIN triggers t ON t.name = s.trigger
		JOIN members m ON m.id = s.member_id
		WHERE `+d.condition+` AND s.id <> ALL($2)
		LIMIT $3
		FOR UPDATE OF s SKIP LOCKED
		FOR SHARE OF t SKIP LOCKED
		FOR SHARE OF m SKIP LOCKED`, r.now, r.failed, n)
	if err != nil {
		return nil, fmt.Errorf("find what is due: %w", err)
	}
	byID := map[int64]*expiring{}
	var e expiring
	_, err = pgx.ForEachRow(rows, []any{&e.ID, &e.reads.Account, &e.reads.TimeZone, &e.reads.Birthday}, func() error {
		one := e
		byID[e.ID] = &one
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find what is due: %w", err)
	}
	return r.read(ctx, tx, byID)
}

// read fills in the locked rows.
func (r *expiryRun) read(ctx context.Context, tx pgx.Tx, byID map[int64]*expiring) ([]*expiring, error) {
	if len(byID) == 0 {
		return nil, nil
	}
	ids := make([]int64, 0, len(byID))
	for id := range byID {
		ids = append(ids, id)
	}
	rows, err := tx.Query(ctx, selectInForce+`WHERE id = ANY($1) ORDER BY id`, ids)
	if err != nil {
		return nil, fmt.Errorf("read what is due: %w", err)
	}
	taken, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*expiring, error) {
		s, err := scanStored(row)
		if err != nil {
			return nil, err
		}
		e := byID[s.ID]
		e.stored = s
		return e, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what is due: %w", err)
	}
	return taken, nil
}

// plan works the follow-ups out and leaves out the subscriptions where that
// fails: they stay in force.
func (r *expiryRun) plan(ctx context.Context, tx pgx.Tx, taken []*expiring) ([]*expiring, error) {
	known := map[string]planner{}
	var planned []*expiring
	for _, e := range taken {
		if e.Repeats == "" {
			planned = append(planned, e)
			continue
		}
		p, ok := known[e.Trigger]
		if !ok {
			t, err := selectTrigger(ctx, tx, e.Trigger, "")
			if err != nil {
				return nil, err
			}
			condition, err := t.Compile()
			p = planner{trigger: t, condition: condition, broken: err}
			known[e.Trigger] = p
		}
		if err := p.follow(e, r.now); err != nil {
			r.failed = append(r.failed, e.ID)
			r.failures = errors.Join(r.failures, fmt.Errorf("follow subscription %d: %w", e.ID, err))
			continue
		}
		planned = append(planned, e)
	}
	return planned, nil
}

// planner plans the follow-ups of one trigger's subscriptions.
type planner struct {
	trigger   Trigger
	condition *predicate.Predicate
	broken    error // why the condition does not compile
}

func (p planner) follow(e *expiring, now time.Time) error {
	if p.broken != nil {
		return p.broken
	}
	params, bad := p.trigger.CheckParams(e.Params)
	if len(bad) > 0 {
		return fmt.Errorf("%s: %s", bad[0].Path, bad[0].Message)
	}
	keys, err := p.condition.Keys(params, e.reads)
	if err != nil {
		return err
	}
	zone, err := time.LoadLocation(e.reads.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	next := e.stored
	first := e.periodsFrom
	if first == nil {
		first = e.ValidUntil
	}
	start, end := nextPeriod(e.Repeats, *first, *e.ValidUntil, now, zone)
	next.ValidFrom, next.ValidUntil, next.periodsFrom = start, &end, first
	next.Follows, next.Sent, next.CreatedAt, next.UpdatedAt = e.ID, 0, now, now
	e.next, e.keys, e.bound = &next, keys, p.condition.Bound()
	return nil
}

// carryOut ends what was planned, adds the follow-ups and returns their number.
func (r *expiryRun) carryOut(ctx context.Context, tx pgx.Tx, d due, planned []*expiring) (renewed int, err error) {
	ids := make([]int64, len(planned))
	for i, e := range planned {
		ids[i] = e.ID
	}
	if err := moveToHistory(ctx, tx, ids, d.by, r.now); err != nil {
		return 0, err
	}
	history := &pgx.Batch{}
	var anchors [][]any
	var triggers []string
	var follows []int64
	for _, e := range planned {
		history.Queue(insertRecord, e.ID, e.MemberID, "ended", herald, nil, map[string]any{"ended_by": d.by}, r.now)
		if e.next == nil {
			continue
		}
		next, err := insert(ctx, tx, *e.next)
		if err != nil {
			return 0, err
		}
		terms, err := next.terms()
		if err != nil {
			return 0, err
		}
		history.Queue(insertRecord, next.ID, next.MemberID, "renewed", herald, nil, terms, r.now)
		anchors = appendAnchors(anchors, next.ID, next.Trigger, e.bound, e.keys)
		triggers, follows = append(triggers, next.Trigger), append(follows, next.ID)
	}
	if err := tx.SendBatch(ctx, history).Close(); err != nil {
		return 0, fmt.Errorf("record what ended: %w", err)
	}
	if err := noteAnchors(ctx, tx, triggers, follows); err != nil {
		return 0, err
	}
	return len(follows), insertAnchors(ctx, tx, anchors)
}
