// Package matcher decides who must hear of an event.
//
// Events come in through Intake.Accept, as many callers at once as like;
// waiting events share a transaction. In that one transaction the matcher
// records each event once, finds the subscriptions it meets, holds each
// against its validity, cool-down and cap with the subscription's row locked,
// writes what was decided, and enqueues the notifications. Accept returns when
// the transaction has committed: accepted means durable.
//
// Validity, cool-down and cap are judged by Herald's clock at the moment the
// subscriptions' rows are locked, not by the event's own time: a subscription
// limits what its member receives, whenever that happened.
package matcher

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/dispatch"
)

// Enqueuer takes what the matcher decided, inside the matcher's transaction:
// when it fails, nothing of the transaction's events has happened.
type Enqueuer interface {
	EnqueueTx(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error
}

// Event is something that happened in the company's systems: a CloudEvent
// (CloudEvents 1.0, https://github.com/cloudevents/spec).
type Event struct {
	ID      string         `json:"id"`
	Source  string         `json:"source"`
	Type    string         `json:"type"`
	Subject string         `json:"subject,omitempty"`
	Time    time.Time      `json:"time"` // zero: when it was received
	Data    map[string]any `json:"data"`

	// Trigger is the only trigger it is held against, of whatever type; empty:
	// all of its type. Only Herald's own sources name one.
	Trigger string `json:"-"`
}

// OwnSource begins the source of every event that Herald makes itself.
const OwnSource = "herald:"

// Result is what became of one event, in the order they were given.
type Result struct {
	Source string `json:"source"`
	ID     string `json:"id"`
	Status Status `json:"status"`
	// Matches counts the subscriptions it met, Notifications those of them
	// that are told; the rest were held back by a limit.
	Matches       int `json:"matches"`
	Notifications int `json:"notifications"`
	// Expanding counts the subscriptions, of those waiting for such an event,
	// that are held against it and told after the answer, because they are
	// very many. That they will be is as durable as the event.
	Expanding int `json:"expanding,omitempty"`
	// Err says why it was refused: a *problem.Error.
	Err error `json:"-"`
}

// Status is what became of an event.
type Status string

// The statuses.
const (
	Accepted  Status = "accepted"
	Duplicate Status = "duplicate" // accepted before; this time it changed nothing
	Refused   Status = "refused"   // see Result.Err
)

// Match is a subscription that an event met, and what was decided.
type Match struct {
	SubscriptionID int64     `json:"subscription_id"`
	EventID        uuid.UUID `json:"event_id"`
	Outcome        Outcome   `json:"outcome"`
	NotificationID uuid.UUID `json:"notification_id,omitzero"` // where the outcome is Notified
	At             time.Time `json:"at"`
}

// Outcome is what was decided of a match.
type Outcome string

// The outcomes. Where several limits hold a match back, the first of this
// order is told.
const (
	Notified   Outcome = "notified"
	WasPaused  Outcome = "paused"
	NotValid   Outcome = "not_valid"   // before valid_from, or from valid_until on
	InCoolDown Outcome = "cool_down"   // too soon after the last notification
	CapReached Outcome = "cap_reached" // as many as were asked for have been sent
)
