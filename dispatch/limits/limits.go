// Package limits is what an account, a recipient domain, an operator prefix
// or a campaign may use, shared by all nodes.
//
// Three things are limited. Rates: the core asks Rates.Reserve, for a slice of
// messages at once, when each may go. Day quotas, of accounts that are warmed
// up: they ride in the same reservation. Connections: every node turns its
// Shares, says how many sessions of each account it wants and has open, and
// is told how many it may have. All of it is kept in PostgreSQL and measured
// by the database's clock, so that the nodes' own need not agree.
//
// Rules is what an operator writes about one account; Account makes of them
// what a message must be held against.
package limits

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Limit is a rate: over any time of w seconds no more than Burst + w·PerSecond
// units begin, and when nothing is saved up they begin 1/PerSecond apart. A
// message of more units than Burst goes when as many as it has could.
//
// It is the generic cell rate algorithm as virtual scheduling, ITU-T I.371
// (03/2004) A.2, with T = 1/PerSecond and τ = (Burst-1)·T.
type Limit struct {
	PerSecond float64 // above 0, such as 0.1
	Burst     int     // at least 1
}

// Quota is how much may be used in one day.
type Quota struct {
	Day         string    // such as "2026-03-01"; with the key it names the count
	From, Until time.Time // the day begins and ends
	Max         int64
}

// Want is what one message takes of one thing that is limited: Units of a
// Limit, a Quota, or both. A zero Limit or Quota is none.
type Want struct {
	Key   string // such as "account:main"; no addresses of people
	Units int    // parts, where the provider counts parts; from 1 to 255
	Limit Limit
	Quota Quota
}

// Slot is the answer for one message.
type Slot struct {
	// Reserved says that the message is to go After from now. Otherwise
	// nothing was taken, and it is worth asking again After from now.
	Reserved bool
	After    time.Duration
	// Spent says that it was not reserved because a quota is used up, which
	// After ends.
	Spent bool
}

// Rates gives out the moments at which messages may go. It is safe for many
// goroutines, and remembers nothing between two questions.
type Rates struct {
	pool  *pgxpool.Pool
	gates gates // by the first key of a slice
}

// NewRates makes Rates on a database.
func NewRates(pool *pgxpool.Pool) *Rates {
	return &Rates{pool: pool, gates: gates{open: map[string]*gate{}}}
}

// MaxHorizon is the furthest that a reservation may look.
const MaxHorizon = 10 * time.Second

const (
	// gap is the longest that a reservation leaves a wider key unused for the
	// sake of a narrower one.
	gap = 10 * time.Millisecond
	// conflicts bounds how often a reservation that met another is tried.
	conflicts = 10
	// sweepAfter is how long a key that says nothing more is kept.
	sweepAfter = time.Hour
	sweepLimit = 5_000
)

const reserveSQL = `SELECT reserved, after, clock FROM reserve_slots($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`

// Reserve gives each message of a slice its moment, in one round trip. A
// message is named by its wants, the widest key first: the account, then the
// campaign, then the domain or prefix. It goes at the latest of its keys'
// times, and a slot in all of them is then taken.
//
// Only moments within the horizon, at most MaxHorizon, are reserved; give bulk
// a short one and what is urgent a long one, which is then never behind more
// than the short. A message that a narrow key holds back does not hold up
// those behind it, and is not reserved if that would leave a wider key unused:
// ask for it again when its slot says. Messages with the same keys and units
// keep their order.
//
// Slots count from the moment of the answer. The reservation stands whether or
// not the message goes. Rates that change hold from the next reservation on.
func (r *Rates) Reserve(ctx context.Context, slice [][]Want, horizon time.Duration) ([]Slot, error) {
	if horizon <= 0 || horizon > MaxHorizon {
		return nil, fmt.Errorf("reserve: a horizon of %s is not between 0 and %s", horizon, MaxHorizon)
	}
	q, err := newQuestion(slice)
	if err != nil {
		return nil, fmt.Errorf("reserve: %w", err)
	}
	slots := make([]Slot, len(slice))
	for _, i := range q.free {
		slots[i].Reserved = true
	}
	if len(q.messages) == 0 {
		return slots, nil
	}
	a, err := r.ask(ctx, q, slice[q.messages[0]][0].Key, horizon)
	if err != nil {
		return nil, fmt.Errorf("reserve: %w", err)
	}
	for n, i := range q.messages {
		slot := Slot{Reserved: a.reserved[n], After: time.Duration(math.Ceil(a.after[n] * 1e9))}
		slot.Spent = !slot.Reserved && ends(slice[i], a.clock.Add(slot.After))
		slots[i] = slot
	}
	return slots, nil
}

// ends reports whether one of the quotas ends at a moment: reserve_slots says
// so exactly of one that is used up, and of a rate never.
func ends(wants []Want, at time.Time) bool {
	return slices.ContainsFunc(wants, func(w Want) bool {
		return w.Quota != (Quota{}) && w.Quota.Until.Sub(at).Abs() < time.Millisecond
	})
}

// answer is what reserve_slots says of each message, in seconds from its clock.
type answer struct {
	reserved []bool
	after    []float64
	clock    time.Time
}

// ask puts the question to the database when it is its turn among those under
// the same account.
func (r *Rates) ask(ctx context.Context, q *question, account string, horizon time.Duration) (a answer, err error) {
	leave, err := r.gates.enter(ctx, account)
	if err != nil {
		return a, err
	}
	defer leave()
	for try := 1; ; try++ {
		err = r.pool.QueryRow(ctx, reserveSQL, q.keys, q.steps, q.bursts, q.maxima, q.opens, q.closes,
			q.classEnds, q.classKeys, q.classUnits, q.messageClass, q.messageNext,
			horizon.Seconds(), gap.Seconds(), MaxHorizon.Seconds()).Scan(&a.reserved, &a.after, &a.clock)
		if err == nil || try == conflicts || !conflicted(err) {
			return a, err
		}
	}
}

// conflicted reports whether the database asks for the transaction to be tried
// again: serialization_failure or deadlock_detected.
func conflicted(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

// A key whose time has come says nothing that its absence would not, and a
// quota whose day is over nothing at all. Rows in use are skipped.
const sweepSQL = `
DELETE FROM limit_slots
WHERE key IN (
    SELECT key
    FROM limit_slots
    WHERE free_at < now() - $1::interval
    LIMIT $2
    FOR UPDATE SKIP LOCKED)`

// Sweep forgets keys that were not used for an hour, so that a domain written
// to once does not stay for good, and says how many. Call it now and then; it
// reads the whole table.
func (r *Rates) Sweep(ctx context.Context) (int64, error) {
	var swept int64
	for {
		tag, err := r.pool.Exec(ctx, sweepSQL, sweepAfter, sweepLimit)
		if err != nil {
			return swept, fmt.Errorf("sweep limits: %w", err)
		}
		swept += tag.RowsAffected()
		if tag.RowsAffected() < sweepLimit {
			return swept, nil
		}
	}
}
