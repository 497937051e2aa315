// Package states remembers the newest event of each thing that a trigger on
// changes tells apart, so that the next event can be compared with it.
//
// A transaction that has recorded events asks a Rule for each one's Observation,
// locks the slots of all of them at once (Store.LockTx), and gets a Sequence:
// Step tells what each event is compared with, in the order in which they were
// accepted, and Store.WriteTx keeps what the last of them said. Store.Run drops
// what is too old to matter.
//
// # What is exact
//
// A slot is locked from the reading to the commit. So all nodes see one order of
// a slot's events, in which each is compared with the newest before it, never
// with one that is not committed. A replayed event was recorded before, hence is
// not fresh, and must not come here. Of events out of order the late one, older
// than the newest that was accepted, changes nothing and meets nothing; at
// equal times the one accepted later counts. What a reordering makes late is
// lost to the trigger: senders keep the order of one thing's events. An event
// without a time, or with one that is yet to come (by more than a minute: clocks
// differ), happened when it was accepted and is never late, whichever node's
// clock is ahead.
//
// An event is the one before only as long as the rule keeps it: where it is
// older, by the times of the two events, nothing is known. Rows are dropped
// only some time after that (slack), so this too is exact while events are not
// received later than that.
package states

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"herald/matcher/predicate"
	"herald/subscriptions"
)

// Slot is what one state is kept for.
type Slot struct {
	Trigger string
	Key     string // predicate.KeyOf
}

// Rule is a trigger's rule for changes, ready to use.
type Rule struct {
	trigger string
	key     []string
	keep    time.Duration
	types   map[string]predicate.Type
}

// RuleOf reads a trigger that has one: t.Change must not be nil.
func RuleOf(t subscriptions.Trigger) (*Rule, error) {
	keep, err := time.ParseDuration(t.Change.Keep)
	if err != nil {
		return nil, fmt.Errorf("keep of %s: %w", t.Name, err)
	}
	return &Rule{trigger: t.Name, key: t.Change.Key, keep: keep, types: t.Schema().Event}, nil
}

// Observation is an event as one rule sees it.
type Observation struct {
	Slot
	rule   *Rule
	values map[string]any
	event  uuid.UUID
	time   time.Time
	now    bool // it happened when it was accepted
}

// ahead is how far an event's time may lie after its receipt and be believed.
const ahead = time.Minute

// Event is what a rule needs to know of an event.
type Event struct {
	ID       uuid.UUID      // Herald's
	Values   map[string]any // typed
	Time     time.Time      // zero: it told none
	Received time.Time
}

// Observe is what the rule sees of an event. ok is false where the event lacks
// an attribute of the key: it is then compared with nothing and not remembered.
func (r *Rule) Observe(e Event) (o Observation, ok bool, err error) {
	key, err := predicate.KeyOf(r.key, e.Values)
	if err != nil || key == "" {
		return Observation{}, false, err
	}
	o = Observation{Slot: Slot{r.trigger, key}, rule: r, values: e.Values, event: e.ID, time: e.Time}
	if e.Time.IsZero() || e.Time.After(e.Received.Add(ahead)) {
		o.time, o.now = e.Received, true
	}
	// As PostgreSQL keeps times; otherwise the order of two events would depend
	// on whether they came in one transaction.
	o.time = o.time.UTC().Truncate(time.Microsecond)
	return o, true, nil
}

// Previous is the event before another one.
type Previous struct {
	// Values are its attributes, and its time under "time"; nil where nothing
	// is known.
	Values map[string]any
	Known  bool
}

// state is the newest event of a slot.
type state struct {
	stored []byte       // its attributes as JSON, as they were read
	newest *Observation // as this transaction has changed it; nil: not
	time   time.Time    // zero: there was none
}

// Sequence walks the events of one transaction. It is not for several goroutines.
type Sequence struct{ states map[Slot]*state }

// Step is the next event: what it is compared with, and whether it counts. One
// that does not count came late and meets nothing. The slot must be one of
// those that were locked.
func (s *Sequence) Step(o Observation) (before Previous, counts bool, err error) {
	now := s.states[o.Slot]
	if now == nil {
		return Previous{}, false, fmt.Errorf("the state of %s was not locked", o.Trigger)
	}
	if o.time.Before(now.time) {
		if !o.now {
			return Previous{}, false, nil
		}
		o.time = now.time
	}
	if !now.time.IsZero() && o.time.Sub(now.time) <= o.rule.keep {
		if before, err = now.previous(o.rule); err != nil {
			return Previous{}, false, err
		}
	}
	now.newest, now.time = &o, o.time
	return before, true, nil
}

func (s *state) previous(r *Rule) (Previous, error) {
	values := map[string]any{}
	if s.newest != nil {
		for name := range r.types {
			if value := s.newest.values[name]; value != nil {
				values[name] = value
			}
		}
	} else if err := r.read(s.stored, values); err != nil {
		return Previous{}, err
	}
	values["time"] = s.time
	return Previous{Values: values, Known: true}, nil
}

// encode is the declared attributes as JSON.
func (o *Observation) encode() ([]byte, error) {
	values := make(map[string]any, len(o.rule.types))
	for name := range o.rule.types {
		if value := o.values[name]; value != nil {
			values[name] = value
		}
	}
	return json.Marshal(values)
}

// read types stored attributes. One of another type, from before the trigger
// was changed, is absent.
func (r *Rule) read(stored []byte, into map[string]any) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(stored, &raw); err != nil {
		return fmt.Errorf("read the state of %s: %w", r.trigger, err)
	}
	for name, text := range raw {
		if value := decode(r.types[name], text); value != nil {
			into[name] = value
		}
	}
	return nil
}

// decode is nil where the text is of another type.
func decode(t predicate.Type, text []byte) any {
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	switch t {
	case predicate.String:
		return as[string](text)
	case predicate.Number:
		return as[float64](text)
	case predicate.Boolean:
		return as[bool](text)
	case predicate.Time:
		return as[time.Time](text)
	}
	return nil
}

func as[T any](text []byte) any {
	var v T
	if json.Unmarshal(text, &v) != nil {
		return nil
	}
	return v
}
