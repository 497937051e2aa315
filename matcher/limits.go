package matcher

import "time"

// standing is what limits a subscription, and how far it has come.
type standing struct {
	paused   bool
	from     time.Time
	until    *time.Time     // the first instant at which it no longer fires; nil: none
	max      int            // notifications; 0: without limit
	coolDown *time.Duration // nil: the trigger's
	sent     int
	last     *time.Time // when it fired last; nil: never
	fired    bool       // since it was locked
}

// judge decides of one match at one instant, and counts it when it is told.
func (s *standing) judge(byTrigger time.Duration, at time.Time) Outcome {
	switch {
	case s.paused:
		return WasPaused
	case at.Before(s.from), s.until != nil && !at.Before(*s.until):
		return NotValid
	case s.coolsDown(s.effective(byTrigger), at):
		return InCoolDown
	case s.max > 0 && s.sent >= s.max:
		return CapReached
	}
	s.sent++
	s.fired = true
	// Another node's clock may be ahead: the last time never goes back.
	if s.last == nil || at.After(*s.last) {
		s.last = &at
	}
	return Notified
}

// coolsDown reports whether it fired less than a cool-down before. Where there
// is none, it never does, even if the last time was that of a clock ahead.
func (s *standing) coolsDown(wait time.Duration, at time.Time) bool {
	return wait > 0 && s.last != nil && at.Sub(*s.last) < wait
}

// effective is the cool-down in force.
func (s *standing) effective(byTrigger time.Duration) time.Duration {
	if s.coolDown != nil {
		return *s.coolDown
	}
	return byTrigger
}
