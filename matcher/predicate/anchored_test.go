package predicate_test

import (
	"testing"

	"herald/matcher/predicate"
)

func TestAnchored(t *testing.T) {
	s := predicate.Schema{
		Event: map[string]predicate.Type{"product": predicate.String, "price": predicate.Number, "at": predicate.Time},
		Param: map[string]predicate.Type{
			"product": predicate.String, "products": predicate.Strings, "target": predicate.Number, "floor": predicate.Number,
		},
		Broadcast: true, Previous: true,
	}
	for condition, want := range map[string]bool{
		"event.product == param.product":                                                              true,
		"event.product == param.product && event.price <= param.target":                               true,
		"event.product in param.products && event.price >= param.floor && event.price < param.target": true,
		"event.product == member.account && event.price > 10":                                         true,
		"event.price > 10": true,
		"event.product == param.product && event.price != param.target":                                          false,
		"event.product == param.product || event.price <= param.target":                                          false,
		"event.product == param.product && event.price < previous.price":                                         false,
		"event.product == param.product && event.price <= param.target * 0.9":                                    false,
		"event.product in param.products && event.product == param.product && event.price * 2.0 <= param.target": false,
	} {
		p, err := predicate.Compile(condition, s)
		if err != nil {
			t.Fatalf("%s: %v", condition, err)
		}
		if got := p.Anchored(); got != want {
			t.Errorf("%s: %t, want %t", condition, got, want)
		}
	}
}
