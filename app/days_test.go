package app

import (
	"testing"
	"time"

	"herald/subscriptions"
)

func TestEventsAreKeptAsLongAsTheyAreWatched(t *testing.T) {
	absence := func(within string) subscriptions.Trigger {
		return subscriptions.Trigger{Absence: &subscriptions.Absence{Within: within}}
	}
	for name, tt := range map[string]struct {
		triggers []subscriptions.Trigger
		want     time.Duration
	}{
		"no absence":  {[]subscriptions.Trigger{{}}, 0},
		"the longest": {[]subscriptions.Trigger{absence("24h"), {}, absence("2160h"), absence("1h")}, 98 * 24 * time.Hour},
	} {
		if got := longestWatch(tt.triggers); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
