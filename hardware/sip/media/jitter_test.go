package media

import (
	"testing"

	"pgregory.net/rapid"
)

// through gives packets of these numbers and returns the numbers in the order
// they come out.
func through(j *jitter, numbers ...uint16) (out []uint16) {
	for _, n := range numbers {
		for _, a := range j.take(arrival{ssrc: 1, sequence: n}) {
			out = append(out, a.sequence)
		}
	}
	return out
}

func TestPacketsComeOutInOrderAndOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint16().Draw(t, "first")
		count := rapid.IntRange(10, 100).Draw(t, "packets")
		line := []uint16{first}
		for i := 1; i < count; i += 4 { // those before the first are not known
			block := []uint16{}
			for n := i; n < min(count, i+4); n++ {
				block = append(block, first+uint16(n)) //nolint:gosec // it wraps, as it does there
			}
			for _, n := range rapid.Permutation(block).Draw(t, "block") {
				line = append(line, n)
				if rapid.IntRange(0, 4).Draw(t, "doubled") == 0 {
					line = append(line, n)
				}
			}
		}
		var j jitter
		out := through(&j, line...)
		for _, a := range j.flush() {
			out = append(out, a.sequence)
		}
		// Swapped by at most three places, nothing is lost.
		if len(out) != count {
			t.Fatalf("%d of %d come out: %v of %v", len(out), count, out, line)
		}
		for i, n := range out {
			if n != first+uint16(i) { //nolint:gosec // it wraps
				t.Fatalf("%v come out as %v", line, out)
			}
		}
	})
}

func TestALostPacketIsNotWaitedForLong(t *testing.T) {
	var j jitter
	if out := through(&j, 1, 2, 4, 5, 6, 7, 8); len(out) != 2 {
		t.Errorf("without the third come %v", out)
	}
	if out := through(&j, 9); len(out) != 6 {
		t.Errorf("then come %v", out)
	}
	if out := through(&j, 3); out != nil {
		t.Errorf("too late comes %v", out)
	}
}

func TestASenderThatBeganAnewIsHeard(t *testing.T) {
	var j jitter
	through(&j, 40_000, 40_001)
	if out := through(&j, 10, 11); len(out) != 2 {
		t.Errorf("after a jump come %v", out)
	}
	if out := j.take(arrival{ssrc: 2, sequence: 5}); len(out) != 1 {
		t.Errorf("of another source come %v", out)
	}
	j = jitter{}
	through(&j, 1000)
	var heard int
	for n := range uint16(100) {
		heard += len(through(&j, 500+n)) // a file that is played again from its start
	}
	if heard != 100-oldest {
		t.Errorf("of a stream repeated come %d", heard)
	}
}
