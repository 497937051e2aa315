package portal

import (
	"context"

	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// ending is what an unsubscribe link speaks for, and what the page
// "unsubscribe" is filled from.
type ending struct {
	Delivery     dispatch.Delivery
	Subscription subscriptions.Subscription // zero when the link is not of a subscription
	What         string                     // in words
	Path         string
	Done         bool // it has ended
	Undone       bool // it is on again
}

// ending reads a link. The member's language is not known: what it ends is
// worded in the reader's.
func (p *portal) ending(v *page.Visit) (ending, error) {
	deliveryID, subscriptionID, err := p.Links.unsubscription(v.R.PathValue("token"))
	if err != nil {
		return ending{}, err
	}
	e := ending{Path: unsubscribePath + v.R.PathValue("token")}
	if e.Delivery, err = p.Deliveries.Delivery(v.Context(), deliveryID); err != nil {
		return ending{}, err
	}
	if subscriptionID == 0 {
		e.What = v.Word("purpose", e.Delivery.Purpose)
		return e, nil
	}
	if e.Subscription, err = p.Subscriptions.Get(v.Context(), subscriptionID); err != nil {
		return ending{}, err
	}
	t, err := p.Triggers.Get(v.Context(), e.Subscription.Trigger)
	if err != nil {
		return ending{}, err
	}
	e.What = t.Summarise(e.Subscription.Params, v.Tag)
	e.Done = e.Subscription.State == subscriptions.Ended
	return e, nil
}

// unsubscribe shows what the link ends and asks: programs that fetch links
// must not end anything.
func (p *portal) unsubscribe(v *page.Visit) error {
	e, err := p.ending(v)
	if err != nil {
		return err
	}
	return v.Show("unsubscribe", e)
}

// doUnsubscribe ends it at once, for the button of the page and for the
// one-click POST of mail programs (RFC 8058). It may be sent again.
func (p *portal) doUnsubscribe(v *page.Visit) error {
	e, err := p.ending(v)
	if err != nil {
		return err
	}
	if e.Subscription.ID != 0 {
		err = p.Subscriptions.End(v.Context(), e.Subscription.ID, "unsubscribed", actor)
	} else {
		err = p.consent(v.Context(), e.Delivery, false, "unsubscribed by a link in the message")
	}
	if err != nil {
		return err
	}
	e.Done = true
	return v.Show("unsubscribe", e)
}

// undoUnsubscribe starts the alert again, as a new one, or takes the refusal
// back.
func (p *portal) undoUnsubscribe(v *page.Visit) error {
	e, err := p.ending(v)
	if err != nil {
		return err
	}
	switch {
	case e.Subscription.ID == 0:
		err = p.consent(v.Context(), e.Delivery, true, "took back unsubscribing by a link in the message")
	case e.Done:
		_, err = p.Subscriptions.Create(v.Context(), orderAgain(v.Reader, e.Subscription))
		if problem.CodeOf(err) == problem.Conflict { // it is on again already
			err = nil
		}
	}
	if err != nil {
		return err
	}
	e.Done, e.Undone = false, true
	return v.Show("unsubscribe", e)
}

// consent records what was said of a delivery's purpose on its channel.
func (p *portal) consent(ctx context.Context, d dispatch.Delivery, granted bool, evidence string) error {
	return p.Consents.Record(ctx, d.MemberID, subscriptions.NewConsent{
		Channel: d.Channel, Purpose: d.Purpose, Granted: granted, Source: "one-click", Evidence: evidence,
	})
}
