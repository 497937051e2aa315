package answering

import (
	"math"
	"time"

	"herald/hardware/sip/tones"
)

const (
	// A beep is one tone between these, in Hz, that lasts so long.
	lowestBeep, highestBeep   = 400, 2500
	shortestBeep, longestBeep = 100 * time.Millisecond, 1500 * time.Millisecond
	// afterBeep is how much silence follows one. It is longer than the pauses
	// of busy tones, which are half a second at most (ITU-T E.180, supplement
	// 2), and takes little of what is recorded.
	afterBeep = 600 * time.Millisecond
	// steady is how far a tone may stray, in Hz; no voice stays as steady.
	steady = 20
	// pure is how much of the power of a frame is in its tone, at least.
	pure = 0.9
)

// beep hears the beep of a machine. Its zero value is ready.
type beep struct {
	hertz  float64
	frames int  // that the tone fills
	edge   bool // the frame in which it ended is over
	quiet  time.Duration
}

// hear takes the next frame and reports whether a beep was heard, with the
// silence behind it.
func (b *beep) hear(frame []int16, silent bool) bool {
	hertz, isTone := 0.0, false
	if !silent {
		hertz, isTone = toneOf(frame)
	}
	switch {
	case isTone && b.frames > 0 && !b.edge && b.quiet == 0 && math.Abs(hertz-b.hertz) <= steady:
		b.frames++
	case isTone:
		*b = beep{hertz: hertz, frames: 1}
	case silent && b.fits():
		b.quiet += frameTime
		if b.quiet >= afterBeep {
			*b = beep{}
			return true
		}
	case b.frames > 0 && !b.edge && b.quiet == 0:
		b.edge = true
	default:
		*b = beep{}
	}
	return false
}

// fits reports whether the tone was as long as a beep is. At both ends it may
// have filled a part of a frame.
func (b *beep) fits() bool {
	lasted := time.Duration(b.frames) * frameTime
	return lasted > shortestBeep-2*frameTime && lasted <= longestBeep
}

// toneOf is the frequency of a frame that is one tone.
func toneOf(frame []int16) (hertz float64, isTone bool) {
	// Of three samples in a row of a tone, the outer two together are the
	// middle one times twice the cosine of the angle between two (Prony's
	// method for one frequency).
	var product, squares, energy float64
	for i := 1; i < len(frame)-1; i++ {
		x := float64(frame[i])
		product += x * (float64(frame[i-1]) + float64(frame[i+1]))
		squares += x * x
	}
	for _, s := range frame {
		energy += float64(s) * float64(s)
	}
	cosine := product / (2 * squares)
	if squares == 0 || math.Abs(cosine) >= 1 {
		return 0, false
	}
	// Noise draws what is found to the middle: the best around it is taken.
	const around, step = 60, 10
	found := math.Acos(cosine) * rate / (2 * math.Pi)
	if found < lowestBeep-around || found > highestBeep+around {
		return 0, false
	}
	var most float64
	for f := found - around; f <= found+around; f += step {
		if power := tones.Power(frame, f); power > most {
			hertz, most = f, power
		}
	}
	return hertz, hertz >= lowestBeep-steady && hertz <= highestBeep+steady && most >= pure*energy*float64(len(frame))/2
}
