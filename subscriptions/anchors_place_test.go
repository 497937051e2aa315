package subscriptions

import (
	"testing"

	"herald/problem"
)

// nearby is a trigger on what happens around a place.
func nearby() Trigger {
	number := func(name string) Attribute {
		return Attribute{Name: name, Title: Text{"en": name}, Type: "number"}
	}
	t := Trigger{
		Name: "nearby", Title: Text{"en": "Nearby"}, Summary: Text{"en": "Near you"}, EventType: "quake",
		Attributes: []Attribute{number("latitude"), number("longitude")},
		Condition:  "within(event.latitude, event.longitude, param.latitude, param.longitude, param.distance)",
		Channels:   []Channel{Email}, Purpose: Service, Priority: 1, Expiry: "1h", Template: "nearby",
	}
	for _, name := range []string{"latitude", "longitude", "distance"} {
		t.Params = append(t.Params, Param{Name: name, Title: Text{"en": name}, Type: "number"})
	}
	return t
}

func TestAPlaceThatIsNoneIsRefused(t *testing.T) {
	d := newDesk(t)
	d.save(t, nearby())
	order := func(latitude, distance float64) Order {
		return Order{
			MemberID: d.member.ID, Trigger: "nearby", Origin: "portal", Actor: "member",
			Params: map[string]any{"latitude": latitude, "longitude": 121.47, "distance": distance},
		}
	}
	_, err := d.store.Create(t.Context(), order(91, 50))
	wantField(t, err, "params.latitude", "range")
	_, err = d.store.Create(t.Context(), order(31.23, 40000))
	wantField(t, err, "params.distance", "range")
	s := d.create(t, order(31.23, 50))
	if anchors := d.anchors(t, s.ID); len(anchors) == 0 || len(anchors) > 8 {
		t.Errorf("anchors %v", anchors)
	}
	_, err = d.store.Change(t.Context(), s.ID, Change{Params: order(31.23, -1).Params, Actor: "member"})
	wantField(t, err, "params.distance", "range")
	// A definition under which a subscription's place would be none is refused.
	turned := nearby()
	turned.Condition = "within(event.latitude, event.longitude, param.longitude, param.latitude, param.distance)"
	_, err = d.triggers.Save(t.Context(), turned, "operator:ann")
	if problem.CodeOf(err) != problem.Conflict {
		t.Errorf("a definition that no longer fits: %v", err)
	}
	wantField(t, err, "params.longitude", "range")
}
