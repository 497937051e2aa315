package matcher

import "sync/atomic"

// Stats counts what an Intake has done since it was made.
type Stats struct {
	Accepted      int64
	Duplicates    int64
	Refused       int64
	Throttled     int64 // turned away because the queue was full
	Matches       int64
	Notifications int64
	Transactions  int64 // committed
	Retries       int64 // of transactions
	Senseless     int64 // conditions that could not be evaluated, so were not met
	Waiting       int64 // events in the queue now
	Indexed       int64 // transactions that found candidates in the index
	Audited       int64 // those of them that were held against the tables
	Missed        int64 // candidates that the index had not found then
	Expanded      int64 // transactions that decided of a part of those who wait for one event
}

type counts struct {
	accepted, duplicates, refused, throttled                 atomic.Int64
	matches, notifications, transactions, retries, senseless atomic.Int64
	indexed, audited, missed, expansions                     atomic.Int64
}

// Stats is what it has done so far.
func (i *Intake) Stats() Stats {
	return Stats{
		Accepted:      i.counts.accepted.Load(),
		Duplicates:    i.counts.duplicates.Load(),
		Refused:       i.counts.refused.Load(),
		Throttled:     i.counts.throttled.Load(),
		Matches:       i.counts.matches.Load(),
		Notifications: i.counts.notifications.Load(),
		Transactions:  i.counts.transactions.Load(),
		Retries:       i.counts.retries.Load(),
		Senseless:     i.counts.senseless.Load(),
		Waiting:       i.waiting.Load(),
		Indexed:       i.counts.indexed.Load(),
		Audited:       i.counts.audited.Load(),
		Missed:        i.counts.missed.Load(),
		Expanded:      i.counts.expansions.Load(),
	}
}

func (c *counts) committed(entries []*entry) {
	c.transactions.Add(1)
	for _, e := range entries {
		switch e.result.Status {
		case Accepted:
			c.accepted.Add(1)
		case Duplicate:
			c.duplicates.Add(1)
		}
		c.matches.Add(int64(e.result.Matches))
		c.notifications.Add(int64(e.result.Notifications))
	}
}

// expanded counts what a fan-out came to.
func (c *counts) expanded(t *transaction) {
	c.expansions.Add(1)
	for _, sum := range t.tally {
		c.matches.Add(int64(sum.matches))
		c.notifications.Add(int64(sum.notifications))
	}
}
