package voice

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"herald/hardware/sip"
	"herald/templates/script"
)

// line is a call that was answered, as performing a script needs it; *sip.Call
// is one.
type line interface {
	Play(ctx context.Context, samples []int16) (heard time.Duration, err error)
	Digits() <-chan rune
	Listen(hear func(samples []int16)) (stop func())
	Record(longest time.Duration) (stop func() []int16)
	Transfer(ctx context.Context, number string) error
	Hangup(ctx context.Context) error
	Done() <-chan struct{}
}

// rules are an account's, for how scripts are performed.
type rules struct {
	machines         Machines
	record           bool
	longestRecording time.Duration
	person           string // whom a transfer goes to that names nobody; empty: nobody
	dial             func(number string) string
}

// performance is a script that is performed on a line, once. It is pure but for
// the line and the time that passes; what comes of it is in its progress.
type performance struct {
	line   line
	script *script.Script
	sounds sounds
	rules  rules
	ears   ears // nil: everybody is a person
	note   func(code string, args map[string]any)
	now    func() time.Time

	progress
	pass          time.Duration // how much of the message this time through the steps said
	asksAlone     bool          // nothing is said but in questions: the first is the message
	repeats       int
	human         atomic.Bool // a digit was pressed: no machine does that
	recording     time.Time   // when it began; zero: nothing is recorded
	stopRecording func() []int16
}

// progress is what came of a performance.
type progress struct {
	by          party
	heard, of   time.Duration
	confirmed   bool
	stopped     bool
	transferred bool
	dismissed   bool // a machine that gets nothing
}

// next is where a script goes after a step.
type next int

const (
	goOn  next = iota
	again      // from the first step
	over       // the call ends, or has ended
)

const (
	// mostRepeats is how often a script begins anew; a repeat after that is
	// passed over.
	mostRepeats = 3
	// lastBreath is how long the line stays open after the last word, so that
	// the far end has said it before it hears of the end.
	lastBreath = 200 * time.Millisecond
	// goodbye is how long the far end has to take note that we hang up.
	goodbye = 5 * time.Second
)

// reached reports whether a person got the message: heard it to its end, or
// confirmed it where it asks to.
func (p *performance) reached() bool {
	switch {
	case p.by == machine || p.by == "":
		return false
	case asksToConfirm(p.script.Steps):
		return p.confirmed
	}
	return p.heard >= p.of || p.transferred
}

// unconfirmed reports whether somebody heard what they should have confirmed,
// and did nothing that says why not.
func (p *performance) unconfirmed() bool {
	return p.by != machine && p.heard > 0 && !p.confirmed && !p.stopped && !p.transferred && asksToConfirm(p.script.Steps)
}

func asksToConfirm(steps []script.Step) bool {
	for _, s := range steps {
		if s.Confirm {
			return true
		}
		if s.Gather == nil {
			continue
		}
		for _, c := range s.Gather.Choices {
			if asksToConfirm(c.Steps) {
				return true
			}
		}
		if asksToConfirm(s.Gather.Otherwise) {
			return true
		}
	}
	return false
}

// perform finds out who answered, gives them what is theirs, and hangs up. It
// returns when the call is over, soon after ctx ends at the latest.
func (p *performance) perform(ctx context.Context) {
	p.await(ctx)
	if p.heard > 0 || p.by != machine {
		p.note(codeHeard, map[string]any{"seconds": seconds(p.heard), "of": seconds(p.of), "by": string(p.by)})
	}
	if p.unconfirmed() {
		p.note(codeUnconfirmed, nil)
	}
	if ctx.Err() == nil && !p.over() {
		p.rest(ctx, lastBreath)
	}
	parting, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	_ = p.line.Hangup(parting) // it is over in any case
}

// over reports whether the call is.
func (p *performance) over() bool {
	select {
	case <-p.line.Done():
		return true
	default:
		return false
	}
}

// speak is the script from its first step, with a person.
func (p *performance) speak(ctx context.Context) {
	p.begin(p.script.Steps)
	for p.steps(ctx, p.script.Steps, true) == again {
		p.repeats++
		p.pass = 0
	}
}

// begin begins to say steps of which nothing was heard.
func (p *performance) begin(steps []script.Step) {
	p.heard, p.pass = 0, 0
	p.of, p.asksAlone = p.length(steps)
}

// seconds is a length of time for people to read.
func seconds(d time.Duration) float64 { return d.Round(100 * time.Millisecond).Seconds() }

// length is how long the message is: what is said outside of questions, or the
// first question where there is nothing else.
func (p *performance) length(steps []script.Step) (of time.Duration, asksAlone bool) {
	for _, s := range steps {
		of += lasts(p.sounds.of(s))
	}
	if of > 0 {
		return of, false
	}
	for _, s := range steps {
		if s.Gather != nil {
			return lasts(p.sounds.question(s.Gather)), true
		}
	}
	return 0, false
}

// steps performs steps in order; top says that they are the script's own and no
// choice's.
func (p *performance) steps(ctx context.Context, steps []script.Step, top bool) next {
	for _, s := range steps {
		if n := p.step(ctx, s, top); n != goOn {
			return n
		}
	}
	return goOn
}

