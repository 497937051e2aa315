// Package absence watches for what does not happen: "an order was created, and
// not paid within 24 hours".
//
// An event of the trigger's type opens a watch on its key, the values of some
// attributes; an event of another type with the same key closes it; a watch
// that nothing closed in time fires. A transaction that has recorded events
// asks the trigger's Rule for the Opening or the Closing of each and keeps them
// by RecordTx. Sweep takes the watches that are due and gives them to a
// Consumer, which accepts each as an event of its own.
//
// # One key of one trigger
//
//	             opener at t
//	(nothing) ─────────────────────────▶ open, due at t + within
//	    ▲                                  │   │
//	    │  closer at c, t <= c <= due      │   │ the clock is past due
//	    ├──────────────────────────────────┘   ▼
//	    └─────────────────────────────────── fires
//
// While it is open, a further opener changes nothing. Times are those of the
// events, not of their receipt, and both bounds are inclusive: what happens in
// the very instant in which a watch is opened, or due, closes it. A watch fires
// once the clock is past its due time, whenever that is looked at; a closer
// that happened after it does not prevent it, even when it is received before.
//
// # Why the order of receipt does not matter
//
// Nothing is decided before a watch is due. Every opener is kept as a watch of
// its own, and every closer as an end, which is a mark on the key's line of
// time; the firing of a watch is an end as well, at its due time. A watch fires
// unless there is an end between its opening and its due time. So openers and
// closers can be written in any order, by any number of nodes, none of which
// sees the other's until it has committed, and come to the same: a closer that
// is received first is there when its opener comes, and a further opener is
// ended by what ends the first, by its firing too. What is ended is deleted as
// soon as that is seen; what two transactions could not see of each other is
// seen by the sweep.
//
// An opener received after its due time fires at the next sweep. A closer is
// remembered for as long as the trigger waits, and an hour at least, after it
// happened and after it was received: an opener that comes later than that
// after its closer fires, as if there had been none.
//
// The event that opens may also be one that closes: each then ends the watches
// before it and opens its own, which is a watch for silence. Of two in the same
// instant the one with the greater id is the later.
//
// # Exactly once
//
// The sweep deletes a watch in the transaction that accepts its event. The
// event's id says which opener of which trigger it is, so that even a repeated
// one would be a duplicate.
//
// # The past
//
// A Past tells by the same rules what would have fired of events that were kept.
//
// # When the trigger changes
//
// A watch is due when it was due at its opening, whatever the trigger says now.
// It never fires when since then the trigger was switched off, even for a while,
// or was given another event type or key: nobody would have seen its closer.
package absence

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/matcher/predicate"
	"herald/problem"
	"herald/subscriptions"
)

// Source is the CloudEvents source of what Herald says of absences.
const Source = "herald:absence"

// Absence is a watch that fired.
type Absence struct {
	Trigger  string
	Type     string // of the opener, as are the following
	Opener   uuid.UUID
	Subject  string
	Data     map[string]any
	OpenedAt time.Time
	DueAt    time.Time
}

// ID is the CloudEvents id of an absence: "order_unpaid/0198c0de-….".
func (a Absence) ID() string { return a.Trigger + "/" + a.Opener.String() }

// Consumer accepts absences, each as an event with Source, its ID and the data
// of its opener, for subscriptions of its trigger only. In the same transaction
// it calls in, once for each time that it tries; an error of in fails all.
// What it will never accept it leaves out, without an error.
type Consumer interface {
	AcceptAbsences(ctx context.Context, list []Absence, in func(ctx context.Context, tx pgx.Tx) error) error
}

// Rule is a trigger's rule of absence, ready to use.
type Rule struct {
	trigger  string
	version  int
	opener   string
	closers  []string
	key      []string
	within   time.Duration
	readable subscriptions.Trigger // of its attributes the key alone
}

