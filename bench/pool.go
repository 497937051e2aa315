package bench

import (
	"context"

	"herald/dispatch/pool"
)

// Pool holds the growing pool against one that is always full, over a time of
// rest, a burst and a rest, with sessions that take real time.
func Pool(ctx context.Context) (pool.ProfileResult, error) {
	return pool.Profile(ctx, pool.ProfileConfig{})
}
