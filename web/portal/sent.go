package portal

import (
	"github.com/google/uuid"

	"herald/dispatch"
	"herald/matcher"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// sentList is what the page "sent" is filled from.
type sentList struct {
	Lines []sentLine
	Next  string // the cursor of the next page; empty on the last
}

const sentPerPage = 25

func (p *portal) sent(v *visit) error {
	before := uuid.Nil
	if cursor := v.R.URL.Query().Get("before"); cursor != "" {
		var err error
		if before, err = uuid.Parse(cursor); err != nil {
			return problem.New(problem.NotFound, "there is no such page")
		}
	}
	found, err := p.Deliveries.ForMember(v.Context(), v.Member.ID, before, sentPerPage+1)
	if err != nil {
		return err
	}
	var data sentList
	if len(found) > sentPerPage {
		found = found[:sentPerPage]
		data.Next = found[sentPerPage-1].ID.String()
	}
	subs, err := p.Subscriptions.ForMember(v.Context(), v.Member.ID, false)
	if err != nil {
		return err
	}
	alerts, err := p.worded(v, subs, nil)
	if err != nil {
		return err
	}
	if data.Lines, err = p.sentLines(v, found, alerts); err != nil {
		return err
	}
	return v.Show("sent", data)
}

// reason is what the page "why" is filled from.
type reason struct {
	Delivery dispatch.Delivery
	What     string
	Course   []page.Told
	Change   string // where the alert is changed; empty for those who have not signed in
	Stop     string // where it is stopped; empty when there is nothing to stop
}

// why answers why the member got this, or did not.
func (p *portal) why(v *visit) error {
	id, err := uuid.Parse(v.R.PathValue("id"))
	if err != nil {
		return problem.New(problem.NotFound, "there is no such delivery")
	}
	t, err := p.Deliveries.Timeline(v.Context(), id)
	if err != nil {
		return err
	}
	if t.Delivery.MemberID != v.Member.ID {
		return problem.New(problem.NotFound, "there is no such delivery")
	}
	data, err := p.reason(v.Visit, t)
	if err != nil {
		return err
	}
	if id := t.Delivery.SubscriptionID; id != 0 {
		s, err := p.Subscriptions.Get(v.Context(), id)
		if err == nil && s.State != subscriptions.Ended {
			data.Change, data.Stop = alertPath(id), alertPath(id)+"/stop"
		}
	}
	return v.Show("why", data)
}

// signedWhy answers the same to whoever has the link from the message. It
// names no address in full and leads no further than to stopping.
func (p *portal) signedWhy(v *page.Visit) error {
	id, err := p.Links.delivery(v.R.PathValue("token"))
	if err != nil {
		return err
	}
	t, err := p.Deliveries.Timeline(v.Context(), id)
	if err != nil {
		return err
	}
	data, err := p.reason(v, t)
	if err != nil {
		return err
	}
	if d := t.Delivery; d.Purpose != subscriptions.Transactional || d.SubscriptionID != 0 {
		data.Stop = p.Links.unsubscribePath(d.ID, d.SubscriptionID)
	}
	return v.Show("why", data)
}

// unasked is what a delivery that no alert caused is called.
func unasked(v *page.Visit, d dispatch.Delivery) string {
	if d.Campaign != 0 && v.Company != "" {
		return v.T("message.campaign.company", "company", v.Company)
	}
	if d.Campaign != 0 {
		return v.T("message.campaign")
	}
	return v.Word("message", d.Template)
}

// asOffer is what a delivery is called when it offers to extend the alert that
// is called so.
func asOffer(v *page.Visit, d dispatch.Delivery, what string) string {
	if d.Template == matcher.RenewalTemplate {
		return v.T("message.renewal", "what", what)
	}
	return what
}

func (p *portal) reason(v *page.Visit, t dispatch.Timeline) (reason, error) {
	data := reason{Delivery: t.Delivery, What: unasked(v, t.Delivery)}
	course := page.Course{Audience: page.Customer, Timeline: t}
	if name := t.Delivery.Trigger; name != "" {
		trigger, err := p.Triggers.Get(v.Context(), name)
		if err != nil && problem.CodeOf(err) != problem.NotFound {
			return reason{}, err
		}
		course.Trigger = trigger
		params, _ := t.Notification.Data["param"].(map[string]any)
		if trigger.Name != "" {
			course.Summary = trigger.Summarise(params, v.Tag)
			data.What = trigger.Title.In(v.Tag)
		}
	}
	data.What = asOffer(v, t.Delivery, data.What)
	data.Course = v.Narrate(course)
	return data, nil
}
