package tpdu

import (
	"fmt"
	"math"
	"time"
)

// A time stamp is seven octets of swapped semi-octets: year, month, day, hour,
// minute, second, and the offset from UTC in quarters of an hour, whose sign
// is bit 3 (section 9.2.3.11).

func appendTime(b []byte, at time.Time) ([]byte, error) {
	if at.IsZero() {
		return append(b, 0, 0, 0, 0, 0, 0, 0), nil
	}
	if at.Year() < 2000 || at.Year() > 2099 {
		return nil, fmt.Errorf("the year %d: %w", at.Year(), ErrInvalid)
	}
	_, offset := at.Zone()
	quarters, sign := offset/900, byte(0)
	if quarters < 0 {
		quarters, sign = -quarters, 0x08
	}
	if quarters > 79 {
		return nil, fmt.Errorf("an offset of %d seconds: %w", offset, ErrInvalid)
	}
	if offset%900 != 0 { // not on a quarter: the moment stays true
		at, quarters, sign = at.UTC(), 0, 0
	}
	for _, n := range []int{at.Year() % 100, int(at.Month()), at.Day(), at.Hour(), at.Minute(), at.Second()} {
		b = append(b, swapped(n))
	}
	return append(b, swapped(quarters)|sign), nil
}

func swapped(n int) byte { return byte(n%10<<4 | n/10) }

// time reads a time stamp; one that is none, as some centres send, is the zero
// Time: the message is worth more than its hour.
func (r *reader) time() time.Time {
	b := r.take(7)
	if b == nil {
		return time.Time{}
	}
	var n [7]int
	for i, o := range b {
		if i == 6 {
			o &^= 0x08
		}
		if o&0x0f > 9 || o>>4 > 9 {
			return time.Time{}
		}
		n[i] = int(o&0x0f)*10 + int(o>>4)
	}
	quarters := n[6]
	if b[6]&0x08 != 0 {
		quarters = -quarters
	}
	zone := time.UTC
	if quarters != 0 {
		zone = time.FixedZone("", quarters*900)
	}
	at := time.Date(2000+n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, zone)
	if at.Month() != time.Month(n[1]) || at.Day() != n[2] || at.Hour() != n[3] || at.Minute() != n[4] || at.Second() != n[5] {
		return time.Time{}
	}
	return at
}

// Validity is how long the service centre tries (TP-VP, section 9.2.3.12). The
// zero Validity leaves it to the centre; Until goes before For.
type Validity struct {
	For   time.Duration
	Until time.Time
}

// The forms of TP-VP, as bits of the first octet.
const (
	validityNone     = 0x00
	validityEnhanced = 0x08
	validityRelative = 0x10
	validityAbsolute = 0x18
)

func (v Validity) form() byte {
	switch {
	case !v.Until.IsZero():
		return validityAbsolute
	case v.For > 0:
		return validityRelative
	}
	return validityNone
}

func (v Validity) append(b []byte) ([]byte, error) {
	switch v.form() {
	case validityAbsolute:
		return appendTime(b, v.Until)
	case validityRelative:
		return append(b, relative(v.For)), nil
	}
	return b, nil
}

const day = 24 * time.Hour

// relative is the shortest period that is not shorter than d, or the longest
// there is (section 9.2.3.12.1).
func relative(d time.Duration) byte {
	steps := func(d, step time.Duration) int { return int(math.Ceil(float64(d) / float64(step))) }
	switch {
	case d <= 12*time.Hour:
		return byte(max(steps(d, 5*time.Minute)-1, 0))
	case d <= day:
		return byte(143 + steps(d-12*time.Hour, 30*time.Minute))
	case d <= 30*day:
		return byte(max(166+steps(d, day), 168))
	}
	return byte(min(max(192+steps(d, 7*day), 197), 255))
}

func ofRelative(vp byte) time.Duration {
	n := time.Duration(vp)
	switch {
	case vp <= 143:
		return (n + 1) * 5 * time.Minute
	case vp <= 167:
		return 12*time.Hour + (n-143)*30*time.Minute
	case vp <= 196:
		return (n - 166) * day
	}
	return (n - 192) * 7 * day
}

func (r *reader) validity(form byte) Validity {
	switch form {
	case validityRelative:
		return Validity{For: ofRelative(r.octet())}
	case validityAbsolute:
		return Validity{Until: r.time()}
	case validityEnhanced:
		return Validity{For: r.enhanced()}
	}
	return Validity{}
}

// enhanced reads the enhanced form (section 9.2.3.12.3); a kind that is
// reserved counts as none.
func (r *reader) enhanced() time.Duration {
	b := r.take(7)
	if b == nil {
		return 0
	}
	at := 1
	if b[0]&0x80 != 0 { // the indicator is extended by an octet
		at++
	}
	switch b[0] & 0x07 {
	case 1:
		return ofRelative(b[at])
	case 2:
		return time.Duration(b[at]) * time.Second
	case 3:
		two := func(o byte) time.Duration { return time.Duration(o&0x0f)*10 + time.Duration(o>>4) }
		return two(b[at])*time.Hour + two(b[at+1])*time.Minute + two(b[at+2])*time.Second
	}
	return 0
}
