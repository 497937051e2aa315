// Package matcher decides who must hear of an event.
//
// Events come in through Intake.Accept, as many callers at once as like;
// waiting events share a transaction. In that one transaction the matcher
// records each event once, finds the subscriptions it meets, holds each
// against its validity, cool-down and cap with the subscription's row locked,
// writes what was decided, and enqueues the notifications. Accept returns when
// the transaction has committed: accepted means durable.
package matcher

import "time"

// Event is something that happened in the company's systems: a CloudEvent
// (CloudEvents 1.0, https://github.com/cloudevents/spec).
type Event struct {
	ID      string         `json:"id"`
	Source  string         `json:"source"`
	Type    string         `json:"type"`
	Subject string         `json:"subject,omitempty"`
	Time    time.Time      `json:"time"` // zero: when it was received
	Data    map[string]any `json:"data"`
}

// Result is what became of one event, in the order they were given.
type Result struct {
	Source string `json:"source"`
	ID     string `json:"id"`
	Status Status `json:"status"`
	// Matches counts the subscriptions it met, Notifications those of them
	// that are told; the rest were held back by a limit.
	Matches       int `json:"matches"`
	Notifications int `json:"notifications"`
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
