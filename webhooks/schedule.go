package webhooks

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// waits is the time between an attempt and the next, as the specification
// gives it for an example ("Deliverability and reliability"): ten attempts over
// three days, the first of them at once.
func waits() []time.Duration {
	return []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}

// jitter is by how much of itself a wait may be longer, so that what failed
// together does not come again together.
const jitter = 0.2

// nextWait is the wait after so many tries, of which there was at least one;
// false: there is none, it has failed. The receiver's own wish counts when it
// is longer. chance is from 0 to 1.
func nextWait(tries int, wish time.Duration, chance float64) (time.Duration, bool) {
	list := waits()
	if tries > len(list) {
		return 0, false
	}
	wait := max(list[tries-1], wish)
	return wait + time.Duration(jitter*chance*float64(wait)), true
}

// maxWish is how far a receiver may put Herald off.
const maxWish = 24 * time.Hour

// retryAfter reads the header Retry-After (RFC 9110, section 10.2.3): seconds
// or a date. It is 0 where there is none, or none that can be read.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	wish := time.Duration(0)
	if seconds, err := strconv.ParseUint(header, 10, 63); err == nil {
		wish = maxWish
		if seconds < uint64(maxWish/time.Second) {
			wish = time.Duration(seconds) * time.Second //nolint:gosec // less than a day
		}
	} else if at, err := http.ParseTime(header); err == nil {
		wish = at.Sub(now)
	}
	return min(max(wish, 0), maxWish)
}

// The shortest and longest hold of an endpoint that cannot be reached.
const (
	minHold = time.Second
	maxHold = 5 * time.Minute
)

// holdFor is how long an endpoint is left alone after so many failures in a
// row, of which there may be none before this one.
func holdFor(failures int, wish time.Duration) time.Duration {
	return max(min(minHold<<min(failures, 16), maxHold), wish)
}
