// Package speech turns what a call says into sound: a text and its language
// go in, and samples of 16 bits come out, 8,000 a second, as loud as telephones
// want it. A program speaks (espeak-ng, or another one that reads a text and
// writes a WAV file); recordings of a folder come out in the same form. What
// was made once is kept in a folder, and not made again.
package speech

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/sync/singleflight"

	"herald/hardware/sip/wav"
	"herald/problem"
)

// lineRate is how many samples there are in a second on a telephone line.
const lineRate = 8000

// Config says who speaks, and what is kept. What is zero takes the value in
// brackets.
type Config struct {
	// Command is the program that speaks, with its arguments, in which {voice}
	// and {speed} stand for those. It gets the text on its standard input, in
	// UTF-8, and writes a WAV file of one channel and 16 bits to its standard
	// output; no shell is asked (espeak-ng).
	Command []string
	// Voices are the program's names of its voices, by language (BCP 47, such
	// as "zh" or "pt-BR"). A language that has none is called as espeak-ng
	// does it.
	Voices map[string]string
	Speed  int // words a minute (160)
	// Timeout is how long the program may take for a text (30 s), Longest how
	// long what it says may be, and a recording (5 min).
	Timeout, Longest time.Duration
	Programs         int // that run at once (the number of processors)
	// Cache is the folder where speech is kept. CacheSize is how many octets
	// may be in it (256 MiB): what was not asked for the longest goes.
	Cache     string
	CacheSize int64
	// Sounds is the folder of the recordings. Empty: there are none.
	Sounds string

	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
}

// Speaker speaks. It is safe for many goroutines.
type Speaker struct {
	engine engine
	voices voices
	cache  *cache
	sounds string
	most   int // samples
	log    *slog.Logger

	flights singleflight.Group
	base    context.Context // ends with Close: speech goes on when one of those who wait for it leaves
	stop    context.CancelFunc

	mu     sync.Mutex
	closed bool // guarded by mu
	going  sync.WaitGroup
}

// ErrClosed is what Speak gives after Close.
var ErrClosed = errors.New("nothing is spoken any more")

// New makes a Speaker, and its cache's folder; it starts nothing. It fails
// with problem.Invalid by the fields of the configuration, written small.
func New(cfg Config) (*Speaker, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	kept, err := openCache(cfg.Cache, cfg.CacheSize, cfg.Now)
	if err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	s := &Speaker{
		engine: newEngine(cfg), voices: newVoices(cfg.Voices), cache: kept, sounds: cfg.Sounds,
		most: int(cfg.Longest * lineRate / time.Second), log: cfg.Logger,
	}
	s.base, s.stop = context.WithCancel(context.Background())
	return s, nil
}

func (c Config) withDefaults() Config {
	if len(c.Command) == 0 {
		// -b 1: the text is UTF-8; -m: it has markup; -z: no pause at its end.
		c.Command = []string{espeak, "--stdin", "--stdout", "-b", "1", markup, "-z", "-v", "{voice}", "-s", "{speed}"}
	}
	c.Speed = cmp.Or(c.Speed, 160)
	c.Timeout, c.Longest = cmp.Or(c.Timeout, 30*time.Second), cmp.Or(c.Longest, 5*time.Minute)
	c.Programs = cmp.Or(c.Programs, runtime.NumCPU())
	c.CacheSize = cmp.Or(c.CacheSize, 256<<20)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Check finds what New would refuse, and makes nothing.
func (c Config) Check() error {
	c = c.withDefaults()
	var wrong problem.Fields
	if c.Command[0] == "" {
		wrong.Add("command", "required", "name the program that speaks")
	}
	for _, language := range slices.Sorted(maps.Keys(c.Voices)) {
		path := "voices." + language
		if !isTag(language) {
			wrong.Add(path, "language", "%q is no language, such as zh or pt-BR", language)
		}
		if voice := c.Voices[language]; voice == "" || strings.HasPrefix(voice, "-") {
			wrong.Add(path, "voice", "name a voice of the program; it does not begin with a dash")
		}
	}
	const slowest, fastest = 80, 450 // of espeak-ng
	if c.Speed < slowest || c.Speed > fastest {
		wrong.AddArgs("speed", "between", map[string]any{"min": slowest, "max": fastest}, "take %d to %d words a minute", slowest, fastest)
	}
	if c.Timeout < 0 {
		wrong.Add("timeout", "positive", "how long may the program take?")
	}
	if c.Longest < 0 || c.Longest > time.Hour {
		wrong.Add("longest", "between", "take an hour at most")
	}
	if c.Programs < 0 {
		wrong.Add("programs", "positive", "how many may run at once?")
	}
	if c.Cache == "" {
		wrong.Add("cache", "required", "name the folder where speech is kept")
	}
	if c.CacheSize < 0 {
		wrong.Add("cache_size", "positive", "how many octets may be kept?")
	}
	if c.Sounds != "" {
		if info, err := os.Stat(c.Sounds); err != nil || !info.IsDir() {
			wrong.Add("sounds", "folder", "there is no folder %s", c.Sounds)
		}
	}
	return wrong.Err("the speech's configuration is not complete")
}

// Speak gives the sound of a text in the language of locale (BCP 47; empty:
// English), with at most 100 ms of silence at its ends. A text without letters
// and digits may give no samples. The samples may be shared: read them only.
//
// It fails with problem.Unavailable when the program is not installed; other
// errors are the program's, and hold nothing of the text.
func (s *Speaker) Speak(ctx context.Context, text, locale string) ([]int16, error) {
	return s.speak(ctx, text, locale, s.once)
}

// SpeakPrivately is Speak for what is for one person alone, such as a code: it
// is made for each call, and not kept.
func (s *Speaker) SpeakPrivately(ctx context.Context, text, locale string) ([]int16, error) {
	return s.speak(ctx, text, locale, func(ctx context.Context, _ key, create creator) ([]int16, error) {
		return s.wait(ctx, func() ([]int16, error) { return create(s.base) })
	})
}

// creator makes what is not kept.
type creator func(context.Context) ([]int16, error)

// speak has a text spoken by way of get, which creates it or has it already.
func (s *Speaker) speak(ctx context.Context, text, locale string, get func(context.Context, key, creator) ([]int16, error)) ([]int16, error) {
	voice, err := s.voices.of(locale)
	if err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	text = speakable(text)
	if text == "" {
		return []int16{}, nil
	}
	given, err := s.given(text, locale, voice)
	if err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	samples, err := get(ctx, s.engine.key(voice, given), func(ctx context.Context) ([]int16, error) {
		file, err := s.engine.speak(ctx, voice, given)
		if err != nil {
			return nil, err
		}
		samples, err := s.prepared(file)
		if err == nil && len(samples) == 0 && strings.ContainsFunc(text, isSpoken) {
			err = errors.New("it gave no sound")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.engine.program(), err)
		}
		return samples, nil
	})
	if err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	return samples, nil
}

