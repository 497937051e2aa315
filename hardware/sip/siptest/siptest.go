// Package siptest is what the tests of telephone calls have in common:
// prompts to say, what they were heard as, and telephones and exchanges that
// we did not write.
package siptest

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/wav"
)

// Prompt is a text spoken by espeak-ng, 8,000 samples a second.
func Prompt(t testing.TB, text string) []int16 {
	t.Helper()
	file, err := exec.CommandContext(t.Context(), peers.Program(t, "espeak-ng", "espeak-ng"), "--stdout", text).Output()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), peers.Program(t, "sox", "sox"), "-D", "-t", "wav", "-", "-r", "8000", "-t", "wav", "-")
	cmd.Stdin = bytes.NewReader(file)
	if file, err = cmd.Output(); err != nil {
		t.Fatal(err)
	}
	samples, _, err := wav.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

// ReadWAV is the sound of a file.
func ReadWAV(t testing.TB, path string) []int16 {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	samples, _, err := wav.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

const (
	window = g711.Rate / 100 // 10 ms
	// Like is what the Likeness of a prompt and its recording is at least: less
	// than 1, since frames are left out where a machine is too busy for them.
	Like = 0.9
	// Unlike is what that of another prompt, about as long, is at most.
	Unlike = 0.6
)

// Likeness is how much of a recording is what was said: the correlation
// (Pearson's) of their loudness every 10 ms, where they lie best upon each
// other. 1: all of it; the recording may be longer, and begin earlier.
func Likeness(said, heard []int16) float64 {
	a, b := envelope(said), envelope(heard)
	best := 0.0
	for lag := -len(a) / 4; lag <= max(0, len(b)-len(a)/2); lag++ {
		part := make([]float64, len(a))
		for i := range part {
			if at := lag + i; at >= 0 && at < len(b) {
				part[i] = b[at]
			}
		}
		best = max(best, correlation(a, part))
	}
	return best
}

// Sounding is how long a recording is from its first to its last sound.
func Sounding(samples []int16) time.Duration {
	const quiet = 100
	first, last := -1, -1
	for i, loud := range envelope(samples) {
		if loud > quiet {
			if last = i; first < 0 {
				first = i
			}
		}
	}
	if first < 0 {
		return 0
	}
	return time.Duration(last-first+1) * 10 * time.Millisecond
}

func envelope(samples []int16) []float64 {
	var loud []float64
	for len(samples) >= window {
		var sum float64
		for _, s := range samples[:window] {
			sum += float64(s) * float64(s)
		}
		loud = append(loud, math.Sqrt(sum/window))
		samples = samples[window:]
	}
	return loud
}

func correlation(a, b []float64) float64 {
	var meanA, meanB float64
	for i := range a {
		meanA += a[i] / float64(len(a))
		meanB += b[i] / float64(len(a))
	}
	var ab, aa, bb float64
	for i := range a {
		x, y := a[i]-meanA, b[i]-meanB
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

func encode(samples []int16) []byte { return wav.Encode(samples, g711.Rate) }
