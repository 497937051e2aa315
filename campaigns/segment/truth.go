package segment

import (
	"encoding/json"
	"fmt"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"herald/problem"
)

// compiler walks a parsed condition and writes SQL. After a mistake it goes
// on, to find the others; what it returns then is not used.
type compiler struct {
	source   *ast.SourceInfo
	args     []argument
	mentions []Mention
	mistakes problem.Fields
}

func (c *compiler) at(e ast.Expr) string { return position(c.source.GetStartLocation(e.ID())) }

func (c *compiler) refuse(e ast.Expr, rule, format string, args ...any) {
	c.mistakes.Add("condition", "condition_"+rule, "%s: %s", c.at(e), fmt.Sprintf(format, args...))
}

// arg adds a parameter and gives its place, such as "$3".
func (c *compiler) arg(a argument) string {
	c.args = append(c.args, a)
	return fmt.Sprintf("$%d", len(c.args))
}

// truth is e as a boolean of SQL: NULL where it cannot be decided.
func (c *compiler) truth(e ast.Expr) string {
	switch e.Kind() {
	case ast.LiteralKind:
		if b, ok := e.AsLiteral().(types.Bool); ok {
			return map[types.Bool]string{true: "TRUE", false: "FALSE"}[b]
		}
	case ast.CallKind:
		return c.call(e)
	case ast.SelectKind:
		if e.AsSelect().IsTestOnly() {
			return c.presence(e)
		}
	}
	v := c.value(e)
	switch v.kind {
	case dynamic:
		return "(CASE jsonb_typeof(" + v.sql + ") WHEN 'boolean' THEN (" + v.sql + ")::boolean END)"
	case broken:
		return ""
	}
	c.refuse(e, "type", "must be true or false, this is %s", v.kind)
	return ""
}

// comparisons are CEL's comparisons and their signs in SQL.
var comparisons = map[string]string{
	operators.Equals: "=", operators.NotEquals: "<>",
	operators.Less: "<", operators.LessEquals: "<=", operators.Greater: ">", operators.GreaterEquals: ">=",
}

func (c *compiler) call(e ast.Expr) string {
	call := e.AsCall()
	name, args := call.FunctionName(), call.Args()
	if sign, ok := comparisons[name]; ok {
		return c.compare(e, args[0], sign, args[1])
	}
	switch name {
	case operators.LogicalAnd:
		return "(" + c.truth(args[0]) + " AND " + c.truth(args[1]) + ")"
	case operators.LogicalOr:
		return "(" + c.truth(args[0]) + " OR " + c.truth(args[1]) + ")"
	case operators.LogicalNot:
		return "(NOT " + c.truth(args[0]) + ")"
	case operators.In:
		return c.in(e, args[0], args[1])
	case "startsWith", "endsWith", "contains":
		return c.search(e)
	case "subscribed":
		return c.subscribed(e)
	case operators.Index:
		if v := c.value(e); v.kind == dynamic {
			return "(CASE jsonb_typeof(" + v.sql + ") WHEN 'boolean' THEN (" + v.sql + ")::boolean END)"
		}
		return ""
	}
	c.unknown(e)
	return ""
}

// unknown refuses a function or operator that is not in the language.
func (c *compiler) unknown(e ast.Expr) {
	name := e.AsCall().FunctionName()
	if sign, ok := operators.FindReverse(name); ok && sign != "" {
		name = sign
	}
	switch name {
	case operators.Conditional:
		name = "? :"
	case operators.Negate:
		name = "-"
	}
	c.refuse(e, "function", "%s cannot be used here", name)
}

// presence is has(…).
func (c *compiler) presence(e ast.Expr) string {
	s := e.AsSelect()
	if isIdent(s.Operand(), "member") {
		f, ok := profile[s.FieldName()]
		switch {
		case !ok:
			c.unknownField(e, s.FieldName())
			return ""
		case f.needsBirthday:
			return "(m.birthday IS NOT NULL)"
		}
		return "TRUE"
	}
	inside := c.value(s.Operand())
	switch inside.kind {
	case broken:
		return ""
	case dynamic:
	default:
		c.refuse(e, "type", "has() asks for a field of member or an attribute")
		return ""
	}
	found := inside.field(c.arg(constant(s.FieldName())))
	if isIdent(s.Operand(), "attributes") {
		return "(" + found + " IS NOT NULL)"
	}
	return "(CASE WHEN jsonb_typeof(" + inside.sql + ") <> 'array' THEN " + found + " IS NOT NULL END)"
}

