package campaigns

import (
	"sync"
	"time"
)

// holdFor is how long an answer of Hold is good for.
const holdFor = time.Second

// maxHolds is how many runs are remembered; beyond it all are forgotten.
const maxHolds = 1000

// holds remembers for a moment what was asked of the runs under way: the
// dispatcher asks before every slice.
type holds struct {
	mu    sync.Mutex
	known map[int64]hold // guarded by mu
}

type hold struct {
	answer string // "", "paused", "stopped"
	rate   int    // messages a second; 0: no limit
	at     time.Time
}

func (h *holds) get(runID int64, now time.Time) (hold, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found, ok := h.known[runID]
	return found, ok && now.Sub(found.at) < holdFor
}

func (h *holds) set(runID int64, found hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.known) >= maxHolds {
		clear(h.known)
	}
	h.known[runID] = found
}

func (h *holds) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.known)
}
