// Package collectors fetches events from where the company's systems leave
// them: a table of a database, a folder of files, a stream of messages.
//
// A Source says what is there, page by page; a Turn hands each page to the
// intake, and in the same transaction moves the collector's position and keeps
// what could not be taken as dead letters: all of it happens or nothing, so
// that a crash at any point loses nothing and repeats nothing. One node at a
// time runs a collector, by a lease on its row. What came of it goes out
// through the Store: states, and dead letters to look at and to try again.
package collectors

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/matcher"
	"herald/problem"
)

// Kind is what a collector fetches from.
type Kind string

// The kinds.
const (
	Query  Kind = "query"  // a database
	Folder Kind = "folder" // files
	Stream Kind = "stream" // messages
)

// Intake takes events; results, one for each event, are known to also before
// the transaction that it shares with them commits. It may be called more than
// once. Errors are those of matcher.Intake.Accept, and also's own.
type Intake interface {
	AcceptWith(ctx context.Context, events []matcher.Event,
		also func(ctx context.Context, tx pgx.Tx, results []matcher.Result) error) ([]matcher.Result, error)
}

// Schedule says when a collector runs next, after it began to run at a time.
type Schedule interface {
	Next(began time.Time) time.Time
}

// Every is the schedule that waits so long from one beginning to the next.
type Every time.Duration

// Next implements Schedule.
func (e Every) Next(began time.Time) time.Time { return began.Add(time.Duration(e)) }

// Source is the outside of one collector. Only one goroutine at a time calls
// Collect; the others may be called meanwhile.
type Source interface {
	// Collect takes what is there, page by page, and returns when nothing is
	// left, or, where Schedule is nil, when ctx ends. Its error is tried again
	// later and shown to operators: it holds no secrets.
	Collect(ctx context.Context, turn *Turn) error
	// Reread makes an item anew of a dead letter: of its key and its original.
	Reread(ctx context.Context, key string, original []byte) (Item, error)
	// Check says what keeps it from being reached. It changes nothing.
	Check(ctx context.Context) error
}

// Collector is one that this node may run.
type Collector struct {
	Name     string // of its own; what its position is kept under
	Kind     Kind
	Schedule Schedule // nil: Collect runs all the time
	AtOnce   bool     // it begins when it has never run before, and not at the schedule's next time
	Source   Source
}

// Item is one thing that was found: an event, or the reason why it is none.
type Item struct {
	Event matcher.Event
	// Err says why no event could be made of it; nil: Event holds it.
	Err error
	// Original is as it was found, enough for Reread.
	Original []byte
	// Key is what it is within its collector: the same thing found again has
	// the same key.
	Key string
	// Batch is what it came with; empty: nothing.
	Batch string
	// Place is where it was found, in words for people: "prices.csv, line 12".
	Place string
}

// State is a collector as its row says.
type State struct {
	Name         string
	Kind         Kind
	Holder       string // the node that runs it; empty: none does
	Accepted     int64  // events since the beginning
	Duplicates   int64
	Refused      int64          // what became a dead letter
	DeadLetters  int64          // those that are left
	Waiting      *int64         // outside, as last seen; nil: not known
	Lag          *time.Duration // between the last event and its being taken; nil: not known
	TakenAt      *time.Time     // when the last event was taken
	BeganAt      *time.Time     // the last run; nil: none yet
	EndedAt      *time.Time
	NextAt       *time.Time // nil: not planned, or it runs all the time
	FailingSince *time.Time // nil: it works
	Error        string     // why the last run failed; empty: it did not
}

// Letter is a dead letter: what could not be taken.
type Letter struct {
	ID        int64
	Collector string
	Key       string // what it is within its collector
	Batch     string
	Place     string
	Reason    string
	Original  []byte
	Cut       bool // the original was longer: it cannot be tried again
	At        time.Time
	Tries     int        // since, in vain
	AgainAt   *time.Time // a new try was asked for and has not been made
	AgainBy   string
}

// missing is the problem of a name that no collector has.
func missing(name string) error {
	return problem.New(problem.NotFound, "there is no collector %q", name)
}
