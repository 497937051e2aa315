package segment_test

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"pgregory.net/rapid"
)

// noContext is for questions asked from within rapid, which has none.
var (
	noContext = context.Background()
	mapType   = reflect.TypeFor[map[string]any]()
)

func drawPerson(t *rapid.T) person {
	p := person{
		account:  "drawn",
		kind:     rapid.SampledFrom([]string{"person", "company"}).Draw(t, "kind"),
		name:     rapid.SampledFrom([]string{"", "Wei", "wei", "水壶", "a_%", `q"'\`}).Draw(t, "name"),
		locale:   rapid.SampledFrom([]string{"en", "en-GB", "zh-CN"}).Draw(t, "locale"),
		zone:     rapid.SampledFrom([]string{"UTC", "Asia/Shanghai"}).Draw(t, "zone"),
		birthday: rapid.SampledFrom([]string{"", "1990-02-28", "2004-02-29", "1990-03-01", "1999-03-02", "1980-12-31"}).Draw(t, "birthday"),
		created:  at.Add(-time.Duration(rapid.IntRange(-2, 40).Draw(t, "age")) * 24 * time.Hour),
	}
	p.attributes = rapid.MapOfN(rapid.SampledFrom(names), rapid.Custom(drawJSON), 0, 4).Draw(t, "attributes")
	for range rapid.IntRange(0, 2).Draw(t, "subscriptions") {
		p.subscribed = append(p.subscribed, order{
			trigger: rapid.SampledFrom([]string{"price_drop", "low_balance"}).Draw(t, "trigger"),
			params:  rapid.MapOfN(rapid.SampledFrom(names), rapid.Custom(drawScalar), 0, 2).Draw(t, "params"),
			inForce: rapid.Bool().Draw(t, "in force"),
		})
	}
	return p
}

var names = []string{"a", "b", "grade"}

func drawScalar(t *rapid.T) any {
	return rapid.SampledFrom([]any{"gold", "", "水", "2", 0.0, 2.0, -1.5, 1e20, 0.1, true, false}).Draw(t, "value")
}

func drawJSON(t *rapid.T) any {
	switch rapid.IntRange(0, 9).Draw(t, "shape") {
	case 0:
		return nil
	case 1:
		return rapid.SliceOfN(rapid.Custom(drawScalar), 0, 3).Draw(t, "list")
	case 2:
		return map[string]any{rapid.SampledFrom(names).Draw(t, "inner"): drawScalar(t), "none": nil}
	}
	return drawScalar(t)
}

func drawLiteral(t *rapid.T) string {
	return rapid.SampledFrom([]string{`"gold"`, `""`, `"水"`, `"2"`, "0", "2", "-1.5", "1e20", "0.1", "true", "false"}).Draw(t, "literal")
}

func drawOrderable(t *rapid.T) string {
	return rapid.SampledFrom([]string{`"gold"`, `""`, `"水"`, `"2"`, "0", "2", "-1.5", "100000000000000000000.0", "0.1", "member.locale", "member.age"}).Draw(t, "orderable")
}

func drawAttribute(t *rapid.T) string {
	path := "attributes." + rapid.SampledFrom(names).Draw(t, "attribute")
	switch rapid.IntRange(0, 4).Draw(t, "path") {
	case 0:
		return path + "." + rapid.SampledFrom(append(names, "none")).Draw(t, "inner")
	case 1:
		return `attributes["` + rapid.SampledFrom(names).Draw(t, "attribute") + `"]`
	}
	return path
}

// drawTruth is a condition at most so deep.
func drawTruth(t *rapid.T, depth int) string {
	if depth > 0 {
		switch rapid.IntRange(0, 4).Draw(t, "join") {
		case 0:
			return "(" + drawTruth(t, depth-1) + " && " + drawTruth(t, depth-1) + ")"
		case 1:
			return "(" + drawTruth(t, depth-1) + " || " + drawTruth(t, depth-1) + ")"
		case 2:
			return "!(" + drawTruth(t, depth-1) + ")"
		}
	}
	sign := rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "sign")
	equal := rapid.SampledFrom([]string{"==", "!="}).Draw(t, "equal")
	switch rapid.IntRange(0, 14).Draw(t, "question") {
	case 0:
		return fmt.Sprintf("%s %s %s", drawAttribute(t), equal, drawLiteral(t))
	case 1:
		return fmt.Sprintf("%s %s %s", drawAttribute(t), sign, drawOrderable(t))
	case 2:
		return fmt.Sprintf("%s %s %s", drawOrderable(t), sign, drawAttribute(t))
	case 3:
		return fmt.Sprintf("%s in [%s, %s]", drawAttribute(t), drawLiteral(t), drawLiteral(t))
	case 4:
		return fmt.Sprintf("%s in %s", drawLiteral(t), drawAttribute(t))
	case 5:
		return fmt.Sprintf("%s.%s(%s)", rapid.SampledFrom([]string{drawAttribute(t), "member.display_name"}).Draw(t, "in"),
			rapid.SampledFrom([]string{"startsWith", "endsWith", "contains"}).Draw(t, "search"), rapid.SampledFrom([]string{`""`, `"g"`, `"old"`, `"水"`, `"_"`, `"%"`}).Draw(t, "what"))
	case 6:
		return "has(" + rapid.SampledFrom([]string{"member.birthday", "member.age", "member.locale", "attributes.a", "attributes.grade.a", "attributes.b.none"}).Draw(t, "what") + ")"
	case 7:
		return drawAttribute(t)
	case 8:
		return fmt.Sprintf("member.%s %s %s", rapid.SampledFrom([]string{"age", "birth_month", "birth_day"}).Draw(t, "number"), sign, rapid.SampledFrom([]string{"2", "3", "28", "22", "36.0", "35.5"}).Draw(t, "figure"))
	case 9:
		return fmt.Sprintf("member.%s %s %s", rapid.SampledFrom([]string{"locale", "display_name", "birthday", "customer_type", "time_zone"}).Draw(t, "text"), sign,
			rapid.SampledFrom([]string{`"en"`, `"Wei"`, `"a"`, `"2000-01-01"`, `"company"`, `"q\"'\\"`, "member.locale"}).Draw(t, "other"))
	case 10:
		return fmt.Sprintf("member.created_at %s %s", sign, rapid.SampledFrom([]string{`now`, `now - duration("240h")`, `timestamp("2026-02-01T09:30:00.000123Z")`, `timestamp("2026-02-01T00:00:00Z") + duration("24h")`}).Draw(t, "moment"))
	case 11:
		return fmt.Sprintf("subscribed(%q)", rapid.SampledFrom([]string{"price_drop", "low_balance", "none"}).Draw(t, "trigger"))
	case 12:
		return fmt.Sprintf("subscribed(%q, {%q: %s})", rapid.SampledFrom([]string{"price_drop", "low_balance"}).Draw(t, "trigger"), rapid.SampledFrom(names).Draw(t, "param"), drawLiteral(t))
	case 13:
		return fmt.Sprintf("member.%s in [%s]", rapid.SampledFrom([]string{`locale in ["en", "zh-CN"] && member.age`, "birth_month", "age"}).Draw(t, "number"), "2, 3, 22, 36.0")
	}
	return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "constant")
}
