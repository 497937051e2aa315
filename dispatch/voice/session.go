package voice

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/hardware/sip"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/wav"
	"herald/problem"
	"herald/templates"
	"herald/templates/script"
)

// session is a channel of the trunk: one call at a time.
type session struct {
	sender *Sender
	trunk  *sip.Trunk
	closed bool
}

var _ dispatch.LiveSession = (*session)(nil)

// Broken reports whether no call can be made.
func (s *session) Broken() bool {
	return s.closed || !s.sender.cfg.canCall(s.trunk.Health())
}

// canCall reports whether calls can be made on a trunk that stands so.
func (a Account) canCall(h sip.Health) bool {
	if a.Register {
		return h.Registered
	}
	return h.Reachable || a.AskEvery < 0
}

var errNoLine = errors.New("the provider cannot be reached")

// Alive is nil while calls can be made; the trunk watches itself.
func (s *session) Alive(context.Context) error {
	if !s.Broken() {
		return nil
	}
	s.closed = true
	return &dispatch.SendError{Class: dispatch.SessionFatal, Account: s.sender.cfg.Name, Err: errNoLine}
}

// Close gives the channel back.
func (s *session) Close(context.Context) error {
	s.closed = true
	return nil
}

// speakWithin is how long it may take until all of a script is spoken.
const speakWithin = 30 * time.Second

// Send makes the call and returns when it is over.
func (s *session) Send(ctx context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	receipt, failure := s.send(ctx, m)
	if failure != nil {
		failure.Account = s.sender.cfg.Name
		s.closed = s.closed || failure.Class == dispatch.SessionFatal
		return dispatch.Receipt{}, failure
	}
	return receipt, nil
}

func (s *session) send(ctx context.Context, m dispatch.Message) (dispatch.Receipt, *dispatch.SendError) {
	if s.Broken() || ctx.Err() != nil {
		return dispatch.Receipt{}, &dispatch.SendError{Class: dispatch.SessionFatal, Err: errors.Join(errNoLine, ctx.Err())}
	}
	said := scriptOf(m.Content)
	sounds, failure := s.prepare(ctx, said, m)
	if failure != nil {
		return dispatch.Receipt{}, failure
	}
	sender := s.sender
	id := uuid.Must(uuid.NewV7())
	begun := row{ID: id, DeliveryID: m.DeliveryID, Attempt: m.Attempt, Account: sender.cfg.Name, CallID: id.String(), BeganAt: sender.deps.Now()}
	before, err := sender.deps.Store.begin(ctx, begun)
	if err != nil {
		return dispatch.Receipt{}, &dispatch.SendError{Class: dispatch.Transient, Err: err}
	}
	diary := newDiary(ctx, sender.deps.Store, begun, sender.deps.Logger, sender.deps.Now)
	call, err := s.trunk.Call(ctx, sender.cfg.number(m.Address), sip.CallOptions{ID: begun.CallID, Ring: sender.cfg.RingFor, Watch: diary.watch})
	if err != nil {
		return s.unanswered(ctx, diary, before, err)
	}
	ended := s.speak(ctx, diary, &performance{
		line: call, script: said, sounds: sounds, rules: sender.cfg.rules(m), ears: sender.ears(), now: sender.deps.Now,
	})
	return sender.settled(ended, before, 0, nil)
}

// scriptOf is the script of a message; without one its text is said.
func scriptOf(c templates.Content) *script.Script {
	if c.Script != nil {
		return c.Script
	}
	return &script.Script{Machine: script.Leave, Steps: []script.Step{{Say: c.Text}}}
}

// prepare has all that will be said spoken.
func (s *session) prepare(ctx context.Context, said *script.Script, m dispatch.Message) (sounds, *dispatch.SendError) {
	speaking, cancel := context.WithTimeout(ctx, speakWithin)
	defer cancel()
	speaker := s.sender.deps.Speaker
	if m.Private {
		speaker = privately{speaker}
	}
	all, err := speakAll(speaking, speaker, said, m.Content.Locale)
	switch {
	case err == nil:
		return all, nil
	case ctx.Err() != nil:
		return sounds{}, &dispatch.SendError{Class: dispatch.SessionFatal, Err: err}
	case errors.Is(err, errSaysNothing), problem.CodeOf(err) != "": // it will never be otherwise
		return sounds{}, &dispatch.SendError{Class: dispatch.Permanent, Err: err}
	}
	return sounds{}, &dispatch.SendError{Class: dispatch.Transient, Err: err}
}

// unanswered ends a call that nobody answered.
func (s *session) unanswered(ctx context.Context, diary *diary, before int, err error) (dispatch.Receipt, *dispatch.SendError) {
	failure := &sip.Error{Class: sip.Unexpected}
	errors.As(err, &failure)
	ended := diary.end(ctx, func(r *row) { r.Outcome, r.Code = outcome(failure.Class), failure.Code })
	return s.sender.settled(ended, before, failure.RetryAfter, err)
}

// speak performs a script on a call that was answered, and gives what came of
// it.
func (s *session) speak(ctx context.Context, diary *diary, p *performance) row {
	sender := s.sender
	p.note = func(code string, args map[string]any) {
		diary.note(step{At: sender.deps.Now(), Code: code, Args: args})
		diary.change(p.into)
	}
	talking, cancel := context.WithTimeout(ctx, sender.cfg.LongestCall)
	defer cancel()
	p.perform(talking)
	if p.stopRecording != nil {
		sender.keepRecording(ctx, diary, p.recording, p.stopRecording())
	}
	ended := diary.end(ctx, func(r *row) {
		p.into(r)
		if r.Outcome = spoken; p.dismissed {
			r.Outcome = hungUp
		} else if p.by == machine {
			r.Outcome = left
		}
	})
	sender.tell()
	return ended
}

// into puts what came of a performance so far into its call's row.
func (p *performance) into(r *row) {
	r.AnsweredBy, r.Heard, r.Of, r.Confirmed, r.Stopped, r.Reached = p.by, p.heard, p.of, p.confirmed, p.stopped, p.reached()
}

// rules are what performing a script needs to know of the account. What is
// private is not recorded, whoever consents.
func (a Account) rules(m dispatch.Message) rules {
	return rules{machines: a.Machines, record: a.Record && !m.Private, longestRecording: a.LongestRecording, person: a.Person, dial: a.number}
}

// keepRecording keeps what was recorded.
func (s *Sender) keepRecording(ctx context.Context, diary *diary, began time.Time, samples []int16) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	r := Recording{
		ID: uuid.Must(uuid.NewV7()), MadeAt: began, Lasts: lasts(samples), WAV: wav.EncodeMu(g711.Mu.Encode(samples), g711.Rate),
		KeepUntil: began.Add(s.cfg.RecordFor),
	}
	call := diary.snapshot().ID
	if err := s.deps.Store.keep(ctx, call, r); err != nil {
		s.deps.Logger.ErrorContext(ctx, "a recording is lost", "call", call, "error", err)
		return
	}
	diary.note(step{At: began, Code: codeRecorded, Args: map[string]any{"seconds": seconds(r.Lasts)}, Recording: r.ID})
}

// tries is how many of the calls count as one.
func tries(calls []row) (n int) {
	for _, c := range calls {
		if class := sip.Class(c.Outcome); class != sip.GivenUp && class != sip.Credentials {
			n++
		}
	}
	return n
}
