package dispatch

import (
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"herald/subscriptions"
)

// handOver is a job: one attempt to hand one delivery over. A delivery that
// must be tried again gets a new job, scheduled for its next attempt.
type handOver struct {
	Delivery uuid.UUID `json:"delivery"`
}

// Kind is the job's name in River.
func (handOver) Kind() string { return "dispatch_hand_over" }

// jobTries is how often River runs a job whose worker could not even decide,
// because the database was away: at up to retryCeiling apart, for days.
const jobTries = 10_000

// queueFor is the River queue of a channel.
func queueFor(ch subscriptions.Channel) string { return "dispatch_" + string(ch) }

// jobFor is the job of a delivery, due at an instant; the zero one is now.
func jobFor(delivery uuid.UUID, ch subscriptions.Channel, priority int, due time.Time) river.InsertManyParams {
	return river.InsertManyParams{
		Args:       handOver{delivery},
		InsertOpts: &river.InsertOpts{Queue: queueFor(ch), Priority: priority, MaxAttempts: jobTries, ScheduledAt: due},
	}
}
