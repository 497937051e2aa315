package portal

import (
	"time"

	"herald/problem"
	"herald/subscriptions"
)

// ends is until when an alert is valid, and how far it can be extended.
type ends struct {
	Text    string // in words; empty: it has no end
	Shown   string // its end, as the page shows it now: RFC 3339
	Further string // the last day when it is extended; empty: it cannot be
}

func (p *portal) ends(v *visit, s subscriptions.Subscription) (ends, error) {
	if s.ValidUntil == nil {
		return ends{}, nil
	}
	e := ends{Text: v.T("alert.ends", "until", v.Date(s.ValidUntil.Add(-1))), Shown: s.ValidUntil.Format(time.RFC3339Nano)}
	if s.Repeats != "" {
		e.Text = v.T("alert.ends.repeats", "until", v.Date(s.ValidUntil.Add(-1)), "repeats", v.Word("repeats", s.Repeats))
	}
	until, ok, err := p.Subscriptions.Extension(v.Context(), s, v.Zone)
	if ok {
		e.Further = v.Date(until.Add(-1))
	}
	return e, err
}

// extendAlert moves the end of an alert on by the same time again. Where it is
// not the one that the page showed it stays: pressed twice, it is moved once.
func (p *portal) extendAlert(v *visit) error {
	s, t, err := p.own(v)
	if err != nil {
		return err
	}
	if s.State == subscriptions.Ended {
		return v.Go("/alerts/ended")
	}
	form, err := v.Form()
	if err != nil {
		return err
	}
	until, ok, err := p.Subscriptions.Extension(v.Context(), s, v.Zone)
	if err != nil {
		return err
	}
	if !ok || form.Get("until") != s.ValidUntil.Format(time.RFC3339Nano) {
		return v.Go(alertPath(s.ID))
	}
	further := &until
	_, err = p.Subscriptions.Change(v.Context(), s.ID, subscriptions.Change{Version: s.Version, ValidUntil: &further, Actor: actor})
	if problem.CodeOf(err) == problem.Conflict { // it was changed in this moment
		return v.Go(alertPath(s.ID))
	}
	if err != nil {
		return err
	}
	v.Say("alert.extended", "until", v.Date(until.Add(-1)), "what", t.Summarise(s.Params, v.Tag))
	return v.Go("/alerts")
}
