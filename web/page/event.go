package page

import (
	"herald/dispatch"
	"herald/subscriptions"
)

// Event says an event in a line, by the names and units that a trigger gives
// its attributes. A customer is not told their own account.
func (r Reader) Event(a Audience, t subscriptions.Trigger, data map[string]any, account string) string {
	return r.eventLine(Course{Audience: a, Trigger: t, Timeline: dispatch.Timeline{
		Delivery:     dispatch.Delivery{Member: account},
		Notification: dispatch.Notification{Data: map[string]any{"event": data}},
	}})
}
