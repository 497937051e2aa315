// Package sim is what the simulated far ends have in common, so that a message
// can be watched arriving without an account at a provider, and so that tests
// can make a provider fail on purpose: the Door that clients come in by, the
// Faults, the Pace, the Box that keeps what came in, and the Site that shows it.
//
// Each far end is a package below: smtp a mail server, smsc an operator's
// message centre, cmpp and sgip the gateways of China's operators, modem a GSM
// modem with its network, hfaxd a HylaFAX with fax machines behind it. fax/line.c
// is a program of its own, for tests: a fax modem with a line and a fax.
package sim

import (
	"fmt"
	"sync"
	"time"
)

// Duration is a time.Duration that reads and writes as text, such as "1.5s".
type Duration time.Duration

// MarshalText writes d as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads "1.5s", "200ms", "1m".
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("delay: %w", err)
	}
	*d = Duration(parsed)
	return nil
}

// Pause waits; it is false when over is closed meanwhile.
func Pause(d time.Duration, over <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-over:
		return false
	}
}

// Pace counts what may be taken in a second; its zero value takes all.
type Pace struct {
	PerSecond int

	mu    sync.Mutex
	since time.Time // guarded by mu
	taken int       // guarded by mu, since then
}

// Allows reports whether one more may be taken now.
func (p *Pace) Allows(now time.Time) bool {
	if p.PerSecond == 0 {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.since) >= time.Second {
		p.since, p.taken = now, 0
	}
	p.taken++
	return p.taken <= p.PerSecond
}
