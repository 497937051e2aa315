// Package caps keeps members from being written to too often: at most so many
// messages of a purpose in so long a time, whoever asks for them.
//
// Dispatch asks with the notifications it is about to make (TakeTx), inside
// the transaction that makes them, and gives back what ends without having
// gone (GiveBackTx). The rows it asks about stay locked until that transaction
// ends, so that a cap holds exactly, on any number of nodes.
package caps

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"herald/problem"
	"herald/subscriptions"
)

// Cap allows Max messages in any span of time as long as Within.
type Cap struct {
	Max    int
	Within time.Duration
}

// Rules are the caps of each purpose, all of which hold. A purpose that has
// none is not limited, and costs nothing.
type Rules map[subscriptions.Purpose][]Cap

const (
	maxMax    = 100 // of one cap: as many instants are kept for each member
	maxWithin = 366 * 24 * time.Hour
)

// Check finds what cannot be meant. Its error is Invalid, with paths such as
// "marketing[1].within".
func (r Rules) Check() error {
	var bad problem.Fields
	for purpose, caps := range r {
		if !purpose.Known() {
			bad.AddArgs(string(purpose), "option", map[string]any{"options": subscriptions.Purposes}, "must be transactional, service or marketing")
		}
		for i, c := range caps {
			path := fmt.Sprintf("%s[%d].", purpose, i)
			if c.Max < 1 || c.Max > maxMax {
				bad.AddArgs(path+"max", "range", map[string]any{"min": 1, "max": maxMax}, "must be 1 to %d", maxMax)
			}
			if c.Within <= 0 || c.Within > maxWithin {
				bad.AddArgs(path+"within", "duration", map[string]any{"max": maxWithin.String()}, "must be a duration such as 24h, at most %s", maxWithin)
			}
		}
	}
	slices.SortFunc(bad, func(a, b problem.Field) int { return cmp.Compare(a.Path, b.Path) })
	return bad.Err("the frequency caps have mistakes")
}

// Want is a notification that asks to be sent.
type Want struct {
	MemberID int64
	Purpose  subscriptions.Purpose
	ID       uuid.UUID // the notification's
}

// Verdict says whether a notification may be sent.
type Verdict struct {
	OK bool
	// Cap is the one that forbids it, and of several the one that forbids it
	// longest; of those that allow it the one that leaves least. The zero Cap:
	// its purpose has none, or it was counted before.
	Cap  Cap
	Sent int       // how many had been sent within Cap before this one
	Next time.Time // when it may be asked for again, where it is not OK
}

// count is what was sent to a member for a purpose: the newest notifications,
// oldest first, with the instant of each.
type count struct {
	ids   []uuid.UUID
	taken []time.Time
}

func (c count) clone() count {
	return count{ids: slices.Clone(c.ids), taken: slices.Clone(c.taken)}
}

// judge holds one more notification at an instant against caps, and counts it
// when they allow it. One that is counted already stays so.
//
// Instants after at, which another node's clock may have given, count too:
// so no span of a cap's length ever holds more than its Max.
func (c *count) judge(rules []Cap, id uuid.UUID, at time.Time) Verdict {
	if slices.Contains(c.ids, id) {
		return Verdict{OK: true}
	}
	v := Verdict{OK: true}
	left := maxMax + 1
	for _, rule := range rules {
		sent := c.since(at.Add(-rule.Within))
		switch {
		case sent >= rule.Max:
			// Free again once only Max-1 of them are that young.
			next := c.taken[len(c.taken)-rule.Max].Add(rule.Within)
			if v.OK || next.After(v.Next) {
				v = Verdict{Cap: rule, Sent: sent, Next: next}
			}
		case v.OK && rule.Max-sent < left:
			left, v.Cap, v.Sent = rule.Max-sent, rule, sent
		}
	}
	if v.OK {
		c.add(id, at, rules)
	}
	return v
}

// since is how many instants lie after a moment.
func (c *count) since(moment time.Time) int {
	n := 0
	for n < len(c.taken) && c.taken[len(c.taken)-1-n].After(moment) {
		n++
	}
	return n
}

// add counts a notification and forgets those that no cap can ask about any
// more. There are none of those among the newest Max: when one more than that
// was allowed, the oldest had left the cap's span.
func (c *count) add(id uuid.UUID, at time.Time, rules []Cap) {
	place := len(c.taken) - c.since(at)
	c.ids = slices.Insert(c.ids, place, id)
	c.taken = slices.Insert(c.taken, place, at)
	keep := 0
	for _, rule := range rules {
		keep = max(keep, rule.Max)
	}
	if spare := len(c.ids) - keep; spare > 0 {
		c.ids, c.taken = c.ids[spare:], c.taken[spare:]
	}
}

// remove takes a notification out, if it is counted.
func (c *count) remove(id uuid.UUID) {
	if place := slices.Index(c.ids, id); place >= 0 {
		c.ids, c.taken = slices.Delete(c.ids, place, place+1), slices.Delete(c.taken, place, place+1)
	}
}
