package link

import (
	"cmp"
	"time"

	"herald/problem"
)

// Timing says how long is waited for what, and how much is on its way meanwhile.
type Timing struct {
	// Window is the most messages that may be unanswered.
	Window int `yaml:"window" json:"window"`
	// Answer is how long an answer may take before a message is sent again:
	// CMPP's T.
	Answer time.Duration `yaml:"answer" json:"answer"`
	// Tries is how often a message is sent before it is in doubt: CMPP's N.
	Tries int `yaml:"tries" json:"tries"`
	// Idle is how long a connection may be silent before the other side is
	// asked whether it is there (CMPP's C), or before it is left, where the
	// protocol has no such question.
	Idle time.Duration `yaml:"idle" json:"idle"`
}

// leastWait is less than any gateway needs, but a test.
const leastWait = 10 * time.Millisecond

// Complete fills in what is usual and notes the mistakes; the window may be
// widest at most.
func (t Timing) Complete(mistakes *problem.Fields, usual Timing, widest int) Timing {
	t.Window = cmp.Or(t.Window, usual.Window)
	if t.Window < 1 || t.Window > widest {
		mistakes.Add("window", "range", "use 1 to %d", widest)
	}
	t.Tries = cmp.Or(t.Tries, usual.Tries)
	if t.Tries < 1 || t.Tries > 10 {
		mistakes.Add("tries", "range", "use 1 to 10")
	}
	t.Answer = cmp.Or(t.Answer, usual.Answer)
	if t.Answer < leastWait {
		mistakes.Add("answer", "min", "use at least %v", leastWait)
	}
	t.Idle = cmp.Or(t.Idle, usual.Idle)
	if t.Idle < leastWait {
		mistakes.Add("idle", "min", "use at least %v", leastWait)
	}
	return t
}
