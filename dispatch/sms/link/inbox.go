package link

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/wire"
)

// Piece is one short message that somebody wrote, or a part of one.
type Piece struct {
	Key      string // tells one that is told twice
	From, To string // as dispatch.Inbound has them
	Format   wire.Format
	HasUDH   bool // Content begins with a user data header
	Content  []byte
	At       time.Time
}

// Inbox puts together what people write, and keeps it until somebody took it:
// none of the parts is acknowledged before, so the gateway has what we lose.
type Inbox struct {
	within time.Duration
	queue  *Queue[dispatch.Inbound]
	now    func() time.Time

	mu      sync.Mutex
	waiting map[sameMessage]*collection // guarded by mu
	held    int                         // guarded by mu: pieces in waiting
}

// sameMessage is what the parts of a message have in common (3GPP 23.040,
// section 9.2.3.24.1).
type sameMessage struct {
	from, to string
	ref      uint16
	wide     bool
	of       byte
}

type collection struct {
	since  time.Time
	pieces []piece
}

type piece struct {
	Piece
	number byte // in the message, from 1
	taken  func()
}

// NewInbox makes an inbox that keeps most messages, and as many parts of
// others; for the last part of a message it waits within.
func NewInbox(most int, within time.Duration) *Inbox {
	return &Inbox{within: within, queue: NewQueue[dispatch.Inbound](most), now: time.Now, waiting: map[sameMessage]*collection{}}
}

// Put keeps p until it was taken, when taken is called. It is false when there
// is no room.
func (b *Inbox) Put(p Piece, taken func()) bool {
	var h sms.Header
	if p.HasUDH {
		// A header that cannot be read is ignored (3GPP 23.040, section
		// 9.2.3.24): what stands there is text then.
		if header, rest, err := sms.ParseHeader(p.Content); err == nil {
			h, p.Content = header, rest
		}
	}
	one := piece{p, h.Part, taken}
	if h.Of < 2 {
		return b.give([]piece{one})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	key := sameMessage{p.From, p.To, h.Ref, h.Wide, h.Of}
	c := b.waiting[key]
	if c == nil {
		c = &collection{since: b.now()}
	}
	if i := slices.IndexFunc(c.pieces, func(o piece) bool { return o.number == h.Part }); i >= 0 {
		c.pieces[i] = one
		return true
	}
	if len(c.pieces)+1 == int(h.Of) {
		if !b.give(append(slices.Clone(c.pieces), one)) {
			return false
		}
		b.drop(key)
		return true
	}
	if b.held >= b.queue.most {
		return false
	}
	c.pieces = append(c.pieces, one)
	b.waiting[key] = c
	b.held++
	return true
}

// drop wants mu held.
func (b *Inbox) drop(key sameMessage) {
	if c := b.waiting[key]; c != nil {
		b.held -= len(c.pieces)
		delete(b.waiting, key)
	}
}

// give puts a message that is as whole as it will be into the queue.
func (b *Inbox) give(pieces []piece) bool {
	slices.SortFunc(pieces, func(x, y piece) int { return cmp.Compare(x.number, y.number) })
	first := pieces[0]
	m := dispatch.Inbound{Key: first.Key, From: first.From, To: first.To, Text: join(pieces), At: first.At}
	return b.queue.Put(first.Key, m, func() {
		for _, p := range pieces {
			p.taken()
		}
	})
}

// join reads pieces in their order; a character that was cut in two is whole
// again.
func join(pieces []piece) string {
	var text string
	for len(pieces) > 0 {
		n, content := 1, slices.Clone(pieces[0].Content)
		for ; n < len(pieces) && pieces[n].Format == pieces[0].Format && pieces[n].number == pieces[n-1].number+1; n++ {
			content = append(content, pieces[n].Content...)
		}
		text += wire.Read(pieces[0].Format, content)
		pieces = pieces[n:]
	}
	return text
}

// Run gives what was written to take until ctx ends or take fails; what it
// failed with stays. A message whose last part does not come is given without
// it.
func (b *Inbox) Run(ctx context.Context, take func(context.Context, []dispatch.Inbound) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var looking sync.WaitGroup
	looking.Go(func() { b.look(ctx) })
	defer looking.Wait()
	defer cancel()
	return b.queue.Run(ctx, take)
}

// look gives overdue messages until ctx ends.
func (b *Inbox) look(ctx context.Context) {
	again := time.NewTicker(max(b.within/4, time.Millisecond))
	defer again.Stop()
	for {
		b.overdue()
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

func (b *Inbox) overdue() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, c := range b.waiting {
		if b.now().Sub(c.since) >= b.within && b.give(slices.Clone(c.pieces)) {
			b.drop(key)
		}
	}
}
