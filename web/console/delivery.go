package console

import (
	"strings"

	"github.com/google/uuid"

	"herald/access"
	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// deliveryData is one delivery from event to receipt.
type deliveryData struct {
	dispatch.Timeline
	Title      string // of the trigger, or of Herald's own message
	Summary    string // the subscription in a line
	Course     []page.Told
	CanResend  bool
	Suppressed *subscriptions.Suppression
}

func (c console) delivery(v *page.Visit, _ access.Operator) error {
	id, err := uuid.Parse(v.R.PathValue("id"))
	if err != nil {
		return missing("delivery")
	}
	timeline, err := c.Deliveries.Timeline(v.Context(), id)
	if err != nil {
		return err
	}
	data := deliveryData{Timeline: timeline, Title: v.T("console.delivery.own"), CanResend: timeline.Delivery.State == dispatch.Failed || timeline.Delivery.State == dispatch.InDoubt}
	trigger, err := c.describe(v, &data)
	if err != nil {
		return err
	}
	data.Course = v.Narrate(page.Course{Audience: page.Operator, Timeline: timeline, Trigger: trigger, Summary: data.Summary})
	if data.Suppressed, err = c.suppressionOf(v, timeline.Delivery); err != nil {
		return err
	}
	return v.Show("delivery", data)
}

// describe fills in what the delivery is about, by its trigger and the
// parameters the subscription had when it fired.
func (c console) describe(v *page.Visit, data *deliveryData) (subscriptions.Trigger, error) {
	name := data.Delivery.Trigger
	if name == "" {
		return subscriptions.Trigger{}, nil
	}
	trigger, err := c.Triggers.Get(v.Context(), name)
	if gone(err) {
		data.Title = name
		return subscriptions.Trigger{}, nil
	}
	if err != nil {
		return subscriptions.Trigger{}, err
	}
	data.Title = trigger.Title.In(v.Tag)
	if params, ok := data.Notification.Data["param"].(map[string]any); ok {
		data.Summary = trigger.Summarise(params, v.Tag)
	}
	return trigger, nil
}

func (c console) suppressionOf(v *page.Visit, d dispatch.Delivery) (*subscriptions.Suppression, error) {
	if d.Address == "" {
		return nil, nil //nolint:nilnil // no address, so nothing that could be suppressed
	}
	found, err := c.Consents.Suppressions(v.Context(), subscriptions.SuppressionFilter{Channel: d.Channel, Address: d.Address, Limit: 1})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// resend sends a failed or doubtful delivery once more.
func (c console) resend(v *page.Visit, o access.Operator) error {
	id, err := uuid.Parse(v.R.PathValue("id"))
	if err != nil {
		return missing("delivery")
	}
	if err := c.Deliveries.Resend(v.Context(), id, actor(o)); err != nil {
		return err
	}
	v.Say("console.delivery.resent")
	return v.Go(Base + "/deliveries/" + id.String())
}

// suppress puts an address on the list of those that are not contacted.
func (c console) suppress(v *page.Visit, o access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	channel, address := subscriptions.Channel(form.Get("channel")), form.Get("address")
	err = c.Consents.Suppress(v.Context(), subscriptions.Suppression{Channel: channel, Address: address, Reason: "operator", Detail: actor(o)})
	if err != nil {
		return err
	}
	v.Tell(page.Flash{
		Text: v.T("console.suppressed", "address", v.Address(address)),
		Undo: Base + "/suppress/lift", UndoLabel: v.T("console.undo"),
		Fields: map[string]string{"channel": string(channel), "address": address, "back": form.Get("back")},
	})
	return goBack(v, form)
}

// lift takes an address off that list.
func (c console) lift(v *page.Visit, _ access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	address := form.Get("address")
	if err := c.Consents.Lift(v.Context(), subscriptions.Channel(form.Get("channel")), address); err != nil {
		return err
	}
	v.Say("console.lifted", "address", v.Address(address))
	return goBack(v, form)
}

// goBack leads to the page the form was on, which must be one of ours.
func goBack(v *page.Visit, form *page.Form) error {
	back := form.Get("back")
	if back != Base && !strings.HasPrefix(back, Base+"/") {
		return &problem.Error{Code: problem.Invalid, Message: "back leads nowhere", Err: errBack}
	}
	return v.Go(back)
}
