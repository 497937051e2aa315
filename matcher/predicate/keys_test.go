package predicate_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"herald/matcher/predicate"
	"herald/problem"
)

// found says whether a subscription is a candidate for an event, by the rule
// that the SQL join follows.
func found(t interface{ Fatalf(string, ...any) }, p *predicate.Predicate, v predicate.Values) bool {
	keys, err := p.Keys(v.Param, v.Member)
	if err != nil {
		t.Fatalf("Keys(%v): %v", v.Param, err)
	}
	probes, err := p.Probes(v.Event)
	if err != nil {
		t.Fatalf("Probes(%v): %v", v.Event, err)
	}
	for _, probe := range probes {
		for _, key := range keys {
			if key.Key == probe.Key && reached(p.Bound(), probe.Value, key) {
				return true
			}
		}
	}
	return false
}

func reached(b predicate.Bound, value float64, key predicate.Key) bool {
	switch b {
	case predicate.Below:
		return value < key.Bound
	case predicate.AtMost:
		return value <= key.Bound
	case predicate.Above:
		return value > key.Bound
	case predicate.AtLeast:
		return value >= key.Bound
	case predicate.Between:
		return key.Bound <= value && value <= key.Upper
	}
	return value == 0 && key.Bound == 0 && key.Upper == 0
}

func allMet(terms []predicate.Term) bool {
	return !slices.ContainsFunc(terms, func(t predicate.Term) bool { return !t.Met })
}

// Few values and many equal ones, so that every threshold is met exactly.
func values() *rapid.Generator[predicate.Values] {
	text := rapid.SampledFrom([]string{"", "a", "b", "ab", "中", "中文", "s1:a", "a\x00b", strings.Repeat("长", 70), strings.Repeat("长", 71)})
	num := rapid.SampledFrom([]float64{-1, 0, negativeZero(), 1, 48.99, 49, 49.01, 1e300})
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		at := time.Date(2026, 2, 3, 4, 5, 6, rapid.IntRange(0, 2).Draw(t, "ns"), time.UTC)
		return at.In(rapid.SampledFrom([]*time.Location{time.UTC, time.FixedZone("", 8*3600)}).Draw(t, "zone"))
	})
	draw := func(t *rapid.T, types map[string]predicate.Type) map[string]any {
		out := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(types)) {
			typ := types[name]
			if rapid.IntRange(0, 9).Draw(t, name+" absent") == 0 {
				continue
			}
			switch typ {
			case predicate.String:
				out[name] = text.Draw(t, name)
			case predicate.Number:
				out[name] = num.Draw(t, name)
				if g := around[name]; g != nil {
					out[name] = rapid.SampledFrom(g).Draw(t, name)
				}
			case predicate.Boolean:
				out[name] = rapid.Bool().Draw(t, name)
			case predicate.Time:
				out[name] = moment.Draw(t, name)
			case predicate.Strings:
				out[name] = rapid.SliceOfN(text, 0, 4).Draw(t, name)
			}
		}
		return out
	}
	return rapid.Custom(func(t *rapid.T) predicate.Values {
		s := shop()
		v := predicate.Values{Event: draw(t, s.Event), Param: draw(t, s.Param), Known: rapid.Bool().Draw(t, "known")}
		if v.Known {
			v.Previous = draw(t, watching().Event)
			v.Previous["time"] = moment.Draw(t, "previous time")
		}
		v.Member.Account, v.Member.TimeZone, v.Member.Birthday = text.Draw(t, "account"), text.Draw(t, "zone"), text.Draw(t, "birthday")
		return v
	})
}

func negativeZero() float64 { zero := 0.0; return -zero }

// around are readings at the edges of the map, and beyond.
var around = map[string][]float64{
	"latitude":  {-90, -89.9999, -0.001, 0, 31.23, 89.9999, 90, 90.5},
	"longitude": {-180, -179.9999, 0, 121.47, 179.9999, 180, 359.9999, 360, 361},
	"distance":  {0, 0.02, 1, 50, 3000, 20015, 20016},
}

