package smpp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"herald/dispatch/sms/smpp/pdu"
)

// repeats tells what the centre brings again, because our answer did not reach
// it, from what somebody wrote twice: a deliver_sm has no id. What comes again
// though the centre had our answer, for it said something afterwards, was
// written twice.
//
// The keys are made from what was written and the ten minutes in which it came
// first, so that they are mostly the same after a crash, too.
type repeats struct {
	mu    sync.Mutex
	seen  map[[sha256.Size]byte]*seen // guarded by mu
	order [][sha256.Size]byte         // guarded by mu, the oldest first
}

// seen is what came before.
type seen struct {
	since   int64 // the ten minutes in which it came first
	written int   // how many times it was written
	by      *link // that acknowledged it; nil: none did
	at      time.Time
}

// mostSeen is how many are remembered.
const mostSeen = 10_000

func newRepeats() *repeats { return &repeats{seen: map[[sha256.Size]byte]*seen{}} }

// key is what tells m from all others, and what notes that it was acknowledged.
func (r *repeats) key(m *pdu.Message, now time.Time) (key string, acknowledged func(*link, time.Time)) {
	if id := m.Options.Text(pdu.ReceiptedMessageID); id != "" { // some centres have ids for them
		return id, func(*link, time.Time) {}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d %q %q", m.Source.Number, m.Destination.Number, m.ESMClass, m.DataCoding, m.ShortMessage, m.Options))
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.seen[sum]
	switch {
	case s == nil:
		s = &seen{since: now.Unix() / 600}
		r.seen[sum] = s
		if r.order = append(r.order, sum); len(r.order) > mostSeen {
			delete(r.seen, r.order[0])
			r.order = r.order[1:]
		}
	case s.by != nil && s.by.heardAfter(s.at):
		s.written++
		s.by = nil
	}
	key = fmt.Sprintf("%s-%d-%d", hex.EncodeToString(sum[:12]), s.since, s.written)
	return key, func(by *link, at time.Time) {
		r.mu.Lock()
		defer r.mu.Unlock()
		s.by, s.at = by, at
	}
}

// heardAfter reports whether the centre said something after a time.
func (l *link) heardAfter(t time.Time) bool { return l.heard.Load() > t.UnixNano() }
