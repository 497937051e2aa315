package answering

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"herald/dispatch/voice/speech"
	"herald/e2e/peers"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/tones"
	"herald/problem"
)

// sounds makes what is heard on a line.
type sounds struct {
	t       testing.TB
	speaker *speech.Speaker
}

func newSounds(t testing.TB) sounds {
	t.Helper()
	peers.Program(t, "espeak-ng", "espeak-ng")
	speaker, err := speech.New(speech.Config{Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := speaker.Close(); err != nil {
			t.Error(err)
		}
	})
	return sounds{t, speaker}
}

func (s sounds) say(locale, text string) []int16 {
	s.t.Helper()
	samples, err := s.speaker.Speak(s.t.Context(), text, locale)
	if err != nil {
		s.t.Fatal(err)
	}
	return samples
}

func silence(lasts time.Duration) []int16 { return make([]int16, int(lasts*rate/time.Second)) }

func beepOf(hertz float64, lasts time.Duration) []int16 { return tones.Sine(hertz, lasts, 8000) }

// noise is white, and as loud on average as it is said.
func noise(lasts time.Duration, loud int) []int16 {
	random := rand.New(rand.NewPCG(1, 2))
	samples := silence(lasts)
	for i := range samples {
		samples[i] = int16(random.IntN(4*loud+1) - 2*loud)
	}
	return samples
}

// music is a melody of chords without rests, as one waits to.
func music(lasts time.Duration) []int16 {
	const each = 400 * time.Millisecond
	var samples []int16
	for i := 0; len(samples) < len(silence(lasts)); i++ {
		root := []float64{262, 330, 392, 523}[i%4]
		chord := tones.Sine(root, each, 3000)
		for _, above := range []float64{1.26, 1.5, 2} {
			for j, s := range tones.Sine(root*above, each, 2000) {
				chord[j] += s
			}
		}
		samples = append(samples, chord...)
	}
	return samples
}

func mixed(a, b []int16) []int16 {
	out := slices.Clone(a)
	for i := range min(len(a), len(b)) {
		out[i] += b[i]
	}
	return out
}

const ms = time.Millisecond

// line is what comes by telephone when parts follow each other.
func line(law g711.Law, parts ...[]int16) []int16 {
	return law.Decode(law.Encode(slices.Concat(parts...)))
}

// heard is what a detector makes of a line: its verdict, and after how many
// milliseconds it beeped; 0: it did not.
type heard struct {
	Verdict Verdict
	Beeped  int
}

func hear(rules Rules, samples []int16) heard {
	d := New(rules)
	var h heard
	for len(samples) > 0 {
		n := min(frameSamples, len(samples))
		h.Verdict = d.Hear(samples[:n])
		samples = samples[n:]
		if !d.Beeped() {
			h.Beeped += n * 1000 / rate
		}
	}
	if !d.Beeped() {
		h.Beeped = 0
	}
	return h
}

