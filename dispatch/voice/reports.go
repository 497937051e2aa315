package voice

import (
	"context"
	"errors"
	"time"

	"herald/dispatch"
	"herald/subscriptions"
)

// Resolve finds out what became of a message in doubt, by its newest call:
// where there is none, nothing was dialled, for it would have been written
// down. One that goes on, or whose process died, has reached somebody if it was
// answered; otherwise nobody knows. What is known not to have been taken, the
// attempt that left it in doubt does not dial any more.
func (s *Sender) Resolve(ctx context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	calls, err := s.deps.Store.calls(ctx, m.DeliveryID, s.cfg.Name)
	if err != nil {
		return dispatch.Receipt{}, s.askAgain(err)
	}
	receipt, failure := s.last(calls)
	if failure == nil {
		return receipt, nil
	}
	if failure.Class != dispatch.Doubt {
		if err := s.deps.Store.disown(ctx, m.DeliveryID, m.Attempt, s.cfg.Name, s.deps.Now()); err != nil {
			return dispatch.Receipt{}, s.askAgain(err)
		}
	}
	return dispatch.Receipt{}, failure
}

// askAgain is that it could not be found out now. It is not Doubt, which would
// be taken for a call.
func (s *Sender) askAgain(err error) *dispatch.SendError {
	return &dispatch.SendError{Class: dispatch.Throttled, Account: s.cfg.Name, Err: err}
}

// last is what the newest of a delivery's calls means for it.
func (s *Sender) last(calls []row) (dispatch.Receipt, *dispatch.SendError) {
	if len(calls) == 0 {
		return dispatch.Receipt{}, &dispatch.SendError{Class: dispatch.Transient, Account: s.cfg.Name, Err: errors.New("it was not dialled")}
	}
	newest := calls[len(calls)-1]
	if newest.EndedAt == nil {
		return s.unsure(newest)
	}
	return s.settled(newest, tries(calls[:len(calls)-1]), 0, nil)
}

const (
	// tellEvery is the time between two looks for calls that are to be
	// reported and that another node, or a process before, made.
	tellEvery = 5 * time.Second
	// tellAfter is how long a call is over before it is reported: its hand-over
	// is recorded by then.
	tellAfter = time.Second
	// forgetAfter is by how much a call must have gone on for longer than any
	// does, until its process is taken for dead.
	forgetAfter = time.Minute
)

// tell has what was said reported soon.
func (s *Sender) tell() {
	select {
	case s.wake <- struct{}{}:
	default: // it will be
	}
}

// Reports tells of each call once what came of it beside being answered: that a
// person heard the message to its end, or confirmed it where it asks to, is a
// delivery; that they want no more of these calls ends them. Calls are told by
// what is written of them, also those whose process died.
func (s *Sender) Reports(ctx context.Context, take func(context.Context, []dispatch.Report) error) error {
	wait := time.NewTimer(0)
	defer wait.Stop()
	wake := s.wake
	for {
		select {
		case <-wake:
			wake = nil // it will be looked soon; many calls may end until then
			wait.Reset(tellAfter)
			continue
		case <-wait.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.report(ctx, take); err != nil {
			return err
		}
		wake = s.wake
		wait.Reset(tellEvery)
	}
}

// report reports all that is to be reported now.
func (s *Sender) report(ctx context.Context, take func(context.Context, []dispatch.Report) error) error {
	now := s.deps.Now()
	if buried, err := s.deps.Store.bury(ctx, s.cfg.Name, now.Add(-s.Longest()-forgetAfter), now); err != nil {
		return err
	} else if buried > 0 {
		s.deps.Logger.WarnContext(ctx, "calls were left open by a process that died", "calls", buried)
	}
	for {
		calls, err := s.deps.Store.untold(ctx, s.cfg.Name, now)
		if err != nil || len(calls) == 0 {
			return err
		}
		var reports []dispatch.Report
		for _, c := range calls {
			reports = append(reports, c.reports()...)
		}
		if err := take(ctx, reports); err != nil {
			return err
		}
		if err := s.markTold(ctx, calls); err != nil {
			return err
		}
	}
}

// markTold notes that calls were reported, also when ctx has ended meanwhile.
func (s *Sender) markTold(ctx context.Context, calls []row) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	return s.deps.Store.markTold(ctx, calls)
}

// reports are what a call that is over has to report. The same call gives the
// same keys.
func (r row) reports() (told []dispatch.Report) {
	report := func(event dispatch.ReportEvent) {
		told = append(told, dispatch.Report{
			DeliveryID: r.DeliveryID, Account: r.Account, ProviderID: r.CallID, Channel: subscriptions.Voice,
			Event: event, At: *r.EndedAt, Key: r.CallID + " " + string(event),
		})
	}
	if r.Reached {
		report(dispatch.ReportDelivered)
	}
	if r.Stopped {
		report(dispatch.ReportUnsubscribed)
	}
	return told
}
