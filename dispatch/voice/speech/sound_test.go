package speech

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"herald/e2e/peers"
	"herald/hardware/sip/wav"
	"herald/problem"
)

// tone is one frequency at any rate, for a second.
func tone(hertz float64, rate int, loud float64) []int16 {
	samples := make([]int16, rate)
	for i := range samples {
		samples[i] = int16(math.Round(loud * math.Sin(2*math.Pi*hertz*float64(i)/float64(rate))))
	}
	return samples
}

// decibels is how loud the middle of sound is, against a tone of 10,000.
func decibels(samples []float64) float64 {
	var power float64
	middle := samples[len(samples)/4 : len(samples)*3/4]
	for _, s := range middle {
		power += s * s
	}
	return 10 * math.Log10(power/float64(len(middle))/(10_000*10_000/2))
}

func TestResamplingPassesWhatATelephoneCarriesAndNothingElse(t *testing.T) {
	for _, rate := range []int{11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 22_051} {
		for _, hertz := range []float64{100, 1000, 3400} {
			if loud := decibels(resampled(tone(hertz, rate, 10_000), rate)); math.Abs(loud) > 0.1 {
				t.Errorf("%g Hz at %d: %.1f dB", hertz, rate, loud)
			}
		}
		for _, hertz := range []float64{4100, 5000, 7900} {
			if hertz > float64(rate)/2 {
				continue
			}
			if loud := decibels(resampled(tone(hertz, rate, 10_000), rate)); loud > -60 {
				t.Errorf("%g Hz at %d: %.1f dB", hertz, rate, loud)
			}
		}
	}
	if loud := decibels(resampled(tone(1000, 6000, 10_000), 6000)); math.Abs(loud) > 0.1 {
		t.Errorf("upwards: %.1f dB", loud)
	}
}

// Speech that sox resamples is the same, sample by sample.
func TestResamplingIsLikeSox(t *testing.T) {
	file, err := exec.CommandContext(t.Context(), peers.Program(t, "espeak-ng", "espeak-ng"), "--stdout", "Good day, your tea now costs five pounds.").Output()
	if err != nil {
		t.Fatal(err)
	}
	samples, rate, err := wav.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, rate := range []int{rate, 16_000, 44_100} {
		sox := func(from []int16, fromRate, to int, effects ...string) []int16 {
			args := append([]string{"-D", "-t", "wav", "-", "-r", strconv.Itoa(to), "-t", "wav", "-"}, effects...)
			cmd := exec.CommandContext(t.Context(), peers.Program(t, "sox", "sox"), args...)
			cmd.Stdin = bytes.NewReader(wav.Encode(from, fromRate))
			file, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			samples, _, err := wav.Decode(file)
			if err != nil {
				t.Fatal(err)
			}
			return samples
		}
		from := sox(samples, 22_050, rate)
		// What lies between 3,400 and 4,000 Hz may differ.
		want, got := sox(from, rate, lineRate, "sinc", "-3400"), sox(rounded(resampled(from, rate)), lineRate, lineRate, "sinc", "-3400")
		if len(want)-len(got) > 1 || len(got)-len(want) > 1 {
			t.Errorf("from %d: %d samples, by sox %d", rate, len(got), len(want))
		}
		if c := correlation(want[:min(len(got), len(want))], got[:min(len(got), len(want))]); c < 0.999 {
			t.Errorf("from %d: correlation %.5f", rate, c)
		}
	}
}

func rounded(samples []float64) []int16 {
	out := make([]int16, len(samples))
	for i, s := range samples {
		out[i] = int16(math.Round(s))
	}
	return out
}

func correlation(a, b []int16) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / math.Sqrt(aa*bb)
}