// answers are lines and who is there.
func answers(s sounds) map[Verdict]map[string][][]int16 {
	after := silence(3 * time.Second)
	people := map[string][][]int16{
		"says nothing":               {silence(4 * time.Second)},
		"says nothing, on a line":    {noise(4*time.Second, 60)},
		"breathes once":              {silence(500 * ms), noise(60*ms, 600), silence(4 * time.Second)},
		"picks up with a click":      {beepOf(300, 20*ms), silence(4 * time.Second)},
		"waits, then says hello":     {silence(1500 * ms), s.say("en", "Hello?"), after},
		"says hello on a noisy line": {mixed(slices.Concat(silence(400*ms), s.say("en", "Hello?"), after), noise(5*time.Second, 100))},
	}
	for _, said := range []struct{ locale, text string }{
		{"en", "Hello?"},
		{"en", "Yes?"},
		{"en", "Miller."},
		{"en", "Hello, Miller."},
		{"en", "Hi, this is Ann."},
		{"en-US", "Hello?"},
		{"en-US", "Good morning."},
		{"zh", "喂？"},
		{"zh", "喂，你好。"},
		{"zh", "你好，哪位？"},
		{"zh", "您好，请讲。"},
		{"zh", "喂，请问哪位？"},
		{"zh-HK", "喂？"},
		{"de", "Müller."},
		{"de", "Ja, hallo?"},
	} {
		people["says "+said.locale+" "+said.text] = [][]int16{silence(200 * ms), s.say(said.locale, said.text), after}
	}
	machines := map[string][][]int16{
		"has music":        {music(6 * time.Second)},
		"is a loud line":   {noise(6*time.Second, 1500)},
		"beeps at once":    {silence(300 * ms), beepOf(1000, 400*ms), silence(1 * time.Second)},
		"says little":      {silence(200 * ms), s.say("en", "Leave a message."), silence(300 * ms), beepOf(1400, 300*ms), after},
		"beeps many times": {silence(200 * ms), s.say("en", "Please leave a message after the tone."), beepOf(900, 150*ms), silence(100 * ms), beepOf(900, 150*ms), after},
	}
	for _, said := range []struct{ locale, text string }{
		{"en", "You have reached Ann Miller. I cannot take your call right now. Please leave a message after the tone."},
		{"en", "Hi, this is Bob. Leave me a message and I will call you back."},
		{"en", "The person you are calling is not available. At the tone, please record your message."},
		{"en-US", "Thank you for calling. Our office is closed. Please leave your name and number after the beep."},
		{"zh", "您好，您拨打的用户暂时无法接听，请在听到提示音后留言。"},
		{"zh", "这里是王小明的语音信箱，请留言。"},
		{"zh", "对不起，您拨打的电话正在通话中，请稍后再拨。"},
		{"zh-HK", "你好，我而家唔得閒，請喺訊號之後留低口訊。"},
		{"de", "Guten Tag, hier ist der Anrufbeantworter von Anna Müller. Bitte sprechen Sie nach dem Ton."},
	} {
		machines["says "+said.locale+" "+said.text] = [][]int16{silence(300 * ms), s.say(said.locale, said.text), silence(400 * ms), beepOf(1000, 500*ms), after}
	}
	return map[Verdict]map[string][][]int16{Person: people, Machine: machines}
}

func TestWhoAnswers(t *testing.T) {
	for want, lines := range answers(newSounds(t)) {
		right, all := 0, 0
		for who, parts := range lines {
			for _, law := range []g711.Law{g711.Mu, g711.A} {
				all++
				if got := hear(Rules{}, line(law, parts...)); got.Verdict == want {
					right++
				} else {
					t.Errorf("%s, by %s: a %s that %s", got.Verdict, law, want, who)
				}
			}
		}
		t.Logf("a %s: %d of %d", want, right, all)
	}
}

