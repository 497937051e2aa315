package matcher

import (
	"context"

	"herald/matcher/absence"
)

// watch opens and closes the watches of triggers on absences, as the events
// that were recorded say.
func (t *transaction) watch(ctx context.Context) error {
	var openings []absence.Opening
	var closings []absence.Closing
	for _, e := range t.fresh {
		if len(e.plan.turns) == 0 {
			continue
		}
		event := absence.Event{
			ID: e.id, Type: e.event.Type, Subject: e.event.Subject, Data: e.data, Time: e.event.Time, Received: t.received,
		}
		for _, turn := range e.plan.turns {
			if turn.rule.Opens(event.Type) {
				openings = append(openings, turn.rule.Opening(turn.key, event))
			}
			if turn.rule.Closes(event.Type) {
				closings = append(closings, turn.rule.Closing(turn.key, event))
			}
		}
	}
	if len(openings)+len(closings) == 0 {
		return nil
	}
	return absence.RecordTx(ctx, t.tx, openings, closings)
}

// AcceptAbsences accepts what did not happen as events of Herald's own: the
// data is the opener's, the time that at which it was too late. One whose data
// the trigger would not take any more is left out.
func (i *Intake) AcceptAbsences(ctx context.Context, list []absence.Absence, in Also) error {
	events := make([]Event, len(list))
	for k, a := range list {
		events[k] = Event{
			ID: a.ID(), Source: absence.Source, Type: a.Type, Subject: a.Subject, Time: a.DueAt, Data: a.Data, Trigger: a.Trigger,
		}
	}
	results, err := i.AcceptAnd(ctx, events, in)
	for _, r := range results {
		if r.Status == Refused {
			i.cfg.Logger.WarnContext(ctx, "an absence does not fit its trigger any more", "absence", r.ID, "error", r.Err)
		}
	}
	return err
}
