package follower

import (
	"runtime"
	"sync"
	"sync/atomic"

	"herald/matcher/index"
	"herald/matcher/predicate"
)

// sheafAnchors is about how many keys go to an adder at a time.
const sheafAnchors = 1000

// adders put what one goroutine reads into the index, on all processors:
// adding takes longer than reading.
type adders struct {
	filling  *sheaf
	sheaves  chan *sheaf // to the adders
	empty    chan *sheaf // back from them
	running  sync.WaitGroup
	stumbled atomic.Pointer[error] // the first of an adder
}

// sheaf is some subscriptions on their way into the index.
type sheaf struct {
	subscriptions []index.Addition
	keys          []predicate.Key // of all of them, one after the other
}

func newAdders() *adders {
	n := runtime.GOMAXPROCS(0)
	a := &adders{filling: &sheaf{}, sheaves: make(chan *sheaf, n), empty: make(chan *sheaf, 2*n+1)}
	for range 2 * n {
		a.empty <- &sheaf{}
	}
	for range n {
		a.running.Go(a.work)
	}
	return a
}

// work empties sheaves until there are no more. After an error it goes on, so
// that nobody waits for it in vain.
func (a *adders) work() {
	for s := range a.sheaves {
		if err := s.unload(); err != nil {
			a.stumbled.CompareAndSwap(nil, &err)
		}
		a.empty <- s
	}
}

// add takes a copy of what a subscription waits on; the error may be another's.
func (a *adders) add(c *index.Condition, from *anchored) error {
	a.filling.put(c, from)
	if len(a.filling.keys) < sheafAnchors {
		return nil
	}
	a.sheaves <- a.filling
	a.filling = <-a.empty
	return a.err()
}

func (a *adders) err() error {
	if err := a.stumbled.Load(); err != nil {
		return *err
	}
	return nil
}

// close waits until all is in the index.
func (a *adders) close() error {
	a.sheaves <- a.filling
	close(a.sheaves)
	a.running.Wait()
	return a.err()
}

func (s *sheaf) put(c *index.Condition, from *anchored) {
	first := len(s.keys)
	s.keys = append(s.keys, from.keys...)
	s.subscriptions = append(s.subscriptions, index.Addition{Condition: c, ID: from.id, Keys: s.keys[first:], Window: from.window})
}

func (s *sheaf) unload() error {
	defer func() { s.subscriptions, s.keys = s.subscriptions[:0], s.keys[:0] }()
	return index.AddAll(s.subscriptions)
}
