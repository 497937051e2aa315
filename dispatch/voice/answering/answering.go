// Package answering tells from what is heard after a call was answered whether
// it was by a person or by an answering machine, and when the machine records:
// samples of 16 bits, 8,000 a second, go in as they come, and a verdict comes
// out. It knows nothing of calls and has no clock: time is what was heard.
//
// A person says a word or two and waits; a machine speaks for longer. The
// parameters, and how they are used, are those of the application AMD of
// Asterisk (apps/app_amd.c), with two differences. A quiet line is a person:
// who is taken for a machine hears nothing, or is hung up on, while a machine
// that is taken for a person has only missed some words; people who let
// callers speak first are many, and machines that say nothing are few. And
// more words are a person's: of Chinese, each syllable is one.
package answering

import (
	"cmp"
	"time"

	"herald/problem"
)

// Verdict is who answered.
type Verdict string

// The verdicts. Person and Machine are final.
const (
	// Unknown is the verdict before there is one. When the time for it is
	// over it stays so, unless a beep says that it is a machine.
	Unknown Verdict = "unknown"
	Person  Verdict = "person"
	Machine Verdict = "machine"
)

// Rules are what a Detector goes by. What is zero takes the value in brackets.
type Rules struct {
	// SilenceThreshold is how loud silence is at most: the mean of what the
	// samples of 20 ms are without their signs (256).
	SilenceThreshold int `yaml:"silence_threshold" json:"silence_threshold"`
	// InitialSilence is how long a line is quiet before it is a person's (2.5 s).
	InitialSilence time.Duration `yaml:"initial_silence" json:"initial_silence"`
	// Greeting is how much speech is a machine's (1.5 s).
	Greeting time.Duration `yaml:"greeting" json:"greeting"`
	// AfterGreetingSilence is how long a person waits who has spoken (800 ms).
	AfterGreetingSilence time.Duration `yaml:"after_greeting_silence" json:"after_greeting_silence"`
	// TotalAnalysisTime is when the verdict must have been reached (5 s).
	TotalAnalysisTime time.Duration `yaml:"total_analysis_time" json:"total_analysis_time"`
	// MinimumWordLength is how long a word is at least (100 ms),
	// MaximumWordLength how long a person's is at most (5 s).
	MinimumWordLength time.Duration `yaml:"minimum_word_length" json:"minimum_word_length"`
	MaximumWordLength time.Duration `yaml:"maximum_word_length" json:"maximum_word_length"`
	// BetweenWordsSilence is how long a pause is that ends a word (50 ms).
	BetweenWordsSilence time.Duration `yaml:"between_words_silence" json:"between_words_silence"`
	// MaximumNumberOfWords is how many words are a machine's (6).
	MaximumNumberOfWords int `yaml:"maximum_number_of_words" json:"maximum_number_of_words"`
	// SilenceForBeep is how long a machine is silent that records without a
	// beep (2 s).
	SilenceForBeep time.Duration `yaml:"silence_for_beep" json:"silence_for_beep"`
}

func (r Rules) withDefaults() Rules {
	r.SilenceThreshold = cmp.Or(r.SilenceThreshold, 256)
	r.InitialSilence = cmp.Or(r.InitialSilence, 2500*time.Millisecond)
	r.Greeting = cmp.Or(r.Greeting, 1500*time.Millisecond)
	r.AfterGreetingSilence = cmp.Or(r.AfterGreetingSilence, 800*time.Millisecond)
	r.TotalAnalysisTime = cmp.Or(r.TotalAnalysisTime, 5*time.Second)
	r.MinimumWordLength = cmp.Or(r.MinimumWordLength, 100*time.Millisecond)
	r.MaximumWordLength = cmp.Or(r.MaximumWordLength, 5*time.Second)
	r.BetweenWordsSilence = cmp.Or(r.BetweenWordsSilence, 50*time.Millisecond)
	r.MaximumNumberOfWords = cmp.Or(r.MaximumNumberOfWords, 6)
	r.SilenceForBeep = cmp.Or(r.SilenceForBeep, 2*time.Second)
	return r
}

