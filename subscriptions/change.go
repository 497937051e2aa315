package subscriptions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"herald/matcher/predicate"
	"herald/problem"
)

// Change changes a subscription in force, pauses or resumes it. A change that
// changes nothing leaves no trace.
//
// Errors: NotFound; Invalid by field; Conflict when it has ended, when
// c.Version is neither 0 nor its version, or when the member has one like it.
func (s *Store) Change(ctx context.Context, id int64, c Change) (Subscription, error) {
	var result Subscription
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		was, t, member, err := s.lock(ctx, tx, id)
		if err != nil {
			return err
		}
		if c.Version != 0 && c.Version != was.Version {
			return problem.New(problem.Conflict, "subscription %d has changed since version %d: it is now at %d", id, c.Version, was.Version)
		}
		next, params, err := changed(was, c, t, s.instant())
		if err != nil {
			return err
		}
		before, after, err := compared(was, next)
		if err != nil {
			return err
		}
		if result = was.Subscription; len(before)+len(after) == 0 {
			return nil
		}
		next.Version, next.UpdatedAt = was.Version+1, s.instant()
		if err := s.rewrite(ctx, tx, t, next, before, after, c.Actor); err != nil {
			return err
		}
		result = next.Subscription
		if c.ValidUntil != nil {
			if err := noteAnchors(ctx, tx, []string{t.Name}, []int64{id}); err != nil {
				return err
			}
		}
		if c.Params != nil {
			if err := s.unlikeOthers(ctx, tx, next); err != nil {
				return err
			}
			if err := anchor(ctx, tx, t, id, params, member); err != nil {
				return err
			}
		}
		added := slices.DeleteFunc(slices.Clone(next.Channels), func(ch Channel) bool { return slices.Contains(was.Channels, ch) })
		return s.agree(ctx, tx, t, next.Subscription, added, sourceOf(c.Actor, next.Origin), c.Actor)
	})
	return result, err
}

// lock finds a subscription in force and locks it with its trigger and member.
func (s *Store) lock(ctx context.Context, tx pgx.Tx, id int64) (stored, Trigger, predicate.Member, error) {
	found, err := selectAny(ctx, tx, id)
	if err != nil {
		return stored{}, Trigger{}, predicate.Member{}, err
	}
	ended := problem.New(problem.Conflict, "subscription %d has ended", id)
	if found.State == Ended {
		return stored{}, Trigger{}, predicate.Member{}, ended
	}
	t, err := selectTrigger(ctx, tx, found.Trigger, "FOR SHARE")
	if err != nil {
		return stored{}, Trigger{}, predicate.Member{}, err
	}
	member, err := lockMember(ctx, tx, found.MemberID)
	if err != nil {
		return stored{}, Trigger{}, predicate.Member{}, fmt.Errorf("lock member %d: %w", found.MemberID, err)
	}
	locked, err := selectOne(ctx, tx, selectInForce+`WHERE id = $1 FOR UPDATE`, id)
	if problem.CodeOf(err) == problem.NotFound {
		err = ended
	}
	return locked, t, member, err
}

// rewrite stores a changed subscription and the line of its history.
func (s *Store) rewrite(ctx context.Context, tx pgx.Tx, t Trigger, next stored, before, after map[string]any, actor string) error {
	if err := update(ctx, tx, next); err != nil {
		return err
	}
	change := "changed"
	if _, moved := after["state"]; moved && len(after) == 1 && len(before) == 1 {
		change = map[State]string{Paused: "paused", Active: "resumed"}[next.State]
	}
	return record(ctx, tx, next.Subscription, change, actor, before, after, next.UpdatedAt)
}

func compared(was, next stored) (before, after map[string]any, err error) {
	before, err = was.terms()
	if err != nil {
		return nil, nil, err
	}
	after, err = next.terms()
	if err != nil {
		return nil, nil, err
	}
	before, after = difference(before, after)
	return before, after, nil
}

// sourceOf names where a consent came from when a subscription is changed.
func sourceOf(actor, origin string) string {
	switch {
	case actor == "member":
		return "portal"
	case strings.HasPrefix(actor, "key:"):
		return "api"
	case strings.HasPrefix(actor, "operator:"):
		return "operator"
	}
	return origin
}

// End moves a subscription to history. by is "cancelled", or "unsubscribed"
// when it was done from a message. One that has ended already stays as it is,
// but a follow-up of it in force is ended: who unsubscribes by last month's
// message means this month's too. Ending twice is no error.
//
// Errors: NotFound; Invalid for another by.
func (s *Store) End(ctx context.Context, id int64, by, actor string) error {
	if by != "cancelled" && by != "unsubscribed" {
		return problem.New(problem.Invalid, "a subscription ends as cancelled or unsubscribed, not %q", by)
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		inForce, err := lockToEnd(ctx, tx, id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		now := s.instant()
		if err := moveToHistory(ctx, tx, []int64{inForce.ID}, by, now); err != nil {
			return err
		}
		return record(ctx, tx, inForce.Subscription, "ended", actor, nil, map[string]any{"ended_by": by}, now)
	})
}

// lockToEnd locks the trigger and then the subscription that an end means: the
// one named, or its follow-up in force; pgx.ErrNoRows when nothing is in force.
func lockToEnd(ctx context.Context, tx pgx.Tx, id int64) (stored, error) {
	found, err := selectAny(ctx, tx, id)
	if err != nil {
		return stored{}, err
	}
	if _, err := selectTrigger(ctx, tx, found.Trigger, "FOR SHARE"); err != nil {
		return stored{}, err
	}
	inForce, err := selectOne(ctx, tx, selectInForce+`WHERE id = $1 FOR UPDATE`, id)
	if problem.CodeOf(err) == problem.NotFound {
		return followUp(ctx, tx, found)
	}
	return inForce, err
}

// followUp finds and locks the subscription in force that follows an ended
// one, perhaps over several periods; pgx.ErrNoRows when none does.
func followUp(ctx context.Context, tx pgx.Tx, ended stored) (stored, error) {
	rows, err := tx.Query(ctx, withFollowers+selectInForce+`WHERE id IN (SELECT id FROM followers) FOR UPDATE OF subscriptions`,
		ended.ID, ended.MemberID)
	if err != nil {
		return stored{}, fmt.Errorf("find the follow-up of subscription %d: %w", ended.ID, err)
	}
	return pgx.CollectOneRow(rows, scanStored)
}
