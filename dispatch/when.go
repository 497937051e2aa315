package dispatch

import (
	"time"

	"herald/subscriptions"
)

func (s *Store) quietUntil(m subscriptions.Member, t *task) (time.Time, bool) {
	return time.Time{}, false
}
