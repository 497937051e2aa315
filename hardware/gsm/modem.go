package gsm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Modem is one modem with its SIM. It works while Run runs, and is safe for
// many goroutines: what they ask goes over the line one after the other.
type Modem struct {
	cfg   Config
	trace *Trace
	wake  chan struct{} // of one: look for what waits in the modem
	turn  chan struct{} // of one: whoever has put into it may have several commands in a row
	// doubted, of one: look whether there is a network.
	doubted chan struct{}

	mu      sync.Mutex
	port    *port         // guarded by mu; nil: there is no line that works; never while health.State is Ready
	health  Health        // guarded by mu
	changed chan struct{} // guarded by mu: closed and replaced when health.State changes
	ussd    chan USSD     // guarded by mu; nil: nobody waits for the operator

	// What follows is known since the last start. It belongs to Run, and to the
	// goroutine that collects, which Run starts after it and waits for.
	phase2plus bool     // the modem wants CNMA
	memory     string   // where what comes in is stored; empty: nowhere
	memories   []string // all that the modem has
	notify     string   // the settings of AT+CNMI
}

// New checks cfg and makes the modem; its error wraps ErrConfig.
func New(cfg Config) (*Modem, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	m := &Modem{
		cfg: cfg, trace: &Trace{now: cfg.Now},
		wake: make(chan struct{}, 1), turn: make(chan struct{}, 1), doubted: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	m.health = Health{State: Closed, Since: cfg.Now()}
	return m, nil
}

// Trace watches the wire.
func (m *Modem) Trace() *Trace { return m.trace }

// What is done to a modem that failed, one after the other until it works.
type rung int

const (
	setUp  rung = iota // on the line as it is
	reset              // AT+CFUN=1,1, which is like switching it off and on
	reopen             // the line, later and later
)

// afterReset is the time a modem takes to come back.
const afterReset = 10 * time.Second

// Run keeps the modem at work until ctx ends, and returns ctx's error. It may
// be called once at a time.
func (m *Modem) Run(ctx context.Context) error {
	pause := m.cfg.BackoffFirst
	for ctx.Err() == nil {
		worked, err := m.life(ctx)
		if ctx.Err() != nil {
			break
		}
		state := Waiting
		if worked {
			pause = m.cfg.BackoffFirst
		}
		if errors.Is(err, ErrLocked) {
			state, pause = Blocked, m.cfg.BackoffLongest
		}
		m.failed(err, state)
		m.cfg.Logger.WarnContext(ctx, "the modem's line is opened anew", "after", pause, "error", err)
		sleep(ctx, pause)
		pause = min(2*pause, m.cfg.BackoffLongest)
	}
	m.setState(Closed)
	m.setPort(nil)
	return ctx.Err()
}

// life is from the opening of the line until it must be opened anew. It says
// whether the modem worked meanwhile.
func (m *Modem) life(ctx context.Context) (worked bool, err error) {
	m.setState(Opening)
	opening, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	line, err := m.cfg.Open(opening)
	cancel()
	if err != nil {
		return false, err
	}
	p := openPort(line, m.cfg, m.trace)
	in := newInbox(m, p)
	var listening sync.WaitGroup
	listening.Go(in.listen)
	defer func() {
		p.close()
		listening.Wait()
	}()
	for step := setUp; ; {
		healthy, err := m.work(ctx, p, in)
		worked, step = worked || healthy, step+1
		if healthy {
			step = setUp
		}
		if p.isDone() || step >= reopen || ctx.Err() != nil || errors.Is(err, ErrLocked) {
			return worked, err
		}
		m.failed(err, Waiting)
		m.cfg.Logger.WarnContext(ctx, "the modem is set up anew", "reset", step == reset, "error", err)
		if step == reset {
			// It answers OK, or nothing, and may take its line away with it.
			_, _ = p.do(ctx, command{text: "AT+CFUN=1,1"}, 0, nil)
			sleep(ctx, afterReset)
		}
		sleep(ctx, m.cfg.BackoffFirst)
	}
}

// work sets the modem up and watches it until it fails. healthy says that it
// was ready.
func (m *Modem) work(ctx context.Context, p *port, in *inbox) (healthy bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.setState(Starting)
	if err := m.start(ctx, p); err != nil {
		return false, err
	}
	m.setState(Searching)
	m.setPort(p)
	var collecting sync.WaitGroup
	collecting.Go(func() { in.collects(ctx) })
	healthy, err = m.watch(ctx, p, in)
	cancel()
	collecting.Wait()
	return healthy, err
}

// Ready returns nil as soon as messages can be submitted. It fails with an
// error that wraps ErrNotReady, and what stands in the way, when ctx ends
// first; at once when only somebody else can help.
func (m *Modem) Ready(ctx context.Context) error {
	for {
		m.mu.Lock()
		state, changed, failure, p := m.health.State, m.changed, m.health.failure, m.port
		m.mu.Unlock()
		if state == Ready && p != nil && !p.isDone() {
			return nil
		}
		if failure == nil {
			failure = errors.New(string(state))
		}
		if state == Blocked {
			return fmt.Errorf("%w: %w", ErrNotReady, failure)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w: %w", ErrNotReady, failure, ctx.Err())
		}
	}
}

// readyPort is the line of a modem that is Ready.
func (m *Modem) readyPort() (*port, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.port != nil && m.port.isDone():
		return nil, fmt.Errorf("%w: %w", ErrNotReady, m.port.err)
	case m.health.State == Ready && m.port != nil:
		return m.port, nil
	case m.health.State == Searching:
		return nil, fmt.Errorf("%w: %w", ErrNotReady, ErrNoNetwork)
	case m.health.failure != nil:
		return nil, fmt.Errorf("%w: %w", ErrNotReady, m.health.failure)
	}
	return nil, fmt.Errorf("%w: it is %s", ErrNotReady, m.health.State)
}

// take waits for the turn to give several commands in a row; give ends it.
func (m *Modem) take(ctx context.Context, p *port) error {
	select {
	case m.turn <- struct{}{}:
		return nil
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Modem) give() { <-m.turn }

func (p *port) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// sleep returns after d, or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
