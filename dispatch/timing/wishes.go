package timing

import "time"

// Wishes are when a member wants to hear of a thing.
type Wishes struct {
	Zone   *time.Location // nil: UTC
	Quiet  Quiet
	Digest Digest
	Hour   int // of the local day, 0 to 23, for a daily digest
}

// Reason is what a message waits for; empty where it need not wait.
type Reason string

// The reasons to wait.
const (
	QuietHours Reason = "quiet_hours"
	NextDigest Reason = "digest"
)

// When is the moment at which a message may go.
type When struct {
	At     time.Time
	Reason Reason // why not at once
	// Quiet says that At is the end of quiet hours. With NextDigest: the
	// digest would have been due in them.
	Quiet bool
}

// Next is when a message that is ready at a moment may go. That is never
// before the moment, within two days, and never in quiet hours: a digest that
// would be due in them is due when they end, and takes with it what gathered
// meanwhile. Asked again at the moment it names, Next names the same.
//
// Urgent messages do not ask. Nor does a digest that is due: its messages have
// been told their moment, and only new quiet hours (EndOfQuiet) can put it off.
func (w Wishes) Next(at time.Time) When {
	local, quiet := at.In(orUTC(w.Zone)), false
	afterQuiet := func(due time.Time) (until time.Time) {
		until, quiet = EndOfQuiet(due, w.Zone, w.Quiet)
		return until
	}
	next := When{At: at, Reason: NextDigest}
	switch w.Digest {
	case Hourly:
		next.At = firstHour(local, afterQuiet)
	case Daily:
		next.At = firstDay(local, w.Hour, afterQuiet)
	default:
		next.At, next.Reason = afterQuiet(local), QuietHours
	}
	if next.At.Equal(at) {
		return When{At: at}
	}
	next.At, next.Quiet = next.At.In(at.Location()), quiet
	return next
}
