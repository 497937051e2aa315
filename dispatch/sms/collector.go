package sms

import (
	"cmp"
	"slices"
	"time"
)

// Piece is one short message as it came in.
type Piece struct {
	Key      string // tells one that comes twice, where the provider says that; may be empty
	From, To string // as the provider writes them
	Header   Header // the zero Header: it had none
	Encoding Encoding
	Data     []byte // without header: one septet per byte, or UTF-16BE
	At       time.Time
}

// Whole is a message that came in, in one piece or put together.
type Whole struct {
	Key      string // of its first piece that came
	From, To string
	Text     string    // of the pieces that came, in their order
	Of       int       // how many there are; 1: it came in one piece
	Missing  int       // how many of them did not come in time
	At       time.Time // when the first that came was sent
}

// Join puts pieces of one message together. Characters that a sender cut in
// two are whole again.
func Join(pieces []Piece) Whole {
	pieces = slices.Clone(pieces)
	slices.SortStableFunc(pieces, func(a, b Piece) int { return cmp.Compare(a.Header.Part, b.Header.Part) })
	pieces = slices.CompactFunc(pieces, func(a, b Piece) bool { return a.Header.Part == b.Header.Part })
	if len(pieces) == 0 {
		return Whole{}
	}
	first := pieces[0]
	w := Whole{Key: first.Key, From: first.From, To: first.To, At: first.At, Of: max(int(first.Header.Of), 1)}
	w.Missing = w.Of - len(pieces)
	for len(pieces) > 0 {
		one := pieces[0]
		n, data := 1, slices.Clone(one.Data)
		for ; n < len(pieces) && pieces[n].follows(pieces[n-1]); n++ {
			data = append(data, pieces[n].Data...)
		}
		w.Text += one.decode(data)
		for _, p := range pieces[:n] {
			if p.At.Before(w.At) {
				w.At = p.At
			}
		}
		pieces = pieces[n:]
	}
	return w
}

// follows reports whether the data of p are of one run with those of before.
func (p Piece) follows(before Piece) bool {
	return p.Encoding == before.Encoding && p.Header.Part == before.Header.Part+1 &&
		p.Header.Locking == before.Header.Locking && p.Header.Shift == before.Header.Shift
}

func (p Piece) decode(data []byte) string {
	if p.Encoding == UCS2 {
		return DecodeUCS2(data)
	}
	return DecodeGSM7(data, p.Header.Locking, p.Header.Shift)
}

// Collector puts together what comes in several pieces, in any order. It keeps
// them in memory only: it suits a provider that keeps them until all are there,
// as a SIM card does. It is for one goroutine.
type Collector struct {
	within  time.Duration
	limit   int
	waiting map[sameMessage]*collection
}

// sameMessage is what pieces of one message have in common (23.040 section
// 9.2.3.24.1).
type sameMessage struct {
	from, to string
	ref      uint16
	wide     bool
	of       byte
}

type collection struct {
	since  time.Time
	pieces []Piece
}

// NewCollector makes one that waits so long for the pieces of a message, from
// its first one, and for limit messages at a time.
func NewCollector(within time.Duration, limit int) *Collector {
	return &Collector{within: within, limit: limit, waiting: map[sameMessage]*collection{}}
}

// Add takes a piece that came at now and gives the messages that are to be
// read: the whole one that it completes, and, with pieces missing, those whose
// time is over and the oldest when there are too many. A piece that came
// before is passed over.
func (c *Collector) Add(p Piece, now time.Time) []Whole {
	done := c.Overdue(now)
	if p.Header.Of < 2 {
		return append(done, Join([]Piece{p}))
	}
	key := sameMessage{p.From, p.To, p.Header.Ref, p.Header.Wide, p.Header.Of}
	m := c.waiting[key]
	if m == nil {
		if len(c.waiting) >= c.limit {
			done = append(done, c.give(c.oldest()))
		}
		m = &collection{since: now}
		c.waiting[key] = m
	}
	if slices.ContainsFunc(m.pieces, func(q Piece) bool { return q.Header.Part == p.Header.Part }) {
		return done
	}
	p.Data = slices.Clone(p.Data)
	m.pieces = append(m.pieces, p)
	if len(m.pieces) == int(p.Header.Of) {
		done = append(done, c.give(key))
	}
	return done
}

// Overdue gives the messages whose time is over at now, with what came of
// them, the oldest first.
func (c *Collector) Overdue(now time.Time) []Whole {
	var late []sameMessage
	for key, m := range c.waiting {
		if now.Sub(m.since) >= c.within {
			late = append(late, key)
		}
	}
	slices.SortFunc(late, func(a, b sameMessage) int { return c.waiting[a].since.Compare(c.waiting[b].since) })
	var done []Whole
	for _, key := range late {
		done = append(done, c.give(key))
	}
	return done
}

func (c *Collector) oldest() (key sameMessage) {
	first := true
	for k, m := range c.waiting {
		if first || m.since.Before(c.waiting[key].since) {
			key, first = k, false
		}
	}
	return key
}

func (c *Collector) give(key sameMessage) Whole {
	m := c.waiting[key]
	delete(c.waiting, key)
	return Join(m.pieces)
}
