package index

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"herald/matcher/predicate"
)

// Condition is what the subscriptions of one trigger wait on.
type Condition struct {
	mu    sync.RWMutex
	bound predicate.Bound
	held  map[int64]held // nil: not declared
}

type held struct {
	keys   []predicate.Key
	window Window
}

// Declare says how the anchors of the trigger compare, and forgets what was
// added before; what another goroutine is adding meanwhile may be forgotten too.
func (c *Condition) Declare(bound predicate.Bound) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bound, c.held = bound, map[int64]held{}
}

// Drop forgets the trigger: nothing is found, and nothing can be added, before
// it is declared again.
func (c *Condition) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = nil
}

// Add makes keys and window all that a subscription waits on, in place of what
// it had. Without keys it is removed. The id must be from 1 to 2^62-1; the
// error says what of the arguments is wrong, or that the trigger is not
// declared, and nothing has changed then.
func (c *Condition) Add(id int64, keys []predicate.Key, w Window) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return errors.New("the trigger is not declared")
	}
	if delete(c.held, id); len(keys) > 0 {
		c.held[id] = held{slices.Clone(keys), w}
	}
	return nil
}

// Remove forgets a subscription; one that is not held is none the worse.
func (c *Condition) Remove(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, id)
}

// Match appends to into the ids of the subscriptions that a probe meets at an
// instant, each at least once; in no order.
func (c *Condition) Match(probe predicate.Probe, at time.Time, into []int64) []int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for id, h := range c.held {
		if h.window.holds(at) && slices.ContainsFunc(h.keys, func(k predicate.Key) bool { return k.Key == probe.Key && c.meets(k, probe) }) {
			into = append(into, id)
		}
	}
	return into
}

func (w Window) holds(at time.Time) bool {
	return (w.From.IsZero() || !at.Before(w.From)) && (w.Until.IsZero() || at.Before(w.Until))
}

func (c *Condition) meets(k predicate.Key, p predicate.Probe) bool {
	if c.bound == predicate.NoBound {
		return true
	}
	value, bound := figure(p.Value), figure(k.Bound)
	switch c.bound {
	case predicate.Below:
		return value < bound
	case predicate.AtMost:
		return value <= bound
	case predicate.Above:
		return value > bound
	case predicate.AtLeast:
		return value >= bound
	}
	return false
}

func figure(v any) float64 {
	switch v := v.(type) {
	case *float64:
		return *v
	case float64:
		return v
	}
	return 0
}

// Reason is why Match finds a subscription, or passes it over.
type Reason string

// The reasons.
const (
	Found       Reason = "found"
	NotHeld     Reason = "not held"       // the index has nothing of the subscription
	OtherKeys   Reason = "other keys"     // no probe has a key that it waits on
	BoundMissed Reason = "bound missed"   // a key agrees; the value is on the wrong side of its bound
	NotValid    Reason = "outside window" // all is met, but not at this instant
)

// Explain says what comes of a subscription when an event has these probes.
func (c *Condition) Explain(id int64, probes []predicate.Probe, at time.Time) Reason {
	c.mu.RLock()
	defer c.mu.RUnlock()
	h, ok := c.held[id]
	if !ok {
		return NotHeld
	}
	reason := OtherKeys
	for _, p := range probes {
		for _, k := range h.keys {
			switch {
			case k.Key != p.Key:
			case !c.meets(k, p):
				reason = BoundMissed
			case !h.window.holds(at):
				return NotValid
			default:
				return Found
			}
		}
	}
	return reason
}

// Holds reports whether keys and window are exactly what a subscription waits
// on. Without keys: whether the index has nothing of it.
func (c *Condition) Holds(id int64, keys []predicate.Key, w Window) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	h := c.held[id]
	return len(h.keys) == len(keys) && h.window == w
}

// IDs are the subscriptions that are held, each once, in no order. One that
// is added or removed meanwhile may be missing.
func (c *Condition) IDs() iter.Seq[int64] {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return maps.Keys(maps.Clone(c.held))
}
