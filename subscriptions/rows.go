package subscriptions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/problem"
)

// The columns of subscriptions, but renewal_offered_at, which is the matcher's;
// ended_subscriptions has two more.
const (
	storedColumns = `id, member_id, trigger, params, channels, paused, valid_from, valid_until, max_notifications,
		cool_down, digest, repeats, periods_from, follows, origin, sent, last_fired_at, version, created_at, updated_at`
	selectInForce = `SELECT ` + storedColumns + `, NULL::timestamptz AS ended_at, '' AS ended_by FROM subscriptions `
	selectEnded   = `SELECT ` + storedColumns + `, ended_at, ended_by FROM ended_subscriptions `
)

const insertRecord = `
	INSERT INTO subscription_changes (subscription_id, member_id, change, actor, before, after, at)
	VALUES ($1, $2, $3, $4, $5, $6, $7)`

// stored is a subscription with what only the store needs to know.
type stored struct {
	Subscription
	// periodsFrom is the end of the first period of a repeating subscription.
	// Later ends are counted from it, so that a month of 28 days or a day
	// without the hour does not shift those that follow.
	periodsFrom *time.Time
}

func scanStored(row pgx.CollectableRow) (stored, error) {
	var s stored
	var paused bool
	var limit *int
	var coolDown *time.Duration
	var follows *int64
	err := row.Scan(&s.ID, &s.MemberID, &s.Trigger, &s.Params, &s.Channels, &paused, &s.ValidFrom, &s.ValidUntil, &limit,
		&coolDown, &s.Digest, &s.Repeats, &s.periodsFrom, &follows, &s.Origin, &s.Sent, &s.LastFiredAt, &s.Version, &s.CreatedAt, &s.UpdatedAt,
		&s.EndedAt, &s.EndedBy)
	if err != nil {
		return stored{}, err
	}
	switch {
	case s.EndedAt != nil:
		s.State = Ended
	case paused:
		s.State = Paused
	default:
		s.State = Active
	}
	if limit != nil {
		s.MaxNotifications = *limit
	}
	if follows != nil {
		s.Follows = *follows
	}
	s.CoolDown = (*Duration)(coolDown)
	inUTC(&s.ValidFrom, s.ValidUntil, s.LastFiredAt, &s.CreatedAt, &s.UpdatedAt, s.EndedAt, s.periodsFrom)
	return s, nil
}

func inUTC(times ...*time.Time) {
	for _, t := range times {
		if t != nil {
			*t = t.UTC()
		}
	}
}

// selectOne finds a subscription; the condition is on its id, $1.
func selectOne(ctx context.Context, q Querier, query string, id int64) (stored, error) {
	rows, err := q.Query(ctx, query, id)
	if err != nil {
		return stored{}, fmt.Errorf("find subscription %d: %w", id, err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, scanStored)
	if errors.Is(err, pgx.ErrNoRows) {
		return stored{}, problem.New(problem.NotFound, "there is no subscription %d", id)
	}
	if err != nil {
		return stored{}, fmt.Errorf("find subscription %d: %w", id, err)
	}
	return found, nil
}

// selectAny finds a subscription, in force or ended.
func selectAny(ctx context.Context, q Querier, id int64) (stored, error) {
	return selectOne(ctx, q, selectInForce+`WHERE id = $1 UNION ALL `+selectEnded+`WHERE id = $1`, id)
}

// withFollowers names "followers" the ids of a subscription, $1, and of those
// that follow it, over any number of periods; $2 is whose they are.
const withFollowers = `
	WITH RECURSIVE theirs AS (
		SELECT id, follows FROM subscriptions WHERE member_id = $2
		UNION ALL
		SELECT id, follows FROM ended_subscriptions WHERE member_id = $2
	), followers AS (
		SELECT $1::bigint AS id
		UNION
		SELECT theirs.id FROM theirs JOIN followers ON theirs.follows = followers.id
	) `

// selectMany is the subscriptions of a query.
func selectMany(ctx context.Context, q Querier, query string, args ...any) ([]Subscription, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Subscription, error) {
		s, err := scanStored(row)
		return s.Subscription, err
	})
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", err)
	}
	return list, nil
}

