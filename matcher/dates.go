package matcher

import (
	"context"

	"github.com/jackc/pgx/v5"

	"herald/matcher/dates"
	"herald/subscriptions"
)

// AcceptDates accepts dates as events of their triggers, and does something
// else in the same transaction, as AcceptAnd does. A date that is refused, as
// when its trigger has become another kind meanwhile, is logged and left out.
func (i *Intake) AcceptDates(ctx context.Context, list []dates.Event, in func(ctx context.Context, tx pgx.Tx) error) error {
	events := make([]Event, len(list))
	for n, d := range list {
		events[n] = Event{ID: d.ID, Source: dates.Source, Type: subscriptions.DateEventType, Time: d.At, Data: d.Data, Trigger: d.Trigger}
	}
	results, err := i.AcceptAnd(ctx, events, in)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Status == Refused {
			i.cfg.Logger.ErrorContext(ctx, "a date was refused", "event", r.ID, "error", r.Err)
		}
	}
	return nil
}