func TestBeeps(t *testing.T) {
	s := newSounds(t)
	greeting := slices.Concat(silence(300*ms), s.say("en", "You have reached Ann Miller. Please leave a message after the tone."), silence(400*ms))
	after := silence(1500 * ms) // less than counts as a beep
	for _, c := range []struct {
		rule  string
		parts [][]int16
		// when is how many milliseconds after the greeting; 0: never.
		when int
	}{
		{"400 Hz", [][]int16{beepOf(400, 500*ms), after}, 1100},
		{"440 Hz", [][]int16{beepOf(440, 500*ms), after}, 1100},
		{"850 Hz", [][]int16{beepOf(850, 500*ms), after}, 1100},
		{"1000 Hz", [][]int16{beepOf(1000, 500*ms), after}, 1100},
		{"1400 Hz", [][]int16{beepOf(1400, 500*ms), after}, 1100},
		{"2000 Hz", [][]int16{beepOf(2000, 500*ms), after}, 1100},
		{"2500 Hz", [][]int16{beepOf(2500, 500*ms), after}, 1100},
		{"short", [][]int16{beepOf(1000, 100*ms), after}, 700},
		{"long", [][]int16{beepOf(1000, 1500*ms), after}, 2100},
		{"soft", [][]int16{tones.Sine(1000, 500*ms, 600), after}, 1100},
		{"with noise", [][]int16{mixed(slices.Concat(beepOf(1000, 500*ms), after), noise(2*time.Second, 150))}, 1100},
		{"the last of three", [][]int16{beepOf(1000, 200*ms), silence(200 * ms), beepOf(1000, 200*ms), silence(200 * ms), beepOf(1000, 200*ms), after}, 1600},
		{"none, then silence", [][]int16{silence(3 * time.Second)}, 1600}, // and 400 ms before
		{"too low", [][]int16{beepOf(350, 500*ms), after}, 0},
		{"too high", [][]int16{beepOf(2600, 500*ms), after}, 0},
		{"too short", [][]int16{beepOf(1000, 50*ms), after}, 0},
		{"too long", [][]int16{beepOf(1000, 1700*ms), after}, 0},
		{"busy", [][]int16{beepOf(450, 350*ms), silence(350 * ms), beepOf(450, 350*ms), silence(350 * ms), beepOf(450, 350*ms)}, 0},
		{"two tones", [][]int16{mixed(beepOf(440, 500*ms), beepOf(480, 500*ms)), after}, 0},
		{"a digit", [][]int16{tones.Sound("5", 300*ms), after}, 0},
		{"a siren", [][]int16{beepOf(600, 50*ms), beepOf(800, 50*ms), beepOf(1000, 50*ms), beepOf(1200, 50*ms), after}, 0},
		{"noise", [][]int16{noise(500*ms, 2000), after}, 0},
		{"speech", [][]int16{s.say("en", "Oh, you too?"), after}, 0},
		{"music", [][]int16{music(2 * time.Second)}, 0},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := hear(Rules{}, line(g711.Mu, append([][]int16{greeting}, c.parts...)...))
			if got.Verdict != Machine {
				t.Errorf("it is a %s", got.Verdict)
			}
			when := got.Beeped
			if when > 0 {
				when -= len(greeting) * 1000 / rate
			}
			if c.when == 0 && when != 0 || when < c.when-40 || when > c.when+80 {
				t.Errorf("after %d ms, want %d", when, c.when)
			}
		})
	}
}

// No word that is spoken is taken for a beep.
func TestSpeechIsNoBeep(t *testing.T) {
	s := newSounds(t)
	for locale, texts := range map[string][]string{
		"en": {"Who are you? Who? You two, too. Whom?", "Mmm. Mmm. Aaah. Oooh. Eeeh.", "One two three four five six seven eight nine ten."},
		"zh": {"喂。喂。喂？", "一二三四五六七八九十", "哦。啊。嗯。"},
	} {
		for _, text := range texts {
			if got := hear(Rules{SilenceForBeep: time.Minute}, line(g711.A, s.say(locale, text), silence(time.Second))); got.Beeped > 0 {
				t.Errorf("%s is a beep after %d ms", text, got.Beeped)
			}
		}
	}
}

func TestRules(t *testing.T) {
	hello := newSounds(t).say("en", "Hello?")
	for _, c := range []struct {
		rule  string
		rules Rules
		parts [][]int16
		want  Verdict
	}{
		{"a shorter greeting is a machine's", Rules{Greeting: 200 * ms}, [][]int16{hello, silence(time.Second)}, Machine},
		{"fewer words are a machine's", Rules{MaximumNumberOfWords: 1}, [][]int16{hello, silence(time.Second)}, Machine},
		{"no word may be so long", Rules{MaximumWordLength: 150 * ms}, [][]int16{hello, silence(time.Second)}, Machine},
		{"all is silence that is not loud enough", Rules{SilenceThreshold: 30_000}, [][]int16{music(3 * time.Second)}, Person},
		{"silence is not waited for as long", Rules{InitialSilence: 300 * ms}, [][]int16{silence(400 * ms)}, Person},
		{"nor after a word", Rules{AfterGreetingSilence: 300 * ms}, [][]int16{hello, silence(450 * ms)}, Person},
		{"a word so short is none", Rules{MinimumWordLength: time.Second}, [][]int16{hello, silence(1500 * ms)}, Unknown},
		{"there is no time for it", Rules{TotalAnalysisTime: 100 * ms}, [][]int16{hello, silence(4 * time.Second)}, Unknown},
		{"a beep tells without time", Rules{TotalAnalysisTime: 100 * ms}, [][]int16{hello, silence(300 * ms), beepOf(1000, 300*ms), silence(time.Second)}, Machine},
		{"nor is a person's a machine's", Rules{}, [][]int16{hello, silence(time.Second), beepOf(1000, 300*ms), silence(time.Second)}, Person},
	} {
		if got := hear(c.rules, slices.Concat(c.parts...)); got.Verdict != c.want {
			t.Errorf("%s: %s, want %s", c.rule, got.Verdict, c.want)
		}
	}
}