// step performs one step. What needs no line is done although the call is over:
// somebody may press a digit and hang up.
func (p *performance) step(ctx context.Context, s script.Step, top bool) next {
	switch {
	case s.Say != "" || s.Play != "":
		heard, n := p.say(ctx, p.sounds.of(s))
		if top {
			p.hears(heard)
		}
		return n
	case s.Pause > 0:
		return p.rest(ctx, s.Pause)
	case s.Gather != nil:
		return p.gather(ctx, s.Gather, top)
	case s.Record != nil:
		return p.askToRecord(ctx, s.Record)
	case s.Transfer != nil:
		return p.transfer(ctx, *s.Transfer)
	case s.Confirm && !p.confirmed:
		p.confirmed = true
		p.note(codeConfirmed, nil)
	case s.Stop && !p.stopped:
		p.stopped = true
		p.note(codeStopped, nil)
	case s.Repeat && p.repeats < mostRepeats:
		return again
	case s.HangUp:
		return over
	}
	return goOn
}

func (p *performance) hears(d time.Duration) {
	p.pass += d
	p.heard = min(max(p.heard, p.pass), p.of)
}

// say says something, to its end unless the call ends.
func (p *performance) say(ctx context.Context, samples []int16) (time.Duration, next) {
	if len(samples) == 0 {
		return 0, goOn
	}
	heard, err := p.line.Play(ctx, samples)
	if err != nil {
		return heard, over
	}
	return heard, goOn
}

// rest lets time pass in silence.
func (p *performance) rest(ctx context.Context, d time.Duration) next {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return goOn
	case <-ctx.Done():
	case <-p.line.Done():
	}
	return over
}

// gather asks until a digit is pressed that is a choice, and does what that is
// for.
func (p *performance) gather(ctx context.Context, g *script.Gather, top bool) next {
	for range max(g.Tries, 1) {
		digit, heard, n := p.ask(ctx, p.sounds.question(g), g.Wait)
		if digit != 0 {
			p.human.Store(true)
		}
		if top && p.asksAlone {
			if digit != 0 { // they know what it asks
				heard = p.of
			}
			p.asksAlone = heard < p.of
			p.hears(heard)
		}
		if n != goOn {
			return n
		}
		for _, c := range g.Choices {
			if c.Digit == digit {
				return p.steps(ctx, c.Steps, false)
			}
		}
	}
	return p.steps(ctx, g.Otherwise, false)
}

// ask asks a question and waits for a digit, which may be pressed before the
// question is over, or was before it began; 0: none was. heard is how much of
// the question was said.
func (p *performance) ask(ctx context.Context, question []int16, wait time.Duration) (digit rune, heard time.Duration, n next) {
	if digit, pressed := p.pressed(); pressed {
		return digit, 0, goOn
	}
	asking, stop := context.WithCancel(ctx)
	said := make(chan time.Duration, 1)
	go func() {
		heard, _ := p.say(asking, question) // the line says when the call is over
		said <- heard
	}()
	waiting := (<-chan struct{})(nil)
	defer func() {
		stop()
		if waiting == nil {
			heard = <-said
		}
	}()
	for {
		select {
		case digit = <-p.line.Digits():
			return digit, heard, goOn
		case heard = <-said:
			timer, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			waiting = timer.Done()
		case <-waiting:
			if digit, pressed := p.pressed(); pressed || ctx.Err() == nil {
				return digit, heard, goOn
			}
			return 0, heard, over
		case <-p.line.Done():
			if digit, pressed := p.pressed(); pressed { // and hung up
				return digit, heard, goOn
			}
			return 0, heard, over
		}
	}
}

// pressed is a digit that waits.
func (p *performance) pressed() (rune, bool) {
	select {
	case digit := <-p.line.Digits():
		return digit, true
	default:
		return 0, false
	}
}

// consentWait is how long it is waited for consent after the question.
const consentWait = 5 * time.Second

// askToRecord asks for consent, where the account records at all, and records
// what is heard from then on. Only a digit that was pressed after the question
// began is an answer to it.
func (p *performance) askToRecord(ctx context.Context, r *script.Record) next {
	if !p.rules.record || p.stopRecording != nil || r.Ask == "" {
		return goOn
	}
	for {
		if _, waits := p.pressed(); !waits {
			break
		}
	}
	digit, _, n := p.ask(ctx, p.sounds.said[r.Ask], consentWait)
	if n == goOn && digit == r.Yes && !p.over() {
		p.note(codeConsented, map[string]any{"digit": string(digit)})
		p.stopRecording, p.recording = p.line.Record(p.rules.longestRecording), p.now()
	}
	return n
}

// transfer has the member speak with a person. Where that fails, they are told,
// and the script goes on.
func (p *performance) transfer(ctx context.Context, number string) next {
	if number == "" {
		number = p.rules.person
	}
	if number != "" {
		err := p.line.Transfer(ctx, p.rules.dial(number))
		if err == nil {
			p.transferred = true
			return over
		}
		if sip.ClassOf(err) == sip.Over || errors.Is(err, ctx.Err()) || p.over() {
			return over
		}
	}
	_, n := p.say(ctx, p.sounds.nobody)
	return n
}