// conditions exercise each anchor alone and with each other.
var conditions = []string{
	"event.product == param.product",
	"param.product == event.product && event.gift == param.gift && event.price == param.target",
	"event.account == member.account && event.product == param.word",
	"event.at == param.since",
	"event.product in param.products",
	"event.product in param.products && event.name in param.names",
	"event.name.startsWith(param.word)",
	"event.name.startsWith(param.word) && event.product in param.products && event.price < param.target",
	"event.name.startsWith(param.word) && event.product.startsWith(param.product)",
	"event.product == param.product && event.price < param.target",
	"event.product == param.product && event.price <= param.target && event.price >= param.floor",
	"event.product == param.product && param.target < event.price",
	"event.product == param.product && param.target <= event.price",
	"event.at < param.since", "event.at <= param.since", "event.at > param.since", "param.since <= event.at",
	"event.product == param.product && (event.price < param.target || event.price < param.floor)",
	"event.product == param.product && event.status != param.word",
	"event.product == param.product && !(event.was > param.target)",
	"event.product == param.product && event.status == 'a'",
	"event.price <= param.target && event.name.contains(param.word)",
	"event.price >= param.floor && event.price <= param.target",
	"event.price < param.target && event.stock > 0 && event.price > param.floor",
	"event.stock > param.floor && event.was < param.target && event.was >= param.floor",
	"event.at > param.since && event.at <= param.since",
	"event.product in param.products && param.floor <= event.price && param.target >= event.price",
	"event.name == member.time_zone && event.product == member.birthday",
	"event.name.startsWith(member.birthday)",
	"event.product == param.product && event.price < previous.price",
	"event.product == param.product && event.price <= previous.price * 0.9 && event.name != previous.name",
	"event.product == param.product && !previous.known",
	"event.product == param.product && event.at > previous.time && (event.gift || previous.gift)",
	"event.product == param.product && event.stock > 0 && event.name.contains('a')",
	"within(event.latitude, event.longitude, param.latitude, param.longitude, param.distance)",
	"within(param.latitude, param.longitude, event.latitude, event.longitude, 50)",
	"event.product == param.product && within(event.latitude, event.longitude, 31.23, 121.47, param.distance) && event.price >= param.floor && event.price <= param.target",
	"event.product in param.products && event.name.startsWith(param.word) && within(event.latitude, event.longitude, param.latitude, param.longitude, 5)",
}

func TestAnchorsNeverLoseAMatch(t *testing.T) {
	for _, condition := range conditions {
		t.Run(condition, func(t *testing.T) {
			p := mustCompile(t, condition, watching())
			rapid.Check(t, func(t *rapid.T) {
				v := values().Draw(t, "values")
				met, err := p.Eval(v)
				if err != nil && (met || !strings.Contains(err.Error(), "there is no place at")) {
					t.Fatalf("Eval: %v, %v", met, err)
				}
				if met && !found(t, p, v) {
					t.Fatalf("met, and its anchor does not find it: %v", v)
				}
				if all := allMet(p.Explain(v)); all != met {
					t.Fatalf("Eval %v, Explain %+v", met, p.Explain(v))
				}
			})
		})
	}
}

// Where the whole condition is an anchor, the anchor finds nothing else.
func TestAnchorsOfShortValuesAreExact(t *testing.T) {
	for _, condition := range conditions[:4] {
		p := mustCompile(t, condition, shop())
		rapid.Check(t, func(t *rapid.T) {
			v := values().Draw(t, "values")
			if met, _ := p.Eval(v); met != found(t, p, v) {
				t.Fatalf("%s: Eval %v, found %v: %v", condition, met, found(t, p, v), v)
			}
		})
	}
}

func TestNoTwoCompositesShareAKey(t *testing.T) {
	p := mustCompile(t, "event.product == param.product && event.name == param.word", shop())
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringOf(rapid.SampledFrom([]rune("s1:ab2中\x00")))
		key := func(a, b string) string {
			keys, err := p.Keys(map[string]any{"product": a, "word": b}, predicate.Member{})
			if err != nil || len(keys) != 1 {
				t.Fatalf("Keys = %v, %v", keys, err)
			}
			return keys[0].Key
		}
		a, b, c, d := part.Draw(t, "a"), part.Draw(t, "b"), part.Draw(t, "c"), part.Draw(t, "d")
		if same := a == c && b == d; same != (key(a, b) == key(c, d)) {
			t.Fatalf("(%q, %q) and (%q, %q): %q, %q", a, b, c, d, key(a, b), key(c, d))
		}
	})
}

func TestKeysFitAnIndexEntryAndPostgreSQL(t *testing.T) {
	p := mustCompile(t, "event.product == param.product", shop())
	for _, product := range []string{strings.Repeat("长", 10_000), "a\x00b", "\xff", ""} {
		keys, err := p.Keys(map[string]any{"product": product}, predicate.Member{})
		if err != nil || len(keys) != 1 {
			t.Fatalf("Keys = %v, %v", keys, err)
		}
		if key := keys[0].Key; len(key) > 300 || strings.ContainsRune(key, 0) || key != strings.ToValidUTF8(key, "") {
			t.Errorf("key %q", key)
		}
	}
}