// Whatever is spoken is as loud as the rest, never distorted, and neither
// begins nor ends with long silence.
func TestLevelAndTrim(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loud := rapid.Float64Range(300, 30_000).Draw(t, "loud")
		before, sounds, after := rapid.IntRange(0, lineRate).Draw(t, "before"), rapid.IntRange(lineRate/2, lineRate).Draw(t, "sound"), rapid.IntRange(0, lineRate).Draw(t, "after")
		samples := make([]float64, before+sounds+after)
		for i := range sounds {
			samples[before+i] = loud * math.Sin(2*math.Pi*700*float64(i)/lineRate)
		}
		out := trimmed(levelled(samples))
		if most := sounds + 2*margin + 2*window; len(out) > most || len(out) < sounds {
			t.Fatalf("%d samples of %d", len(out), sounds)
		}
		var loudest, peak float64
		for _, l := range windows(out[:len(out)/window*window]) { // the last one may be too short to say
			loudest = max(loudest, l)
		}
		for _, s := range out {
			peak = max(peak, math.Abs(float64(s)))
		}
		if peak > peakLevel+1 || math.Abs(20*math.Log10(loudest/speechLevel)) > 0.5 && loud > speechLevel*math.Sqrt2/mostGain {
			t.Fatalf("loudness %.0f, peak %.0f", loudest, peak)
		}
	})
}

func TestSilenceStaysSilence(t *testing.T) {
	for rule, samples := range map[string][]float64{"none": nil, "zeros": make([]float64, lineRate), "a little noise": {1, -1, 1, -1}} {
		if out := trimmed(levelled(samples)); len(out) != 0 {
			t.Errorf("%s: %d samples", rule, len(out))
		}
	}
}

func TestRecordings(t *testing.T) {
	dir := t.TempDir()
	sounds := filepath.Join(dir, "sounds")
	if err := os.MkdirAll(filepath.Join(sounds, "folder.wav"), 0o700); err != nil {
		t.Fatal(err)
	}
	sound := wav.Encode(tone(800, 16_000, 5000), 16_000)
	write(t, filepath.Join(sounds, "chime.wav"), sound)
	write(t, filepath.Join(sounds, "text.wav"), []byte("not a sound"))
	write(t, filepath.Join(sounds, "big.wav"), append(sound, make([]byte, 500_000)...))
	write(t, filepath.Join(sounds, "long.wav"), wav.Encode(make([]int16, 50_000), 16_000))
	write(t, filepath.Join(sounds, ".hidden.wav"), sound)
	write(t, filepath.Join(sounds, "chime.mp3"), sound)
	write(t, filepath.Join(dir, "secret.wav"), sound)
	if err := os.Symlink("../secret.wav", filepath.Join(sounds, "link.wav")); err != nil {
		t.Fatal(err)
	}
	s := speaker(t, func(cfg *Config) { cfg.Sounds, cfg.Longest = sounds, 2*time.Second })
	samples, err := s.Play(t.Context(), "chime.wav")
	if err != nil || len(samples) < lineRate*99/100 || len(samples) > lineRate*101/100 {
		t.Errorf("%d samples, %v", len(samples), err)
	}
	if again, err := s.Play(t.Context(), "chime.wav"); err != nil || !cmp.Equal(again, samples) {
		t.Errorf("the second time it is another one, %v", err)
	}
	for _, name := range []string{"", ".", "..", "other.wav", "../secret.wav", "/etc/passwd", "link.wav", "folder.wav", ".hidden.wav", "chime.mp3", "folder.wav/x.wav", "a\x00.wav"} {
		if _, err := s.Play(t.Context(), name); problem.CodeOf(err) != problem.NotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, want := range map[string]string{"text.wav": "does not begin like one", "big.wav": "octets", "long.wav": "longer than 2s"} {
		if _, err := s.Play(t.Context(), name); problem.CodeOf(err) != problem.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := speaker(t, nil).Play(t.Context(), "chime.wav"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("without a folder: %v", err)
	}
}

func BenchmarkTenSeconds(b *testing.B) {
	samples := make([]int16, 220_500)
	for b.Loop() {
		resampled(samples, 22_050)
	}
}
