package speech

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"herald/e2e/peers"
	"herald/hardware/sip/siptest"
	"herald/hardware/sip/tones"
	"herald/hardware/sip/wav"
	"herald/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func speaker(t *testing.T, change func(*Config)) *Speaker {
	t.Helper()
	cfg := Config{Cache: t.TempDir()}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// spokenBy is a configuration with a shell's script for the program; $1 is a
// file with sound, $2 the voice.
func spokenBy(t *testing.T, script string) func(*Config) {
	t.Helper()
	sound := filepath.Join(t.TempDir(), "sound.wav")
	write(t, sound, wav.Encode(tones.Sine(440, time.Second, 8000), lineRate))
	return func(cfg *Config) { cfg.Command = []string{"sh", "-c", script, "sh", sound, "{voice}"} }
}

func write(t *testing.T, path string, octets []byte) {
	t.Helper()
	if err := os.WriteFile(path, octets, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

func kept(t *testing.T, dir string) (files []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		files = append(files, entry.Name())
	}
	return files
}

func TestEspeakSpeaksEachLanguage(t *testing.T) {
	peers.Program(t, "espeak-ng", "espeak-ng")
	s := speaker(t, nil)
	said := map[string][]int16{}
	for locale, text := range map[string]string{
		"en": "Good day, your tea now costs five pounds.", "en-GB": "Good day, your tea now costs five pounds.",
		"zh-CN": "您好，您的茶现在五十元。", "zh": "您好，您的茶现在五十元。", "zh-HK": "您好，您的茶现在五十元。", "de-CH": "Guten Tag, Ihr Tee kostet jetzt fünf Franken.",
	} {
		samples, err := s.Speak(t.Context(), text, locale)
		if err != nil {
			t.Errorf("%s: %v", locale, err)
			continue
		}
		said[locale] = samples
		if long := siptest.Sounding(samples); long < 1500*time.Millisecond || long > 6*time.Second {
			t.Errorf("%s: it sounds for %s", locale, long)
		}
	}
	if !cmp.Equal(said["zh"], said["zh-CN"]) || cmp.Equal(said["zh"], said["zh-HK"]) {
		t.Error("Mandarin is spoken in mainland China, Cantonese in Hong Kong")
	}
	hello, err := s.Speak(t.Context(), "您好", "zh")
	if long := siptest.Sounding(hello); err != nil || long > 900*time.Millisecond {
		t.Errorf("two syllables take %s, %v: they are spelt", long, err)
	}
	if like := siptest.Likeness(said["en"], said["de-CH"]); like > siptest.Unlike {
		t.Errorf("English is %.2f like German", like)
	}
}

func TestSpeechIsMadeOnce(t *testing.T) {
	runs := filepath.Join(t.TempDir(), "runs")
	dir := t.TempDir()
	by := spokenBy(t, `cat >/dev/null; echo "$2" >>`+runs+`; cat "$1"`)
	change := func(cfg *Config) { by(cfg); cfg.Cache = dir }
	s := speaker(t, change)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if samples, err := s.Speak(t.Context(), "hello", "en"); err != nil || len(samples) == 0 {
				t.Errorf("%d samples, %v", len(samples), err)
			}
		})
	}
	all.Wait()
	if ran := read(t, runs); ran != "en\n" {
		t.Errorf("it ran for %q", ran)
	}
	first, err := s.Speak(t.Context(), "hello", "en")
	if err != nil {
		t.Fatal(err)
	}
	again, err := speaker(t, change).Speak(t.Context(), "hello", "en")
	if err != nil || !cmp.Equal(first, again) {
		t.Errorf("another one finds something else, %v", err)
	}
	for _, other := range []struct{ text, locale string }{{"hello you", "en"}, {"hello", "de"}} {
		if _, err := s.Speak(t.Context(), other.text, other.locale); err != nil {
			t.Fatal(err)
		}
	}
	if ran := read(t, runs); ran != "en\nen\nde\n" {
		t.Errorf("it ran for %q", ran)
	}
	info, err := os.Stat(filepath.Join(dir, kept(t, dir)[0]))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may listen to it: %v, %v", info.Mode(), err)
	}
}

