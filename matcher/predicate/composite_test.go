package predicate_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"herald/matcher/predicate"
)

func TestKeyOfTellsValuesApart(t *testing.T) {
	long := strings.Repeat("长", 100)
	seen := map[string]int{}
	for i, c := range []struct {
		attributes []string
		event      map[string]any
	}{
		{[]string{"a"}, map[string]any{"a": "x"}},
		{[]string{"b"}, map[string]any{"b": "x"}},
		{[]string{"a", "b"}, map[string]any{"a": "x", "b": "y"}},
		{[]string{"b", "a"}, map[string]any{"a": "x", "b": "y"}},
		{[]string{"a", "b"}, map[string]any{"a": "xa1:b", "b": ""}},
		{[]string{"a"}, map[string]any{"a": "1"}},
		{[]string{"a"}, map[string]any{"a": 1.0}},
		{[]string{"a"}, map[string]any{"a": true}},
		{[]string{"a"}, map[string]any{"a": time.Unix(1, 0)}},
		{[]string{"a"}, map[string]any{"a": long}},
		{[]string{"a", "b"}, map[string]any{"a": long, "b": long}},
		{[]string{"a", "b"}, map[string]any{"a": long, "b": long + "."}},
		{[]string{"a"}, map[string]any{"a": "\x00"}},
	} {
		key, err := predicate.KeyOf(c.attributes, c.event)
		if err != nil || key == "" || len(key) > 200 || strings.ContainsRune(key, 0) {
			t.Errorf("%v: %q, %v", c, key, err)
		}
		if before, again := seen[key]; again {
			t.Errorf("numbers %d and %d have one key %q", before, i, key)
		}
		seen[key] = i
	}
}

func TestKeyOfIsEmptyWhereOneIsAbsent(t *testing.T) {
	for _, event := range []map[string]any{nil, {"a": "x"}, {"a": "x", "b": nil}} {
		if key, err := predicate.KeyOf([]string{"a", "b"}, event); key != "" || err != nil {
			t.Errorf("%v: %q, %v, want none", event, key, err)
		}
	}
	if _, err := predicate.KeyOf([]string{"a"}, map[string]any{"a": []string{"x"}}); err == nil {
		t.Error("a list is a key")
	}
}

func TestKeyOfIsOneForEqualValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(
			rapid.String().AsAny(), rapid.Float64Range(-1e9, 1e9).AsAny(), rapid.Bool().AsAny(),
		)
		x, y := value.Draw(t, "x"), value.Draw(t, "y")
		a, err := predicate.KeyOf([]string{"v"}, map[string]any{"v": x})
		if err != nil {
			t.Fatal(err)
		}
		b, err := predicate.KeyOf([]string{"v"}, map[string]any{"v": y})
		if err != nil {
			t.Fatal(err)
		}
		if (a == b) != (x == y) {
			t.Fatalf("%v and %v: %q and %q", x, y, a, b)
		}
	})
}
