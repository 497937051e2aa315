package webhooks

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// State is how a message stands. Delivered and Failed are final until it is
// replayed.
type State string

// The states.
const (
	Pending   State = "pending"   // waits for its next attempt
	Delivered State = "delivered" // the endpoint answered 2xx
	Failed    State = "failed"    // the schedule is through, or the endpoint is off
)

// Message is one event for one endpoint.
type Message struct {
	ID            uuid.UUID       `json:"id" doc:"The webhook-id: the event's, the same in every attempt."`
	EndpointID    int64           `json:"endpoint_id"`
	Type          string          `json:"type" example:"delivery.failed"`
	State         State           `json:"state" enum:"pending,delivered,failed"`
	Attempts      int             `json:"attempts" doc:"How many were made."`
	NextAttemptAt *time.Time      `json:"next_attempt_at,omitempty" doc:"When the next one is due; absent where none is, or it is due now."`
	Status        int             `json:"status,omitempty" doc:"The last answer's HTTP status; absent where there was none."`
	Error         Class           `json:"error,omitempty" doc:"What went wrong in the last attempt."`
	Body          json.RawMessage `json:"body" doc:"What is posted."`
	CreatedAt     time.Time       `json:"created_at"`
	ChangedAt     time.Time       `json:"changed_at"`
}

// Attempt is one posting of a message.
type Attempt struct {
	ID        uuid.UUID `json:"id"`
	MessageID uuid.UUID `json:"message_id"`
	Type      string    `json:"type" example:"delivery.failed"`
	Number    int       `json:"number" doc:"1 is the message's first."`
	At        time.Time `json:"at"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds" doc:"How long it took."`
	Status  int     `json:"status,omitempty" doc:"The answer's HTTP status; absent where there was none."`
	Error   Class   `json:"error,omitempty" doc:"What went wrong; absent when it succeeded."`
}

// Took is how long the attempt took.
func (a Attempt) Took() time.Duration { return time.Duration(a.Seconds * float64(time.Second)) }

// Filter asks for an endpoint's messages or attempts, newest first.
type Filter struct {
	Endpoint int64
	Failed   bool      // of messages: only those that failed
	Before   uuid.UUID // only those older than this id; zero: from the newest
	Limit    int
}

// before is the id that a page begins under.
func (f Filter) before() uuid.UUID {
	if f.Before == uuid.Nil {
		return uuid.Max
	}
	return f.Before
}

const messageColumns = `id, endpoint_id, type, state, attempts, next_attempt_at, status, error, body, created_at, changed_at`

func scanMessage(row pgx.CollectableRow) (Message, error) {
	var m Message
	err := row.Scan(&m.ID, &m.EndpointID, &m.Type, &m.State, &m.Attempts, &m.NextAttemptAt, &m.Status, &m.Error, &m.Body, &m.CreatedAt, &m.ChangedAt)
	return m, err
}

const (
	messagesSQL = `
SELECT ` + messageColumns + `
FROM webhook_messages
WHERE endpoint_id = $1 AND id < $2
ORDER BY id DESC
LIMIT $3`

	failedMessagesSQL = `
SELECT ` + messageColumns + `
FROM webhook_messages
WHERE endpoint_id = $1 AND id < $2 AND error <> '' AND state = 'failed'
ORDER BY id DESC
LIMIT $3`

	attemptsSQL = `
SELECT id, message_id, type, number, at, microseconds / 1e6, status, error
FROM webhook_attempts
WHERE endpoint_id = $1 AND id < $2
ORDER BY id DESC
LIMIT $3`
)

// Messages are an endpoint's messages. NotFound when there is no such endpoint.
func (s *Store) Messages(ctx context.Context, f Filter) ([]Message, error) {
	if _, err := s.Get(ctx, f.Endpoint); err != nil {
		return nil, err
	}
	sql := messagesSQL
	if f.Failed {
		sql = failedMessagesSQL
	}
	rows, err := s.pool.Query(ctx, sql, f.Endpoint, f.before(), f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list webhook messages: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanMessage)
	if err != nil {
		return nil, fmt.Errorf("list webhook messages: %w", err)
	}
	return list, nil
}

// Attempts are what was posted to an endpoint. NotFound when there is none.
func (s *Store) Attempts(ctx context.Context, f Filter) ([]Attempt, error) {
	if _, err := s.Get(ctx, f.Endpoint); err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, attemptsSQL, f.Endpoint, f.before(), f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list webhook attempts: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Attempt, error) {
		var a Attempt
		err := row.Scan(&a.ID, &a.MessageID, &a.Type, &a.Number, &a.At, &a.Seconds, &a.Status, &a.Error)
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("list webhook attempts: %w", err)
	}
	return list, nil
}
