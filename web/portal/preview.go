package portal

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"herald/matcher"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// Previews is what the portal asks of *matcher.Previews.
type Previews interface {
	Preview(ctx context.Context, w matcher.Wish) (matcher.Preview, error)
}

// past is what an alert would have done, in words. The zero value says nothing.
type past struct {
	Told     string   // "It would have told you 3 times in the past week."
	Firings  []firing // the latest of those
	More     int      // firings that are not among them
	HeldBack string   // how often a limit of the member's own would have kept it
	Running  string   // how often it waits for something now
	Stopped  string   // that and since when not everything was looked at
	Waiting  bool     // the form is not yet such that it can be tried
}

// firing is a time at which the alert would have told something.
type firing struct {
	At   time.Time
	What string
}

const (
	// firingsShown is how many are listed.
	firingsShown = 5
	// leastLooked is how far back a preview must have come to say anything.
	leastLooked = time.Minute
)

// previewNew says what the alert in the form would have done.
func (p *portal) previewNew(v *visit) error {
	t, err := p.onOffer(v)
	if err != nil {
		return err
	}
	form, err := v.Form()
	if err != nil {
		return err
	}
	return p.preview(v, form, "alert_new", t, func() alertForm { return p.alertForm(v, form, t) })
}

// previewChange says what a changed alert would have done.
func (p *portal) previewChange(v *visit) error {
	s, t, err := p.own(v)
	if err != nil {
		return err
	}
	form, err := v.Form()
	if err != nil {
		return err
	}
	return p.preview(v, form, "alert_edit", t, func() alertForm { return p.editing(v, form, s, t) })
}

// preview answers with the words alone where a script asks, and otherwise with
// the form as it was filled in and the words below.
func (p *portal) preview(v *visit, form *page.Form, name string, t subscriptions.Trigger, fill func() alertForm) error {
	wish := matcher.Wish{
		Trigger: t.Name, MemberID: v.Member.ID, Params: params(v.Reader, form, t),
		MaxNotifications: maxNotifications(form), CoolDown: coolDownFrom(form),
	}
	var found matcher.Preview
	err := error(problem.New(problem.Invalid, "the form is not filled in")) // as it says itself
	if !form.Failed() {
		found, err = p.Previews.Preview(v.Context(), wish)
	}
	var said past
	if err == nil {
		if said, err = p.pastOf(v, t, wish, found); err != nil {
			return err
		}
	}
	if v.R.Header.Get("HX-Request") == "true" {
		switch problem.CodeOf(err) {
		case problem.Invalid:
			said = past{Waiting: true} // it is still being filled in
		case problem.Throttled:
			v.W.WriteHeader(http.StatusTooManyRequests) // what was said stays
			return nil
		default:
			if err != nil {
				return err
			}
		}
		return v.ShowPart(name, "preview", said)
	}
	if problem.CodeOf(err) == problem.Throttled {
		data := fill()
		data.Past = past{Told: v.T("preview.busy")}
		return v.ShowStatus(page.Status(err), name, data)
	}
	if err != nil {
		if !form.Failed() {
			if blamed := form.Blame(err); blamed != nil {
				return blamed
			}
		}
		return v.ShowStatus(page.Status(err), name, fill())
	}
	data := fill()
	data.Past = said
	return v.Show(name, data)
}

// pastOf puts a preview in words. An alert on dates is told by those to come.
func (p *portal) pastOf(v *visit, t subscriptions.Trigger, wish matcher.Wish, found matcher.Preview) (past, error) {
	if t.Dates != nil {
		days, err := p.next(v, t, subscriptions.Subscription{
			MemberID: wish.MemberID, Trigger: t.Name, Params: wish.Params, State: subscriptions.Active,
		})
		if days == "" || err != nil {
			return past{Told: v.T("preview.no_dates")}, err
		}
		return past{Told: v.T("alert.next", "dates", days)}, nil
	}
	if found.Unseen == nil && p.Now().Sub(found.LookedBackTo) < leastLooked {
		return past{Told: v.T("preview.unknown")}, nil
	}
	said := past{Told: v.T("preview.told", "count", found.Fired)}
	if found.Fired == 0 {
		said.Told = v.T("preview.never")
	}
	if held := found.Met - found.Fired; held > 0 {
		said.HeldBack = v.T("preview.held", "count", held)
	}
	if found.Waiting > 0 {
		said.Running = v.T("preview.running", "count", found.Waiting)
	}
	switch {
	case found.Unseen != nil:
		said.Stopped = v.T("preview.unseen", "since", v.Minute(found.Unseen.Since), "until", v.Minute(found.Unseen.Until))
	case !found.Complete:
		said.Stopped = v.T("preview.stopped", "since", v.Minute(found.LookedBackTo))
	}
	shown := found.Firings[:min(len(found.Firings), firingsShown)]
	for _, f := range shown {
		said.Firings = append(said.Firings, firing{f.At, v.Event(page.Customer, t, f.Event, v.Member.Account)})
	}
	said.More = found.Fired - len(shown)
	return said, nil
}

// previewAddress is where a form's alert is tried.
func previewAddress(t subscriptions.Trigger, s subscriptions.Subscription) string {
	if s.ID != 0 {
		return "/alerts/" + strconv.FormatInt(s.ID, 10) + "/preview"
	}
	return "/new/" + t.Name + "/preview"
}
