package sip

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"herald/hardware/sip/media"
)

// CallOptions say how a number is called. What is zero takes the value in
// brackets.
type CallOptions struct {
	// From is the number that the call comes from (Config.From).
	From string
	// ID is the Call-ID, by which the provider knows the call, too (a new one).
	ID string
	// Ring is how long the phone rings (Config.Ring).
	Ring time.Duration
	// Watch is told each step as it happens, one at a time; it must not block
	// nor ask the call. nil: nobody is told.
	Watch func(Step)
}

// StepKind is what happened in a call.
type StepKind string

// The steps of a call.
const (
	Dialled     StepKind = "dialled"
	Ringing     StepKind = "ringing"
	EarlySound  StepKind = "early_sound" // an announcement, or ringing: nobody has answered
	Answered    StepKind = "answered"
	Played      StepKind = "played"
	Pressed     StepKind = "pressed"
	Held        StepKind = "held"
	Resumed     StepKind = "resumed"
	Transferred StepKind = "transferred"
	HungUp      StepKind = "hung_up" // a call that was answered is over
	Failed      StepKind = "failed"  // it was never answered
)

// Party is who did something.
type Party string

// The parties.
const (
	Us      Party = "us"
	Them    Party = "them"
	Silence Party = "silence" // the far end fell silent, and we hung up
)

// Step is what happened in a call, and when.
type Step struct {
	At    time.Time     `json:"at"`
	Kind  StepKind      `json:"kind"`
	Code  int           `json:"code,omitempty"`  // the answer of SIP
	Class Class         `json:"class,omitempty"` // of what failed
	Digit string        `json:"digit,omitempty"` // of what was pressed
	Heard time.Duration `json:"heard,omitempty"` // how much of what was played
	Of    time.Duration `json:"of,omitempty"`    // how long that was
	By    Party         `json:"by,omitempty"`    // of who hung up
}

// Call is a call that was answered. It is safe for many goroutines.
type Call struct {
	trunk    *Trunk
	id       string
	tag      string // ours, which names the call with its id
	watch    func(Step)
	sound    *media.Session
	digits   chan rune
	done     chan struct{}
	notices  chan int // what became of a transfer: codes of SIP
	inviting *invitation
	dialogue *dialogue // nil until it is answered; set before others see the call

	agreeing sync.Mutex // held while it is changed how the two sides speak, and noted

	mu       sync.Mutex
	steps    []Step              // guarded by mu
	early    []byte              // guarded by mu: the far end's description, where it came before its answer
	heard    uint32              // guarded by mu: the CSeq of the INVITE that a provisional answer came to; 0: none
	answered bool                // guarded by mu
	over     bool                // guarded by mu: done is closed
	awaits   map[uint32]func()   // guarded by mu: stops the answers to re-INVITEs, by CSeq
	offered  map[uint32]struct{} // guarded by mu: re-INVITEs whose ACK has the answer to our offer
}

// Call dials a number and returns when it is answered. It fails with an
// *Error; then nothing rings any more, or it is seen to in the background.
// When ctx ends before the answer, the call is given up; after it, ctx does
// not matter.
func (t *Trunk) Call(ctx context.Context, number string, o CallOptions) (*Call, error) {
	if o.ID == "" {
		o.ID = rand.Text()
	}
	if o.From == "" {
		o.From = t.cfg.From
	}
	if o.Ring <= 0 {
		o.Ring = t.cfg.Ring
	}
	if o.Watch == nil {
		o.Watch = func(Step) {}
	}
	c := &Call{
		trunk: t, id: o.ID, tag: sip.GenerateTagN(16), watch: o.Watch, digits: make(chan rune, mostDigits), done: make(chan struct{}), notices: make(chan int, 1),
		awaits: map[uint32]func(){}, offered: map[uint32]struct{}{},
	}
	err := c.dial(ctx, number, o)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Class: Unexpected, err: err}
		}
		c.note(Step{Kind: Failed, Code: e.Code, Class: e.Class})
		return nil, e
	}
	return c, nil
}

// mostDigits is how many wait to be taken.
const mostDigits = 64

func (c *Call) dial(ctx context.Context, number string, o CallOptions) (err error) {
	t := c.trunk
	if !isUser(number) || !isUser(o.From) {
		return &Error{Class: BadNumber, err: errors.New("a number has letters, digits and +*._- only")}
	}
	if err := t.pace.Wait(ctx); err != nil {
		return &Error{Class: GivenUp, err: err}
	}
	if c.sound, err = media.Open(ctx, t.media); err != nil {
		return &Error{Class: Unreachable, err: err}
	}
	if err := t.enter(c); err != nil {
		return errors.Join(err, c.sound.Close())
	}
	offer, err := c.sound.Offer()
	if err == nil {
		c.note(Step{Kind: Dialled})
		err = c.connect(ctx, c.newInvite(number, o, offer), o.Ring)
	}
	if err != nil {
		t.leave(c)
		_ = c.sound.Close() // there is a better reason
	}
	return err
}

