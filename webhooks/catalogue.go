package webhooks

import (
	"slices"
	"strings"
)

// Type is a kind of event that endpoints can listen to.
type Type struct {
	Name string `json:"name" example:"delivery.failed"`
	Text string `json:"text" doc:"When it happens."`
	// Fields are what its data may hold; a field without a value is absent.
	Fields []string `json:"fields" nullable:"false" doc:"What its data may hold; a field without a value is absent."`
}

// Ping is the type of a message that Store.Ping sends to one endpoint, whatever
// it listens to.
const Ping = "test.ping"

// deliveryFields are the data of every delivery.… type.
const deliveryFields = "delivery_id notification_id member_id event_id channel trigger campaign account state reason attempts"

// Types are all types of events, in the order of the documentation. A type's
// data has always the same shape.
func Types() []Type {
	define := func(name, fields, text string) Type {
		return Type{Name: name, Text: text, Fields: strings.Fields(fields)}
	}
	return []Type{
		define("delivery.accepted", deliveryFields, "A provider took a message; nothing more may ever be heard of it."),
		define("delivery.delivered", deliveryFields, "The provider reported that a message arrived."),
		define("delivery.failed", deliveryFields, "A message did not get through, for good."),
		define("delivery.suppressed", deliveryFields, "A message was not sent: consent, suppression or a limit forbade it."),
		define("delivery.in_doubt", deliveryFields, "It is not known whether a message got through."),
		define("delivery.bounced", deliveryFields, "A message that had been accepted came back."),
		define("delivery.complained", deliveryFields, "The receiver complained about a message."),
		define("contact.suppressed", "member_id contact_point_id channel reason", "An address must not be contacted any more."),
		define("reply.received", "reply_id member_id delivery_id channel account sent_at", "Somebody wrote back, and it is no keyword: it is in the inbox."),
		define("campaign.started", "campaign run state reason started_at targeted", "A campaign began to send."),
		define("campaign.paused", "campaign state reason", "A campaign holds still."),
		define("campaign.finished", "campaign run state reason started_at finished_at targeted accepted delivered suppressed failed in_doubt", "A campaign is through: its ledger says so."),
		define("campaign.stopped", "campaign run state reason started_at finished_at targeted", "A campaign was ended before it was through."),
		define("ledger.unbalanced", "day trigger campaign channel difference", "Notifications are not accounted for."),
		define("account.circuit_opened", "account channel reason until", "An account keeps failing and is left alone for a while."),
		define("account.circuit_closed", "account channel", "An account works again."),
		define(Ping, "endpoint_id", "Somebody asked for a test message."),
	}
}

// family is the part of a type before its first stop.
func family(name string) string {
	before, _, _ := strings.Cut(name, ".")
	return before
}

// Families are the parts of the types' names before the stop, without that of
// the test: "delivery.*" listens to all of one.
func Families() []string {
	var list []string
	for _, t := range Types() {
		if f := family(t.Name); t.Name != Ping && !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// meets reports whether a pattern ("*", "delivery.*" or a type) covers a type.
func meets(pattern, name string) bool {
	return pattern == "*" || pattern == name || pattern == family(name)+".*"
}

// covers reports whether a pattern covers any type that there is.
func covers(pattern string) bool {
	return slices.ContainsFunc(Types(), func(t Type) bool { return meets(pattern, t.Name) })
}
