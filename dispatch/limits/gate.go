package limits

import (
	"context"
	"sync"
)

// gates lets one caller at a time through for each name. The reservations of
// one node under one account wait for each other here, where it costs neither
// a connection of the pool nor row versions that the database must keep.
type gates struct {
	mu   sync.Mutex
	open map[string]*gate
}

type gate struct {
	turn  chan struct{} // holds one token while nobody is through
	users int           // through or waiting; guarded by gates.mu
}

// enter waits for its turn and returns the way out, or an error when ctx ends first.
func (g *gates) enter(ctx context.Context, name string) (leave func(), err error) {
	g.mu.Lock()
	one := g.open[name]
	if one == nil {
		one = &gate{turn: make(chan struct{}, 1)}
		one.turn <- struct{}{}
		g.open[name] = one
	}
	one.users++
	g.mu.Unlock()
	select {
	case <-one.turn:
		return func() { one.turn <- struct{}{}; g.done(name, one) }, nil
	case <-ctx.Done():
		g.done(name, one)
		return nil, ctx.Err()
	}
}

// done forgets a gate that nobody uses.
func (g *gates) done(name string, one *gate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(g.open, name)
	}
}
