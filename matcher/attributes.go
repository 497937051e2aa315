package matcher

import (
	"slices"
	"strconv"
	"strings"

	"herald/matcher/predicate"
	"herald/problem"
	"herald/subscriptions"
)

// ReadAttributes reads what a search compares attributes with, each written as
// name=value, for EventSearch.Data. A value is of the type that a trigger on the
// type of event, or on any where that is empty, declares for the attribute;
// of one that none declares it is a text. Mistakes have Path "attribute".
func ReadAttributes(triggers []subscriptions.Trigger, eventType string, written []string) (map[string]any, []problem.Field) {
	var bad problem.Fields
	data := make(map[string]any, len(written))
	for _, one := range written {
		name, text, ok := strings.Cut(one, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			bad.Add("attribute", "pair", "must be a name and a value, such as product=kettle")
			continue
		}
		text = strings.TrimSpace(text)
		switch declared(triggers, eventType, name) {
		case predicate.Number:
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				bad.Add("attribute", "number", "%s must be a number", name)
			}
			data[name] = n
		case predicate.Boolean:
			if text != "true" && text != "false" {
				bad.Add("attribute", "boolean", "%s must be true or false", name)
			}
			data[name] = text == "true"
		default:
			data[name] = text
		}
	}
	return data, bad
}

func declared(triggers []subscriptions.Trigger, eventType, name string) predicate.Type {
	for _, t := range triggers {
		if eventType != "" && t.EventType != eventType {
			continue
		}
		if i := slices.IndexFunc(t.Attributes, func(a subscriptions.Attribute) bool { return a.Name == name }); i >= 0 {
			return predicate.Type(t.Attributes[i].Type)
		}
	}
	return predicate.String
}
