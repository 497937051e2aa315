package app

import (
	"context"
	"time"

	"herald/matcher/history"
	"herald/subscriptions"
)

// buildDays makes what keeps the days of events: every node takes part, one at
// a time.
func (a *App) buildDays() {
	a.days = history.NewKeeper(a.DB.Pool(), history.Config{
		Keep: a.cfg.Matcher.KeepEvents, Needs: a.longestWatch, Logger: a.log,
	})
}

// longestWatch is how long an event may wait until it is told that nothing
// followed it. So long it is kept, to be looked at then.
func (a *App) longestWatch(ctx context.Context) (time.Duration, error) {
	list, err := a.Triggers.List(ctx)
	if err != nil {
		return 0, err
	}
	return longestWatch(list), nil
}

// tellWithin is how long after it was told an event should still be there: the
// week that previews look back, and a day for clocks that are ahead.
const tellWithin = 8 * 24 * time.Hour

func longestWatch(list []subscriptions.Trigger) time.Duration {
	var longest time.Duration
	for _, t := range list {
		if t.Absence == nil {
			continue
		}
		if within, err := time.ParseDuration(t.Absence.Within); err == nil { // as a stored one does
			longest = max(longest, within+tellWithin)
		}
	}
	return longest
}
