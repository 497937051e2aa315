// Package voice calls people by telephone and says something to them.
//
// A Sender is one trunk of a telephone provider: an account of dispatch, whose
// sessions are its channels. A message comes in with a script (package
// templates/script), all of it is spoken before anybody is dialled, and Send
// makes the whole call: it dials, finds out whether a person or a machine
// answered, performs the script, acts on the digits that are pressed, and hangs
// up. Each call is a row of the Store from before the first ring, written on as
// the call goes, so that a crash leaves known how far it came; timelines
// (Entries), recordings and reports of what was heard come from there.
package voice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"herald/dispatch"
	"herald/hardware/sip"
	"herald/hardware/sip/media"
	"herald/problem"
	"herald/subscriptions"
)

// Speaker makes sound of texts, and has recordings; *speech.Speaker does. Sound
// is samples of 16 bits, 8,000 a second, which may be shared.
type Speaker interface {
	// Speak speaks a text in the language of a locale (BCP 47).
	Speak(ctx context.Context, text, locale string) ([]int16, error)
	// SpeakPrivately is Speak, and keeps nothing of it.
	SpeakPrivately(ctx context.Context, text, locale string) ([]int16, error)
	// Play is a recording, by its name; problem.NotFound when there is none.
	Play(ctx context.Context, name string) ([]int16, error)
}

// Deps are what a Sender works with. Wheel, Logger and Now may be left out.
type Deps struct {
	Store   *Store
	Speaker Speaker
	// Wheel gives the pace of the sound; all trunks should have the same (one
	// of its own).
	Wheel  *media.Wheel
	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
}

// Sender is one trunk. It is safe for many goroutines; a session is not.
type Sender struct {
	cfg  Account
	deps Deps
	ears func() ears // of one call
	wake chan struct{}

	mu     sync.Mutex
	line   *sip.Trunk // guarded by mu; nil: no session was opened yet
	closed bool       // guarded by mu
}

var (
	_ dispatch.Sender   = (*Sender)(nil)
	_ dispatch.Resolver = (*Sender)(nil)
	_ dispatch.Reporter = (*Sender)(nil)
)

// New fills in the account's defaults and checks it; problem.Invalid names the
// mistakes by their fields. Nothing is opened before the first session.
func New(cfg Account, deps Deps) (*Sender, error) {
	if deps.Store == nil || deps.Speaker == nil {
		return nil, errors.New("voice: a sender needs a store and a speaker")
	}
	var mistakes problem.Fields
	cfg = cfg.complete(&mistakes)
	if err := mistakes.Err("the trunk is not set up completely"); err != nil {
		return nil, err
	}
	if deps.Wheel == nil {
		deps.Wheel = &media.Wheel{}
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	deps.Logger = deps.Logger.With("account", cfg.Name)
	return &Sender{cfg: cfg, deps: deps, ears: newEars(cfg.Machines), wake: make(chan struct{}, 1)}, nil
}

// Channel is voice.
func (s *Sender) Channel() subscriptions.Channel { return subscriptions.Voice }

// Account is the account's name.
func (s *Sender) Account() string { return s.cfg.Name }

// Longest is how long a session may be at one message: until somebody answers,
// and until the call is over.
func (s *Sender) Longest() time.Duration {
	return s.cfg.Response + s.cfg.RingFor + s.cfg.LongestCall + speakWithin + writeWithin
}

// Health is how the trunk stands; its zero value before the first session.
func (s *Sender) Health() sip.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == nil {
		return sip.Health{}
	}
	return s.line.Health()
}

// Up reports whether calls can be made, as far as is known.
func (s *Sender) Up() bool {
	h := s.Health()
	return h != (sip.Health{}) && s.cfg.canCall(h)
}

// Close hangs up all calls, lets the trunk go and returns when its line is
// closed. No session can be opened any more.
func (s *Sender) Close() error {
	s.mu.Lock()
	line := s.line
	s.closed = true
	s.mu.Unlock()
	if line == nil {
		return nil
	}
	return line.Close()
}

// trunk is the line to the provider, which is opened when it is asked for
// first.
func (s *Sender) trunk(ctx context.Context) (*sip.Trunk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the account is closed")
	}
	if s.line == nil {
		// It outlives the session that opened it.
		line, err := sip.Open(context.WithoutCancel(ctx), s.cfg.trunk(s.deps.Wheel, s.deps.Logger, s.deps.Now))
		if err != nil {
			return nil, err
		}
		s.line = line
	}
	return s.line, nil
}

// openLate is how much longer than for any answer Open waits for the provider.
const openLate = time.Second

// Open waits until calls can be made: until the provider has answered, or has
// registered us.
func (s *Sender) Open(ctx context.Context) (dispatch.Session, error) {
	failed := func(class dispatch.Class, err error) (dispatch.Session, error) {
		return nil, &dispatch.SendError{Class: class, Account: s.cfg.Name, Err: fmt.Errorf("open a line: %w", err)}
	}
	trunk, err := s.trunk(ctx)
	switch {
	case errors.Is(err, sip.ErrConfig):
		return failed(dispatch.Configuration, err)
	case err != nil:
		return failed(dispatch.SessionFatal, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Response+openLate)
	defer cancel()
	switch err := trunk.Ready(ctx); {
	case sip.ClassOf(err) == sip.Credentials:
		return failed(dispatch.Configuration, err)
	case err != nil:
		return failed(dispatch.SessionFatal, err)
	}
	return &session{sender: s, trunk: trunk}, nil
}
