package wav

import (
	"bytes"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"herald/e2e/peers"
)

func TestWhatWasWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOf(rapid.Int16()).Draw(t, "samples")
		rate := rapid.IntRange(1000, 192_000).Draw(t, "rate")
		read, readRate, err := Decode(Encode(samples, rate))
		if err != nil || readRate != rate || !slices.Equal(read, samples) {
			t.Fatalf("%v at %d is read as %v at %d, %v", samples, rate, read, readRate, err)
		}
	})
}

func TestSoxReadsWhatIsWrittenByTheLaw(t *testing.T) {
	for _, octets := range [][]byte{{0xFF, 0x00, 0x80, 0x2A}, {0xFF, 0x00, 0x80}} {
		cmd := exec.CommandContext(t.Context(), peers.Program(t, "sox", "sox"), "-D", "-t", "wav", "-", "-b", "16", "-e", "signed-integer", "-t", "wav", "-")
		cmd.Stdin = bytes.NewReader(EncodeMu(octets, 8000))
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		file, err := cmd.Output()
		if err != nil || complaints.Len() > 0 {
			t.Fatalf("%v: %s", err, &complaints)
		}
		// 0xFF is silence, and the sign is the highest bit (ITU-T G.711, table 2).
		samples, rate, err := Decode(file)
		if want := []int16{0, -32124, 32124, -5372}[:len(octets)]; err != nil || rate != 8000 || !slices.Equal(samples, want) {
			t.Errorf("%x is read as %v at %d, %v", octets, samples, rate, err)
		}
	}
}

func TestSpeechThatIsStreamedIsRead(t *testing.T) {
	file, err := exec.CommandContext(t.Context(), peers.Program(t, "espeak-ng", "espeak-ng"), "--stdout", "hello").Output()
	if err != nil {
		t.Fatal(err)
	}
	samples, rate, err := Decode(file)
	if err != nil || rate != 22_050 || len(samples) < rate/4 {
		t.Errorf("it has %d samples at %d, %v", len(samples), rate, err)
	}
}

func TestSoXReadsWhatWasWritten(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), peers.Program(t, "sox", "sox"), "-t", "wav", "-", "-n", "stat")
	cmd.Stdin = strings.NewReader(string(Encode(make([]int16, 8000), 8000)))
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "Length (seconds):      1.000000") {
		t.Errorf("SoX says %v\n%s", err, said)
	}
}

func TestWhatIsNoneFails(t *testing.T) {
	whole := Encode([]int16{1, 2, 3}, 8000)
	stereo := slices.Clone(whole)
	stereo[22] = 2
	for name, file := range map[string][]byte{
		"nothing": nil, "text": []byte("this is a text, and no sound at all"), "no sound": whole[:36], "half a form": whole[:30], "stereo": stereo,
	} {
		if _, _, err := Decode(file); !errors.Is(err, ErrForm) {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode([]int16{1, -1, 300}, 8000))
	f.Fuzz(func(t *testing.T, file []byte) {
		samples, rate, err := Decode(file)
		if err == nil && (rate <= 0 || 2*len(samples) > len(file)) {
			t.Errorf("%d samples at %d of %d octets", len(samples), rate, len(file))
		}
	})
}
