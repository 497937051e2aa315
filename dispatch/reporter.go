package dispatch

import (
	"context"
	"sync"
	"time"
)

// How long a sender's stream of reports rests after it failed, growing.
const (
	reportsPause    = time.Second
	reportsPauseMax = time.Minute
)

// Reports runs the senders that are Reporters until ctx ends, and gives what
// their providers say to take. One that fails is begun again after a while.
func (a *Accounts) Reports(ctx context.Context, take func(context.Context, []Report) error) {
	var running sync.WaitGroup
	for _, one := range a.list {
		reporter, able := one.Sender.(Reporter)
		if !able {
			continue
		}
		running.Go(func() {
			for pause := reportsPause; ctx.Err() == nil; pause = min(2*pause, reportsPauseMax) {
				err := reporter.Reports(ctx, func(ctx context.Context, reports []Report) error {
					for i := range reports {
						reports[i].Account = one.name
					}
					return take(ctx, reports)
				})
				if ctx.Err() == nil {
					one.logger.WarnContext(ctx, "the account gives no receipts: it is asked again", "after", pause, "error", err)
					pauseFor(ctx, pause)
				}
			}
		})
	}
	running.Wait()
}
