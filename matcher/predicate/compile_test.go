package predicate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"herald/matcher/predicate"
	"herald/problem"
)

var wei = predicate.Member{Account: "wei", TimeZone: "Asia/Shanghai", Birthday: "02-28"}

// shop is a schema with something of every type.
func shop() predicate.Schema {
	return predicate.Schema{
		Event: map[string]predicate.Type{
			"product": predicate.String, "name": predicate.String, "status": predicate.String,
			"price": predicate.Number, "was": predicate.Number, "stock": predicate.Number,
			"gift": predicate.Boolean, "at": predicate.Time, "account": predicate.String,
			"latitude": predicate.Number, "longitude": predicate.Number,
		},
		Param: map[string]predicate.Type{
			"product": predicate.String, "word": predicate.String, "products": predicate.Strings,
			"names": predicate.Strings, "target": predicate.Number, "floor": predicate.Number,
			"gift": predicate.Boolean, "since": predicate.Time,
			"latitude": predicate.Number, "longitude": predicate.Number, "distance": predicate.Number,
		},
		Optional: map[string]bool{"event.was": true, "param.floor": true},
	}
}

func broadcast() predicate.Schema {
	s := shop()
	s.Broadcast = true
	return s
}

// watching is shop with the event before.
func watching() predicate.Schema {
	s := shop()
	s.Previous = true
	return s
}

func mustCompile(t *testing.T, condition string, s predicate.Schema) *predicate.Predicate {
	t.Helper()
	p, err := predicate.Compile(condition, s)
	if err != nil {
		t.Fatalf("Compile(%q): %v", condition, err)
	}
	return p
}

