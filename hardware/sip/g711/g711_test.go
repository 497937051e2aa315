package g711

import (
	"bytes"
	"encoding/binary"
	"math"
	"os/exec"
	"testing"

	"herald/e2e/peers"
)

// sox is what SoX makes of octets.
func sox(t *testing.T, in []byte, from, to []string) []byte {
	t.Helper()
	args := append(append(append(append([]string{"-D"}, from...), "-"), to...), "-")
	cmd := exec.CommandContext(t.Context(), peers.Program(t, "sox", "sox"), args...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	linear = []string{"-t", "raw", "-r", "8000", "-c", "1", "-e", "signed", "-b", "16", "-L"}
	codes  = map[Law][]string{
		Mu: {"-t", "raw", "-r", "8000", "-c", "1", "-e", "mu-law", "-b", "8"},
		A:  {"-t", "raw", "-r", "8000", "-c", "1", "-e", "a-law", "-b", "8"},
	}
)

func TestEveryOctetIsTheSampleThatSoXHears(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for law, form := range codes {
		heard := sox(t, all, form, linear)
		for i, sample := range law.Decode(all) {
			if want := int16(binary.LittleEndian.Uint16(heard[2*i:])); sample != want { //nolint:gosec // a sample
				t.Errorf("%s %#x is %d, SoX hears %d", law, i, sample, want)
			}
		}
	}
}

// TestEverySampleIsTheNearestOctet: that another encoder may choose the other
// side of a border is all that may differ.
func TestEverySampleIsTheNearestOctet(t *testing.T) {
	var samples []int16
	var raw []byte
	for s := math.MinInt16; s <= math.MaxInt16; s++ {
		samples = append(samples, int16(s))
		raw = binary.LittleEndian.AppendUint16(raw, uint16(s)) //nolint:gosec // a sample
	}
	for law, form := range codes {
		mine, theirs := law.Encode(samples), sox(t, raw, linear, form)
		back, backTheirs := law.Decode(mine), law.Decode(theirs)
		differ := 0
		for i, s := range samples {
			far, farTheirs := math.Abs(float64(s)-float64(back[i])), math.Abs(float64(s)-float64(backTheirs[i]))
			if mine[i] != theirs[i] {
				differ++
			}
			if step := max(8, math.Abs(float64(s))/16); far > farTheirs+step/2 || far > step && s > -32636 && s < 32636 {
				t.Fatalf("%s %d comes back as %d, of SoX as %d", law, s, back[i], backTheirs[i])
			}
		}
		t.Logf("%s: %d of %d samples differ from SoX's choice", law, differ, len(samples))
	}
}

func TestWhatCameOutGoesInUnchanged(t *testing.T) {
	for _, law := range []Law{Mu, A} {
		for octet := range 256 {
			sample := law.Decode([]byte{byte(octet)})
			if again := law.Decode(law.Encode(sample)); again[0] != sample[0] {
				t.Errorf("%s %#x: %d comes back as %d", law, octet, sample[0], again[0])
			}
		}
	}
}

func TestTheTablesOfTheRecommendation(t *testing.T) {
	for _, c := range []struct {
		law    Law
		sample int16
		octet  byte
	}{
		{Mu, 0, 0xFF},
		{Mu, 32124, 0x80},
		{Mu, -32124, 0x00},
		{Mu, math.MaxInt16, 0x80},
		{Mu, math.MinInt16, 0x00},
		{Mu, 8, 0xFE},
		{Mu, -8, 0x7E},
		{A, 8, 0xD5},
		{A, -8, 0x55},
		{A, 32256, 0xAA},
		{A, -32256, 0x2A},
		{A, math.MaxInt16, 0xAA},
		{A, math.MinInt16, 0x2A},
		{A, 0, 0xD5},
	} {
		if octet := c.law.Encode([]int16{c.sample})[0]; octet != c.octet {
			t.Errorf("%s %d is %#x, want %#x", c.law, c.sample, octet, c.octet)
		}
	}
}