func TestWhatIsPrivateIsNotKept(t *testing.T) {
	dir := t.TempDir()
	s := speaker(t, func(cfg *Config) { cfg.Cache = dir })
	private, err := s.SpeakPrivately(t.Context(), "Your code is 4 7 1 1.", "en")
	if err != nil || len(private) == 0 {
		t.Fatalf("%d samples, %v", len(private), err)
	}
	if files := kept(t, dir); len(files) != 0 {
		t.Errorf("it is kept in %v", files)
	}
	if said, err := s.Speak(t.Context(), "Your code is 4 7 1 1.", "en"); err != nil || !cmp.Equal(said, private) {
		t.Errorf("it sounds otherwise than what is not private, %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SpeakPrivately(t.Context(), "Your code is 4 7 1 1.", "en"); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestSoManyProgramsRunAtOnce(t *testing.T) {
	dir := t.TempDir()
	by := spokenBy(t, `mkdir `+dir+`/one || echo clash >>`+dir+`/clash; cat "$1"; rmdir `+dir+`/one`)
	s := speaker(t, func(cfg *Config) { by(cfg); cfg.Programs = 1 })
	var all sync.WaitGroup
	for _, text := range strings.Split("abcdefgh", "") {
		all.Go(func() {
			if _, err := s.Speak(t.Context(), text, "en"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if clash := read(t, dir+"/clash"); clash != "" {
		t.Error(clash)
	}
}

func TestAProgramThatFails(t *testing.T) {
	for _, c := range []struct{ rule, script, want string }{
		{"it says why", `echo "first"; echo "no such voice: $2" >&2; exit 3`, "sh: exit status 3: no such voice: en"},
		{"the text is not in the error", `echo "cannot say: $(cat)" >&2; exit 1`, "sh: exit status 1: cannot say: …"},
		{"what it says is cut", `head -c 3000 /dev/zero | tr '\0' x >&2; exit 1`, "sh: exit status 1: " + strings.Repeat("x", 200) + "…"},
		{"it gives no sound file", `echo hello`, "it is no WAV file of one channel"},
		{"it gives nothing", `true`, "it is no WAV file of one channel"},
		{"it gives silence", `head -c 44 "$1"; head -c 8000 /dev/zero`, "it gave no sound"},
		{"it never ends", `while :; do :; done`, "it took longer than 500ms"},
		{"one that it started never ends", `sh -c 'while :; do :; done' & wait`, "it took longer than 500ms"},
		{"it gives far too much", `cat /dev/zero`, "it gave more than 289024 octets"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			by := spokenBy(t, c.script)
			s := speaker(t, func(cfg *Config) { by(cfg); cfg.Timeout, cfg.Longest = 500*time.Millisecond, 2*time.Second })
			_, err := s.Speak(t.Context(), "Dear Ms Miller, 王小明", "en")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want %q", err, c.want)
			}
			if files := kept(t, s.cache.dir); len(files) > 0 {
				t.Errorf("it is kept: %v", files)
			}
		})
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	for command, want := range map[string]string{"/nowhere/espeak-ng": "apt install espeak-ng", "other-engine-x": "other-engine-x, which speaks in calls, is not there"} {
		s := speaker(t, func(cfg *Config) { cfg.Command = []string{command} })
		_, err := s.Speak(t.Context(), "hello", "en")
		if problem.CodeOf(err) != problem.Unavailable || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v", err)
		}
		if err := s.Check(t.Context(), "en", "zh"); problem.CodeOf(err) != problem.Unavailable || strings.Contains(err.Error(), "zh") {
			t.Errorf("check: %v", err)
		}
	}
}

func TestCheck(t *testing.T) {
	peers.Program(t, "espeak-ng", "espeak-ng")
	s := speaker(t, func(cfg *Config) { cfg.Voices = map[string]string{"de": "nobody"} })
	if err := s.Check(t.Context(), "en", "zh-CN"); err != nil {
		t.Error(err)
	}
	err := s.Check(t.Context(), "de", "en", "not one")
	if err == nil || !strings.Contains(err.Error(), "speech in de: espeak-ng: exit status 1: Error: The specified espeak-ng voice does not exist.") ||
		!strings.Contains(err.Error(), `"not one" is no language`) {
		t.Error(err)
	}
	by := spokenBy(t, `head -c 44 "$1"; head -c 8000 /dev/zero`)
	if err := speaker(t, by).Check(t.Context(), "en"); err == nil || !strings.Contains(err.Error(), "sh: it gave no sound") {
		t.Error(err)
	}
	if files := kept(t, s.cache.dir); len(files) > 0 {
		t.Errorf("a check is kept: %v", files)
	}
}

// The program's environment has nothing of ours that is secret; control
// characters, which are commands for espeak-ng, are not in its text.
func TestWhatTheProgramGets(t *testing.T) {
	t.Setenv("HERALD_SECRET", "x")
	dir := t.TempDir()
	s := speaker(t, spokenBy(t, `env >`+dir+`/env; cat >`+dir+`/text; cat "$1"`))
	if _, err := s.Speak(t.Context(), " a\x01b\nc\x00 ", "en"); err != nil {
		t.Fatal(err)
	}
	if env := read(t, dir+"/env"); strings.Contains(env, "HERALD") || !strings.Contains(env, "PATH=") || !strings.Contains(env, "LANG=C.UTF-8") {
		t.Errorf("environment %q", env)
	}
	if text := read(t, dir+"/text"); text != "a b\nc" {
		t.Errorf("text %q", text)
	}
}

func TestWhatHasNoSound(t *testing.T) {
	s := speaker(t, spokenBy(t, `head -c 44 "$1"; head -c 8000 /dev/zero`))
	for _, text := range []string{"", " \n", "…"} {
		if samples, err := s.Speak(t.Context(), text, "en"); err != nil || len(samples) != 0 {
			t.Errorf("%q: %d samples, %v", text, len(samples), err)
		}
	}
	if _, err := s.Speak(t.Context(), "hello", "../etc"); err == nil || !strings.Contains(err.Error(), "is no language") {
		t.Errorf("err = %v", err)
	}
}

// Who leaves does not end what others wait for; Close ends all.
func TestLeaving(t *testing.T) {
	dir := t.TempDir()
	begun := filepath.Join(dir, "begun")
	s := speaker(t, spokenBy(t, `echo >`+begun+`; while [ ! -e `+dir+`/go ]; do :; done; cat "$1"`))
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, 2)
	var all sync.WaitGroup
	all.Go(func() { _, err := s.Speak(ctx, "hello", "en"); results <- err })
	for read(t, begun) == "" {
		runtime.Gosched()
	}
	cancel()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	all.Go(func() { _, err := s.Speak(t.Context(), "hello", "en"); results <- err })
	write(t, filepath.Join(dir, "go"), nil)
	if err := <-results; err != nil {
		t.Errorf("who stayed got %v", err)
	}

	if err := errors.Join(os.Remove(filepath.Join(dir, "go")), os.Remove(begun)); err != nil {
		t.Fatal(err)
	}
	all.Go(func() { _, err := s.Speak(t.Context(), "good day", "en"); results <- err })
	for read(t, begun) == "" {
		runtime.Gosched()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("who spoke at the end got %v", err)
	}
	all.Wait()
	if _, err := s.Speak(t.Context(), "hello", "en"); !errors.Is(err, ErrClosed) {
		t.Errorf("after it: %v", err)
	}
}

func TestNew(t *testing.T) {
	_, err := New(Config{
		Command: []string{""}, Voices: map[string]string{"en": "-w/etc/passwd", "a b": "x"}, Speed: 20, Timeout: -1, Longest: 2 * time.Hour, Programs: -1,
		CacheSize: -1, Sounds: "/nowhere",
	})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Invalid {
		t.Fatalf("err = %v", err)
	}
	var paths []string
	for _, f := range p.Fields {
		paths = append(paths, f.Path)
	}
	want := []string{"command", "voices.a b", "voices.en", "speed", "timeout", "longest", "programs", "cache", "cache_size", "sounds"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	if _, err := New(Config{Cache: file}); err == nil {
		t.Error("a file is a folder")
	}
}

func TestVoices(t *testing.T) {
	configured := newVoices(map[string]string{"EN": "anna", "zh-TW": "mei", "en-us-x-slow": "slow"})
	for _, c := range []struct {
		v      voices
		locale string
		want   string
	}{
		{usual, "", "en"},
		{usual, "en-US", "en-us"},
		{usual, "en-AU", "en"},
		{usual, "zh", "cmn-latn-pinyin"},
		{usual, "zh-CN", "cmn-latn-pinyin"},
		{usual, "zh_Hans_CN", "cmn-latn-pinyin"},
		{usual, "zh-HK", "yue"},
		{usual, "de-x-y", "de"},
		{configured, "en-GB", "anna"},
		{configured, "en-US", "anna"},
		{configured, "en-US-x-slow", "slow"},
		{configured, "en-US-x-fast", "anna"},
		{configured, "zh-TW", "mei"},
		{configured, "zh-CN", "cmn-latn-pinyin"},
	} {
		if voice, err := c.v.of(c.locale); voice != c.want || err != nil {
			t.Errorf("%q is spoken by %q, %v, want %q", c.locale, voice, err, c.want)
		}
	}
}

func TestWithout(t *testing.T) {
	for _, c := range []struct{ line, text, want string }{
		{"cannot say Miller today", "Dear Ms Miller", "cannot say… today"},
		{"bad: 王小明!", "您好，王小明。", "bad: …!"},
		{"no voice", "no", "no voice"},
		{"İstanbul", "istanbul", "…"}, // whose small form is shorter
		{"nothing of it", "x", "nothing of it"},
	} {
		if got := without(c.line, c.text); got != c.want {
			t.Errorf("%q without %q is %q, want %q", c.line, c.text, got, c.want)
		}
	}
}
