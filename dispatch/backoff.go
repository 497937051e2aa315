package dispatch

import (
	"math/rand/v2"
	"time"
)

// backoffFactors are the waits before the second, third … attempt, in units
// of the first: 1, 5, 15 and 60 minutes and then every four hours when the
// first is a minute.
var backoffFactors = [...]int{1, 5, 15, 60, 240}

// jitter is how far a wait is stretched at most, so that what failed together
// does not come back together.
const jitter = 0.2

// backoff is the wait after the given number of attempts (from 1). spread is
// from [0, 1) and places it between the wait and its longest.
func backoff(first time.Duration, attempts int, spread float64) time.Duration {
	i := min(max(attempts, 1), len(backoffFactors)) - 1
	return time.Duration(float64(first) * float64(backoffFactors[i]) * (1 + jitter*spread))
}

// waitAfter is how long to wait for the next attempt: ours, or the provider's
// wish where that is longer.
func waitAfter(first time.Duration, attempts int, wish time.Duration) time.Duration {
	return max(backoff(first, attempts, rand.Float64()), wish)
}

// around is d on the average: what met others' locks does not meet them again.
func around(d time.Duration) time.Duration { return d/2 + rand.N(d) }
