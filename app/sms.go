package app

import (
	"context"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms/parts"
)

// startModems sets the modems to work, which may take them a while; one that is
// not there is looked for again and again.
func (a *App) startModems() {
	for _, m := range a.accounts.modems {
		m.Start()
		a.cleanups.onStop("modem "+m.Account(), func(context.Context) error {
			m.Close()
			return nil
		})
	}
}

// wholes takes reports of the parts of messages, and passes on what they mean
// for the messages.
type wholes struct {
	parts *parts.Store
	next  *dispatch.Receipts
}

func (w wholes) Report(ctx context.Context, reports []dispatch.Report) error {
	whole, err := w.parts.Reports(ctx, reports)
	if err != nil || len(whole) == 0 {
		return err
	}
	return w.next.Report(ctx, whole)
}

const (
	// partsFor is how long the parts of messages are kept: longer than any
	// operator tries.
	partsFor = 7 * 24 * time.Hour
	// forgetPartsEvery is how often older ones are looked for.
	forgetPartsEvery = time.Hour
)

// forgetParts removes what nobody will report of any more, until ctx ends.
// What another node removes just now is passed over.
func (a *App) forgetParts(ctx context.Context) {
	tick := time.NewTicker(forgetPartsEvery)
	defer tick.Stop()
	for {
		if _, err := a.parts.Sweep(ctx, partsFor); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "old parts of messages could not be forgotten", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
