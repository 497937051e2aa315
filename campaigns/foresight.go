package campaigns

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"herald/calendar"
	"herald/dispatch"
	"herald/subscriptions"
)

// foresight is when a plan would be told next, by the time zones of members.
type foresight struct {
	plan     Plan
	schedule calendar.Schedule // of a plan that recurs
	at       time.Time         // when it is asked
	expiry   time.Duration
	byZone   map[string]time.Time
}

func (s *Store) foresight(ctx context.Context, p Plan, at time.Time) (*foresight, error) {
	f := &foresight{plan: p, at: at, byZone: map[string]time.Time{}}
	var err error
	if f.expiry, err = time.ParseDuration(p.Expiry); err != nil {
		return nil, fmt.Errorf("expiry: %w", err)
	}
	if p.When.Recurs() {
		f.schedule, err = s.scheduleOf(ctx, p.When)
	}
	return f, err
}

// instant is when members of a time zone are told next. Birthdays come on all
// days of the year: of them it is the next time that their hour comes.
func (f *foresight) instant(zone string) time.Time {
	switch {
	case f.plan.When.At != nil && f.plan.When.At.After(f.at):
		return *f.plan.When.At
	case !f.plan.When.Recurs():
		return f.at
	case f.plan.When.Cron != "":
		zone = f.plan.When.TimeZone
	}
	if at, known := f.byZone[zone]; known {
		return at
	}
	at := f.at
	if next := f.schedule.Next(f.at, location(zone), 1); len(next) > 0 {
		at = next[0].At
	}
	f.byZone[zone] = at
	return at
}

// prospect is a message to a member who can be reached. Of birthdays caps are
// not asked: what is sent until then is not known.
func (f *foresight) prospect(m subscriptions.Member) dispatch.Prospect {
	at := f.instant(m.TimeZone)
	return dispatch.Prospect{
		Member: m, Purpose: f.plan.Purpose, Priority: f.plan.Priority,
		At: at, ExpiresAt: at.Add(f.expiry), Uncapped: f.plan.When.personal(),
	}
}

// outcome is what would become of a message to a member: the channel that it
// would take first, and whether it would wait for the end of quiet hours; or
// why it would take none.
type outcome struct {
	member  subscriptions.Member
	channel subscriptions.Channel
	refusal subscriptions.Refusal
	waits   bool
}

// outcomes decides about members as EnqueueTx would.
func (s *Store) outcomes(ctx context.Context, q subscriptions.Querier, f *foresight, ids []int64) ([]outcome, error) {
	reach, err := s.cfg.Consents.Reach(ctx, q, ids)
	if err != nil {
		return nil, fmt.Errorf("ask how members can be reached: %w", err)
	}
	list := make([]outcome, len(ids))
	var prospects []dispatch.Prospect
	var places []int
	for i, id := range ids {
		r := reach[id]
		ch, refusal := chosen(f.plan, r, s.cfg.Channels)
		list[i] = outcome{member: r.Member, channel: ch, refusal: refusal}
		if refusal == "" {
			prospects, places = append(prospects, f.prospect(r.Member)), append(places, i)
		}
	}
	foreseen, err := s.cfg.Enqueuer.Foresee(ctx, q, prospects)
	if err != nil {
		return nil, fmt.Errorf("foresee what becomes of messages: %w", err)
	}
	for i, one := range foreseen {
		o := &list[places[i]]
		switch one.State {
		case dispatch.Suppressed:
			o.channel, o.refusal = "", subscriptions.Refusal(cmp.Or(one.Reason, string(one.State)))
		case dispatch.Deferred:
			o.waits = true
		}
	}
	return list, nil
}
