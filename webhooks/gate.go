package webhooks

import (
	"context"
	"sync"
	"time"
)

// gates keep one endpoint that answers slowly, or never, from holding up the
// messages for the others on this node.
type gates struct {
	each int // messages in hand for one endpoint

	mu   sync.Mutex
	byID map[int64]*gate
}

// gate is one endpoint's: free for a healthy one, one at a time while it fails.
type gate struct{ free, probe chan struct{} }

// newGates leaves a quarter of the workers to other endpoints.
func newGates(workers int) *gates {
	return &gates{each: max(1, workers*3/4), byID: map[int64]*gate{}}
}

// waitAtGate is how long a worker waits for its turn: a burst for an endpoint
// that answers quickly goes through without being put off.
const waitAtGate = 250 * time.Millisecond

// enter waits a moment for a turn; false: there was none. leave ends it.
func (g *gates) enter(ctx context.Context, endpoint int64, healthy bool) (leave func(), ok bool) {
	slots := g.of(endpoint).probe
	if healthy {
		slots = g.of(endpoint).free
	}
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, true
	default:
	}
	if !healthy {
		return nil, false
	}
	wait := time.NewTimer(waitAtGate)
	defer wait.Stop()
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, true
	case <-wait.C:
	case <-ctx.Done():
	}
	return nil, false
}

func (g *gates) of(endpoint int64) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byID[endpoint] == nil {
		g.byID[endpoint] = &gate{free: make(chan struct{}, g.each), probe: make(chan struct{}, 1)}
	}
	return g.byID[endpoint]
}
