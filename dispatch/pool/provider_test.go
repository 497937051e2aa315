package pool_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"herald/dispatch/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is a session of the provider below.
type line struct {
	number int
	opened time.Time
	closed bool
	rudely bool // closed with an ended context
	dead   bool // does not live any more
}

// provider is the far end of a pool: it takes time to open sessions, fails
// when it is told to, and sees how many there are.
type provider struct {
	takes time.Duration // to open a session
	parts time.Duration // to close one

	mu      sync.Mutex
	failing error
	grants  int // more sessions than that are not opened; 0: any number
	lines   []*line
	tries   []time.Time
	open    int // sessions open or being opened or closed
	most    int
	opening int
	atOnce  int // most that were being opened at one time
	circuit []string
}

var (
	errDown = errors.New("connection refused")
	errFull = errors.New("too many connections")
)

func (f *provider) Open(ctx context.Context) (*line, error) {
	f.mu.Lock()
	f.tries = append(f.tries, time.Now())
	f.open++
	f.opening++
	f.most, f.atOnce = max(f.most, f.open), max(f.atOnce, f.opening)
	f.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(f.takes):
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opening--
	err := ctx.Err()
	if err == nil {
		err = f.failing
	}
	if err == nil && f.grants > 0 && f.open > f.grants {
		err = errFull
	}
	if err != nil {
		f.open--
		return nil, err
	}
	l := &line{number: len(f.lines), opened: time.Now()}
	f.lines = append(f.lines, l)
	return l, nil
}

func (f *provider) Close(ctx context.Context, l *line) {
	select {
	case <-ctx.Done():
	case <-time.After(f.parts):
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.closed {
		panic("a session was closed twice")
	}
	l.closed = true
	l.rudely = ctx.Err() != nil
	f.open--
}

func (f *provider) Alive(_ context.Context, l *line) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.dead {
		return errors.New("connection reset")
	}
	return nil
}

func (f *provider) OnCircuit(open bool, err error, next time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !open {
		f.circuit = append(f.circuit, "closed")
		return
	}
	if err == nil || !next.After(time.Now()) {
		panic("the circuit opened without a reason or a time")
	}
	f.circuit = append(f.circuit, "open")
}

// set changes what the provider does.
func (f *provider) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// bench is a pool and the provider it opens its sessions at.
type bench struct {
	testing.TB
	*pool.Pool[*line]
	provider *provider
}

// within runs a test in a bubble of its own, with a pool that has been started
// and is closed when the test ends; then the provider must have no session.
func within(t *testing.T, config pool.Config[*line], test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &provider{takes: 10 * time.Millisecond, parts: 10 * time.Millisecond}
		b := newBench(t, f, config)
		b.Start()
		synctest.Wait()
		test(b)
		b.finish()
	})
}

func newBench(t testing.TB, f *provider, config pool.Config[*line]) *bench {
	t.Helper()
	b := &bench{TB: t, provider: f}
	config.Open, config.Close = f.Open, f.Close
	config.OnCircuit = func(open bool, err error, next time.Time) {
		b.Stats() // as who listens may
		f.OnCircuit(open, err, next)
	}
	var err error
	if b.Pool, err = pool.New(config); err != nil {
		t.Fatal(err)
	}
	return b
}

// finish closes the pool, whose sessions are not in use.
func (b *bench) finish() {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		b.Error(err)
	}
	b.provider.mu.Lock()
	defer b.provider.mu.Unlock()
	if b.provider.open != 0 {
		b.Errorf("%d sessions are left", b.provider.open)
	}
}

// take acquires what must be there at once or in time.
func (b *bench) take(class pool.Class) *pool.Lease[*line] {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	lease, err := b.Acquire(ctx, class)
	if err != nil {
		b.Fatal(err)
	}
	return lease
}

// waiting acquires in the background; what it gets comes through the channel.
func (b *bench) waiting(class pool.Class) chan *pool.Lease[*line] {
	got := make(chan *pool.Lease[*line], 1)
	go func() {
		lease, err := b.Acquire(b.Context(), class)
		if err != nil {
			close(got)
			return
		}
		got <- lease
	}()
	synctest.Wait()
	return got
}

// refused acquires what must be refused at once.
func (b *bench) refused() *pool.Refused {
	b.Helper()
	before := time.Now()
	_, err := b.Acquire(b.Context(), pool.Urgent)
	var refused *pool.Refused
	if !errors.As(err, &refused) {
		b.Fatalf("acquire: %v, want a refusal", err)
	}
	if !time.Now().Equal(before) {
		b.Errorf("the refusal took %s", time.Since(before))
	}
	return refused
}

// pass lets time pass and what happens in it come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// seen is what the provider has seen: the sessions it sees now, the most at
// one time, and the most that were opened at one time.
func (f *provider) seen() (now, most, atOnce int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open, f.most, f.atOnce
}

// told is what OnCircuit was told.
func (f *provider) told() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.circuit, " ")
}

// gaps are the times between the tries to open a session.
func (f *provider) gaps() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	var gaps []time.Duration
	for i := 1; i < len(f.tries); i++ {
		gaps = append(gaps, f.tries[i].Sub(f.tries[i-1])-f.takes)
	}
	return gaps
}
