package follower

import (
	"sync/atomic"
	"time"
)

// counts is what a follower has done since the start.
type counts struct {
	loads, loadTime, polls, changes, failures, pruned atomic.Int64
	fences, joins, distrusts                          atomic.Int64
	audits, audited, differences                      atomic.Int64
}

// Stats is what a follower has done since the start. Counters only grow.
type Stats struct {
	Loaded      bool          // the index can be used
	LoadTime    time.Duration // of the last load
	Loads       int64
	Polls       int64 // looks for changes
	Changes     int64 // taken in; all of a trigger's subscriptions count as one
	Failures    int64 // loads, looks and deletions that did not come off
	Pruned      int64 // changes deleted as old
	Fences      int64 // asked for
	Joins       int64 // of those, where the SQL join had to decide all
	Distrusts   int64 // that the index was given up
	Audits      int64 // passes that came to the end
	Audited     int64 // subscriptions held against the tables
	Differences int64 // subscriptions that were not what the tables say
}

// Stats may be asked at any time.
func (f *Follower) Stats() Stats {
	c := &f.counts
	return Stats{
		Loaded: f.state.Load() != nil, LoadTime: time.Duration(c.loadTime.Load()), Loads: c.loads.Load(),
		Polls: c.polls.Load(), Changes: c.changes.Load(), Failures: c.failures.Load(), Pruned: c.pruned.Load(),
		Fences: c.fences.Load(), Joins: c.joins.Load(), Distrusts: c.distrusts.Load(),
		Audits: c.audits.Load(), Audited: c.audited.Load(), Differences: c.differences.Load(),
	}
}
