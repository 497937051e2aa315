package speech

import "math"

const (
	// passes is the middle of the low pass, in Hz, where half gets through. It
	// is 500 Hz wide: up to 3,500 Hz all passes, of which telephones carry 300
	// to 3,400; from 4,000 on, half of lineRate, nothing does, so that nothing is
	// folded back.
	passes = 3750.0
	// crossings is how many zero crossings of the sinc lie on each side. With
	// the window below they make the low pass 500 Hz wide (Kaiser's formula:
	// A. V. Oppenheim and R. W. Schafer, Discrete-Time Signal Processing,
	// section 7.6).
	crossings = 32
	// kaiserBeta is for 70 dB: 0.1102 (70 − 8.7), from the same section.
	kaiserBeta = 6.755
)

// resampled is sound of any rate with lineRate samples a second: each is the sum
// of those around it, weighed by a sinc under a Kaiser window (J. O. Smith,
// Digital Audio Resampling: the Theory of Ideal Bandlimited Interpolation).
func resampled(samples []int16, rate int) []float64 {
	in := make([]float64, len(samples))
	for i, s := range samples {
		in[i] = float64(s)
	}
	if rate == lineRate {
		return in
	}
	cutoff := min(passes, passes*float64(rate)/lineRate)  // Hz
	half := int(crossings * float64(rate) / (2 * cutoff)) // samples on each side
	// Where the output's samples lie between the input's comes again and again.
	weights := map[int][]float64{}
	out := make([]float64, len(in)*lineRate/rate)
	for n := range out {
		at, between := n*rate/lineRate, n*rate%lineRate
		w := weights[between]
		if w == nil {
			w = weightsOf(float64(between)/lineRate, half, 2*cutoff/float64(rate))
			weights[between] = w
		}
		first := at - half + 1 // that the first weight is of
		from, to := max(0, -first), min(len(w), len(in)-first)
		sum := 0.0
		for i := from; i < to; i++ {
			sum += w[i] * in[first+i]
		}
		out[n] = sum
	}
	return out
}

// weightsOf are those of the samples around a place, which is a part of a
// sample behind the one at half-1; narrow is how many zero crossings there are
// to a sample.
func weightsOf(part float64, half int, narrow float64) []float64 {
	weights := make([]float64, 2*half)
	var sum float64
	for i := range weights {
		x := (float64(i-half+1) - part) * narrow
		weights[i] = sinc(x) * kaiser(x/crossings)
		sum += weights[i]
	}
	for i := range weights {
		weights[i] /= sum
	}
	return weights
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is the window at x, from −1 to 1.
func kaiser(x float64) float64 {
	if x <= -1 || x >= 1 {
		return 0
	}
	return besselI0(kaiserBeta*math.Sqrt(1-x*x)) / besselI0(kaiserBeta)
}

// besselI0 is the modified Bessel function of order 0, by its series
// (Abramowitz and Stegun, 9.6.12).
func besselI0(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > sum*1e-12; k++ {
		term *= x * x / (4 * k * k)
		sum += term
	}
	return sum
}
