package subscriptions

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// maxEndedShown is how many ended subscriptions of a member are listed.
const maxEndedShown = 200

// Get finds a subscription, in force or ended. Errors: NotFound.
func (s *Store) Get(ctx context.Context, id int64) (Subscription, error) {
	found, err := selectAny(ctx, s.pool, id)
	return found.Subscription, err
}

// Latest is how a member's wish stands now: the subscription itself or, where
// that has ended and been followed up, the last of its follow-ups. Errors:
// NotFound.
func (s *Store) Latest(ctx context.Context, id int64) (Subscription, error) {
	found, err := s.Get(ctx, id)
	if err != nil || found.State != Ended || found.Repeats == "" {
		return found, err
	}
	var last int64
	err = s.pool.QueryRow(ctx, withFollowers+`SELECT max(id) FROM followers`, id, found.MemberID).Scan(&last)
	if err != nil {
		return Subscription{}, fmt.Errorf("find the follow-up of subscription %d: %w", id, err)
	}
	if last == id {
		return found, nil
	}
	return s.Get(ctx, last)
}

// ForMember is a member's subscriptions in force, or the ended ones, at most
// 200; newest first.
func (s *Store) ForMember(ctx context.Context, memberID int64, ended bool) ([]Subscription, error) {
	query := selectInForce
	if ended {
		query = selectEnded
	}
	return selectMany(ctx, s.pool, query+`WHERE member_id = $1 ORDER BY id DESC LIMIT $2`, memberID, max(maxEndedShown, maxPerMember))
}

// Find is a page of the subscriptions in force, by id.
func (s *Store) Find(ctx context.Context, f SubscriptionFilter) ([]Subscription, error) {
	query, args := selectInForce+`WHERE id > $1`, []any{f.After}
	if f.Trigger != "" {
		args = append(args, f.Trigger)
		query += fmt.Sprintf(` AND trigger = $%d`, len(args))
	}
	if f.MemberID != 0 {
		args = append(args, f.MemberID)
		query += fmt.Sprintf(` AND member_id = $%d`, len(args))
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	args = append(args, min(limit, 1000))
	return selectMany(ctx, s.pool, query+fmt.Sprintf(` ORDER BY id LIMIT $%d`, len(args)), args...)
}

// Count is how many are in force.
func (s *Store) Count(ctx context.Context) (int64, error) {
	var n int64
	if err := s.pool.QueryRow(ctx, `SELECT count(*) FROM subscriptions`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count subscriptions: %w", err)
	}
	return n, nil
}

// History is what happened to a subscription, oldest first; empty for one that
// never was.
func (s *Store) History(ctx context.Context, id int64) ([]Record, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT change, actor, before, after, at FROM subscription_changes
		WHERE subscription_id = $1 ORDER BY id`, id)
	if err != nil {
		return nil, fmt.Errorf("history of subscription %d: %w", id, err)
	}
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Record, error) {
		var r Record
		err := row.Scan(&r.Change, &r.Actor, &r.Before, &r.After, &r.At)
		r.At = r.At.UTC()
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("history of subscription %d: %w", id, err)
	}
	return records, nil
}
