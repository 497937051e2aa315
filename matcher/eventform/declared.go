package eventform

import (
	"herald/subscriptions"
	"herald/xmlform"
)

// TypesOf are the types that triggers declare of the attributes of their
// events.
func TypesOf(triggers []subscriptions.Trigger) Types {
	types := map[string]xmlform.Members{}
	for _, t := range triggers {
		if types[t.EventType] == nil {
			types[t.EventType] = xmlform.Members{}
		}
		for _, attribute := range t.Attributes {
			switch attribute.Type {
			case "number", "boolean":
				types[t.EventType][attribute.Name] = xmlform.Type(attribute.Type)
			default:
				types[t.EventType][attribute.Name] = xmlform.String
			}
		}
	}
	return func(eventType string) xmlform.Members { return types[eventType] }
}
