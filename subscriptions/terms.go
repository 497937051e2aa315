package subscriptions

import (
	"slices"
	"time"

	"herald/problem"
)

const maxNotificationsLimit = 1_000_000

// repetitions are the values of Subscription.Repeats.
var repetitions = []string{"", "daily", "weekly", "monthly", "yearly"}

// digests are the values of Subscription.Digest.
var digests = []string{"", "hourly", "daily"}

// ordered turns an order into the subscription it makes, or says all that is
// wrong with it. params are its parameters, typed.
func ordered(o Order, t Trigger, now time.Time) (s stored, params map[string]any, err error) {
	var bad problem.Fields
	params, mistakes := t.CheckParams(o.Params)
	bad = append(bad, mistakes...)
	s.Subscription = Subscription{
		MemberID: o.MemberID, Trigger: t.Name, Channels: o.Channels, State: Active,
		ValidFrom: now, ValidUntil: atMicrosecond(o.ValidUntil),
		MaxNotifications: o.MaxNotifications, CoolDown: o.CoolDown, Digest: o.Digest, Repeats: o.Repeats,
		Origin: o.Origin, CreatedAt: now, UpdatedAt: now,
	}
	if o.ValidFrom != nil {
		s.ValidFrom = *atMicrosecond(o.ValidFrom)
	}
	if len(s.Channels) == 0 {
		s.Channels = t.Channels
	}
	s.periodsFrom = s.ValidUntil
	checkOption("origin", o.Origin, []string{"portal", "api", "import"}, &bad)
	if o.Actor == "" {
		bad.Add("actor", "required", "must be given")
	}
	s.checkTerms(&bad)
	s.checkFuture(now, &bad)
	if err := bad.Err("this subscription cannot be made"); err != nil {
		return stored{}, nil, err
	}
	s.Params, err = asStored(params)
	return s, params, err
}

// changed applies a change to a subscription, or says all that is wrong with
// it. params are the parameters, typed, when the change names them.
func changed(s stored, c Change, t Trigger, now time.Time) (next stored, params map[string]any, err error) {
	var bad problem.Fields
	if c.Params != nil {
		var mistakes []problem.Field
		params, mistakes = t.CheckParams(c.Params)
		bad = append(bad, mistakes...)
	}
	if c.Channels != nil {
		s.Channels = c.Channels
		if len(c.Channels) == 0 {
			bad.Add("channels", "required", "must name at least one channel")
		}
	}
	if c.MaxNotifications != nil {
		s.MaxNotifications = *c.MaxNotifications
		if n := s.MaxNotifications; n > 0 && n <= s.Sent {
			bad.AddArgs("max_notifications", "min", map[string]any{"min": s.Sent + 1}, "must be more than the %d already sent", s.Sent)
		}
	}
	if c.CoolDown != nil {
		s.CoolDown = *c.CoolDown
	}
	if c.Digest != nil {
		s.Digest = *c.Digest
	}
	if c.Repeats != nil {
		s.Repeats = *c.Repeats
	}
	if c.Paused != nil {
		s.State = map[bool]State{true: Paused, false: Active}[*c.Paused]
	}
	if c.Actor == "" {
		bad.Add("actor", "required", "must be given")
	}
	if c.ValidUntil != nil {
		s.ValidUntil = atMicrosecond(*c.ValidUntil)
		s.periodsFrom = s.ValidUntil
		s.checkFuture(now, &bad)
	}
	s.checkTerms(&bad)
	if err := bad.Err("this change cannot be made"); err != nil {
		return stored{}, nil, err
	}
	if c.Params != nil {
		s.Params, err = asStored(params)
	}
	return s, params, err
}

// checkTerms holds what was agreed on against the rules that always apply.
func (s stored) checkTerms(bad *problem.Fields) {
	checkLadder(s.Channels, bad)
	if s.MaxNotifications < 0 || s.MaxNotifications > maxNotificationsLimit {
		bad.AddArgs("max_notifications", "range", map[string]any{"min": 0, "max": maxNotificationsLimit}, "must be 1 to %d, or 0 for no limit", maxNotificationsLimit)
	}
	if s.CoolDown != nil {
		if v := time.Duration(*s.CoolDown); v < 0 || v > maxCoolDown || v%time.Microsecond != 0 {
			bad.AddArgs("cool_down", "duration", map[string]any{"max": maxCoolDown.String()}, "must be a duration such as 24h, at most %s", maxCoolDown)
		}
	}
	if !slices.Contains(digests, s.Digest) {
		bad.AddArgs("digest", "options", map[string]any{"options": digests}, "must be hourly, daily or empty")
	}
	if !slices.Contains(repetitions, s.Repeats) {
		bad.AddArgs("repeats", "options", map[string]any{"options": repetitions}, "must be daily, weekly, monthly, yearly or empty")
	}
	if s.Repeats != "" && s.ValidUntil == nil {
		bad.Add("valid_until", "required", "must be given when the subscription repeats: it ends the first period")
	}
}

// checkFuture makes sure that the subscription can still fire.
func (s stored) checkFuture(now time.Time, bad *problem.Fields) {
	switch {
	case s.ValidUntil == nil:
	case !s.ValidUntil.After(now):
		bad.AddArgs("valid_until", "future", map[string]any{"now": now}, "must be in the future")
	case !s.ValidUntil.After(s.ValidFrom):
		bad.AddArgs("valid_until", "after", map[string]any{"after": s.ValidFrom}, "must be after valid_from")
	}
}

// atMicrosecond is an instant as PostgreSQL keeps it; nil stays nil.
func atMicrosecond(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := t.UTC().Truncate(time.Microsecond)
	return &at
}
