package gsm

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"herald/hardware/gsm/tpdu"
)

// inbox is what comes in over one line: notes, which listen sorts, and what is
// stored in the modem, which collects reads, gives away and deletes. Stored is
// stored: nothing is deleted before it was taken, and what could not be taken
// is found again.
type inbox struct {
	m         *Modem
	p         *port
	wake      chan struct{} // of one
	restarted chan struct{} // of one: the modem says that it began anew

	chosen string // the memory that is read; it belongs to collects. Empty: ours

	mu     sync.Mutex
	direct []arrival       // guarded by mu: passed on by the modem and stored nowhere
	dirty  map[string]bool // guarded by mu: memories that something waits in
}

// arrival is a unit that came in.
type arrival struct {
	memory  string // "" when it was passed on directly
	index   int
	unit    []byte // with the centre; nil: there is no reading it
	isFresh bool   // it was passed on, and not acknowledged yet

	deliver *tpdu.Deliver
	report  *tpdu.StatusReport
}

// directMax is how many units wait that are stored nowhere.
const directMax = 64

func newInbox(m *Modem, p *port) *inbox {
	return &inbox{m: m, p: p, wake: make(chan struct{}, 1), restarted: make(chan struct{}, 1), dirty: map[string]bool{}}
}

// listen sorts notes until the line is done.
func (in *inbox) listen() {
	for {
		select {
		case n := <-in.p.notes:
			in.sort(n)
		case <-in.p.done:
			return
		}
	}
}

// restarts are notes of a modem that began anew and has forgotten our settings.
var restarts = prefixed("RDY", "^SYSSTART")

func (in *inbox) sort(n note) {
	switch line := n.line; {
	case n.late != nil:
		n.late()
	case n.unit != nil && !strings.HasPrefix(line, "+CBM:"):
		in.add(n.unit)
		signal(in.wake)
	case strings.HasPrefix(line, "+CMTI:"), strings.HasPrefix(line, "+CDSI:"):
		in.mark(fields(line)[0])
		signal(in.wake)
	case strings.HasPrefix(line, "+CUSD:"):
		in.m.heardUSSD(line)
	case strings.Contains(line, "SMMEMFULL"), strings.Contains(line, "SMSFULL"):
		signal(in.wake)
	case restarts(line):
		if in.m.Health().State != Starting {
			signal(in.restarted)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (in *inbox) mark(memory string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if memory != "" && len(in.dirty) < 8 { // there are four
		in.dirty[clip(memory)] = true
	}
}

func (in *inbox) add(unit []byte) {
	a := arrival{unit: unit, isFresh: true}
	a.read()
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.direct) < directMax {
		in.direct = append(in.direct, a)
	} // what is not acknowledged comes again
}

// read takes the unit apart as far as that can be done.
func (a *arrival) read() {
	_, unit, err := tpdu.SplitCentre(a.unit)
	if err != nil || len(unit) == 0 {
		a.unit = nil
		return
	}
	switch tpdu.TypeOf(unit[0]) {
	case tpdu.TypeDeliver:
		if d, err := tpdu.ParseDeliver(unit); err == nil {
			a.deliver = &d
			return
		}
	case tpdu.TypeStatusReport:
		if r, err := tpdu.ParseStatusReport(unit); err == nil {
			a.report = &r
			return
		}
	case tpdu.TypeSubmit: // somebody stored it there to send it
		return
	}
	a.unit = nil
}

// collects reads the storage at the start, after each note and now and then,
// until ctx ends.
func (in *inbox) collects(ctx context.Context) {
	in.chosen = ""
	for _, memory := range in.m.toRead() {
		in.mark(memory)
	}
	tick := time.NewTicker(in.m.cfg.CheckEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := in.collect(ctx); err != nil && ctx.Err() == nil {
			in.m.cfg.Logger.WarnContext(ctx, "what came in waits in the modem", "error", err)
			in.m.update(func(h *Health) { h.LastError, h.LastErrorAt = err.Error(), in.m.cfg.Now() })
		}
		select {
		case <-tick.C:
			in.mark(in.m.memory)
		case <-in.m.wake:
			in.mark(in.m.memory)
		case <-in.wake:
		case <-ctx.Done():
		case <-in.p.done:
			return
		}
	}
}

// Collect looks at once for what waits in the modem, such as when somebody is
// there again to take it.
func (m *Modem) Collect() { signal(m.wake) }

// collect gives away what waits.
func (in *inbox) collect(ctx context.Context) error {
	stored, full, err := in.readAll(ctx)
	if err != nil {
		return err
	}
	direct := in.takeDirect()
	gone, failure := in.offer(ctx, append(stored, direct...), full)
	var kept []arrival
	for i, a := range direct {
		taken := gone[len(stored)+i]
		ours := !taken
		if a.isFresh && in.m.phase2plus {
			theirs, err := in.acknowledge(ctx, taken)
			if err != nil {
				return err
			}
			ours = ours && !theirs
		}
		if ours {
			a.isFresh = false
			kept = append(kept, a)
		}
	}
	in.putBack(kept)
	return errors.Join(failure, in.remove(ctx, stored, gone))
}

func (in *inbox) takeDirect() []arrival {
	in.mu.Lock()
	defer in.mu.Unlock()
	direct := in.direct
	in.direct = nil
	return direct
}

func (in *inbox) putBack(kept []arrival) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.direct = append(kept, in.direct...)
}

// offer gives messages and reports to whoever takes them, and says by index
// which are done with.
func (in *inbox) offer(ctx context.Context, all []arrival, full bool) (gone []bool, err error) {
	gone = make([]bool, len(all))
	var delivers []tpdu.Deliver
	var reports []tpdu.StatusReport
	for i, a := range all {
		switch {
		case a.deliver != nil:
			delivers = append(delivers, *a.deliver)
		case a.report != nil:
			reports = append(reports, *a.report)
		case a.unit == nil && (a.memory == "" || full):
			in.m.cfg.Logger.WarnContext(ctx, "a unit that nobody can read makes room", "memory", a.memory)
			gone[i] = true
		}
	}
	reportsErr, deliversErr := give(ctx, in.m.cfg.Reports, reports), give(ctx, in.m.cfg.Messages, delivers)
	for i, a := range all {
		gone[i] = gone[i] || a.report != nil && reportsErr == nil || a.deliver != nil && deliversErr == nil
	}
	return gone, errors.Join(reportsErr, deliversErr)
}

// give gives what there is to whoever takes it.
func give[T any](ctx context.Context, take func(context.Context, []T) error, all []T) error {
	switch {
	case len(all) == 0:
		return nil
	case take == nil:
		return errNobody
	}
	return take(ctx, all)
}

var errNobody = errors.New("nobody takes what comes in")

// acknowledge tells a modem of phase 2+ whether a unit that it passed on was
// taken (3GPP TS 27.005, section 3.4.4). theirs says that the network has it
// still.
func (in *inbox) acknowledge(ctx context.Context, taken bool) (theirs bool, err error) {
	if err := in.m.take(ctx, in.p); err != nil {
		return false, err
	}
	defer in.m.give()
	if !taken {
		_, refused := try(ctx, in.p, "AT+CNMA=2", nil)
		return refused, in.lineError()
	}
	if _, known := try(ctx, in.p, "AT+CNMA", nil); !known {
		try(ctx, in.p, "AT+CNMA=1", nil)
	}
	return false, in.lineError()
}

// lineError is why the line is done, if it is.
func (in *inbox) lineError() error {
	if in.p.isDone() {
		return in.p.err
	}
	return nil
}
