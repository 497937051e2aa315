package matcher

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"herald/matcher/absence"
	"herald/matcher/predicate"
	"herald/problem"
	"herald/subscriptions"
)

// Comparison is how an event and a subscription stand to each other.
type Comparison struct {
	Subscription subscriptions.Subscription `json:"subscription"`
	// Outcome is what was decided when the event came; empty: it met nothing.
	Outcome        Outcome   `json:"outcome,omitempty"`
	NotificationID uuid.UUID `json:"notification_id,omitzero"`
	// Terms are the trigger's condition as it is now, term by term. There are
	// none where the event is not of the trigger's type or does not fit it.
	Terms []predicate.Term `json:"terms"`
	// Obstacles are what kept the event from being told, as far as it can be
	// seen now; the first weighs most. None and no outcome: had it come now, it
	// would be told.
	Obstacles []Obstacle `json:"obstacles"`
}

// Obstacle is a reason why an event was not told.
type Obstacle string

// The obstacles.
const (
	OtherType    Obstacle = "other_type"     // the trigger is about other events
	TriggerOff   Obstacle = "trigger_off"    // it is switched off now
	DoesNotFit   Obstacle = "does_not_fit"   // the event's data are not what the trigger declares
	MadeLater    Obstacle = "made_later"     // the subscription came after the event
	HadEnded     Obstacle = "had_ended"      // and this one before it
	NotYetValid  Obstacle = "not_yet_valid"  // valid_from is after the event
	Expired      Obstacle = "expired"        // valid_until is not
	Unmet        Obstacle = "unmet"          // a term of the condition
	IsPaused     Obstacle = "paused"         // the subscription is paused now
	CoolingDown  Obstacle = "cool_down"      // it fired less than its cool-down before
	CapIsReached Obstacle = "cap_reached"    // as many as were asked for have been sent
	IsWatched    Obstacle = "is_watched"     // an absence is only told when nothing follows the event
	NotRepeated  Obstacle = "before_unknown" // what it was compared with, on a change, is not known any more
)

// compareMost is how many subscriptions of a member are compared.
const compareMost = 50

// Compare holds an event against a subscription. Errors: NotFound.
func (p *Previews) Compare(ctx context.Context, event Record, subscription int64) (Comparison, error) {
	s, err := p.cfg.Subscriptions.Get(ctx, subscription)
	if err != nil {
		return Comparison{}, err
	}
	return p.compare(ctx, event, s)
}

// CompareMember holds an event against the subscriptions of a member to its
// type of event, those in force first; 50 at most.
func (p *Previews) CompareMember(ctx context.Context, event Record, member int64) ([]Comparison, error) {
	list := []Comparison{}
	for _, ended := range []bool{false, true} {
		subs, err := p.cfg.Subscriptions.ForMember(ctx, member, ended)
		if err != nil {
			return nil, err
		}
		for _, s := range subs {
			if len(list) == compareMost {
				return list, nil
			}
			c, err := p.compare(ctx, event, s)
			if problem.CodeOf(err) == problem.NotFound {
				continue // its trigger is gone
			}
			if err != nil {
				return nil, err
			}
			if len(c.Obstacles) == 0 || c.Obstacles[0] != OtherType {
				list = append(list, c)
			}
		}
	}
	return list, nil
}

func (p *Previews) compare(ctx context.Context, event Record, s subscriptions.Subscription) (Comparison, error) {
	c := Comparison{Subscription: s, Terms: []predicate.Term{}, Obstacles: []Obstacle{}}
	t, err := p.cfg.Triggers.Get(ctx, s.Trigger)
	if err != nil {
		return c, err
	}
	matches, err := NewEvents(p.pool).matches(ctx, `event_id = $1 AND subscription_id = $2`, event.UUID, s.ID)
	if err != nil {
		return c, err
	}
	for _, m := range matches {
		c.Outcome, c.NotificationID = m.Outcome, m.NotificationID
	}
	if t.EventType != event.Type || event.Source == absence.Source && !strings.HasPrefix(event.ID, t.Name+"/") {
		c.Obstacles = append(c.Obstacles, OtherType)
		return c, nil
	}
	if err := p.explain(ctx, &c, t, event); err != nil {
		return c, err
	}
	if c.Outcome == "" {
		c.addStanding(t, event.ReceivedAt)
	}
	return c, nil
}

// explain fills the terms in, and what they tell.
func (p *Previews) explain(ctx context.Context, c *Comparison, t subscriptions.Trigger, event Record) error {
	w, err := watch(t)
	if err != nil {
		return err
	}
	values, wrong := t.CheckEvent(event.Data)
	if len(wrong) > 0 {
		c.Obstacles = append(c.Obstacles, DoesNotFit)
		return nil
	}
	params, wrong := t.CheckParams(c.Subscription.Params)
	if len(wrong) > 0 {
		params = c.Subscription.Params
	}
	member, err := p.member(ctx, c.Subscription.MemberID)
	if err != nil {
		return err
	}
	c.Terms = w.condition.Explain(predicate.Values{Event: values, Param: params, Member: member})
	if c.Outcome != "" {
		return nil
	}
	met := true
	for _, term := range c.Terms {
		met = met && (term.Met || t.Change != nil && term.Previous != "")
	}
	switch {
	case !met && t.Change != nil:
		c.Obstacles = append(c.Obstacles, Unmet, NotRepeated)
	case !met:
		c.Obstacles = append(c.Obstacles, Unmet)
	case t.Absence != nil && event.Source != absence.Source:
		c.Obstacles = append(c.Obstacles, IsWatched)
	case t.Change != nil:
		c.Obstacles = append(c.Obstacles, NotRepeated)
	}
	return nil
}

// addStanding adds what the subscription's own standing tells, of the moment
// when the event came where that is known, and otherwise as it is now.
func (c *Comparison) addStanding(t subscriptions.Trigger, at time.Time) {
	s := c.Subscription
	add := func(o Obstacle, applies bool) {
		if applies {
			c.Obstacles = append(c.Obstacles, o)
		}
	}
	wait, _, _, err := t.Durations()
	if s.CoolDown != nil && err == nil {
		wait = time.Duration(*s.CoolDown)
	}
	add(TriggerOff, !t.Enabled)
	add(MadeLater, at.Before(s.CreatedAt))
	add(HadEnded, s.EndedAt != nil && s.EndedAt.Before(at))
	add(NotYetValid, at.Before(s.ValidFrom) && !at.Before(s.CreatedAt))
	add(Expired, s.ValidUntil != nil && !at.Before(*s.ValidUntil))
	add(IsPaused, s.State == subscriptions.Paused)
	add(CoolingDown, s.LastFiredAt != nil && !at.Before(*s.LastFiredAt) && at.Sub(*s.LastFiredAt) < wait)
	add(CapIsReached, s.MaxNotifications > 0 && s.Sent >= s.MaxNotifications)
}
