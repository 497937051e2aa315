package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"herald/dispatch/pool"
)

func TestTheProfileMeetsItsGoals(t *testing.T) {
	for name, config := range map[string]pool.ProfileConfig{
		"as the bench runs it":  {},
		"sessions slow to open": {Opening: 300 * time.Millisecond, Burst: 4800, After: time.Minute},
		"from nothing to many":  {Min: 1, Max: 100, Burst: 12_000, After: time.Minute},
		"a small account":       {Min: 1, Max: 4, Burst: 400},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				result, err := pool.Profile(t.Context(), config)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%+v", result)
				if result.DrainRatio > 1.10 {
					t.Errorf("draining took %.3f of the fixed pool's time", result.DrainRatio)
				}
				if result.SessionSecondsRatio >= 0.5 {
					t.Errorf("it used %.3f of the fixed pool's session-seconds", result.SessionSecondsRatio)
				}
				if result.DirectionChanges > 1 {
					t.Errorf("it changed direction %d times in a phase", result.DirectionChanges)
				}
			})
		})
	}
}

func TestAProfileStopsWhenItIsToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, after := range []time.Duration{time.Second, 12 * time.Second} { // idle, in the burst
			ctx, cancel := context.WithTimeout(t.Context(), after)
			if _, err := pool.Profile(ctx, pool.ProfileConfig{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after %s: %v", after, err)
			}
			cancel()
		}
	})
}
