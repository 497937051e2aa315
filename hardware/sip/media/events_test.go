package media

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"herald/hardware/sip/tones"
)

// packet is one as it goes over the line.
type packet struct {
	of      pressing
	payload []byte
}

// typed are the packets of digits, as newPress makes them.
func typed(digits string) (packets [][]packet) {
	for i := range len(digits) {
		p, _ := newPress(digits[i])
		var one []packet
		for {
			payload, _, over := p.frame()
			if over {
				break
			}
			if payload != nil {
				one = append(one, packet{pressing{7, uint32(1000 * (i + 1))}, payload}) //nolint:gosec // few
			}
		}
		packets = append(packets, one)
	}
	return packets
}

func TestDigitsArriveThoughPacketsAreLostDoubledOrLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.StringMatching(`[0-9*#A-D]{1,10}`).Draw(t, "digits")
		var k keys
		var heard string
		at := time.Now()
		var before *packet
		for _, one := range typed(digits) {
			kept := 0
			for i, p := range one {
				// At least the last of a press gets through.
				if rapid.Bool().Draw(t, "lost") && (kept > 0 || i < len(one)-1) {
					continue
				}
				kept++
				heard += k.take(p.of, p.payload, at)
				if rapid.Bool().Draw(t, "doubled") {
					heard += k.take(p.of, p.payload, at)
				}
				if before != nil && rapid.Bool().Draw(t, "late") {
					heard += k.take(before.of, before.payload, at)
				}
				at = at.Add(FrameTime)
			}
			last := one[len(one)-1]
			before = &last
		}
		heard += k.overdue(at.Add(endless))
		if heard != digits {
			t.Fatalf("%q is heard as %q", digits, heard)
		}
	})
}

func TestADigitIsToldAtItsEndAndNoLaterThanItsSilence(t *testing.T) {
	var k keys
	at := time.Now()
	down := event{code: 5, duration: 160}.bytes()
	if heard := k.take(pressing{1, 1}, down, at); heard != "" {
		t.Errorf("%q is told while it is pressed", heard)
	}
	if heard := k.overdue(at.Add(endless - 1)); heard != "" {
		t.Errorf("%q is told too early", heard)
	}
	if heard := k.overdue(at.Add(endless)); heard != "5" {
		t.Errorf("%q is told without an end", heard)
	}
	if heard := k.take(pressing{1, 1}, event{code: 5, end: true, duration: 320}.bytes(), at); heard != "" {
		t.Errorf("%q is told twice", heard)
	}
}

func TestWhatIsNoDigitIsNotTold(t *testing.T) {
	var k keys
	for _, payload := range [][]byte{nil, {1}, {1, 0x80, 0}, {16, 0x80, 0, 160}, {36, 0x80, 0, 160}} {
		if heard := k.take(pressing{1, 1}, payload, time.Now()); heard != "" {
			t.Errorf("% x is told as %q", payload, heard)
		}
	}
	if _, known := newPress('x'); known {
		t.Error("x can be pressed")
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte{5, 0x8A, 3, 32}, uint32(1))
	f.Fuzz(func(t *testing.T, payload []byte, timestamp uint32) {
		var k keys
		p := pressing{1, timestamp}
		heard := k.take(p, payload, time.Time{}) + k.overdue(time.Time{}.Add(time.Hour))
		if again := k.take(p, payload, time.Time{}); len(heard) > 1 || again != "" && p != (pressing{}) {
			t.Errorf("% x is %q, then %q", payload, heard, again)
		}
		_ = tones.Digits
	})
}
