package predicate_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/matcher/predicate"
)

var noon = time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)

// reading is an event and a subscription that agree; cases change one thing.
func reading() predicate.Values {
	return predicate.Values{
		Event: map[string]any{
			"product": "kettle", "name": "Kettle 水壶", "status": "shipped", "price": 49.0,
			"stock": 3.0, "gift": true, "at": noon, "account": "wei",
		},
		Param: map[string]any{
			"product": "kettle", "word": "Kettle", "products": []string{"pan", "kettle"},
			"names": []string{"水壶"}, "target": 49.0, "gift": true, "since": noon,
		},
		Member: wei,
	}
}

func TestEval(t *testing.T) {
	for condition, want := range map[string]bool{
		"event.price < param.target":  false, // equal
		"event.price <= param.target": true,
		"event.price > param.target":  false,
		"event.price >= param.target": true,
		"param.target > event.price":  false,
		"event.price == param.target": true,
		"event.price != param.target": false,

		"event.at < param.since":                             false,
		"event.at <= param.since":                            true,
		"event.at == timestamp('2026-02-03T20:00:00+08:00')": true,
		"event.at - param.since < duration('1s')":            true,
		"event.at.getHours() == 12":                          true,

		// Whole literals.
		"event.price == 49": true, "49 == event.price": true, "event.price < 49": false,
		"event.price - 9 == 40": true, "2 * event.price > 97": true, "event.price in [1, 49]": true,
		"event.price == -(-49)": true, "event.stock / 2 == 1.5": true, "1 / 2 * event.price == 24.5": true,
		"event.price == (event.gift ? 49 : 1)": true, "(event.gift ? 49 : 1) == event.price": true,
		"[1, 2.5].exists(n, n == event.stock - 2)": true,
		"size(event.product) == 6":                 true, "size(event.product) > event.stock": true,
		"int(event.price) % 2 == 1": true, "double(size(event.product)) == event.stock * 2": true,

		"event.product in param.products":                  true,
		"event.name in param.products":                     false,
		"event.name.startsWith(param.word)":                true,
		"event.name.startsWith('')":                        true,
		"event.name.contains('水')":                         true,
		"event.name.endsWith('水壶')":                        true,
		"event.name.matches('^Kettle [^a-z]+$')":           true,
		"size(event.name) == 9":                            true, // characters, not bytes
		"param.products.exists(p, p == event.product)":     true,
		"param.products.all(p, p != event.product)":        false,
		"param.products.exists_one(p, p == event.product)": true,
		"event.account == member.account":                  true,
		"event.gift && param.gift":                         true,
		"!event.gift":                                      false,

		// Absent values: event.was and param.floor.
		"event.was > 1": false, "!(event.was > 1)": false, "event.was == event.was": false,
		"event.gift || event.was > 1": true, "event.was > 1 || event.gift": true,
		"!event.gift || event.was > 1": false, "event.price > param.floor": false,
		"!event.gift && event.was > 1": false, "event.gift ? true : event.was > 1": true,
	} {
		p := mustCompile(t, condition, broadcast())
		met, err := p.Eval(reading())
		if err != nil || met != want {
			t.Errorf("%s: %v, %v, want %v", condition, met, err, want)
		}
	}
}

func TestEvalTakesNilForAbsent(t *testing.T) {
	p := mustCompile(t, "event.was > 1 || event.price <= param.target", broadcast())
	v := reading()
	v.Event["was"] = nil
	if met, err := p.Eval(v); err != nil || !met {
		t.Errorf("Eval = %v, %v, want met by the other side", met, err)
	}
	v.Event["price"] = 50.0
	if met, err := p.Eval(v); err != nil || met {
		t.Errorf("Eval = %v, %v, want not met", met, err)
	}
}

func TestEvalFailsOnSenselessValues(t *testing.T) {
	p := mustCompile(t, "event.name.matches(param.word)", broadcast())
	v := reading()
	v.Param["word"] = "("
	if met, err := p.Eval(v); err == nil || met {
		t.Errorf("Eval = %v, %v, want an error and not met", met, err)
	}
}

