// Package tones makes and hears the tones of telephones: digits go in and
// sound comes out, and sound goes in and the digits in it come out (ITU-T
// Q.23 and Q.24). Sound is samples of 16 bits, 8,000 a second.
package tones

import (
	"math"
	"strings"
	"time"
)

// Digits are those that telephones have, in the order of their numbers in RFC
// 4733, section 3.2.
const Digits = "0123456789*#ABCD"

const rate = 8000

// rows and columns are the two frequencies of a digit, in Hz (ITU-T Q.23).
var (
	rows    = [4]float64{697, 770, 852, 941}
	columns = [4]float64{1209, 1336, 1477, 1633}
	keys    = [4]string{"123A", "456B", "789C", "*0#D"}
)

// Sine is a tone of one frequency in Hz; loud is its highest sample.
func Sine(hertz float64, lasts time.Duration, loud int16) []int16 {
	samples := make([]int16, int(lasts*rate/time.Second))
	for i := range samples {
		samples[i] = int16(float64(loud) * math.Sin(2*math.Pi*hertz*float64(i)/rate))
	}
	return samples
}

// Sound is digits one after the other, each for a time, with silence for the
// same time behind it. What is no digit is silence, too.
func Sound(digits string, each time.Duration) []int16 {
	const loud = 8000 // each of the two: about −6 dBm0 together
	var samples []int16
	quiet := make([]int16, int(each*rate/time.Second))
	for _, digit := range digits {
		row, column, known := place(digit)
		if !known {
			samples = append(samples, quiet...)
		} else {
			low, high := Sine(rows[row], each, loud), Sine(columns[column], each, loud)
			for i := range low {
				samples = append(samples, low[i]+high[i])
			}
		}
		samples = append(samples, quiet...)
	}
	return samples
}

func place(digit rune) (row, column int, known bool) {
	for row, key := range keys {
		if column := strings.IndexRune(key, digit); column >= 0 {
			return row, column, true
		}
	}
	return 0, 0, false
}

// Detector hears digits in sound. Its zero value is ready; it is for one
// stream and one goroutine.
type Detector struct {
	block   []int16 // what waits for a whole block
	now     rune    // in the last block; 0: none
	blocks  int     // how many in a row had it
	between int     // how many in a row had not what is told
	told    rune    // the digit that is told and still on; 0: none
}

const (
	blockSamples = 102 // 12.75 ms: the usual of Goertzel at 8,000 Hz
	onBlocks     = 3   // 38 ms: Q.24 wants 40 ms to be heard, and less than 20 not
	offBlocks    = 2   // a gap of 25 ms ends a digit
)

// Hear takes the next samples and gives the digits that began in them, each
// once however long it is.
func (d *Detector) Hear(samples []int16) string {
	var heard strings.Builder
	for len(samples) > 0 {
		n := min(blockSamples-len(d.block), len(samples))
		d.block = append(d.block, samples[:n]...)
		samples = samples[n:]
		if len(d.block) < blockSamples {
			break
		}
		if digit := d.next(digitOf(d.block)); digit != 0 {
			heard.WriteRune(digit)
		}
		d.block = d.block[:0]
	}
	return heard.String()
}

// next is the digit that is sure with this block; 0: none.
func (d *Detector) next(digit rune) rune {
	if digit == d.now {
		d.blocks++
	} else {
		d.now, d.blocks = digit, 1
	}
	if d.told != 0 && digit != d.told {
		if d.between++; d.between >= offBlocks {
			d.told = 0
		}
	} else {
		d.between = 0
	}
	if digit == 0 || digit == d.told || d.blocks < onBlocks {
		return 0
	}
	d.told, d.between = digit, 0
	return digit
}

// digitOf is the digit that a block is of; 0: none.
func digitOf(block []int16) rune {
	var all float64
	for _, s := range block {
		all += float64(s) * float64(s)
	}
	const quiet = 300 * 300 // about −40 dBm0, in the mean square
	if all < quiet*float64(len(block)) {
		return 0
	}
	row, low := loudest(block, rows)
	column, high := loudest(block, columns)
	// Twist: the higher may be 4 dB louder or 8 dB quieter (Q.24, annex A).
	const louder, quieter = 2.5, 6.3
	if low < 0 || high < 0 || high > low*louder || low > high*quieter {
		return 0
	}
	// Speech has power elsewhere, too: of a digit nearly all is in its two
	// tones. A block that a tone fills gives n/2 of its energy.
	const most = 0.75
	if (low+high)*2/float64(len(block)) < most*all {
		return 0
	}
	return rune(keys[row][column])
}

// loudest is which of four frequencies is in a block, and its power; negative:
// no one stands out.
func loudest(block []int16, frequencies [4]float64) (which int, power float64) {
	var powers [4]float64
	for i, f := range frequencies {
		powers[i] = Power(block, f)
		if powers[i] > powers[which] {
			which = i
		}
	}
	const aboveOthers = 6.3 // 8 dB
	for i := range powers {
		if i != which && powers[i]*aboveOthers > powers[which] {
			return which, -1
		}
	}
	return which, powers[which]
}

// Power is that of samples at one frequency (G. Goertzel, An Algorithm for the
// Evaluation of Finite Trigonometric Series, 1958). Of n samples that are a
// tone of this frequency it is n/2 of the sum of their squares.
func Power(block []int16, hertz float64) float64 {
	c := 2 * math.Cos(2*math.Pi*hertz/rate)
	var s1, s2 float64
	for _, s := range block {
		s1, s2 = float64(s)+c*s1-s2, s1
	}
	return s1*s1 + s2*s2 - c*s1*s2
}