// connect waits for the answer and acknowledges it.
func (c *Call) connect(ctx context.Context, req *sip.Request, ring time.Duration) error {
	t := c.trunk
	inv, res, err := c.invite(ctx, req, ring)
	if err != nil {
		return err
	}
	d := t.dialogue(inv.req, res)
	c.note(Step{Kind: Answered, Code: res.StatusCode})
	c.mu.Lock()
	description := res.Body()
	if len(description) == 0 {
		description = c.early // some say it once only
	}
	c.dialogue, c.inviting, c.answered = d, inv, true // the far end may hang up as soon as it is acknowledged
	c.mu.Unlock()
	inv.tx.OnRetransmission(func(again *sip.Response) {
		if tagOf(again.To()) != tagOf(res.To()) { // a second phone answered
			t.background(func() { t.dismiss(t.running, inv.req, again) })
			return
		}
		d.acknowledgeAgain()
	})
	// Before it is acknowledged: a re-INVITE may follow at once.
	refused := c.sound.Accept(description)
	if err := d.acknowledge(); err != nil {
		inv.tx.Terminate()
		return &Error{Class: Unreachable, Rang: true, err: errors.New("the answer cannot be acknowledged")}
	}
	if refused != nil {
		c.endBy(Us)
		return &Error{Class: NoSound, Rang: true, err: refused}
	}
	if !t.background(c.attend) {
		c.endBy(Us)
		return &Error{Class: GivenUp, Rang: true, err: errors.New("the line is closed")}
	}
	return nil
}

// endBy hangs up where nobody waits for it for long.
func (c *Call) endBy(by Party) {
	ctx, cancel := context.WithTimeout(c.trunk.running, lastWords)
	defer cancel()
	_ = c.hangUp(ctx, by) // it is over in any case
}

// attend passes on digits, and hangs up when the far end is silent for too
// long, or the trunk is closed.
func (c *Call) attend() {
	for {
		select {
		case digit := <-c.sound.Digits():
			c.note(Step{Kind: Pressed, Digit: string(digit)})
			select {
			case c.digits <- digit:
			default:
				c.trunk.cfg.Logger.Warn("a digit was pressed and not taken: too many wait")
			}
		case <-c.sound.Lost():
			c.endBy(Silence)
			return
		case <-c.trunk.closing:
			c.endBy(Us)
			return
		case <-c.done:
			return
		}
	}
}

// note puts a step into the timeline.
func (c *Call) note(s Step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.At = c.trunk.cfg.Now()
	c.steps = append(c.steps, s)
	c.watch(s)
}

// rang reports whether the phone rang so far.
func (c *Call) rang() bool {
	return slices.ContainsFunc(c.Timeline(), func(s Step) bool { return s.Kind == Ringing })
}

// Timeline is what happened so far, in order.
func (c *Call) Timeline() []Step {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.steps)
}

// Done is closed when the call is over; the timeline says who hung up.
func (c *Call) Done() <-chan struct{} { return c.done }

// Digits are those that were pressed, each as it was let go.
func (c *Call) Digits() <-chan rune { return c.digits }

// Play speaks samples, 8,000 a second, and returns when all are sent, when ctx
// ends, or when the call is over; heard is how much of them was sent.
func (c *Call) Play(ctx context.Context, samples []int16) (heard time.Duration, err error) {
	heard, err = c.sound.Play(ctx, samples)
	if errors.Is(err, media.ErrClosed) {
		err = &Error{Class: Over, err: err}
	}
	c.note(Step{Kind: Played, Heard: heard, Of: time.Duration(len(samples)) * media.FrameTime / media.FrameSamples})
	return heard, err
}

// Press presses digits, as who is called by a machine would.
func (c *Call) Press(ctx context.Context, digits string) error { return c.sound.Press(ctx, digits) }

// Listen gives what is heard from now on, in order and without gaps, to hear,
// until stop is called. hear must not block nor keep the samples.
func (c *Call) Listen(hear func(samples []int16)) (stop func()) { return c.sound.Listen(hear) }

// Record keeps what is heard from now on, at most so long; stop gives it.
func (c *Call) Record(longest time.Duration) (stop func() []int16) { return c.sound.Record(longest) }

// Hangup ends the call. It is over in any case; an error says that the far end
// did not hear of it. Of a call that is over already it does nothing.
func (c *Call) Hangup(ctx context.Context) error { return c.hangUp(ctx, Us) }

func (c *Call) hangUp(ctx context.Context, by Party) error {
	c.mu.Lock()
	answered := c.answered
	c.mu.Unlock()
	if !answered || !c.end(by) {
		return nil
	}
	res, err := c.dialogue.ask(ctx, sip.BYE, nil)
	c.release()
	if err == nil && !res.IsSuccess() && res.StatusCode != sip.StatusCallTransactionDoesNotExists {
		err = outcome(res)
	}
	return err
}

// end notes that the call is over; it is false when it was before.
func (c *Call) end(by Party) bool {
	c.mu.Lock()
	again := c.over
	c.over = true
	c.mu.Unlock()
	if again {
		return false
	}
	c.note(Step{Kind: HungUp, By: by})
	close(c.done)
	return true
}

// release lets go of what a call that is over had.
func (c *Call) release() {
	c.trunk.leave(c)
	c.inviting.tx.Terminate()
	c.mu.Lock()
	for _, stop := range c.awaits {
		stop()
	}
	c.mu.Unlock()
	_ = c.sound.Close() // nobody speaks any more
}

// tagOf is a side's part of what names a dialogue.
func tagOf(h *sip.ToHeader) string {
	if h == nil {
		return ""
	}
	tag, _ := h.Params.Get("tag")
	return tag
}