// insert writes a new subscription and returns it with its id.
func insert(ctx context.Context, q Querier, s stored) (stored, error) {
	err := q.QueryRow(ctx, `
		INSERT INTO subscriptions (member_id, trigger, params, channels, paused, valid_from, valid_until, max_notifications,
			cool_down, digest, repeats, periods_from, follows, origin, last_fired_at, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, NULLIF($8, 0), $9, $10, $11, $12, NULLIF($13, 0), $14, $15, $16, $16)
		RETURNING id, version`,
		s.MemberID, s.Trigger, s.Params, s.Channels, s.State == Paused, s.ValidFrom, s.ValidUntil, s.MaxNotifications,
		(*time.Duration)(s.CoolDown), s.Digest, s.Repeats, s.periodsFrom, s.Follows, s.Origin, s.LastFiredAt, s.CreatedAt).
		Scan(&s.ID, &s.Version)
	if err != nil {
		return stored{}, fmt.Errorf("write a subscription of member %d: %w", s.MemberID, err)
	}
	return s, nil
}

// update writes what may change. Where the end is moved, the new one has not
// been offered to extend.
func update(ctx context.Context, q Querier, s stored) error {
	_, err := q.Exec(ctx, `
		UPDATE subscriptions
		SET params = $2, channels = $3, paused = $4, valid_until = $5, max_notifications = NULLIF($6, 0),
			cool_down = $7, digest = $8, repeats = $9, periods_from = $10, version = $11, updated_at = $12,
			renewal_offered_at = CASE WHEN valid_until = $5 THEN renewal_offered_at END
		WHERE id = $1`,
		s.ID, s.Params, s.Channels, s.State == Paused, s.ValidUntil, s.MaxNotifications,
		(*time.Duration)(s.CoolDown), s.Digest, s.Repeats, s.periodsFrom, s.Version, s.UpdatedAt)
	if err != nil {
		return fmt.Errorf("write subscription %d: %w", s.ID, err)
	}
	return nil
}

// moveToHistory ends subscriptions whose rows are locked; their anchors go
// with them.
func moveToHistory(ctx context.Context, q Querier, ids []int64, by string, at time.Time) error {
	_, err := q.Exec(ctx, `
		WITH gone AS (DELETE FROM subscriptions WHERE id = ANY($1) RETURNING *)
		INSERT INTO ended_subscriptions (`+storedColumns+`, renewal_offered_at, ended_at, ended_by)
		SELECT `+storedColumns+`, renewal_offered_at, $2::timestamptz, $3 FROM gone`, ids, at, by)
	if err != nil {
		return fmt.Errorf("move subscriptions to history: %w", err)
	}
	return nil
}

// terms is what a member agreed on, as the history shows it.
func (s Subscription) terms() (map[string]any, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("terms of subscription %d: %w", s.ID, err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("terms of subscription %d: %w", s.ID, err)
	}
	terms := map[string]any{}
	for _, name := range []string{
		"trigger", "params", "channels", "state", "valid_from", "valid_until",
		"max_notifications", "cool_down", "digest", "repeats", "follows",
	} {
		if v, ok := all[name]; ok {
			terms[name] = v
		}
	}
	return terms, nil
}

// difference leaves in both only what is not the same.
func difference(before, after map[string]any) (map[string]any, map[string]any) {
	was, is := map[string]any{}, map[string]any{}
	for name, v := range before {
		if !reflect.DeepEqual(v, after[name]) {
			was[name] = v
		}
	}
	for name, v := range after {
		if !reflect.DeepEqual(v, before[name]) {
			is[name] = v
		}
	}
	return was, is
}
