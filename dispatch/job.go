package dispatch

import (
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"herald/subscriptions"
)

// handOver is a job: a chunk of deliveries of one channel, priority and
// template, to be handed over now. A delivery that must be tried again leaves
// its chunk for a job of its own.
//
// A delivery is acted on only by the job of its own turn: giving it to another
// job moves its turn on, so that what an older job still lists is not its
// business any more, however late or often that job runs.
type handOver struct {
	Deliveries []uuid.UUID `json:"deliveries"`
	Turn       int         `json:"turn"`
	Campaign   int64       `json:"campaign,omitempty"` // whose messages they are
	// Together says that they are the items of one message, whose wire id is
	// made from Wire.
	Together bool      `json:"together,omitempty"`
	Wire     uuid.UUID `json:"wire,omitzero"`
}

// Kind is the job's name in River.
func (handOver) Kind() string { return "dispatch_hand_over" }

const (
	// chunkSize is how many deliveries a job carries at most.
	chunkSize = 200
	// chunkSpread is into how many jobs a smaller number is spread, so that
	// several sessions share it.
	chunkSpread = 8
	// callChunk is how many calls a job carries: each has a line, and its
	// worker, to itself for a minute.
	callChunk = 1

	// jobTries is how often River runs a job whose worker could not even
	// decide, because the database was away: at up to retryCeiling apart, for days.
	jobTries = 10_000

	// lastUrgent is the last of River's priorities that is not bulk.
	lastUrgent = 2
)

// queueFor is the River queue of a channel for a priority: what is urgent has
// workers of its own, so that it never waits for a campaign's.
func queueFor(ch subscriptions.Channel, priority int) string {
	if priority > lastUrgent {
		return "dispatch_" + string(ch) + "_bulk"
	}
	return "dispatch_" + string(ch)
}

// jobFor is a job for a channel's workers, due at an instant; the zero one is now.
func jobFor(args river.JobArgs, ch subscriptions.Channel, priority int, due time.Time) river.InsertManyParams {
	return river.InsertManyParams{
		Args:       args,
		InsertOpts: &river.InsertOpts{Queue: queueFor(ch, priority), Priority: priority, MaxAttempts: jobTries, ScheduledAt: due},
	}
}

// load is what deliveries must share to travel in one chunk.
type load struct {
	channel  subscriptions.Channel
	priority int
	template string
	campaign int64
	due      int64 // Unix microseconds; 0: now
}

// microseconds is an instant as a load has it.
func microseconds(due time.Time) int64 {
	if due.IsZero() {
		return 0
	}
	return due.UnixMicro()
}

// jobsFor spreads deliveries with the same load over jobs of their first turn.
func jobsFor(l load, ids []uuid.UUID) []river.InsertManyParams {
	var due time.Time
	if l.due != 0 {
		due = time.UnixMicro(l.due)
	}
	size := min(max((len(ids)+chunkSpread-1)/chunkSpread, 1), chunkSize)
	if l.channel == subscriptions.Voice {
		size = callChunk
	}
	jobs := make([]river.InsertManyParams, 0, (len(ids)+size-1)/size)
	for begin := 0; begin < len(ids); begin += size {
		chunk := ids[begin:min(begin+size, len(ids))]
		jobs = append(jobs, jobFor(handOver{Deliveries: chunk, Campaign: l.campaign}, l.channel, l.priority, due))
	}
	return jobs
}
