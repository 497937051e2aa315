package subscriptions

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func pointer[T any](v T) *T { return &v }

// questionnaire has a parameter of every kind.
func questionnaire() Trigger {
	return Trigger{Params: []Param{
		{Name: "text", Type: "string", Optional: true, MaxLen: 5},
		{Name: "choice", Type: "string", Optional: true, Options: []Option{{Value: "red"}, {Value: "blue"}}},
		{Name: "number", Type: "number", Optional: true, Min: pointer(0.5), Max: pointer(100.0)},
		{Name: "flag", Type: "boolean", Optional: true},
		{Name: "at", Type: "time", Optional: true},
		{Name: "list", Type: "strings", Optional: true, Max: pointer(3.0), MaxLen: 5},
		{Name: "colours", Type: "strings", Optional: true, Options: []Option{{Value: "red"}, {Value: "blue"}}},
		{Name: "day", Type: "string", Optional: true, Unit: UnitDate},
		{Name: "preset", Type: "number", Default: uint64(7)},
	}}
}

func TestCheckParamsReads(t *testing.T) {
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		rule, param string
		raw, want   any
	}{
		{"text is trimmed", "text", "  tea ", "tea"},
		{"the length counts characters", "text", "五个汉字吧", "五个汉字吧"},
		{"an empty text was left out", "text", "   ", nil},
		{"null was left out", "text", nil, nil},
		{"of repeated form values the last counts", "text", []string{"a", "b"}, "b"},
		{"no form value was left out", "text", []string{}, nil},
		{"an option", "choice", "red", "red"},
		{"a date of its own", "day", "2028-02-29", "2028-02-29"},
		{"a JSON number", "number", 49.5, 49.5},
		{"a Go integer", "number", 49, 49.0},
		{"a number kept as text by a decoder", "number", json.Number("49.5"), 49.5},
		{"a form's number", "number", " 49.50 ", 49.5},
		{"a number begun with its point", "number", ".5", 0.5},
		{"full-width digits", "number", "４９．５", 49.5},
		{"the lower bound itself", "number", 0.5, 0.5},
		{"the upper bound itself", "number", "100", 100.0},
		{"a JSON boolean", "flag", false, false},
		{"a form's box", "flag", "on", true},
		{"a hidden field and its box", "flag", []string{"false", "true"}, true},
		{"a time with its offset", "at", "2026-01-31T20:00:00+08:00", noon},
		{"a form's time", "at", "2026-01-31T12:00", noon},
		{"a date", "at", "2026-01-31", noon.Add(-12 * time.Hour)},
		{"a list", "list", []any{"b", "a"}, []string{"a", "b"}},
		{"a list with commas of any kind", "list", "b, a，c", []string{"a", "b", "c"}},
		{"repeated form values", "list", []string{"b", "a", "b"}, []string{"a", "b"}},
		{"an empty list was left out", "list", []any{}, nil},
		{"empty entries are dropped", "list", ", a,,", []string{"a"}},
		{"a list of options", "colours", []any{"red", "blue"}, []string{"blue", "red"}},
		{"a default", "preset", nil, 7.0},
		{"an empty field takes the default", "preset", "", 7.0},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, bad := questionnaire().CheckParams(map[string]any{c.param: c.raw})
			if len(bad) > 0 {
				t.Fatalf("refused: %v", bad)
			}
			if diff := cmp.Diff(c.want, got[c.param]); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestCheckParamsRefuses(t *testing.T) {
	for _, c := range []struct {
		mistake, param string
		raw            any
		rule           string
		args           map[string]any
	}{
		{"a number for text", "text", 5.0, "type", map[string]any{"type": "string"}},
		{"a text too long", "text", "abcdef", "max_len", map[string]any{"max_len": 5}},
		{"the character NUL", "text", "a\x00b", "type", map[string]any{"type": "string"}},
		{"a second line", "text", "a\nb", "type", map[string]any{"type": "string"}},
		{"bytes that are no text", "text", "\xff", "type", map[string]any{"type": "string"}},
		{"no date", "day", "2026-02-29", "date", nil},
		{"a date as people write it", "day", "31.3.2026", "date", nil},
		{"something not on offer", "choice", "green", "option", map[string]any{"options": []string{"red", "blue"}}},
		{"a text for a number", "number", "cheap", "type", map[string]any{"type": "number"}},
		{"a thousands separator", "number", "1,000", "type", map[string]any{"type": "number"}},
		{"hexadecimal", "number", "0x10", "type", map[string]any{"type": "number"}},
		{"infinity", "number", "inf", "type", map[string]any{"type": "number"}},
		{"a number beyond all", "number", strings.Repeat("9", 400), "type", map[string]any{"type": "number"}},
		{"not a number", "number", math.NaN(), "type", map[string]any{"type": "number"}},
		{"a boolean for a number", "number", true, "type", map[string]any{"type": "number"}},
		{"below the bound", "number", 0.49, "min", map[string]any{"min": 0.5, "type": "number"}},
		{"above the bound", "number", 100.01, "max", map[string]any{"max": 100.0, "type": "number"}},
		{"a number for a boolean", "flag", 1.0, "type", map[string]any{"type": "boolean"}},
		{"a word for a boolean", "flag", "maybe", "type", map[string]any{"type": "boolean"}},
		{"the 30th of February", "at", "2026-02-30", "type", map[string]any{"type": "time"}},
		{"a number for a time", "at", 1.0, "type", map[string]any{"type": "time"}},
		{"a number in a list", "list", []any{"a", 1.0}, "type", map[string]any{"type": "strings"}},
		{"a list too long", "list", "a,b,c,d", "max", map[string]any{"max": 3.0, "type": "strings"}},
		{"an entry too long", "list", "abcdef", "max_len", map[string]any{"max_len": 5}},
		{"an entry not on offer", "colours", "red,green", "option", map[string]any{"options": []string{"red", "blue"}}},
		{"an object", "text", map[string]any{}, "type", map[string]any{"type": "string"}},
		{"a name nobody asked for", "size", "L", "unknown", nil},
	} {
		t.Run(c.mistake, func(t *testing.T) {
			values, bad := questionnaire().CheckParams(map[string]any{c.param: c.raw})
			if len(bad) != 1 || values != nil {
				t.Fatalf("values %v with mistakes %v, want one mistake", values, bad)
			}
			if bad[0].Path != "params."+c.param || bad[0].Rule != c.rule || !reflect.DeepEqual(bad[0].Args, c.args) || bad[0].Message == "" {
				t.Errorf("mistake %+v, want rule %s with %v", bad[0], c.rule, c.args)
			}
		})
	}
}

func TestCheckParamsNamesAllMistakes(t *testing.T) {
	trigger := Trigger{Params: []Param{{Name: "a", Type: "string"}, {Name: "b", Type: "number"}, {Name: "c", Type: "strings"}}}
	_, bad := trigger.CheckParams(map[string]any{"b": "x", "c": ",", "d": 1.0})
	var got []string
	for _, f := range bad {
		got = append(got, f.Path+" "+f.Rule)
	}
	want := []string{"params.a required", "params.b type", "params.c required", "params.d unknown"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// What was checked may go through the database or not and be checked again:
// it stays the same.
func TestCheckParamsIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := map[string]any{
			"text":   rapid.StringMatching(`[a-zé中，,;]{0,4}[a-z]`).Draw(t, "text"),
			"number": rapid.Float64Range(0.5, 100).Draw(t, "number"),
			"flag":   rapid.Bool().Draw(t, "flag"),
			"at":     time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0),
			"list":   rapid.SliceOfN(rapid.StringMatching(`[a-zé中 ]{0,5}`), 0, 3).Draw(t, "list"),
		}
		once, bad := questionnaire().CheckParams(raw)
		if len(bad) > 0 {
			t.Fatalf("%v is refused: %v", raw, bad)
		}
		twice, bad := questionnaire().CheckParams(once)
		if diff := cmp.Diff(once, twice); diff != "" || len(bad) > 0 {
			t.Fatalf("checked again %v:\n%s", bad, diff)
		}
		kept, err := asStored(once)
		if err != nil {
			t.Fatal(err)
		}
		read, bad := questionnaire().CheckParams(kept)
		if diff := cmp.Diff(once, read); diff != "" || len(bad) > 0 {
			t.Fatalf("read back %v:\n%s", bad, diff)
		}
	})
}

