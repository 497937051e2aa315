package tones

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"herald/e2e/peers"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/wav"
)

// hear gives the sound in pieces of some size.
func hear(samples []int16, piece int) string {
	var d Detector
	var heard strings.Builder
	for len(samples) > 0 {
		n := min(piece, len(samples))
		heard.WriteString(d.Hear(samples[:n]))
		samples = samples[n:]
	}
	return heard.String()
}

func TestDigitsAreHeardAsTheyWerePressed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.StringMatching(`[0-9*#A-D]{0,12}`).Draw(t, "digits")
		each := time.Duration(rapid.IntRange(60, 200).Draw(t, "ms")) * time.Millisecond
		sound := append(make([]int16, rapid.IntRange(0, 300).Draw(t, "before")), Sound(digits, each)...)
		law := rapid.SampledFrom([]g711.Law{g711.Mu, g711.A}).Draw(t, "law")
		if heard := hear(law.Decode(law.Encode(sound)), rapid.IntRange(1, 1000).Draw(t, "piece")); heard != digits {
			t.Fatalf("%q of %v is heard as %q", digits, each, heard)
		}
	})
}

func TestNoiseDoesNotHideADigit(t *testing.T) {
	noise := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // noise
	sound := Sound("1590*#ABCD", 80*time.Millisecond)
	for i := range sound {
		sound[i] += int16(noise.NormFloat64() * 600)
	}
	if heard := hear(sound, 160); heard != "1590*#ABCD" {
		t.Errorf("it is heard as %q", heard)
	}
}

func TestAnInstantIsNoDigit(t *testing.T) {
	if heard := hear(Sound("5", 18*time.Millisecond), 160); heard != "" {
		t.Errorf("18 ms are heard as %q", heard)
	}
}

func TestSpeechIsNoDigit(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), peers.Program(t, "espeak-ng", "espeak-ng"), "--stdout", "To confirm press one. To hear this message again press two. To stop these calls press nine. Eleven benevolent elephants.")
	file, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	sox := exec.CommandContext(t.Context(), peers.Program(t, "sox", "sox"), "-t", "wav", "-", "-r", "8000", "-t", "wav", "-")
	sox.Stdin = bytes.NewReader(file)
	if file, err = sox.Output(); err != nil {
		t.Fatal(err)
	}
	samples, _, err := wav.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if heard := hear(samples, 160); heard != "" {
		t.Errorf("%d s of speech are heard as %q", len(samples)/rate, heard)
	}
}

func TestMultimonHearsOurDigits(t *testing.T) {
	const digits = "11#*0598ABCD"
	sox := exec.CommandContext(t.Context(), peers.Program(t, "sox", "sox"), "-t", "wav", "-", "-r", "22050", "-t", "raw", "-e", "signed", "-b", "16", "-L", "-")
	sox.Stdin = bytes.NewReader(wav.Encode(Sound(digits, 100*time.Millisecond), rate))
	raw, err := sox.Output()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), peers.Program(t, "multimon-ng", "multimon-ng"), "-q", "-t", "raw", "-a", "DTMF", "-")
	cmd.Stdin = bytes.NewReader(raw)
	said, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var heard strings.Builder
	for _, found := range regexp.MustCompile(`DTMF: (.)`).FindAllSubmatch(said, -1) {
		heard.Write(found[1])
	}
	if heard.String() != digits {
		t.Errorf("multimon-ng hears %q", heard.String())
	}
}

func FuzzHear(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var d Detector
		samples := make([]int16, len(raw)/2)
		for i := range samples {
			samples[i] = int16(binary.LittleEndian.Uint16(raw[2*i:])) //nolint:gosec // the same bits
		}
		if heard := d.Hear(samples); strings.Trim(heard, Digits) != "" || len(heard) > len(samples)/blockSamples {
			t.Errorf("heard %q", heard)
		}
	})
}
