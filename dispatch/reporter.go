package dispatch

import (
	"context"
	"sync"
	"time"
)

// How long a sender's stream of reports or messages rests after it failed,
// growing.
const (
	listenPause    = time.Second
	listenPauseMax = time.Minute
)

// Reports runs the senders that are Reporters until ctx ends, and gives what
// their providers say to take. One that fails is begun again after a while.
func (a *Accounts) Reports(ctx context.Context, take func(context.Context, []Report) error) {
	a.listen(ctx, "receipts", func(one *account) func(context.Context) error {
		reporter, able := one.Sender.(Reporter)
		if !able {
			return nil
		}
		return func(ctx context.Context) error {
			return reporter.Reports(ctx, func(ctx context.Context, reports []Report) error {
				for i := range reports {
					reports[i].Account = one.name
				}
				return take(ctx, reports)
			})
		}
	})
}

// Receive runs the senders that are Receivers until ctx ends, and gives what
// is written to their accounts to take. One that fails is begun again after a
// while.
func (a *Accounts) Receive(ctx context.Context, take func(context.Context, []Inbound) error) {
	a.listen(ctx, "messages", func(one *account) func(context.Context) error {
		receiver, able := one.Sender.(Receiver)
		if !able {
			return nil
		}
		return func(ctx context.Context) error {
			return receiver.Receive(ctx, func(ctx context.Context, messages []Inbound) error {
				for i := range messages {
					messages[i].Account, messages[i].Channel = one.name, one.Sender.Channel()
				}
				return take(ctx, messages)
			})
		}
	})
}

// listen runs what of makes for each account, nil for one that has nothing to
// say, until ctx ends.
func (a *Accounts) listen(ctx context.Context, what string, of func(*account) func(context.Context) error) {
	var running sync.WaitGroup
	for _, one := range a.list {
		run := of(one)
		if run == nil {
			continue
		}
		running.Go(func() {
			for pause := listenPause; ctx.Err() == nil; pause = min(2*pause, listenPauseMax) {
				began := time.Now()
				err := run(ctx)
				if time.Since(began) > listenPauseMax { // it had worked
					pause = listenPause
				}
				if ctx.Err() == nil {
					one.logger.WarnContext(ctx, "the account gives nothing any more: it is asked again", "what", what, "after", pause, "error", err)
					pauseFor(ctx, pause)
				}
			}
		})
	}
	running.Wait()
}
