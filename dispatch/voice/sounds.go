package voice

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"herald/hardware/sip/g711"
	"herald/templates/script"
)

// sounds are all that a script says, ready before anybody is dialled: nothing
// about them can fail while somebody listens.
type sounds struct {
	said   map[string][]int16 // by their texts
	played map[string][]int16 // recordings, by their names
	nobody []int16            // says that nobody can be reached now
}

// privately is a Speaker that keeps nothing of what it speaks.
type privately struct{ Speaker }

func (p privately) Speak(ctx context.Context, text, locale string) ([]int16, error) {
	return p.SpeakPrivately(ctx, text, locale)
}

// errSaysNothing is of a script without a word.
var errSaysNothing = errors.New("the call would say nothing")

// speakAll has all that a script says spoken.
func speakAll(ctx context.Context, speaker Speaker, s *script.Script, locale string) (sounds, error) {
	all := sounds{said: map[string][]int16{}, played: map[string][]int16{}}
	for _, steps := range [][]script.Step{s.Steps, s.ForMachine()} {
		if err := all.gather(ctx, speaker, steps, locale); err != nil {
			return sounds{}, err
		}
	}
	for _, found := range []map[string][]int16{all.said, all.played} {
		for _, samples := range found {
			if len(samples) > 0 {
				return all, nil
			}
		}
	}
	return sounds{}, errSaysNothing
}

// gather has what steps say spoken, and what follows from the digits.
func (s *sounds) gather(ctx context.Context, speaker Speaker, steps []script.Step, locale string) (err error) {
	for _, step := range steps {
		switch {
		case step.Say != "":
			err = s.speak(ctx, speaker, step.Say, locale)
		case step.Play != "":
			err = s.fetch(ctx, speaker, step.Play)
		case step.Record != nil:
			err = s.speak(ctx, speaker, step.Record.Ask, locale)
		case step.Transfer != nil && s.nobody == nil:
			s.nobody, err = speaker.Speak(ctx, nobodyThere(locale), locale)
		case step.Gather != nil:
			err = s.gatherQuestion(ctx, speaker, step.Gather, locale)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *sounds) gatherQuestion(ctx context.Context, speaker Speaker, g *script.Gather, locale string) error {
	if err := s.fetch(ctx, speaker, g.Play); err != nil {
		return err
	}
	if err := s.speak(ctx, speaker, g.Say, locale); err != nil {
		return err
	}
	for _, c := range g.Choices {
		if err := s.gather(ctx, speaker, c.Steps, locale); err != nil {
			return err
		}
	}
	return s.gather(ctx, speaker, g.Otherwise, locale)
}

func (s *sounds) speak(ctx context.Context, speaker Speaker, text, locale string) (err error) {
	if text == "" || s.said[text] != nil {
		return nil
	}
	if s.said[text], err = speaker.Speak(ctx, text, locale); err != nil {
		return fmt.Errorf("speak a text: %w", err)
	}
	return nil
}

func (s *sounds) fetch(ctx context.Context, speaker Speaker, name string) (err error) {
	if name == "" || s.played[name] != nil {
		return nil
	}
	if s.played[name], err = speaker.Play(ctx, name); err != nil {
		return fmt.Errorf("fetch a recording: %w", err)
	}
	return nil
}

// of is what a step says or plays; empty where it does neither.
func (s sounds) of(step script.Step) []int16 {
	if step.Say != "" {
		return s.said[step.Say]
	}
	return s.played[step.Play]
}

// question is what is asked, the recording before the text.
func (s sounds) question(g *script.Gather) []int16 {
	played := s.played[g.Play]
	return append(played[:len(played):len(played)], s.said[g.Say]...)
}

// lasts is how long samples are.
func lasts(samples []int16) time.Duration {
	return time.Duration(len(samples)) * time.Second / g711.Rate
}

// nobodyThere is said to a member who asked for a person that cannot be
// reached.
func nobodyThere(locale string) string {
	if locale == "zh" || strings.HasPrefix(locale, "zh-") {
		return "抱歉，现在没有人能接听您的电话。"
	}
	return "We are sorry, nobody can take your call now."
}
