// Package index finds in memory the subscriptions that an event may meet.
//
// A subscription's keys come in through Condition.Add, an event's probes
// through Condition.Match, and ids go out: those of the subscriptions waiting
// on the probe's key whose bound the probe's value meets. It asks nothing of a
// database; whoever follows one keeps the index up to date.
//
// What Match finds may be too much (two keys may share a fingerprint, once in
// 2^62), never too little: a subscription that is neither added nor removed
// while Match runs is found when, and only when, one of its keys is met.
package index

import (
	"maps"
	"sync"
)

// Index holds what the subscriptions of all triggers wait on. Its methods, and
// those of its conditions, may be called by any number of goroutines.
type Index struct {
	mu         sync.RWMutex
	conditions map[string]*Condition
}

// New is an index that holds nothing.
func New() *Index { return &Index{conditions: map[string]*Condition{}} }

// Condition is a trigger's part of the index, and stays so for good: it is
// looked up once and kept. One that was never declared holds nothing.
func (x *Index) Condition(trigger string) *Condition {
	x.mu.RLock()
	c := x.conditions[trigger]
	x.mu.RUnlock()
	if c != nil {
		return c
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.conditions[trigger] == nil {
		x.conditions[trigger] = &Condition{}
	}
	return x.conditions[trigger]
}

// Stats is what an index holds.
type Stats struct {
	Whole    Size
	Triggers map[string]Size // those that are declared
}

// Size is how much there is of something.
type Size struct {
	Subscriptions int64
	Anchors       int64 // subscriptions by the keys they wait on
	Bytes         int64 // of heap
	Shards        int   // locked one by one
	Longest       int   // subscriptions that wait on one key, at most
}

// Stats measures the index, a shard at a time.
func (x *Index) Stats() Stats {
	x.mu.RLock()
	conditions := maps.Clone(x.conditions)
	x.mu.RUnlock()
	s := Stats{Triggers: map[string]Size{}}
	for trigger, c := range conditions {
		t := c.table.Load()
		if t == nil {
			continue
		}
		size := t.size()
		s.Triggers[trigger] = size
		s.Whole.Subscriptions += size.Subscriptions
		s.Whole.Anchors += size.Anchors
		s.Whole.Bytes += size.Bytes
		s.Whole.Shards += size.Shards
		s.Whole.Longest = max(s.Whole.Longest, size.Longest)
	}
	return s
}

func (t *table) size() Size {
	var z Size
	for s := range t.found.shards() {
		z.Anchors += int64(s.entries)
		z.Longest = max(z.Longest, s.longestList())
		s.mu.RUnlock()
	}
	for s := range t.held.shards() {
		z.Subscriptions += int64(s.keys)
		s.mu.RUnlock()
	}
	for _, m := range []*multimap{t.found, t.held, t.windows} {
		bytes, shards := m.size()
		z.Bytes += bytes
		z.Shards += shards
	}
	return z
}
