package portal

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"herald/access"
	"herald/problem"
)

// How often one network may register. Many people can share one.
const (
	newcomersAtOnce = 30
	newcomerEvery   = time.Minute
	// maxNetworks is of how many networks the counts are kept, each some 100 bytes.
	maxNetworks = 10_000
)

// newcomers bounds registrations by the network they come from: each costs the
// hash of a password and a message to an address that may be a stranger's, and
// tells whether an account is taken. Each node counts for itself.
type newcomers struct {
	mu       sync.Mutex
	networks map[string]*rate.Limiter // guarded by mu
}

// admit counts one registration from a network address, or is Throttled.
func (n *newcomers) admit(address string, now time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	network := access.Network(address)
	limiter, known := n.networks[network]
	if !known {
		n.makeRoom(now)
		limiter = rate.NewLimiter(rate.Every(newcomerEvery), newcomersAtOnce)
		n.networks[network] = limiter
	}
	reservation := limiter.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	reservation.CancelAt(now)
	return &problem.Error{Code: problem.Throttled, Message: "too many registrations from this network: wait a little", After: wait}
}

// makeRoom forgets networks that nobody registered from lately; when all did,
// it starts afresh rather than grow.
func (n *newcomers) makeRoom(now time.Time) {
	if len(n.networks) < maxNetworks {
		return
	}
	for network, limiter := range n.networks {
		if limiter.TokensAt(now) >= newcomersAtOnce {
			delete(n.networks, network)
		}
	}
	if len(n.networks) >= maxNetworks {
		clear(n.networks)
	}
}
