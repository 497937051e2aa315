package media

import (
	"sync"
	"time"
)

const (
	// FrameTime is how much sound is in a packet.
	FrameTime = 20 * time.Millisecond
	// FrameSamples is how many samples are in it.
	FrameSamples = 160

	slots    = 20
	slotTime = FrameTime / slots
	// mostLate is how far a wheel may be behind before it lets time go,
	// rather than sending what is late in one burst.
	mostLate = 5 * FrameTime
)

// Wheel gives each of those who ride on it a turn every 20 ms: one goroutine
// for all, which runs only while somebody rides. Its 20 places are a
// millisecond apart, and when each is due is counted from the start, so that
// what one turn is late does not add up. Its zero value is ready.
type Wheel struct {
	mu      sync.Mutex
	places  [slots][]*rider // guarded by mu
	riding  int             // guarded by mu
	turning bool            // guarded by mu: the goroutine runs
	gone    sync.WaitGroup
}

type rider struct{ turn func() }

// Ride gives turn every 20 ms, from now on until leave is called; it must not
// block. A turn that is going on when leave is called may still end after it.
func (w *Wheel) Ride(turn func()) (leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	place := 0
	for i := range w.places {
		if len(w.places[i]) < len(w.places[place]) {
			place = i
		}
	}
	r := &rider{turn}
	w.places[place] = append(w.places[place], r)
	w.riding++
	if !w.turning {
		w.turning = true
		w.gone.Go(w.run)
	}
	return sync.OnceFunc(func() { w.leave(place, r) })
}

func (w *Wheel) leave(place int, r *rider) {
	w.mu.Lock()
	defer w.mu.Unlock()
	others := make([]*rider, 0, len(w.places[place]))
	for _, other := range w.places[place] { // copied: the old list may be in use
		if other != r {
			others = append(others, other)
		}
	}
	w.places[place] = others
	w.riding--
}

// Wait returns when nobody rides any more and the goroutine is gone.
func (w *Wheel) Wait() { w.gone.Wait() }

func (w *Wheel) run() {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		riders, over := w.at(n % slots)
		if over {
			return
		}
		if len(riders) == 0 {
			continue // its time need not be waited for
		}
		due := start.Add(time.Duration(n) * slotTime)
		late := time.Since(due)
		if late < 0 {
			timer.Reset(-late)
			<-timer.C
			if riders, over = w.at(n % slots); over { // some left meanwhile
				return
			}
		} else if late > mostLate {
			start = start.Add(late)
		}
		for _, r := range riders {
			r.turn()
		}
	}
}

// at is who rides at a place. It is over when nobody rides at all.
func (w *Wheel) at(place int) (riders []*rider, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.riding == 0 {
		w.turning = false
		return nil, true
	}
	return w.places[place], false
}
