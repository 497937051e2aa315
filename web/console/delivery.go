package console

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"herald/access"
	"herald/dispatch"
	"herald/subscriptions"
	"herald/web/page"
)

// deliveryData is one delivery from event to receipt.
type deliveryData struct {
	dispatch.Timeline
	Title      string // of the trigger, or of Herald's own message
	Summary    string // the subscription in a line
	Took       string // from the event to the final state; empty while it is open
	Course     []step
	Rulings    []dispatch.Ruling // what may be done with it
	Suppressed *subscriptions.Suppression
	Faxed      bool // its pages can be seen
}

// step is one line of the course: when it was, and for operators how exactly
// it went.
type step struct {
	page.Told
	Clock string // the time of day of the first step, the time since then of the others
	Facts []fact
	// Recording is what was recorded; empty: nothing.
	Recording string
}

// fact is a detail of a step with its name, worded.
type fact struct{ Name, Value string }

func (c console) delivery(v *page.Visit, _ access.Operator) error {
	id, err := uuid.Parse(v.R.PathValue("id"))
	if err != nil {
		return missing("delivery")
	}
	timeline, err := c.Deliveries.Timeline(v.Context(), id)
	if err != nil {
		return err
	}
	d := timeline.Delivery
	data := deliveryData{
		Timeline: timeline, Title: v.T("console.delivery.own"), Rulings: rulingsFor(d.State),
	}
	trigger, err := c.describe(v, &data)
	if err != nil {
		return err
	}
	told := v.Narrate(page.Course{Audience: page.Operator, Timeline: timeline, Trigger: trigger, Summary: data.Summary})
	data.Course = steps(v, told)
	data.Faxed = slices.ContainsFunc(timeline.Entries, func(e dispatch.Entry) bool { return e.DeliveryID == id && e.Detail["document"] == true })
	if d.State.Final() && len(told) > 0 {
		data.Took = v.Duration(d.ChangedAt.Sub(told[0].At))
	}
	if data.Suppressed, err = c.suppressionOf(v, d.Channel, d.Address); err != nil {
		return err
	}
	return v.Show("delivery", data)
}

// describe fills in what the delivery is about, by its trigger and the
// parameters the subscription had when it fired.
func (c console) describe(v *page.Visit, data *deliveryData) (subscriptions.Trigger, error) {
	name := data.Delivery.Trigger
	if name == "" {
		if campaign, ok := data.Notification.Data["campaign"].(map[string]any); ok {
			data.Title = fmt.Sprint(campaign["name"])
		}
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

func steps(v *page.Visit, course []page.Told) []step {
	// A call and a fax tell how much went over in steps of their own, in the
	// reader's words.
	worded := slices.ContainsFunc(course, func(t page.Told) bool { return t.Code == "call_heard" || t.Code == "fax_ended" })
	list := make([]step, len(course))
	for i, told := range course {
		clock := told.At.In(v.Zone).Format("15:04:05.000")
		if i > 0 {
			clock = "+" + v.Duration(told.At.Sub(course[0].At))
		}
		detail := told.Detail
		if told.Code == "attempt_ended" && worded {
			detail = maps.Clone(detail)
			delete(detail, "detail")
		}
		list[i] = step{Told: told, Clock: clock, Facts: facts(v, detail)}
		if id, recorded := told.Detail["recording"].(uuid.UUID); recorded {
			list[i].Recording = id.String()
		}
	}
	return list
}

// facts words what a step's detail holds, the telling ones first.
func facts(v *page.Visit, detail map[string]any) []fact {
	var list []fact
	for _, name := range []string{"account", "code", "detail", "text", "seconds", "node", "job", "call_id"} {
		value := v.Number(detail[name])
		if seconds, ok := detail[name].(float64); ok {
			value = v.Duration(time.Duration(seconds * float64(time.Second)))
		}
		if detail[name] != nil && value != "" {
			list = append(list, fact{v.Word("console.detail", name), value})
		}
	}
	return list
}