func TestCheckEvent(t *testing.T) {
	trigger := Trigger{Attributes: []Attribute{
		{Name: "product", Type: "string"},
		{Name: "price", Type: "number"},
		{Name: "on_sale", Type: "boolean", Optional: true},
		{Name: "until", Type: "time", Optional: true},
	}}
	good := map[string]any{
		"product": " a ", "price": 4.0, "on_sale": nil, "until": "2026-01-31T20:00:00+08:00",
		"extra": map[string]any{"colour": []any{"red"}},
	}
	got, bad := trigger.CheckEvent(good)
	want := map[string]any{
		"product": " a ", "price": 4.0, "until": time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		"extra": map[string]any{"colour": []any{"red"}},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(bad) > 0 {
		t.Errorf("mistakes %v; want -, got +:\n%s", bad, diff)
	}
	for _, c := range []struct {
		mistake, name string
		value         any
		rule          string
	}{
		{"a number as text", "price", "4", "type"},
		{"infinity", "price", math.Inf(1), "type"},
		{"null where it must be given", "price", nil, "required"},
		{"a number for text", "product", 4.0, "type"},
		{"text for a boolean", "on_sale", "true", "type"},
		{"a time without its offset", "until", "2026-01-31T20:00:00", "type"},
		{"the character NUL", "product", "a\x00", "type"},
		{"the character NUL deep in what nobody reads", "extra", map[string]any{"a": []any{"\x00"}}, "type"},
	} {
		t.Run(c.mistake, func(t *testing.T) {
			data := map[string]any{"product": "a", "price": 4.0, c.name: c.value}
			values, bad := trigger.CheckEvent(data)
			if len(bad) != 1 || bad[0].Path != "data."+c.name || bad[0].Rule != c.rule || values != nil {
				t.Errorf("values %v, mistakes %+v, want rule %s", values, bad, c.rule)
			}
		})
	}
}

// What is found to be typed already is what reading it makes of it.
func TestCheckEventOfWhatFitsChangesNothing(t *testing.T) {
	t.Parallel()
	value := rapid.SampledFrom([]any{
		nil, "", "a", "a\x00", 4.0, math.NaN(), math.Inf(-1), 7, json.Number("1"), true, time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		"2026-01-31T20:00:00+08:00",
		[]any{"a", nil},
		[]any{"\x00"},
		map[string]any{"a": "b"},
	})
	rapid.Check(t, func(t *rapid.T) {
		var trigger Trigger
		for _, name := range []string{"a", "b", "c"} {
			if rapid.Bool().Draw(t, "declared") {
				kind := rapid.SampledFrom([]string{"string", "number", "boolean", "time"}).Draw(t, "type")
				trigger.Attributes = append(trigger.Attributes, Attribute{Name: name, Type: kind, Optional: rapid.Bool().Draw(t, "optional")})
			}
		}
		data := rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "c", "d", "d\x00"}), value).Draw(t, "data")
		want, bad := trigger.read(data)
		got, told := trigger.CheckEvent(data)
		if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(bad, told); diff != "" {
			t.Fatal(diff)
		}
	})
}