func isIdent(e ast.Expr, name string) bool {
	return e.Kind() == ast.IdentKind && e.AsIdent() == name
}

func (c *compiler) compare(e, left ast.Expr, sign string, right ast.Expr) string {
	a, b := c.value(left), c.value(right)
	if a.kind == broken || b.kind == broken {
		return ""
	}
	if a.kind == dynamic && b.kind == dynamic {
		c.refuse(e, "type", "compare an attribute with a text, a number, true or false")
		return ""
	}
	equality := sign == "=" || sign == "<>"
	switch {
	case a.kind == dynamic:
		return c.compareDynamic(e, a, sign, b)
	case b.kind == dynamic:
		return c.compareDynamic(e, b, turned[sign], a)
	case a.kind != b.kind || a.kind == span:
		c.refuse(e, "type", "%s cannot be compared with %s", a.kind, b.kind)
		return ""
	case a.kind == boolean && !equality:
		c.refuse(e, "type", "neither of true and false is greater")
		return ""
	}
	return "(" + c.placed(a).ordered() + " " + sign + " " + c.placed(b).ordered() + ")"
}

// turned is what a sign becomes when its sides are exchanged.
var turned = map[string]string{"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

// compareDynamic compares an attribute with a value whose kind is known.
func (c *compiler) compareDynamic(e ast.Expr, a value, sign string, b value) string {
	if b.kind == moment || b.kind == span {
		c.refuse(e, "type", "an attribute cannot be compared with %s", b.kind)
		return ""
	}
	if sign == "=" || sign == "<>" {
		return "(" + a.sql + " " + sign + " to_jsonb(" + b.sql + "))"
	}
	switch b.kind {
	case text:
		return "(CASE jsonb_typeof(" + a.sql + ") WHEN 'string' THEN ((" + a.sql + ") #>> '{}') COLLATE \"C\" " + sign + " " + b.ordered() + " END)"
	case number:
		return "(CASE jsonb_typeof(" + a.sql + ") WHEN 'number' THEN (" + a.sql + ")::numeric " + sign + " " + b.sql + " END)"
	}
	c.refuse(e, "type", "neither of true and false is greater")
	return ""
}

// in is membership: of constants, or of an attribute that is a list.
func (c *compiler) in(e, left, right ast.Expr) string {
	a := c.value(left)
	if right.Kind() != ast.ListKind {
		b := c.value(right)
		switch {
		case a.kind == broken || b.kind == broken:
			return ""
		case b.kind != dynamic || a.constant == nil || a.kind == moment || a.kind == span:
			c.refuse(e, "type", `write x in ["a", "b"], or "a" in attributes.x`)
			return ""
		}
		named := "FALSE"
		if a.kind == text {
			named = "nullif(" + b.sql + " -> " + a.sql + ", 'null'::jsonb) IS NOT NULL"
		}
		return "(CASE jsonb_typeof(" + b.sql + ") WHEN 'array' THEN " + b.sql + " @> jsonb_build_array(" + a.sql + ") WHEN 'object' THEN " + named + " END)"
	}
	elements := right.AsList().Elements()
	if len(elements) == 0 {
		c.refuse(right, "type", "an empty list holds nothing")
		return ""
	}
	var constants []any
	for _, element := range elements {
		v, ok := literal(element)
		if !ok {
			c.refuse(element, "type", "a list holds texts, numbers, true and false")
			return ""
		}
		if why := storable(v); why != "" {
			c.refuse(element, "type", "%s", why)
			return ""
		}
		if kind := kindOf(v); a.kind != dynamic && a.kind != broken && a.kind != kind {
			c.refuse(element, "type", "%s cannot be compared with %s", a.kind, kind)
			return ""
		}
		constants = append(constants, v)
	}
	if a.kind == broken {
		return ""
	}
	return c.oneOf(a, constants)
}

// oneOf compares with constants of the value's kind.
func (c *compiler) oneOf(a value, constants []any) string {
	list := make([]string, len(constants))
	for i, v := range constants {
		if a.kind == text {
			list[i] = v.(string)
			continue
		}
		raw, err := json.Marshal(v)
		if err != nil {
			panic(fmt.Sprintf("a %T is not JSON: %v", v, err)) // literal lets no such value through
		}
		list[i] = string(raw)
	}
	sql := map[kind]string{text: "text[]", number: "numeric[]", boolean: "boolean[]", dynamic: "jsonb[]"}[a.kind]
	return "(" + a.sql + " = ANY (" + c.arg(constant(list)) + "::text[]::" + sql + "))"
}

// search is startsWith, endsWith or contains.
func (c *compiler) search(e ast.Expr) string {
	call := e.AsCall()
	if !call.IsMemberFunction() || len(call.Args()) != 1 {
		c.refuse(e, "function", `write attributes.city.%s("…")`, call.FunctionName())
		return ""
	}
	in, what := c.value(call.Target()), c.value(call.Args()[0])
	switch {
	case in.kind == broken || what.kind == broken:
		return ""
	case what.kind != text || what.constant == nil || in.kind != text && in.kind != dynamic:
		c.refuse(e, "type", "%s looks for a constant text in a text", call.FunctionName())
		return ""
	}
	found := func(s string) string {
		switch call.FunctionName() {
		case "startsWith":
			return "left(" + s + ", length(" + what.sql + ")) = " + what.sql
		case "endsWith":
			return "right(" + s + ", length(" + what.sql + ")) = " + what.sql
		}
		return "strpos(" + s + ", " + what.sql + ") > 0"
	}
	if in.kind == text {
		return "(" + found(in.sql) + ")"
	}
	return "(CASE jsonb_typeof(" + in.sql + ") WHEN 'string' THEN " + found("(("+in.sql+") #>> '{}')") + " END)"
}

// subscribed is true for members who have a subscription of a trigger in
// force, of these parameters where they are named.
func (c *compiler) subscribed(e ast.Expr) string {
	args := e.AsCall().Args()
	if e.AsCall().IsMemberFunction() || !slices.Contains([]int{1, 2}, len(args)) {
		c.refuse(e, "function", `write subscribed("price_drop") or subscribed("price_drop", {"product": "kettle"})`)
		return ""
	}
	v, ok := literal(args[0])
	trigger, isText := v.(string)
	if !ok || !isText || trigger == "" || storable(trigger) != "" {
		c.refuse(args[0], "type", "name the trigger as a text")
		return ""
	}
	c.mentions = append(c.mentions, Mention{trigger, c.at(args[0])})
	now := c.arg(func(a asked) any { return a.at }) + "::timestamptz"
	sql := "EXISTS (SELECT FROM subscriptions s WHERE s.member_id = m.id AND s.trigger = " + c.arg(constant(trigger)) +
		"::text AND NOT s.paused AND s.valid_from <= " + now + " AND (s.valid_until IS NULL OR s.valid_until > " + now + ")"
	if len(args) == 2 {
		params, ok := c.params(args[1])
		if !ok {
			return ""
		}
		sql += " AND s.params @> " + c.arg(constant(params)) + "::text::jsonb"
	}
	return sql + ")"
}

// params reads {"product": "kettle"} as JSON.
func (c *compiler) params(e ast.Expr) (string, bool) {
	wanted := map[string]any{}
	if e.Kind() != ast.MapKind {
		c.refuse(e, "type", `name parameters as {"product": "kettle"}`)
		return "", false
	}
	for _, entry := range e.AsMap().Entries() {
		name, isConstant := literal(entry.AsMapEntry().Key())
		key, isText := name.(string)
		v, ok := literal(entry.AsMapEntry().Value())
		if !isConstant || !isText || !ok || storable(key) != "" || storable(v) != "" {
			c.refuse(e, "type", "a parameter is a text, a number, true or false")
			return "", false
		}
		wanted[key] = v
	}
	raw, err := json.Marshal(wanted)
	if err != nil {
		c.refuse(e, "type", "a parameter is a text, a number, true or false")
		return "", false
	}
	return string(raw), true
}
