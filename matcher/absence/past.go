package absence

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Past tells of events of the past what would have fired, had they come while
// the rule was in force and a Sweep looked at every instant. It knows of the
// events that it is given and no others. It is not for several goroutines.
type Past struct {
	rule  *Rule
	lines map[string]*pastLine // by key
}

// pastLine is a key's line of time.
type pastLine struct {
	watches []pastWatch
	ends    []pastEnd // in the order in which they happened, once sorted
}

type pastWatch struct {
	Opening
	received time.Time
}

type pastEnd struct {
	Closing
	known time.Time // from when on
}

// Fired is a watch that would have fired, or will unless something closes it.
type Fired struct {
	Opener uuid.UUID
	At     time.Time
}

// Past has no events yet.
func (r *Rule) Past() *Past { return &Past{rule: r, lines: map[string]*pastLine{}} }

// Add adds an event that opens or closes, or both, with its key. They may come
// in any order, each once.
func (p *Past) Add(key string, e Event) {
	l := p.lines[key]
	if l == nil {
		l = &pastLine{}
		p.lines[key] = l
	}
	if p.rule.Opens(e.Type) {
		l.watches = append(l.watches, pastWatch{p.rule.Opening(key, e), e.Received})
	}
	if p.rule.Closes(e.Type) {
		l.ends = append(l.ends, pastEnd{p.rule.Closing(key, e), e.Received})
	}
}

// Fired is what fires to the end of all time, if nothing else comes, in the
// order in which it does. What comes after an instant changes nothing of what
// fired before it.
func (p *Past) Fired() []Fired {
	var fired []pastWatch
	for _, l := range p.lines {
		fired = append(fired, l.fired()...)
	}
	slices.SortFunc(fired, pastWatch.compare)
	list := make([]Fired, len(fired))
	for i, w := range fired {
		list[i] = Fired{w.event, w.fires()}
	}
	return list
}

func (l *pastLine) fired() (fired []pastWatch) {
	watches, ends := slices.SortedFunc(slices.Values(l.watches), pastWatch.compare), slices.Clone(l.ends)
	slices.SortFunc(ends, func(a, b pastEnd) int { return a.endedAt.Compare(b.endedAt) })
	for _, w := range watches {
		if w.endedByOneOf(ends) {
			continue
		}
		fired = append(fired, w)
		forget := forgetAt(w.dueAt, w.fires(), w.dueAt.Sub(w.openedAt))
		end := pastEnd{Closing{endedAt: w.dueAt, forgetAt: forget, event: w.event}, w.decided()}
		ends = slices.Insert(ends, firstFrom(ends, end.endedAt), end)
	}
	return fired
}

// firstFrom is the place of the first end that is not before an instant.
func firstFrom(ends []pastEnd, at time.Time) int {
	i, _ := slices.BinarySearchFunc(ends, at, func(e pastEnd, at time.Time) int { return e.endedAt.Compare(at) })
	return i
}

// decided is the last instant at which something may become known that ends
// the watch, and fires the one at which it fires.
func (w pastWatch) decided() time.Time {
	if w.received.After(w.dueAt) {
		return w.received
	}
	return w.dueAt
}

func (w pastWatch) fires() time.Time {
	if w.received.After(w.dueAt) {
		return w.received
	}
	return w.dueAt.Add(tick)
}

// endedByOneOf asks the ends that are known in time, and are not forgotten when
// the watch is opened.
func (w pastWatch) endedByOneOf(ends []pastEnd) bool {
	for _, e := range ends[firstFrom(ends, w.openedAt):] {
		if e.endedAt.After(w.dueAt) {
			return false
		}
		if e.ends(w.event, w.openedAt, w.dueAt) && !e.known.After(w.decided()) && !e.forgetAt.Add(forgetLater).Before(w.received) {
			return true
		}
	}
	return false
}

// compare orders watches as they fire, and of one instant as a Sweep takes them.
func (w pastWatch) compare(other pastWatch) int {
	return cmp.Or(
		w.decided().Compare(other.decided()), w.dueAt.Compare(other.dueAt),
		w.openedAt.Compare(other.openedAt), slices.Compare(w.event[:], other.event[:]),
	)
}

// Reach is how far apart events can be received that have to do with each
// other, for events that happen up to ahead after they are received.
type Reach struct {
	// Fires is how long after an opener was received, at most, its watch fires.
	Fires time.Duration
	// Before is how long before an opener what ends its watch can have come.
	Before time.Duration
}

// Reach is how far the rule reaches.
func (r *Rule) Reach(ahead time.Duration) Reach {
	return Reach{
		Fires:  ahead + r.within + tick,
		Before: ahead + max(r.within, minRemembered) + forgetLater,
	}
}
