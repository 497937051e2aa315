package dates

import (
	"context"
	"fmt"
	"time"

	"herald/calendar"
	"herald/matcher/predicate"
	"herald/problem"
	"herald/subscriptions"
)

// Members are those who subscribe; *subscriptions.Members.
type Members interface {
	Get(ctx context.Context, id int64) (subscriptions.Member, error)
}

// Ahead tells which dates come next.
type Ahead struct {
	calendars Calendars
	members   Members
	now       func() time.Time
}

// NewAhead tells the dates of triggers and of what members subscribed to.
func NewAhead(calendars Calendars, members Members, now func() time.Time) *Ahead {
	return &Ahead{calendars, members, now}
}

// OfTrigger is the next n moments of a trigger's dates where the clock is that
// of a zone; none where it is not on dates, or on days of people's own.
func (a *Ahead) OfTrigger(ctx context.Context, t subscriptions.Trigger, zone *time.Location, n int) ([]calendar.Moment, error) {
	s, known, err := a.schedule(ctx, t)
	if err != nil || !known || s.Occasion.Personal() {
		return nil, err
	}
	return s.Next(a.now(), zone, n), nil
}

// OfSubscription is the next n moments at which a subscription to a trigger on
// dates is met by its member's clock; none where it is paused, has ended or
// will have ended by then, and no more than it still has to tell.
func (a *Ahead) OfSubscription(ctx context.Context, t subscriptions.Trigger, sub subscriptions.Subscription, n int) ([]calendar.Moment, error) {
	s, known, err := a.schedule(ctx, t)
	if err != nil || !known || sub.State != subscriptions.Active {
		return nil, err
	}
	if sub.MaxNotifications > 0 {
		if n = min(n, sub.MaxNotifications-sub.Sent); n <= 0 {
			return nil, nil
		}
	}
	member, err := a.members.Get(ctx, sub.MemberID)
	if err != nil {
		return nil, err
	}
	who := predicate.Member{Account: member.Account, TimeZone: member.TimeZone}
	if len(member.Birthday) == len(time.DateOnly) {
		who.Birthday = member.Birthday[len("2006-"):]
	}
	params, bad := t.CheckParams(sub.Params)
	if len(bad) > 0 {
		return nil, nil // the trigger asks for others by now: nothing meets it
	}
	from := a.now()
	if sub.ValidFrom.After(from) {
		from = sub.ValidFrom.Add(-1)
	}
	list, err := t.NextDates(s, who, params, from, n)
	if err != nil {
		return nil, err
	}
	for i, m := range list {
		if sub.ValidUntil != nil && !m.At.Before(*sub.ValidUntil) {
			return list[:i], nil
		}
	}
	return list, nil
}

// schedule is a trigger's; known is false where it has no dates, or they are
// those of a calendar that is not there.
func (a *Ahead) schedule(ctx context.Context, t subscriptions.Trigger) (s calendar.Schedule, known bool, err error) {
	if t.Dates == nil {
		return s, false, nil
	}
	if s, err = t.Dates.Schedule(); err != nil {
		return s, false, err
	}
	occasion, err := a.calendars.Using(ctx, s.Occasion)
	if problem.CodeOf(err) == problem.NotFound {
		return s, false, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("dates of %s: %w", t.Name, err)
	}
	s.Occasion = occasion
	return s, true, nil
}
