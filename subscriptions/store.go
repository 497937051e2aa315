package subscriptions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/matcher/predicate"
	"herald/problem"
)

// maxPerMember is how many subscriptions a member may have in force.
const maxPerMember = 200

// Store keeps subscriptions: those in force, the ended ones, and what happened
// to each. Whatever changes takes its locks in this order: the trigger, the
// member, the subscription.
type Store struct {
	pool     *pgxpool.Pool
	triggers *Triggers
	consents *Consents
	now      func() time.Time
}

// NewStore keeps them in the database that pool leads to.
func NewStore(pool *pgxpool.Pool, triggers *Triggers, consents *Consents, now func() time.Time) *Store {
	return &Store{pool: pool, triggers: triggers, consents: consents, now: now}
}

// Create subscribes a member, and records with its evidence that they agree to
// the trigger's purpose on the chosen channels.
//
// Errors: Invalid with every mistake by field ("member_id", "trigger",
// "params.target", "channels[1]", "valid_until" …); Conflict when the member
// has the same subscription in force, or too many.
func (s *Store) Create(ctx context.Context, o Order) (Subscription, error) {
	var created stored
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		t, member, err := s.parties(ctx, tx, o)
		if err != nil {
			return err
		}
		now := s.instant()
		order, params, err := ordered(o, t, now)
		if err != nil {
			return err
		}
		if err := s.room(ctx, tx, o.MemberID); err != nil {
			return err
		}
		if err := s.unlikeOthers(ctx, tx, order); err != nil {
			return err
		}
		if created, err = insert(ctx, tx, order); err != nil {
			return err
		}
		if err := anchor(ctx, tx, t, created.ID, params, member); err != nil {
			return err
		}
		terms, err := created.terms()
		if err != nil {
			return err
		}
		if err := record(ctx, tx, created.Subscription, "created", o.Actor, nil, terms, now); err != nil {
			return err
		}
		return s.agree(ctx, tx, t, created.Subscription, created.Channels, o.Origin, o.Actor)
	})
	return created.Subscription, err
}

// parties locks the trigger and the member of an order and finds what
// conditions read of the member.
func (s *Store) parties(ctx context.Context, tx pgx.Tx, o Order) (Trigger, predicate.Member, error) {
	var bad problem.Fields
	t, err := selectTrigger(ctx, tx, o.Trigger, "FOR SHARE")
	switch {
	case problem.CodeOf(err) == problem.NotFound:
		bad.Add("trigger", "unknown", "there is no trigger %q", o.Trigger)
	case err != nil:
		return Trigger{}, predicate.Member{}, err
	case !t.Enabled:
		bad.Add("trigger", "disabled", "is not on offer at present")
	}
	member, err := lockMember(ctx, tx, o.MemberID)
	if errors.Is(err, pgx.ErrNoRows) {
		bad.Add("member_id", "unknown", "there is no such member")
	} else if err != nil {
		return Trigger{}, predicate.Member{}, fmt.Errorf("find member %d: %w", o.MemberID, err)
	}
	return t, member, bad.Err("this subscription cannot be made")
}

// lockMember keeps a member's other subscriptions from being made or changed
// until the transaction ends.
func lockMember(ctx context.Context, tx pgx.Tx, id int64) (m predicate.Member, err error) {
	err = tx.QueryRow(ctx, `SELECT `+memberReads+` FROM members m WHERE id = $1 FOR NO KEY UPDATE`, id).
		Scan(&m.Account, &m.TimeZone, &m.Birthday)
	return m, err
}

// room makes sure that the member may have one more.
func (s *Store) room(ctx context.Context, tx pgx.Tx, memberID int64) error {
	var n int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM subscriptions WHERE member_id = $1`, memberID).Scan(&n); err != nil {
		return fmt.Errorf("count subscriptions of member %d: %w", memberID, err)
	}
	if n >= maxPerMember {
		return problem.New(problem.Conflict, "a member may have at most %d subscriptions in force: end one first", maxPerMember)
	}
	return nil
}

// unlikeOthers makes sure that the member does not ask for the same twice. One
// that is only waiting to be moved to history does not count.
func (s *Store) unlikeOthers(ctx context.Context, tx pgx.Tx, o stored) error {
	var id int64
	err := tx.QueryRow(ctx, `
		SELECT id FROM subscriptions
		WHERE member_id = $1 AND trigger = $2 AND params = $3 AND id <> $4
			AND (repeats <> '' OR (coalesce(valid_until > $5, true) AND coalesce(sent < max_notifications, true)))
		LIMIT 1`, o.MemberID, o.Trigger, o.Params, o.ID, s.instant()).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for subscriptions like it: %w", err)
	}
	return problem.New(problem.Conflict, "subscription %d asks for the same", id)
}

// agree records the consent that lies in choosing channels.
func (s *Store) agree(ctx context.Context, tx pgx.Tx, t Trigger, sub Subscription, channels []Channel, source, actor string) error {
	said := make([]NewConsent, len(channels))
	for i, ch := range channels {
		said[i] = NewConsent{
			Channel: ch, Purpose: t.Purpose, Granted: true, Source: source,
			Evidence: fmt.Sprintf("chose %s for subscription %d, “%s”: %s (by %s)",
				ch, sub.ID, t.Title.In("en"), t.Summarise(sub.Params, "en"), actor),
		}
	}
	if len(said) == 0 {
		return nil
	}
	return s.consents.RecordTx(ctx, tx, sub.MemberID, said...)
}

// instant is now as PostgreSQL keeps it.
func (s *Store) instant() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// anchor makes the anchors of a new or changed subscription.
func anchor(ctx context.Context, tx pgx.Tx, t Trigger, id int64, params map[string]any, m predicate.Member) error {
	condition, err := t.Compile()
	if err != nil {
		return fmt.Errorf("compile trigger %s: %w", t.Name, err)
	}
	keys, err := condition.Keys(params, m)
	if err != nil {
		return fmt.Errorf("anchor subscription %d: %w", id, err)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM subscription_anchors WHERE subscription_id = $1`, id); err != nil {
		return fmt.Errorf("anchor subscription %d: %w", id, err)
	}
	if err := noteAnchors(ctx, tx, []string{t.Name}, []int64{id}); err != nil {
		return err
	}
	return insertAnchors(ctx, tx, appendAnchors(nil, id, t.Name, condition.Bound(), keys))
}

// record adds a line to a subscription's history.
func record(ctx context.Context, q Querier, s Subscription, change, actor string, before, after map[string]any, at time.Time) error {
	if _, err := q.Exec(ctx, insertRecord, s.ID, s.MemberID, change, actor, before, after, at); err != nil {
		return fmt.Errorf("record the history of subscription %d: %w", s.ID, err)
	}
	return nil
}
