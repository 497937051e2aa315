package predicate_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"herald/matcher/predicate"
)

// expressions are random conditions of a type: most of what is translated,
// and some that only CEL evaluates.
type expressions struct{ t *rapid.T }

func (x expressions) pick(label string, of ...string) string {
	return rapid.SampledFrom(of).Draw(x.t, label)
}

func (x expressions) number(depth int) string {
	if depth == 0 || rapid.Bool().Draw(x.t, "leaf") {
		return x.pick("number", "event.price", "event.was", "event.stock", "param.target", "param.floor",
			"previous.price", "previous.was", "49", "0", "-1", "1e300", "48.99", "double(size(event.name))")
	}
	a, b := x.number(depth-1), x.number(depth-1)
	return fmt.Sprintf(x.pick("arithmetic", "(%s + %s)", "(%s - %s)", "(%s * %s)", "(%s / %s)", "-(%s) + %s"), a, b)
}

func (x expressions) text() string {
	return x.pick("text", "event.product", "event.name", "param.product", "param.word", "previous.name", "member.account",
		"member.time_zone", "member.birthday", "''", "'a'", "'中'", "'a\\u0000b'", "(event.product + 'a')")
}

func (x expressions) moment() string {
	return x.pick("time", "event.at", "param.since", "previous.at", "previous.time",
		"timestamp('2026-02-03T04:05:06.000000001Z')", "timestamp('2026-02-03T12:05:06+08:00')", "(event.at + duration('1ns'))")
}

func (x expressions) truth(depth int) string {
	if depth == 0 {
		return x.pick("truth", "event.gift", "param.gift", "previous.gift", "previous.known", "true", "false")
	}
	sign := x.pick("sign", "==", "!=", "<", "<=", ">", ">=")
	switch rapid.IntRange(0, 12).Draw(x.t, "kind") {
	case 0:
		return fmt.Sprintf("(%s && %s)", x.truth(depth-1), x.truth(depth-1))
	case 1:
		return fmt.Sprintf("(%s || %s)", x.truth(depth-1), x.truth(depth-1))
	case 2:
		return fmt.Sprintf("!(%s)", x.truth(depth-1))
	case 3:
		return fmt.Sprintf("(%s ? %s : %s)", x.truth(depth-1), x.truth(depth-1), x.truth(depth-1))
	case 4:
		return fmt.Sprintf("(%s %s %s)", x.truth(depth-1), sign, x.truth(depth-1))
	case 5, 6:
		return fmt.Sprintf("%s %s %s", x.number(2), sign, x.number(2))
	case 7:
		return fmt.Sprintf("%s %s %s", x.text(), sign, x.text())
	case 8:
		return fmt.Sprintf("%s %s %s", x.moment(), sign, x.moment())
	case 9:
		return fmt.Sprintf("%s.%s(%s)", x.text(), x.pick("test", "startsWith", "endsWith", "contains"), x.text())
	case 10:
		return x.text() + " in " + x.pick("set", "param.products", "param.names", "['a', '中']", "[event.name, 'a']", "[]")
	case 11:
		return x.number(1) + " in " + x.pick("numbers", "[1, 49]", "[48.99]", "[event.stock, 1]", "[-1, 0.0]")
	}
	return fmt.Sprintf("within(%s, %s, %s, %s, %s)", x.number(0), x.number(0), x.number(0), x.number(0), x.number(0))
}

func (x expressions) condition() string {
	terms := make([]string, rapid.IntRange(1, 3).Draw(x.t, "terms"))
	for i := range terms {
		terms[i] = x.truth(rapid.IntRange(1, 3).Draw(x.t, "depth"))
	}
	return strings.Join(terms, " && ")
}

// odd are values that a caller should not give, and NaN, which no JSON holds.
func odd(t *rapid.T, v predicate.Values) predicate.Values {
	for _, side := range []map[string]any{v.Event, v.Param, v.Previous} {
		for _, name := range slices.Sorted(maps.Keys(side)) {
			if rapid.IntRange(0, 30).Draw(t, name+" odd") == 0 {
				side[name] = rapid.SampledFrom([]any{nil, int64(49), 7, "x", true, []any{"a"}, map[string]any{}}).Draw(t, name)
			}
		}
	}
	return v
}

func TestNativeTermsAreWhatCELSays(t *testing.T) {
	s := watching()
	s.Broadcast = true
	compiled, native, met, failed := 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		condition := expressions{t}.condition()
		p, err := predicate.Compile(condition, s)
		if err != nil {
			return // some texts and truths are compared by size, and some conditions are too dear
		}
		oracle, err := predicate.Oracle(condition, s)
		if err != nil {
			t.Fatal(err)
		}
		compiled++
		if len(p.NeedsCEL()) == 0 {
			native++
		}
		for range 10 {
			v := odd(t, values().Draw(t, "values"))
			want, wantErr := oracle(v)
			got, err := p.Eval(v)
			if got != want || (err == nil) != (wantErr == nil) {
				t.Fatalf("%s:\n%v, %v, by CEL %v, %v\nneeds CEL: %q\n%v", condition, got, err, want, wantErr, p.NeedsCEL(), v)
			}
			if want {
				met++
			}
			if wantErr != nil {
				failed++
			}
		}
	})
	if native == 0 || met == 0 || failed == 0 || native == compiled {
		t.Errorf("of %d conditions %d were native; of their evaluations %d were met and %d failed", compiled, native, met, failed)
	}
	t.Logf("of %d conditions %d were native; of their evaluations %d were met and %d failed", compiled, native, met, failed)
}

func TestWhatNeedsCEL(t *testing.T) {
	s := watching()
	s.Broadcast = true
	for condition, needs := range map[string]bool{
		"event.product == param.product && event.price <= param.target":                                    false,
		"event.price <= previous.price * 0.9 || !previous.known":                                           false,
		"event.price in [1, 2.5] || event.product in ['a'] || event.name in param.names":                   false,
		"event.gift ? event.at < timestamp('2026-01-01T00:00:00Z') : previous.time < event.at":             false,
		"within(event.latitude, event.longitude, 31.2, 121.5, param.distance) && event.gift == param.gift": false,
		"event.name == member.time_zone && event.product.endsWith(member.birthday)":                        false,
		"size(event.name) > 3":                        true,
		"event.name.matches('a+')":                    true,
		"param.names.exists(n, n == 'a')":             true,
		"event.at.getHours() == 9":                    true,
		"event.at - previous.time > duration('720h')": true,
	} {
		if got := mustCompile(t, condition, s).NeedsCEL(); (len(got) > 0) != needs {
			t.Errorf("%s: %q need CEL", condition, got)
		}
	}
}
