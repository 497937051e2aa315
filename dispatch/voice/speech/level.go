package speech

import "math"

const (
	fullScale = 1 << 15
	window    = lineRate / 100 // 10 ms

	// speechLevel is how loud speech is while it is: −20 dB of full scale. The
	// nominal level of telephone networks is −26 (ITU-T P.56 and G.191); what
	// is announced stands a little above the conversations of others.
	speechLevel = fullScale / 10.0
	// peakLevel is the highest a sample may be: −3 dB.
	peakLevel = fullScale * 0.708
	// mostGain is how much louder it is made, so that noise stays noise: 24 dB.
	mostGain = 16.0
	// pauses are windows that are so much quieter than the loudest: 30 dB.
	pauses = 0.0316

	// quiet is what is no sound: −50 dB.
	quiet = fullScale * 0.00316
	// margin is how much of a silence at the ends stays: 100 ms.
	margin = lineRate / 10
)

// levelled makes sound as loud as speech is on a telephone. Silence stays.
func levelled(samples []float64) []int16 {
	loudness, loudest, peak := windows(samples), 0.0, 0.0
	for _, l := range loudness {
		loudest = max(loudest, l)
	}
	for _, s := range samples {
		peak = max(peak, math.Abs(s))
	}
	var power float64
	active := 0
	for _, l := range loudness {
		if l > loudest*pauses {
			power += l * l
			active++
		}
	}
	gain := 1.0
	if active > 0 {
		gain = min(mostGain, speechLevel/math.Sqrt(power/float64(active)), peakLevel/peak)
	}
	out := make([]int16, len(samples))
	for i, s := range samples {
		out[i] = int16(math.Round(max(-fullScale, min(fullScale-1, s*gain))))
	}
	return out
}

// windows is how loud each 10 ms are, the last ones shorter (root of the mean
// square).
func windows[S int16 | float64](samples []S) []float64 {
	var loud []float64
	for from := 0; from < len(samples); from += window {
		part := samples[from:min(from+window, len(samples))]
		var sum float64
		for _, s := range part {
			sum += float64(s) * float64(s)
		}
		loud = append(loud, math.Sqrt(sum/float64(len(part))))
	}
	return loud
}

// trimmed cuts the silence at both ends down to the margin. Of silence alone
// nothing is left.
func trimmed(samples []int16) []int16 {
	first, last := -1, -1
	for i, l := range windows(samples) {
		if l < quiet {
			continue
		}
		if last = i; first < 0 {
			first = i
		}
	}
	if first < 0 {
		return []int16{}
	}
	return samples[max(0, first*window-margin):min(len(samples), (last+1)*window+margin)]
}