// RuleOf reads a trigger that has one: t.Absence must not be nil.
func RuleOf(t subscriptions.Trigger) (*Rule, error) {
	within, err := time.ParseDuration(t.Absence.Within)
	if err != nil {
		return nil, fmt.Errorf("within of %s: %w", t.Name, err)
	}
	r := &Rule{trigger: t.Name, version: t.Version, opener: t.EventType, closers: t.Absence.ClosedBy, key: t.Absence.Key, within: within}
	r.readable.Attributes = keyAttributes(t)
	for i := range r.readable.Attributes {
		r.readable.Attributes[i].Optional = true
	}
	return r, nil
}

// keyAttributes are those of the key, in its order.
func keyAttributes(t subscriptions.Trigger) []subscriptions.Attribute {
	var list []subscriptions.Attribute
	for _, name := range t.Absence.Key {
		i := slices.IndexFunc(t.Attributes, func(a subscriptions.Attribute) bool { return a.Name == name })
		if i >= 0 {
			list = append(list, t.Attributes[i])
		}
	}
	return list
}

// Opens reports whether events of a type open watches.
func (r *Rule) Opens(eventType string) bool { return eventType == r.opener }

// Closes reports whether events of a type close them.
func (r *Rule) Closes(eventType string) bool { return slices.Contains(r.closers, eventType) }

// Key is what an opener and its closers have in common, from the data of an
// event that opens or closes. It is empty when an attribute is absent: the event
// then does neither. bad tells of attributes of another type than the trigger
// declares, by which nothing could ever be closed.
func (r *Rule) Key(data map[string]any) (key string, bad []problem.Field) {
	own := make(map[string]any, len(r.key))
	for _, name := range r.key {
		own[name] = data[name]
	}
	values, bad := r.readable.CheckEvent(own)
	if len(bad) > 0 {
		return "", bad
	}
	key, err := predicate.KeyOf(r.key, values)
	if err != nil {
		return "", []problem.Field{{Path: "data", Rule: "type", Message: err.Error()}} // an attribute that is not declared
	}
	return key, nil
}

// Event is what is kept of an event.
type Event struct {
	ID       uuid.UUID // Herald's
	Type     string
	Subject  string
	Data     []byte    // JSON
	Time     time.Time // zero: when it was received
	Received time.Time
}

// at is when the event happened, as PostgreSQL keeps times.
func (e Event) at() time.Time {
	if e.Time.IsZero() {
		return e.Received.UTC().Truncate(time.Microsecond)
	}
	return e.Time.UTC().Truncate(time.Microsecond)
}

// Opening is a watch to be opened.
type Opening struct {
	trigger, key    string
	version         int
	openedAt, dueAt time.Time
	event           uuid.UUID
	subject         string
	data            []byte
}

// Opening is what an opener with this key comes to.
func (r *Rule) Opening(key string, e Event) Opening {
	at := e.at()
	return Opening{
		trigger: r.trigger, key: key, version: r.version,
		openedAt: at, dueAt: at.Add(r.within),
		event: e.ID, subject: e.Subject, data: e.Data,
	}
}

// Closing is an end to be kept.
type Closing struct {
	trigger, key      string
	endedAt, forgetAt time.Time
	event             uuid.UUID
	opens             bool // the event is an opener as well
}

// ends reports whether an end of a key ends a watch on it; the constant ended
// says the same in SQL.
func (c Closing) ends(opener uuid.UUID, openedAt, dueAt time.Time) bool {
	return !c.endedAt.Before(openedAt) && !c.endedAt.After(dueAt) &&
		(c.endedAt.After(openedAt) || !c.opens || slices.Compare(c.event[:], opener[:]) > 0)
}

// Closing is what a closer with this key comes to.
func (r *Rule) Closing(key string, e Event) Closing {
	at := e.at()
	return Closing{
		trigger: r.trigger, key: key, endedAt: at, forgetAt: forgetAt(at, e.Received, r.within),
		event: e.ID, opens: r.Opens(e.Type),
	}
}

// tick is how long after its due time a watch fires, at least: times are kept
// in microseconds.
const tick = time.Microsecond

// minRemembered is how long an end is remembered where watches are short:
// queues may stand still that long.
const minRemembered = time.Hour

func forgetAt(at, received time.Time, within time.Duration) time.Time {
	if received.After(at) {
		at = received
	}
	return at.Add(max(within, minRemembered)).UTC().Truncate(time.Microsecond)
}