// Check notes the mistakes under a path, such as "machines.".
func (r Rules) Check(mistakes *problem.Fields, path string) {
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"initial_silence", r.InitialSilence},
		{"greeting", r.Greeting},
		{"after_greeting_silence", r.AfterGreetingSilence},
		{"total_analysis_time", r.TotalAnalysisTime},
		{"minimum_word_length", r.MinimumWordLength},
		{"maximum_word_length", r.MaximumWordLength},
		{"between_words_silence", r.BetweenWordsSilence},
		{"silence_for_beep", r.SilenceForBeep},
	} {
		if field.value < 0 || field.value > time.Minute {
			mistakes.Add(path+field.name, "between", "use up to a minute, such as 800ms")
		}
	}
	const loudest = 1<<15 - 1
	if r.SilenceThreshold < 0 || r.SilenceThreshold > loudest {
		mistakes.AddArgs(path+"silence_threshold", "between", map[string]any{"min": 0, "max": loudest}, "use 0 to %d", loudest)
	}
	if r.MaximumNumberOfWords < 0 {
		mistakes.Add(path+"maximum_number_of_words", "min", "use a number of words")
	}
}

const (
	rate = 8000
	// Samples are looked at so many at a time: 20 ms, as Asterisk gets them.
	frameSamples = 160
	frameTime    = frameSamples * time.Second / rate
)

// Detector listens to one call, from its answer on. It is for one goroutine.
type Detector struct {
	rules   Rules
	waiting []int16 // less than a frame
	verdict Verdict
	beeped  bool
	beep    beep

	heard   time.Duration // of all
	silence time.Duration // until now, without a sound
	word    time.Duration // of sound, with no pause that ends a word
	speech  time.Duration // of sound in all
	words   int
	inWord  bool
	greeted bool // a word was heard
}

// New makes a Detector.
func New(rules Rules) *Detector {
	return &Detector{rules: rules.withDefaults(), verdict: Unknown, waiting: make([]int16, 0, frameSamples)}
}

// Hear takes the next samples and gives the verdict so far. However they are
// divided, the verdict is the same.
func (d *Detector) Hear(samples []int16) Verdict {
	for len(samples) > 0 {
		n := min(frameSamples-len(d.waiting), len(samples))
		d.waiting = append(d.waiting, samples[:n]...)
		samples = samples[n:]
		if len(d.waiting) == frameSamples {
			d.hearFrame(d.waiting)
			d.waiting = d.waiting[:0]
		}
	}
	return d.verdict
}

// Beeped reports whether a machine records now: it has beeped, or was silent
// for long after its greeting.
func (d *Detector) Beeped() bool { return d.beeped }

func (d *Detector) hearFrame(frame []int16) {
	silent := loudness(frame) < d.rules.SilenceThreshold
	if silent {
		d.silence += frameTime
	} else {
		d.silence = 0
	}
	d.heard += frameTime
	if d.verdict == Unknown && d.heard < d.rules.TotalAnalysisTime {
		d.verdict = d.judge(silent)
	}
	switch {
	case d.verdict == Person || d.beeped:
	case d.beep.hear(frame, silent):
		d.verdict, d.beeped = Machine, true
	case d.verdict == Machine && d.silence >= d.rules.SilenceForBeep:
		d.beeped = true
	}
}

// judge is the verdict with one more frame.
func (d *Detector) judge(silent bool) Verdict {
	if silent {
		if d.silence >= d.rules.BetweenWordsSilence {
			d.inWord, d.word = false, 0
		}
		if !d.greeted && d.silence >= d.rules.InitialSilence || d.greeted && d.silence >= d.rules.AfterGreetingSilence {
			return Person
		}
		return Unknown
	}
	d.word += frameTime
	d.speech += frameTime
	if d.word >= d.rules.MinimumWordLength {
		d.greeted = true
		if !d.inWord {
			d.inWord = true
			d.words++
		}
	}
	if d.word >= d.rules.MaximumWordLength || d.words >= d.rules.MaximumNumberOfWords || d.greeted && d.speech >= d.rules.Greeting {
		return Machine
	}
	return Unknown
}

// loudness is the mean of samples without their signs.
func loudness(frame []int16) int {
	sum := 0
	for _, s := range frame {
		sum += max(int(s), -int(s))
	}
	return sum / len(frame)
}
