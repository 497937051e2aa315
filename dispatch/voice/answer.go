package voice

import (
	"context"
	"errors"
	"sync"
	"time"
)

// sign is what the ears made out.
type sign string

// The signs.
const (
	signPerson  sign = "person"
	signMachine sign = "machine"
	signUnknown sign = "unknown" // too little was heard, or it fits neither
	signBeep    sign = "beep"    // a machine's greeting is over: it records
)

// ears tell from what is heard who answered. They are given samples, 8,000 a
// second, from the answer on and in order, by one goroutine at a time.
type ears interface {
	Hear(samples []int16) []sign
}

// listen opens the ears. What they make out comes in order.
func (p *performance) listen() (signs <-chan sign, stop func()) {
	const most = 16 // more than there are
	heard := make(chan sign, most)
	return heard, p.line.Listen(func(samples []int16) {
		for _, s := range p.ears.Hear(samples) {
			select {
			case heard <- s:
			default: // it has said enough
			}
		}
	})
}

// await finds out who answered before it speaks, so that nobody misses the
// first words, and gives them what is theirs.
func (p *performance) await(ctx context.Context) {
	p.of, _ = p.length(p.script.Steps)
	if p.ears == nil {
		p.is(person)
		p.speak(ctx)
		return
	}
	signs, stop := p.listen()
	defer stop()
	switch s := p.who(ctx, signs); s {
	case signMachine, signBeep:
		p.serveMachine(ctx, signs, s == signBeep)
	case signPerson:
		p.is(person)
		p.speak(ctx)
	case signUnknown:
		p.speakUnsure(ctx, signs)
	case "": // they hung up
		p.is(unknown)
	}
}

// is notes who answered; what it is taken for may change.
func (p *performance) is(by party) {
	p.by = by
	p.note(codeAnswered, map[string]any{"by": string(by)})
}

// signLate is how much later than what was heard a sign may come: by then a far
// end that sends no sound at all is taken for unknown.
const signLate = 100 * time.Millisecond

// who waits until it is clear who answered; empty: the call is over. A digit is
// pressed by a person.
func (p *performance) who(ctx context.Context, signs <-chan sign) sign {
	timer := time.NewTimer(p.rules.machines.Rules.TotalAnalysisTime + signLate)
	defer timer.Stop()
	select {
	case s := <-signs:
		return s
	case <-p.line.Digits():
		return signPerson
	case <-timer.C:
		return signUnknown
	case <-ctx.Done():
	case <-p.line.Done():
	}
	return ""
}

// serveMachine leaves a message with a machine when it has beeped, or when its
// greeting is over otherwise, or has taken too long; or hangs up where machines
// get nothing. A digit tells that a person has picked up after all.
func (p *performance) serveMachine(ctx context.Context, signs <-chan sign, beeped bool) {
	p.is(machine)
	if of, _ := p.length(p.script.ForMachine()); of == 0 {
		p.dismissed = true
		return
	}
	timer := time.NewTimer(p.rules.machines.WaitForBeep)
	defer timer.Stop()
	for !beeped {
		select {
		case s := <-signs:
			beeped = s == signBeep
		case <-timer.C:
			beeped = true
		case <-p.line.Digits():
			p.is(person)
			p.speak(ctx)
			return
		case <-ctx.Done():
			return
		case <-p.line.Done():
			return
		}
	}
	p.leave(ctx)
}

// errPerson is why a message is not left to its end, errBeep why somebody is
// not spoken to any more.
var (
	errPerson = errors.New("a person has picked up")
	errBeep   = errors.New("it was a machine: it has beeped")
)

// leave says the message that is for machines. A digit that is pressed tells
// that a person listens: they hear the script from its first step.
func (p *performance) leave(ctx context.Context) {
	message := p.script.ForMachine()
	p.begin(message)
	leaving, stop := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-p.line.Digits():
			stop(errPerson)
		case <-leaving.Done():
		}
	})
	p.steps(leaving, message, true)
	stop(nil)
	watching.Wait()
	if errors.Is(context.Cause(leaving), errPerson) {
		p.is(person)
		p.speak(ctx)
	}
}

// speakUnsure speaks to somebody who may be a machine. When it beeps, and nobody
// has pressed a digit, it was one, and is given its message from the start.
func (p *performance) speakUnsure(ctx context.Context, signs <-chan sign) {
	p.is(unknown)
	speaking, stop := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case s := <-signs:
				if s == signBeep && !p.human.Load() {
					stop(errBeep)
				}
			case <-speaking.Done():
				return
			}
		}
	})
	p.speak(speaking)
	stop(nil)
	watching.Wait()
	if errors.Is(context.Cause(speaking), errBeep) {
		p.serveMachine(ctx, signs, true)
	}
}