func TestCompileRefuses(t *testing.T) {
	type place struct{ Rule, Message string }
	for name, c := range map[string]struct {
		condition string
		want      []place
	}{
		"an unknown attribute": {
			"event.product == param.product\n  && event.colour == 'red'",
			[]place{{"name", "2:11: event.colour is not an attribute of this trigger"}},
		},
		"an unknown parameter": {
			"event.product == param.item",
			[]place{{"name", "1:23: param.item is not a parameter of this trigger"}},
		},
		"what is not told of the member": {
			"event.name == member.name",
			[]place{{"name", "1:21: member.name is not known here, only member.account, member.time_zone, member.birthday"}},
		},
		"an event before where there is none": {
			"event.product == param.product && event.price < previous.price",
			[]place{{"name", "1:57: there is no event before it: only a trigger on changes has previous.price"}},
		},
		"a place that is not on earth": {
			"within(event.latitude, event.longitude, 91, 0, 10)",
			[]place{{"range", "1:7: a latitude is -90 to 90 degrees"}},
		},
		"a distance that is none": {
			"within(event.latitude, event.longitude, param.latitude, param.longitude, -1)",
			[]place{{"range", "1:7: a distance is 0 to 20016 kilometres"}},
		},
		"a place of text": {
			"within(event.name, event.longitude, param.latitude, param.longitude, 5)",
			[]place{{"type", "1:7: found no matching overload for 'within' applied to '(string, number, number, number, number)'"}},
		},
		"a place without a distance": {
			"within(event.latitude, event.longitude, param.latitude, param.longitude)",
			[]place{{"type", "1:7: found no matching overload for 'within' applied to '(number, number, number, number)'"}},
		},
		"a function nobody knows": {
			"near(event.latitude, event.longitude)",
			[]place{{"type", "1:5: undeclared reference to 'near'"}},
		},
		"an event that is compared with itself and the one before": {
			"event.price == previous.price && event.product == previous.product",
			[]place{
				{"name", "1:24: there is no event before it: only a trigger on changes has previous.price"},
				{"name", "1:59: there is no event before it: only a trigger on changes has previous.product"},
			},
		},
		"loops in loops in loops": {
			"event.product == param.product && param.names.exists(a, param.names.exists(b, param.names.exists(c, a == b && b == c)))",
			[]place{{"cost", "1:1: too dear to evaluate: estimated at"}},
		},
		"a place for each of a set": {
			"event.product == param.product && param.names.exists(a, param.products.exists(b, a == b && within(event.latitude, event.longitude, 1, 2, 3)))",
			[]place{{"cost", "1:1: too dear to evaluate: estimated at"}},
		},
		"several names at once": {
			"event.a == param.b",
			[]place{
				{"name", "1:6: event.a is not an attribute of this trigger"},
				{"name", "1:17: param.b is not a parameter of this trigger"},
			},
		},
		"another root": {
			"product == param.product",
			[]place{{"type", "1:1: undeclared reference to 'product'"}},
		},
		"the whole event": {
			"event == param",
			[]place{{"type", "1:1: undeclared reference to 'event'"}, {"type", "1:10: undeclared reference to 'param'"}},
		},
		"a loop variable that hides the event": {
			"param.products.exists(event, event.price > 1)",
			[]place{{"name", "1:22: event cannot name an element"}},
		},
		"text compared with a number": {
			"event.product < param.target",
			[]place{{"type", "1:15: found no matching overload for '<' applied to '(string, number)'"}},
		},
		"text compared with a whole literal": {
			"event.product == 5",
			[]place{{"type", "1:15: found no matching overload for '==' applied to '(string, int)'"}},
		},
		"a number in a set of texts": {
			"event.price in param.products",
			[]place{{"type", "1:13: found no matching overload for 'in' applied to '(number, list(string))'"}},
		},
		"has": {
			"has(event.was) && event.product == param.product",
			[]place{{"type", "1:4: undeclared reference to 'has'"}},
		},
		"what is not true or false": {
			"event.price - param.target",
			[]place{{"result", "1:1: must be true or false, this is a number"}},
		},
		"no anchor": {
			"event.status == 'shipped' && event.price != param.target",
			[]place{{"anchor", "1:1: names nothing to look subscriptions up by; " +
				"compare an attribute with a parameter, such as event.x == param.x, or declare the trigger a broadcast"}},
		},
		"a loop in a loop": {
			"event.product == param.product && param.products.all(a, param.names.exists(b, a == b))",
			[]place{{"cost", "1:1: too dear to evaluate: estimated at"}},
		},
		"a search for each element": {
			"event.product == param.product && param.names.exists(n, event.name.contains(n))",
			[]place{{"cost", "1:1: too dear to evaluate: estimated at"}},
		},
		"an expression that does not end": {
			"event.product ==",
			[]place{{"syntax", "1:17: Syntax error: mismatched input"}},
		},
		"an empty condition":   {"", []place{{"syntax", "1:1: Syntax error"}}},
		"a bad literal regexp": {"event.product == param.product && event.name.matches('(')", []place{{"syntax", "1:53: error parsing regexp"}}},
		"bytes that are not text": {
			"event.product == '\xff'", []place{{"syntax", "1:1: not valid UTF-8"}},
		},
		"more than 4 kB": {
			strings.Repeat(" ", 4097), []place{{"max", "at most 4096 bytes, this has 4097"}},
		},
		"nesting without end": {
			strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000), []place{{"syntax", "1:"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := predicate.Compile(c.condition, shop())
			var refused *problem.Error
			if !errors.As(err, &refused) || refused.Code != problem.Invalid {
				t.Fatalf("Compile: %v, want a problem of code invalid", err)
			}
			var got []place
			for i, f := range refused.Fields {
				if f.Path != "condition" {
					t.Errorf("path %q, want condition", f.Path)
				}
				message := f.Message
				if i < len(c.want) && strings.HasPrefix(message, c.want[i].Message) {
					message = c.want[i].Message
				}
				got = append(got, place{f.Rule, message})
			}
			if diff := cmp.Diff(c.want, got[:min(len(got), max(len(c.want), 1))]); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestCompileAllowsBroadcastWhenDeclared(t *testing.T) {
	p := mustCompile(t, "event.status == 'shipped'", broadcast())
	keys, err := p.Keys(nil, wei)
	if err != nil || !cmp.Equal(keys, []predicate.Key{{}}) {
		t.Errorf("Keys = %v, %v, want one empty key", keys, err)
	}
	probes, err := p.Probes(map[string]any{"status": "shipped"})
	if err != nil || !cmp.Equal(probes, []predicate.Probe{{}}) {
		t.Errorf("Probes = %v, %v, want one empty probe", probes, err)
	}
}

func TestCompileRefusesASchemaOfUnknownTypes(t *testing.T) {
	_, err := predicate.Compile("true", predicate.Schema{Event: map[string]predicate.Type{"x": "money"}})
	if err == nil || !strings.Contains(err.Error(), `event.x: unknown type "money"`) {
		t.Errorf("Compile = %v", err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"event.product == param.product && event.price <= param.target",
		"event.product in param.products || event.name.startsWith(param.word)",
		"param.products.exists(p, p == event.product) && event.at > timestamp('2026-01-01T00:00:00Z')",
		"event.price in [1, 2.5, -3] ? true : event.gift == param.gift",
		"-(-event.price) * 2 / 3 + 1 % 2 >= param['target']",
		"within(event.latitude, event.longitude, param.latitude, -180, 50) && previous.price > event.price",
		"event.price >= param.floor && event.price <= param.target && member.time_zone != member.birthday",
		"((((((((((((((((", "event.a.b.c == {'x': [1]}.x[0]", "'\\x00' == event.name",
	} {
		f.Add(seed)
	}
	event := map[string]any{"product": "a", "price": 1.5, "name": "中文", "gift": true, "latitude": 31.2, "longitude": -180.0}
	param := map[string]any{"product": "a", "target": 2.0, "products": []string{"a", "b"}, "word": "中", "latitude": 31.0}
	previous := map[string]any{"price": 2.0, "time": noon}
	schema := watching()
	schema.Broadcast = true
	f.Fuzz(func(t *testing.T, condition string) {
		p, err := predicate.Compile(condition, schema)
		if err != nil {
			if problem.CodeOf(err) != problem.Invalid {
				t.Fatalf("Compile(%q): %v, want a problem of code invalid", condition, err)
			}
			return
		}
		v := predicate.Values{Event: event, Previous: previous, Param: param, Known: true, Member: wei}
		met, err := p.Eval(v)
		oracle, broken := predicate.Oracle(condition, schema)
		if broken != nil {
			t.Fatalf("%q compiles, and as a whole does not: %v", condition, broken)
		}
		if want, wantErr := oracle(v); met != want || (err == nil) != (wantErr == nil) {
			t.Errorf("Eval(%q) = %v, %v, by CEL %v, %v", condition, met, err, want, wantErr)
		}
		if err != nil && met {
			t.Errorf("Eval(%q) is met and fails: %v", condition, err)
		}
		if all := allMet(p.Explain(v)); err == nil && met != all {
			t.Errorf("%q: Eval %v, all terms met %v", condition, met, all)
		}
		if met && !found(t, p, v) {
			t.Errorf("%q: met, and its anchor does not find it", condition)
		}
	})
}