func TestKeysOfASet(t *testing.T) {
	p := mustCompile(t, "event.product in param.products && event.price <= param.target", shop())
	for name, c := range map[string]struct {
		param map[string]any
		want  []predicate.Key
	}{
		"a key for each element, once": {
			map[string]any{"products": []string{"a", "b", "a"}, "target": 49.0},
			[]predicate.Key{{Key: "s1:a", Bound: 49}, {Key: "s1:b", Bound: 49}},
		},
		"an empty set waits on nothing":    {map[string]any{"products": []string{}, "target": 49.0}, nil},
		"an absent set waits on nothing":   {map[string]any{"target": 49.0}, nil},
		"an absent bound waits on nothing": {map[string]any{"products": []string{"a"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := p.Keys(c.param, wei)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, keys); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestKeysRefuseATooLargeSet(t *testing.T) {
	p := mustCompile(t, "event.product in param.products", shop())
	set := make([]string, predicate.MaxKeys+1)
	for i := range set {
		set[i] = fmt.Sprint(i)
	}
	if keys, err := p.Keys(map[string]any{"products": set[1:]}, predicate.Member{}); err != nil || len(keys) != predicate.MaxKeys {
		t.Errorf("%d keys, %v, want %d", len(keys), err, predicate.MaxKeys)
	}
	_, err := p.Keys(map[string]any{"products": set}, predicate.Member{})
	var refused *problem.Error
	if !errors.As(err, &refused) || len(refused.Fields) != 1 || refused.Fields[0].Path != "params.products" || refused.Fields[0].Rule != "max" {
		t.Errorf("Keys = %v", err)
	}
}

func TestKeysAndProbesRefuseValuesOfAnotherType(t *testing.T) {
	condition := "event.product == param.product && event.name.startsWith(param.word) && " +
		"event.status in param.products && event.price < param.target"
	p := mustCompile(t, condition, shop())
	good := func() map[string]any {
		return map[string]any{
			"product": "a", "word": "w", "products": []string{"p"}, "target": 1.0,
			"name": "n", "status": "s", "price": 1.0,
		}
	}
	for _, name := range []string{"product", "word", "products", "target"} {
		param := good()
		param[name] = struct{}{}
		if _, err := p.Keys(param, predicate.Member{}); err == nil || !strings.Contains(err.Error(), "param."+name) {
			t.Errorf("Keys with a strange %s: %v", name, err)
		}
	}
	for _, name := range []string{"product", "name", "status", "price"} {
		event := good()
		event[name] = 5
		if _, err := p.Probes(event); err == nil || !strings.Contains(err.Error(), "event."+name) {
			t.Errorf("Probes with a strange %s: %v", name, err)
		}
	}
}

func TestWaitsOn(t *testing.T) {
	for condition, want := range map[string][]string{
		"event.product == member.account && event.price < param.target":                   {"account"},
		"event.name == member.time_zone && member.birthday == event.product":              {"time_zone", "birthday"},
		"event.name.startsWith(member.time_zone)":                                         {"time_zone"},
		"event.product == param.product && event.name != member.birthday":                 nil,
		"event.product == param.product && (event.gift || event.name == member.birthday)": nil,
	} {
		p := mustCompile(t, condition, shop())
		for _, field := range []string{"account", "time_zone", "birthday"} {
			if got := p.WaitsOn(field); got != slices.Contains(want, field) {
				t.Errorf("%s: waits on %s: %v", condition, field, got)
			}
		}
	}
}

func TestAnEventThatMissesAloneHasNoProbes(t *testing.T) {
	p := mustCompile(t, "event.product == param.product && event.stock > 0 && size(event.name) > 3", shop())
	for name, c := range map[string]struct {
		event map[string]any
		want  int
	}{
		"it may meet":                    {map[string]any{"product": "a", "stock": 1.0, "name": "name"}, 1},
		"it misses by itself":            {map[string]any{"product": "a", "stock": 0.0, "name": "name"}, 0},
		"it does not say":                {map[string]any{"product": "a", "name": "name"}, 0},
		"what needs CEL is left to Eval": {map[string]any{"product": "a", "stock": 1.0, "name": "x"}, 1},
	} {
		if probes, err := p.Probes(c.event); err != nil || len(probes) != c.want {
			t.Errorf("%s: %v, %v", name, probes, err)
		}
	}
}

func TestProbesTryEveryPrefixUpToTheLimit(t *testing.T) {
	p := mustCompile(t, "event.name.startsWith(param.word)", shop())
	probes, err := p.Probes(map[string]any{"name": "中文a"})
	if err != nil {
		t.Fatal(err)
	}
	want := []predicate.Probe{{Key: "p0:"}, {Key: "p3:中"}, {Key: "p6:中文"}, {Key: "p7:中文a"}}
	if diff := cmp.Diff(want, probes); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	probes, err = p.Probes(map[string]any{"name": strings.Repeat("x", 10_000)})
	if err != nil || len(probes) != 65 {
		t.Errorf("%d probes, %v, want 65", len(probes), err)
	}
}
