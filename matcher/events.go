package matcher

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/problem"
)

// Record is an accepted event as Herald keeps it.
type Record struct {
	Event
	UUID       uuid.UUID `json:"uuid"` // Herald's own; Event.ID is the sender's
	ReceivedAt time.Time `json:"received_at"`
}

// Events reads the events that were accepted, and what they met.
type Events struct{ pool *pgxpool.Pool }

// NewEvents reads from the database that pool leads to.
func NewEvents(pool *pgxpool.Pool) *Events { return &Events{pool} }

const selectEvents = `SELECT id, source, source_id, type, subject, time, data, received_at FROM events `

// Get finds an event by Herald's id. Errors: NotFound.
func (s *Events) Get(ctx context.Context, id uuid.UUID) (Record, error) {
	return s.one(ctx, `WHERE id = $1`, id)
}

// BySource finds an event by its sender's source and id. Errors: NotFound.
func (s *Events) BySource(ctx context.Context, source, id string) (Record, error) {
	return s.one(ctx, `WHERE id = (SELECT event_id FROM event_keys WHERE digest = $1)`, keyDigest(source, id))
}

// keyDigest is what a sender's name of an event is kept by: the first half of
// SHA-256 of the source, a zero byte, which neither contains, and the id.
func keyDigest(source, id string) uuid.UUID {
	sum := sha256.Sum256([]byte(source + "\x00" + id))
	return uuid.UUID(sum[:len(uuid.UUID{})])
}

func (s *Events) one(ctx context.Context, where string, args ...any) (Record, error) {
	rows, err := s.pool.Query(ctx, selectEvents+where, args...)
	if err != nil {
		return Record{}, fmt.Errorf("find event: %w", err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, scanRecord)
	if errors.Is(err, pgx.ErrNoRows) {
		return Record{}, problem.New(problem.NotFound, "there is no such event")
	}
	if err != nil {
		return Record{}, fmt.Errorf("find event: %w", err)
	}
	return r, nil
}

// Recent is the last events received, the latest first.
func (s *Events) Recent(ctx context.Context, limit int) ([]Record, error) {
	rows, err := s.pool.Query(ctx, selectEvents+`ORDER BY id DESC LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanRecord)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return list, nil
}

func scanRecord(row pgx.CollectableRow) (Record, error) {
	var r Record
	err := row.Scan(&r.UUID, &r.Source, &r.ID, &r.Type, &r.Subject, &r.Time, &r.Data, &r.ReceivedAt)
	r.Time, r.ReceivedAt = r.Time.UTC(), r.ReceivedAt.UTC()
	return r, err
}

// Matches is what an event met, by subscription, the first limit of them.
func (s *Events) Matches(ctx context.Context, event uuid.UUID, limit int) ([]Match, error) {
	return s.matches(ctx, `event_id = $1 ORDER BY subscription_id LIMIT $2`, event, limit)
}

func (s *Events) matches(ctx context.Context, where string, args ...any) ([]Match, error) {
	rows, err := s.pool.Query(ctx, `SELECT subscription_id, event_id, outcome, notification_id, at FROM matches WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list matches: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanMatch)
	if err != nil {
		return nil, fmt.Errorf("list matches: %w", err)
	}
	return list, nil
}

// Meeting is a match with whom it is about, as far as they are still there.
type Meeting struct {
	Match
	Trigger  string // of a subscription in force; empty: it has ended
	MemberID int64
	Account  string
}

// Meetings are what an event met, by subscription, those after one.
func (s *Events) Meetings(ctx context.Context, event uuid.UUID, after int64, limit int) ([]Meeting, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT m.subscription_id, m.event_id, m.outcome, m.notification_id, m.at,
		       coalesce(s.trigger, ''), coalesce(s.member_id, 0), coalesce(p.account, '')
		FROM matches m
		LEFT JOIN subscriptions s ON s.id = m.subscription_id
		LEFT JOIN members p ON p.id = s.member_id
		WHERE m.event_id = $1 AND m.subscription_id > $2
		ORDER BY m.subscription_id
		LIMIT $3`, event, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list whom event %s met: %w", event, err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Meeting, err error) {
		var notification uuid.NullUUID
		err = row.Scan(&m.SubscriptionID, &m.EventID, &m.Outcome, &notification, &m.At, &m.Trigger, &m.MemberID, &m.Account)
		m.NotificationID, m.At = notification.UUID, m.At.UTC()
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("list whom event %s met: %w", event, err)
	}
	return list, nil
}

// Outcomes counts an event's matches by what was decided of them.
func (s *Events) Outcomes(ctx context.Context, event uuid.UUID) (map[Outcome]int64, error) {
	rows, err := s.pool.Query(ctx, `SELECT outcome, count(*) FROM matches WHERE event_id = $1 GROUP BY outcome`, event)
	if err != nil {
		return nil, fmt.Errorf("count matches: %w", err)
	}
	counts := map[Outcome]int64{}
	var outcome Outcome
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&outcome, &n}, func() error {
		counts[outcome] = n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count matches: %w", err)
	}
	return counts, nil
}

func scanMatch(row pgx.CollectableRow) (Match, error) {
	var m Match
	var notification uuid.NullUUID
	err := row.Scan(&m.SubscriptionID, &m.EventID, &m.Outcome, &notification, &m.At)
	m.NotificationID, m.At = notification.UUID, m.At.UTC()
	return m, err
}

// Counts are totals since the beginning.
type Counts struct {
	Events  int64 `json:"events"`
	Matches int64 `json:"matches"`
}

// Count counts events and matches.
func (s *Events) Count(ctx context.Context) (Counts, error) {
	var c Counts
	err := s.pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM matches)`).Scan(&c.Events, &c.Matches)
	if err != nil {
		return Counts{}, fmt.Errorf("count events: %w", err)
	}
	return c, nil
}