func TestExplain(t *testing.T) {
	condition := `param.product == event.product && event.price<param.target &&
		(event.gift || event.was > 5) && event.name.startsWith('Pan') && event.account == member.account &&
		event.product in param.products && event.was >= 10`
	p := mustCompile(t, condition, shop())
	want := []predicate.Term{
		{Text: "param.product == event.product", Attribute: "product", Operator: "==", Param: "product", Got: "kettle", Wanted: "kettle", Met: true},
		{Text: "event.price < param.target", Attribute: "price", Operator: "<", Param: "target", Got: 49.0, Wanted: 49.0},
		{Text: "event.gift || event.was > 5", Met: true},
		{Text: `event.name.startsWith("Pan")`, Attribute: "name", Operator: "prefix", Got: "Kettle 水壶", Wanted: "Pan"},
		{Text: "event.account == member.account", Attribute: "account", Operator: "==", Got: "wei", Wanted: "wei", Met: true},
		{Text: "event.product in param.products", Attribute: "product", Operator: "in", Param: "products", Got: "kettle", Wanted: []string{"pan", "kettle"}, Met: true},
		{Text: "event.was >= 10", Attribute: "was", Operator: ">=", Wanted: 10.0},
	}
	if diff := cmp.Diff(want, p.Explain(reading())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestExplainTellsOfPlacesAndTheEventBefore(t *testing.T) {
	condition := `within(event.latitude, event.longitude, param.latitude, param.longitude, param.distance) &&
		event.price < previous.price && event.price <= previous.price * 0.9 && event.stock >= param.floor - 1 &&
		event.name == member.birthday && previous.known`
	p := mustCompile(t, condition, watching())
	v := reading()
	v.Event["latitude"], v.Event["longitude"] = 0.0, 179.5
	v.Param["latitude"], v.Param["longitude"], v.Param["distance"] = 0.0, -179.5, 100.0
	v.Previous, v.Known = map[string]any{"price": 50.0}, true
	got := p.Explain(v)
	if far, ok := got[0].Got.(float64); !ok || far < 111.19 || far > 111.2 {
		t.Errorf("a distance of %v, want 111.195", got[0].Got)
	}
	got[0].Got = nil
	want := []predicate.Term{
		{
			Text:      "within(event.latitude, event.longitude, param.latitude, param.longitude, param.distance)",
			Attribute: "latitude", Operator: "within", Param: "distance", Wanted: 100.0,
		},
		{Text: "event.price < previous.price", Attribute: "price", Operator: "<", Previous: "price", Got: 49.0, Wanted: 50.0, Before: 50.0, Met: true},
		{Text: "event.price <= previous.price * 0.9", Attribute: "price", Operator: "<=", Previous: "price", Got: 49.0, Wanted: 45.0, Before: 50.0},
		{Text: "event.stock >= param.floor - 1", Attribute: "stock", Operator: ">=", Got: 3.0},
		{Text: "event.name == member.birthday", Attribute: "name", Operator: "==", Got: "Kettle 水壶", Wanted: "02-28"},
		{Text: "previous.known", Met: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestExplainShowsTheBeginningOfALongSet(t *testing.T) {
	p := mustCompile(t, "event.product in param.products", shop())
	v := reading()
	v.Param["products"] = make([]string, 500)
	if wanted := p.Explain(v)[0].Wanted.([]string); len(wanted) != 21 || wanted[20] != "…" {
		t.Errorf("%d elements shown: %q", len(wanted), wanted)
	}
}

func TestSchemaReadsStoredParams(t *testing.T) {
	got, err := shop().Params([]byte(`{"product": "kettle", "target": 49, "gift": false, "since": "2026-02-03T12:00:00Z",
		"products": ["a", "中"], "word": null, "retired": {"x": 1}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"product": "kettle", "target": 49.0, "gift": false, "since": noon, "products": []string{"a", "中"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, bad := range []string{``, `[]`, `{"target": "49"}`, `{"since": "noon"}`, `{"products": "a"}`} {
		if got, err := shop().Params([]byte(bad)); err == nil {
			t.Errorf("Params(%s) = %v, want an error", bad, got)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	s := watching()
	s.Broadcast = true
	v := reading()
	v.Event["latitude"], v.Event["longitude"] = 31.23, 121.47
	v.Param["latitude"], v.Param["longitude"], v.Param["distance"] = 31.0, 121.0, 100.0
	v.Previous, v.Known = map[string]any{"price": 60.0}, true
	for name, condition := range map[string]string{
		"usual":    "event.product == param.product && event.price <= param.target",
		"previous": "event.product == param.product && event.price <= previous.price * 0.9",
		"within":   "within(event.latitude, event.longitude, param.latitude, param.longitude, param.distance)",
		"rest":     "event.product == param.product && size(event.name) > 3",
	} {
		b.Run(name, func(b *testing.B) {
			p, err := predicate.Compile(condition, s)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if met, err := p.Eval(v); err != nil || !met {
					b.Fatal(met, err)
				}
			}
		})
		b.Run("by CEL, "+name, func(b *testing.B) {
			oracle, err := predicate.Oracle(condition, s)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if met, err := oracle(v); err != nil || !met {
					b.Fatal(met, err)
				}
			}
		})
	}
}

func BenchmarkProbes(b *testing.B) {
	v := reading()
	v.Event["latitude"], v.Event["longitude"] = 31.23, 121.47
	for name, condition := range map[string]string{
		"equal":  "event.product == param.product && event.price <= param.target && event.stock > 0",
		"number": "event.price == param.target && event.at == param.since",
		"within": "within(event.latitude, event.longitude, param.latitude, param.longitude, param.distance)",
	} {
		b.Run(name, func(b *testing.B) {
			p, err := predicate.Compile(condition, shop())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if probes, err := p.Probes(v.Event); err != nil || len(probes) == 0 {
					b.Fatal(probes, err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := predicate.Compile("event.product == param.product && event.price <= param.target", shop()); err != nil {
			b.Fatal(err)
		}
	}
}
