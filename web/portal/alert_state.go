package portal

import (
	"fmt"
	"strconv"

	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

func (p *portal) pauseAlert(v *visit) error  { return p.setPaused(v, true) }
func (p *portal) resumeAlert(v *visit) error { return p.setPaused(v, false) }

func (p *portal) setPaused(v *visit, paused bool) error {
	s, t, err := p.own(v)
	if err != nil {
		return err
	}
	_, err = p.Subscriptions.Change(v.Context(), s.ID, subscriptions.Change{Paused: &paused, Actor: actor})
	if err != nil {
		return err
	}
	done, undo, path := "alert.resumed", "alert.pause", "pause"
	if paused {
		done, undo, path = "alert.paused", "alert.resume", "resume"
	}
	v.Tell(page.Flash{
		Text: v.T(done, "what", t.Summarise(s.Params, v.Tag)),
		Undo: fmt.Sprintf("/alerts/%d/%s", s.ID, path), UndoLabel: v.T(undo),
	})
	return v.Go("/alerts")
}

func (p *portal) askStopAlert(v *visit) error {
	s, t, err := p.own(v)
	if err != nil {
		return err
	}
	a := wordAlert(v.Reader, t, s)
	a.Summary = t.Summarise(s.Params, v.Tag)
	return v.Show("stop", a)
}

func (p *portal) stopAlert(v *visit) error {
	s, t, err := p.own(v)
	if err != nil {
		return err
	}
	if err := p.Subscriptions.End(v.Context(), s.ID, "cancelled", actor); err != nil {
		return err
	}
	v.Tell(page.Flash{
		Text: v.T("alert.stopped", "what", t.Summarise(s.Params, v.Tag)),
		Undo: fmt.Sprintf("/alerts/%d/again", s.ID), UndoLabel: v.T("undo"),
	})
	return v.Go("/alerts")
}

// againAlert starts an ended alert again, as a new one.
func (p *portal) againAlert(v *visit) error {
	s, t, err := p.own(v)
	if err != nil {
		return err
	}
	if s.State != subscriptions.Ended {
		return v.Go("/alerts")
	}
	again, err := p.Subscriptions.Create(v.Context(), orderAgain(v.Reader, s))
	switch problem.CodeOf(err) {
	case "":
	case problem.Conflict: // it is on already, or another like it
		return v.Go("/alerts")
	case problem.Invalid: // the definition has changed: let them look it over
		return v.Go("/new/" + s.Trigger)
	}
	if err != nil {
		return err
	}
	v.Say("alert.again", "what", t.Summarise(again.Params, v.Tag))
	return v.Go("/alerts")
}

// orderAgain asks for what an ended subscription was. An end that has passed
// and a number of messages that is used up are left behind.
func orderAgain(r page.Reader, s subscriptions.Subscription) subscriptions.Order {
	o := subscriptions.Order{
		MemberID: s.MemberID, Trigger: s.Trigger, Params: s.Params, Channels: s.Channels, CoolDown: s.CoolDown,
		Digest: s.Digest,
		Origin: "portal", Actor: actor,
	}
	if s.ValidUntil != nil && s.ValidUntil.After(r.Now) {
		o.ValidUntil, o.Repeats = s.ValidUntil, s.Repeats
	}
	if left := s.MaxNotifications - s.Sent; left > 0 {
		o.MaxNotifications = left
	}
	return o
}

func alertPath(id int64) string { return "/alerts/" + strconv.FormatInt(id, 10) }