func TestRulesThatMakeNoSense(t *testing.T) {
	var mistakes problem.Fields
	Rules{
		SilenceThreshold: -1, InitialSilence: -1, Greeting: 2 * time.Minute, AfterGreetingSilence: -1, TotalAnalysisTime: -1, MinimumWordLength: -1,
		MaximumWordLength: -1, BetweenWordsSilence: -1, MaximumNumberOfWords: -1, SilenceForBeep: -1,
	}.Check(&mistakes, "machines.")
	var p *problem.Error
	if !errors.As(mistakes.Err("x"), &p) || len(p.Fields) != 10 || p.Fields[0].Path != "machines.initial_silence" {
		t.Errorf("%+v", p)
	}
	mistakes = nil
	if (Rules{}).withDefaults().Check(&mistakes, ""); mistakes != nil {
		t.Errorf("the defaults: %v", mistakes)
	}
}

// However the samples are divided, verdict and beep come with the same one.
func TestItDoesNotMatterHowSamplesCome(t *testing.T) {
	s := newSounds(t)
	lines := [][]int16{
		line(g711.Mu, s.say("en", "Hello?"), silence(2*time.Second)),
		line(g711.A, s.say("zh", "这里是王小明的语音信箱，请留言。"), silence(300*ms), beepOf(1000, 300*ms), silence(time.Second)),
		music(3 * time.Second),
	}
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SampledFrom(lines).Draw(t, "line")
		samples = samples[rapid.IntRange(0, frameSamples).Draw(t, "from"):]
		want := hear(Rules{}, samples)
		d, verdict, beeped, n := New(Rules{}), Unknown, false, 0
		size := rapid.IntRange(1, 5000)
		for n < len(samples) {
			to := min(len(samples), n+size.Draw(t, "size"))
			was := verdict
			if verdict = d.Hear(samples[n:to]); was != Unknown && verdict != was {
				t.Fatalf("from %s to %s", was, verdict)
			}
			n = to
			if d.Beeped() && !beeped {
				beeped = true
				if at := n * 1000 / rate; at < want.Beeped {
					t.Fatalf("it beeped after %d ms, want %d", at, want.Beeped)
				}
			}
		}
		if diff := cmp.Diff(want.Verdict, verdict); diff != "" || beeped != (want.Beeped > 0) {
			t.Fatal(diff, fmt.Sprint("beeped: ", beeped))
		}
	})
}

// Whatever is heard, there is a verdict by the end of the time, or none.
func TestAVerdictStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := New(Rules{})
		verdict := Unknown
		for range rapid.IntRange(1, 30).Draw(t, "parts") {
			lasts := time.Duration(rapid.IntRange(10, 1000).Draw(t, "ms")) * ms
			part := [][]int16{silence(lasts), noise(lasts, 1000), beepOf(1000, lasts)}[rapid.IntRange(0, 2).Draw(t, "sound")]
			now := d.Hear(part)
			if verdict != Unknown && now != verdict {
				t.Fatalf("from %s to %s", verdict, now)
			}
			if d.Beeped() && now != Machine {
				t.Fatalf("a %s beeped", now)
			}
			verdict = now
		}
	})
}

func BenchmarkASecond(b *testing.B) {
	samples := slices.Concat(beepOf(1000, 500*ms), noise(500*ms, 1000))
	for b.Loop() {
		New(Rules{}).Hear(samples)
	}
}
