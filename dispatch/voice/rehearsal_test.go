package voice

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"herald/dispatch/voice/answering"
	"herald/hardware/sip"
	"herald/problem"
	"herald/templates/script"
)

// chanter speaks without an engine: each character takes 100 ms, and the first
// sample says which text it is of.
type chanter struct {
	mu    sync.Mutex
	texts []string
	kept  []string // those that were not private
	fails error
}

const chant = 800 // samples of a character: 100 ms

func (c *chanter) Speak(ctx context.Context, text, locale string) ([]int16, error) {
	c.mu.Lock()
	c.kept = append(c.kept, text)
	c.mu.Unlock()
	return c.SpeakPrivately(ctx, text, locale)
}

func (c *chanter) SpeakPrivately(_ context.Context, text, locale string) ([]int16, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails != nil {
		return nil, c.fails
	}
	if locale == "zh" && strings.HasPrefix(text, "抱歉") {
		text = "nobody"
	}
	if locale == "en" && strings.HasPrefix(text, "We are sorry") {
		text = "nobody"
	}
	c.texts = append(c.texts, text)
	samples := make([]int16, chant*len(text))
	for i := range samples {
		samples[i] = int16(len(c.texts)) //nolint:gosec // of a few texts
	}
	return samples, nil
}

func (c *chanter) Play(ctx context.Context, name string) ([]int16, error) {
	if strings.HasPrefix(name, "missing") {
		return nil, problem.New(problem.NotFound, "there is no recording %q", name)
	}
	return c.Speak(ctx, name, "")
}

// said is what samples say; several texts of one question are joined.
func (c *chanter) said(samples []int16) string {
	var texts []string
	for i := 0; i < len(samples); i += chant * len(texts[len(texts)-1]) {
		texts = append(texts, c.texts[samples[i]-1])
	}
	return strings.Join(texts, "+")
}

// fakeLine is a line whose far end does what a test tells it to.
type fakeLine struct {
	chanter *chanter
	digits  chan rune
	done    chan struct{}
	over    sync.Once
	refuses error // of transfers

	mu    sync.Mutex
	heard []string // what was said, with how much of it where it was cut
	hear  func([]int16)
}

func (l *fakeLine) hangUp() { l.over.Do(func() { close(l.done) }) }

func (l *fakeLine) log(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, fmt.Sprintf(format, args...))
}

func (l *fakeLine) Play(ctx context.Context, samples []int16) (time.Duration, error) {
	begun, whole := time.Now(), lasts(samples)
	timer := time.NewTimer(whole)
	defer timer.Stop()
	var err error
	select {
	case <-timer.C:
		l.log("%s", l.chanter.said(samples))
		return whole, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.done:
		err = &sip.Error{Class: sip.Over}
	}
	heard := time.Since(begun)
	if heard > 0 {
		l.log("%s %v", l.chanter.said(samples), heard)
	}
	return heard, err
}

func (l *fakeLine) Digits() <-chan rune   { return l.digits }
func (l *fakeLine) Done() <-chan struct{} { return l.done }

func (l *fakeLine) Listen(hear func([]int16)) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hear = hear
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.hear = nil
	}
}

func (l *fakeLine) Record(time.Duration) func() []int16 {
	l.log("(records)")
	return func() []int16 { return make([]int16, chant) }
}

func (l *fakeLine) Transfer(ctx context.Context, number string) error {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.done:
		return &sip.Error{Class: sip.Over}
	case <-ctx.Done():
		return ctx.Err()
	}
	if l.refuses != nil {
		return l.refuses
	}
	l.log("(transfer %s)", number)
	return nil
}

func (l *fakeLine) Hangup(context.Context) error {
	select {
	case <-l.done:
	default:
		l.log("(hang up)")
		l.hangUp()
	}
	return nil
}

// scriptedEars make out what a test tells them to, by the first sample.
type scriptedEars struct{}

var signsOf = map[int16]sign{1: signPerson, 2: signMachine, 3: signBeep}

func (scriptedEars) Hear(samples []int16) []sign { return []sign{signsOf[samples[0]]} }

// rehearsal is a performance that a test watches.
type rehearsal struct {
	line  *fakeLine
	play  *performance
	steps []string
	ended bool // the call was over when it was performed
}

// rehearse performs a script while the far end does what happens, at moments
// since the answer: "1.5s 9" presses a digit, "2s bye" hangs up, "1s person",
// "1s machine" and "2s beep" are made out, "3s end" ends the context.
func rehearse(t *testing.T, source string, change func(*rehearsal), happens ...string) *rehearsal {
	t.Helper()
	parsed, err := script.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	voice := &chanter{}
	all, err := speakAll(t.Context(), voice, parsed, "en")
	if err != nil {
		t.Fatal(err)
	}
	line := &fakeLine{chanter: voice, digits: make(chan rune, 64), done: make(chan struct{})}
	r := &rehearsal{line: line}
	r.play = &performance{
		line: line, script: parsed, sounds: all, now: time.Now,
		rules: rules{
			machines: Machines{WaitForBeep: 10 * time.Second, Rules: answering.Rules{TotalAnalysisTime: 3 * time.Second}},
			record:   true, longestRecording: time.Minute, person: "+155", dial: func(n string) string { return n },
		},
		note: func(code string, args map[string]any) { r.steps = append(r.steps, strings.TrimPrefix(code, "call_")) },
	}
	if change != nil {
		change(r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var far sync.WaitGroup
	for _, event := range happens {
		when, what, _ := strings.Cut(event, " ")
		after, err := time.ParseDuration(when)
		if err != nil {
			t.Fatal(err)
		}
		far.Go(func() {
			timer := time.NewTimer(after)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-line.done:
				return
			}
			r.happen(what, cancel)
		})
	}
	r.play.perform(ctx)
	r.ended = r.play.over()
	line.hangUp()
	far.Wait()
	return r
}

func (r *rehearsal) happen(what string, end func()) {
	switch what {
	case "bye":
		r.line.hangUp()
	case "end":
		end()
	case "person", "machine", "beep":
		r.line.mu.Lock()
		defer r.line.mu.Unlock()
		for sample, s := range signsOf {
			if string(s) == what && r.line.hear != nil {
				r.line.hear([]int16{sample})
			}
		}
	default:
		digits, leaves := strings.CutSuffix(what, " bye")
		for _, digit := range digits {
			r.line.digits <- digit
		}
		if leaves {
			r.line.hangUp()
		}
	}
}

// came is all that came of a rehearsal, on one line.
func (r *rehearsal) came() string {
	p := r.play
	out := fmt.Sprintf("%s %v/%v", p.by, p.heard, p.of)
	for word, is := range map[string]bool{" confirmed": p.confirmed, " stopped": p.stopped, " transferred": p.transferred, " dismissed": p.dismissed, " reached": p.reached(), " unconfirmed": slices.Contains(r.steps, "unconfirmed")} {
		if is {
			out += word
		}
	}
	parts := strings.Fields(out)
	slices.Sort(parts[2:])
	return strings.Join(parts, " ")
}