// given is a text as the program is given it.
func (s *Speaker) given(text, locale, voice string) (string, error) {
	switch {
	case s.engine.program() != espeak:
		return text, nil
	case !s.engine.readsMarkup():
		return spoken(text, locale), nil
	}
	english, err := s.voices.of("en")
	if err != nil {
		return "", err
	}
	return marked(text, locale, voice, english), nil
}

// Check speaks a word in each of the languages, past what is kept, and fails
// when the program is not there, does not know a voice or gives no sound.
func (s *Speaker) Check(ctx context.Context, locales ...string) error {
	var all error
	for _, locale := range locales {
		voice, err := s.voices.of(locale)
		if err == nil {
			err = s.checkVoice(ctx, voice)
		}
		if err != nil {
			all = errors.Join(all, fmt.Errorf("speech in %s: %w", locale, err))
		}
		if errors.Is(err, errMissing) {
			break // for the others it is not there either
		}
	}
	return all
}

func (s *Speaker) checkVoice(ctx context.Context, voice string) error {
	file, err := s.engine.speak(ctx, voice, "1 2 3")
	if err != nil {
		return err
	}
	samples, err := s.prepared(file)
	if err == nil && len(samples) == 0 {
		err = errors.New("it gave no sound")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.engine.program(), err)
	}
	return nil
}

// Close ends what is being spoken and returns when no program runs any more.
// Closing again does nothing.
func (s *Speaker) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.going.Wait()
	return nil
}

// once gives what is kept under a key; otherwise it is made, once however many
// ask for it, and kept.
func (s *Speaker) once(ctx context.Context, key key, create creator) ([]int16, error) {
	return s.wait(ctx, func() ([]int16, error) {
		made, err, _ := s.flights.Do(key.String(), func() (any, error) {
			if samples, found := s.cache.get(key); found {
				return samples, nil
			}
			samples, err := create(s.base)
			if err != nil {
				return []int16(nil), err
			}
			if err := s.cache.put(key, samples); err != nil {
				s.log.Warn("speech is not kept", "error", err) // it is spoken all the same
			}
			return samples, nil
		})
		return made.([]int16), err
	})
}

// wait gives what do makes, which goes on when ctx ends: others may wait for it.
func (s *Speaker) wait(ctx context.Context, do func() ([]int16, error)) ([]int16, error) {
	type result struct {
		samples []int16
		err     error
	}
	results := make(chan result, 1)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	s.going.Go(func() {
		samples, err := do()
		results <- result{samples, err}
	})
	s.mu.Unlock()
	select {
	case r := <-results:
		return r.samples, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// prepared is what a WAV file becomes before it is spoken.
func (s *Speaker) prepared(file []byte) ([]int16, error) {
	samples, rate, err := wav.Decode(file)
	if err != nil {
		return nil, err
	}
	if len(samples)/rate > s.most/lineRate {
		return nil, fmt.Errorf("it is longer than %s", time.Duration(s.most)*time.Second/lineRate)
	}
	return trimmed(levelled(resampled(samples, rate))), nil
}

// key is the name of what is kept: of all that makes it what it is.
type key [sha256.Size]byte

func (k key) String() string { return fmt.Sprintf("%x", k[:]) }

// form is that of the samples that are kept. It changes whenever the same file
// becomes other samples.
const form = "1"

func newKey(parts ...string) key {
	hash := sha256.New()
	for _, part := range append(parts, form) {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return key(hash.Sum(nil))
}

// speakable is a text without what is no text: espeak-ng takes some control
// characters for commands.
func speakable(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text))
}

// isSpoken reports whether a character has a sound of its own.
func isSpoken(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
