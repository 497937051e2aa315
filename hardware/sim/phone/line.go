package phone

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"herald/hardware/sip/media"
	"herald/hardware/sip/tones"
)

// Call is one that came in, as it was when it was over.
type Call struct {
	ID      int64     `json:"id"` // from 1, in the order they were over
	CallID  string    `json:"call_id"`
	BeganAt time.Time `json:"began_at"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Kind    FaultKind `json:"kind"`
	// Rang is how long it rang, Lasted how long it was spoken.
	Rang     Duration `json:"rang"`
	Answered bool     `json:"answered"`
	Lasted   Duration `json:"lasted"`
	Law      string   `json:"law,omitempty"`
	// Encrypted says that the sound was, as the caller offered it.
	Encrypted bool `json:"encrypted,omitempty"`
	// Digits are those that the caller pressed, Pressed those pressed here.
	Digits  string `json:"digits,omitempty"`
	Pressed string `json:"pressed,omitempty"`
	// Transferred is whom the caller passed this phone on to.
	Transferred string `json:"transferred,omitempty"`
	// HungUp is who ended it: "caller", or "phone".
	HungUp string `json:"hung_up"`
	// Problem says what went wrong; empty when nothing did.
	Problem string `json:"problem,omitempty"`
	// Heard is what was heard of the caller, 8,000 samples a second.
	Heard []int16 `json:"-"`
}

// line is a call that goes on. The goroutine that got the INVITE owns it, but
// for what is guarded.
type line struct {
	phone   *Phone
	fault   Fault
	dialog  *sipgo.DialogServerSession
	request *sip.Request
	tx      sip.ServerTransaction
	sound   *media.Session
	begun   time.Time
	kept    chan struct{} // closed when it is in the box
	ended   chan struct{} // closed when the caller hangs up
	hangUp  sync.Once

	mu   sync.Mutex
	call Call // guarded by mu
}

// begin makes a line of an INVITE. It fails when the INVITE makes no sense.
func (p *Phone) begin(req *sip.Request, tx sip.ServerTransaction, f Fault) (*line, error) {
	p.mu.Lock()
	at, secure := p.at, p.secure
	p.mu.Unlock()
	if req.Transport() == "TLS" {
		at = secure
	}
	contact := sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: req.Recipient.User, Host: at.Addr().String(), Port: int(at.Port()), UriParams: sip.NewParams()}}
	contact.Address.UriParams.Add("transport", strings.ToLower(req.Transport()))
	// Answers and requests go where the INVITE came from: a caller may not be
	// reached otherwise.
	ua := &sipgo.DialogUA{Client: p.client, ContactHDR: contact, RewriteContact: true}
	dialog, err := ua.ReadInvite(req, tx)
	if err != nil {
		return nil, err
	}
	now := p.cfg.Now()
	return &line{
		phone: p, fault: f, dialog: dialog, request: req, tx: tx, begun: now, kept: make(chan struct{}), ended: make(chan struct{}),
		call: Call{CallID: req.CallID().Value(), BeganAt: now, From: req.From().Address.User, To: req.Recipient.User, Kind: f.Kind},
	}, nil
}

// run is the call from its beginning to its end.
func (l *line) run(ctx context.Context) {
	p := l.phone
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.call.HungUp == "" {
			l.call.HungUp = "caller"
		}
		p.box.Add(l.call)
		close(l.kept)
	}()
	if code := codes[l.fault.Kind]; code != 0 {
		l.refuse(code)
		return
	}
	if err := l.openSound(ctx); err != nil {
		l.note(func(c *Call) { c.Problem = err.Error() })
		l.refuse(sip.StatusNotAcceptableHere)
		return
	}
	defer l.sound.Close() //nolint:errcheck // nobody speaks any more
	if l.ring(ctx) && l.answer() {
		l.talk(ctx)
	}
}

// note changes what is known of the call.
func (l *line) note(change func(*Call)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.call)
}

func (l *line) refuse(code int) {
	l.note(func(c *Call) { c.HungUp = "phone" })
	var headers []sip.Header
	if l.fault.RetryAfter > 0 {
		headers = append(headers, retryAfter(l.fault.RetryAfter))
	}
	res := sip.NewResponseFromRequest(l.dialog.InviteRequest, code, reasons[code], nil)
	for _, h := range headers {
		res.AppendHeader(h)
	}
	_ = l.tx.Respond(res) // the caller asks again
}

func (l *line) openSound(ctx context.Context) (err error) {
	p := l.phone
	p.mu.Lock()
	local := p.at.Addr()
	p.mu.Unlock()
	if local.IsUnspecified() {
		local = netip.MustParseAddr("127.0.0.1")
	}
	l.sound, err = media.Open(ctx, media.Config{Wheel: p.cfg.Wheel, Local: local, Now: p.cfg.Now})
	return err
}

// ring rings until the phone is answered; it is false when it is not.
func (l *line) ring(ctx context.Context) bool {
	rung := time.Duration(l.fault.AnswerAfter)
	if l.fault.Kind == NoAnswer {
		rung = 3 * time.Minute // longer than anybody waits
	}
	defer func() { l.note(func(c *Call) { c.Rang = Duration(l.phone.cfg.Now().Sub(l.begun)) }) }()
	code, body := sip.StatusRinging, []byte(nil)
	var headers []sip.Header
	if l.fault.Early {
		var err error
		if body, err = l.sound.Answer(l.request.Body()); err != nil {
			l.note(func(c *Call) { c.Problem = err.Error() })
			l.refuse(sip.StatusNotAcceptableHere)
			return false
		}
		code, headers = sip.StatusSessionInProgress, []sip.Header{sip.NewHeader("Content-Type", "application/sdp")}
		playing, stop := context.WithTimeout(ctx, rung)
		var ringing sync.WaitGroup
		ringing.Go(func() { _, _ = l.sound.Play(playing, tones.Sine(425, rung, 4000)) }) // as much as there is time for
		defer func() {
			stop()
			ringing.Wait()
		}()
	}
	if rung > 0 || l.fault.Early {
		_ = l.dialog.Respond(code, reasons[code], body, headers...) // it is told again
	}
	timer := time.NewTimer(rung)
	defer timer.Stop()
	select {
	case <-timer.C:
		if l.fault.Kind != NoAnswer {
			return true
		}
		l.refuse(sip.StatusTemporarilyUnavailable)
	case <-l.dialog.Context().Done(): // the caller gave up
	case <-l.phone.closing:
		l.refuse(sip.StatusTemporarilyUnavailable)
	}
	return false
}

// answer takes the call; it is false when the caller does not hear of it.
func (l *line) answer() bool {
	description, err := l.sound.Answer(l.request.Body())
	if err != nil {
		l.note(func(c *Call) { c.Problem = err.Error() })
		l.refuse(sip.StatusNotAcceptableHere)
		return false
	}
	err = l.dialog.Respond(sip.StatusOK, "OK", description, sip.NewHeader("Content-Type", "application/sdp"))
	l.note(func(c *Call) {
		if err != nil {
			c.Problem = err.Error()
			return
		}
		c.Answered, c.Law, c.Encrypted = true, string(l.sound.Law()), l.sound.Encrypted()
	})
	return err == nil
}

// talk speaks, presses keys and listens until somebody hangs up.
func (l *line) talk(ctx context.Context) {
	begun := l.phone.cfg.Now()
	stop := l.sound.Record(l.phone.cfg.Longest)
	ctx, cancel := context.WithCancel(ctx)
	var busy sync.WaitGroup
	busy.Go(func() { l.speak(ctx) })
	busy.Go(func() { l.press(ctx) })
	var over <-chan time.Time
	if l.fault.HangUpAfter > 0 {
		timer := time.NewTimer(time.Duration(l.fault.HangUpAfter))
		defer timer.Stop()
		over = timer.C
	}
	for talking := true; talking; {
		select {
		case digit := <-l.sound.Digits():
			l.note(func(c *Call) { c.Digits += string(digit) })
		case <-l.ended:
			talking = false
		case <-over:
			if over = nil; l.fault.Vanish {
				_ = l.sound.Close() // and nothing is said of it
				continue
			}
			l.bye()
			talking = false
		case <-l.phone.closing:
			l.bye()
			talking = false
		}
	}
	cancel()
	busy.Wait()
	heard := stop()
	l.note(func(c *Call) {
		for len(l.sound.Digits()) > 0 {
			c.Digits += string(<-l.sound.Digits())
		}
		c.Lasted, c.Heard = Duration(l.phone.cfg.Now().Sub(begun)), heard
	})
}

// speak says what is said by who answered.
func (l *line) speak(ctx context.Context) {
	var words []int16
	switch l.fault.Kind {
	case Person:
		words = l.phone.cfg.Hello
	case Machine:
		const pause, beep = 400 * time.Millisecond, 400 * time.Millisecond
		words = append(words, l.phone.cfg.Greeting...)
		words = append(words, tones.Sine(0, pause, 0)...)
		words = append(words, tones.Sine(1000, beep, 8000)...)
	}
	_, _ = l.sound.Play(ctx, words) // as much as there is time for
}

func (l *line) press(ctx context.Context) {
	begun := time.Now()
	for _, press := range l.fault.Press {
		timer := time.NewTimer(time.Duration(press.After) - time.Since(begun))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if l.sound.Press(ctx, press.Digits) == nil {
			l.note(func(c *Call) { c.Pressed += press.Digits })
		}
	}
}
