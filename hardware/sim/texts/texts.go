// Package texts keeps the short messages that a simulated network took, and
// shows them as the phones have them.
//
// A simulator adds each message once it is whole; tests, the demo and a page
// read them. What is written on the page in a phone's name goes back to the
// simulator, which hands it to whoever is connected.
package texts

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Text is one message, whole, as its reader sees it.
type Text struct {
	ID   int64     `json:"id"` // from 1, in order of arrival
	At   time.Time `json:"at"`
	From string    `json:"from"`
	To   string    `json:"to"`
	Text string    `json:"text"`
	// Encoding is how it travelled, such as "GSM-7".
	Encoding string `json:"encoding"`
	// Parts are how many short messages it was.
	Parts int `json:"parts"`
	// Account is who was signed in.
	Account string `json:"account,omitempty"`
	// Reply says that a phone wrote it: From is the phone.
	Reply bool `json:"reply,omitempty"`
	// IDs are what the network calls its parts, in order.
	IDs []string `json:"ids,omitempty"`
	// Problem says why it could not be read in full; empty when it could.
	Problem string `json:"problem,omitempty"`
}

// Box keeps the newest texts. A text never changes once it is in, so lists of
// them are shared: read them only. It is safe for many goroutines.
type Box struct {
	keep int

	mu      sync.Mutex
	texts   []Text        // guarded by mu
	total   int64         // guarded by mu
	last    int64         // guarded by mu: the newest ID; not reset by Clear
	arrived chan struct{} // guarded by mu: closed at the next arrival; nil: nobody waits
}

// NewBox keeps so many texts; older ones are forgotten, but still counted.
func NewBox(keep int) *Box { return &Box{keep: max(1, keep)} }

// Add keeps a text and gives it its ID, which it returns.
func (b *Box) Add(t Text) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total++
	b.last++
	t.ID = b.last
	b.texts = append(b.texts, t)
	if len(b.texts) >= 2*b.keep { // copied seldom, so that adding stays cheap
		b.texts = slices.Clone(b.texts[len(b.texts)-b.keep:])
	}
	if b.arrived != nil {
		close(b.arrived)
		b.arrived = nil
	}
	return t.ID
}

// All are the texts kept, the oldest first.
func (b *Box) All() []Text {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept()
}

// kept wants mu held.
func (b *Box) kept() []Text { return slices.Clip(b.texts[max(0, len(b.texts)-b.keep):]) }

// Count is how many texts came in since the start or the last Clear, forgotten
// ones included.
func (b *Box) Count() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

// Clear forgets all and counts from zero again.
func (b *Box) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.texts, b.total = nil, 0
}

// WaitFor returns nil as soon as enough says so of the texts kept and of the
// count, or ctx's error when ctx ends first. enough is asked at once and after
// every arrival.
func (b *Box) WaitFor(ctx context.Context, enough func(kept []Text, total int64) bool) error {
	for {
		b.mu.Lock()
		if b.arrived == nil {
			b.arrived = make(chan struct{})
		}
		kept, total, arrived := b.kept(), b.total, b.arrived
		b.mu.Unlock()
		if enough(kept, total) {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
