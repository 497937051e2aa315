package segment

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// kind is what is known of a value before it is read. Its text completes
// "this is …".
type kind string

const (
	broken  kind = "" // a mistake was found in it
	text    kind = "a text"
	number  kind = "a number"
	boolean kind = "true or false"
	moment  kind = "a moment"
	span    kind = "a duration"
	dynamic kind = "an attribute" // of any kind, in JSON
)

// value is an expression of SQL.
type value struct {
	kind     kind
	sql      string
	constant any // nil where it depends on the member or the moment
	// Of a span its length; of a moment without sql what is added to fixed, or
	// to the moment the question is asked.
	offset time.Duration
	fixed  *time.Time
}

// ordered is the expression for a comparison: texts by their bytes, as CEL does.
func (v value) ordered() string {
	if v.kind == text {
		return v.sql + ` COLLATE "C"`
	}
	return v.sql
}

// field is a field of JSON whose name is in a parameter; null is absent.
func (v value) field(param string) string {
	return "nullif(" + v.sql + " -> " + param + "::text, 'null'::jsonb)"
}

// field is what is known of a member beside the attributes.
type field struct {
	kind          kind
	sql           string
	needsBirthday bool
	today         bool // sql ends before the date of today
}

// profile is every field of member.
var profile = map[string]field{
	"account":       {kind: text, sql: "m.account"},
	"customer_type": {kind: text, sql: "m.customer_type"},
	"display_name":  {kind: text, sql: "m.display_name"},
	"locale":        {kind: text, sql: "m.locale"},
	"time_zone":     {kind: text, sql: "m.time_zone"},
	"created_at":    {kind: moment, sql: "m.created_at"},
	"birthday":      {kind: text, sql: "to_char(m.birthday, 'YYYY-MM-DD')", needsBirthday: true},
	"birth_month":   {kind: number, sql: "extract(month FROM m.birthday)::numeric", needsBirthday: true},
	"birth_day":     {kind: number, sql: "extract(day FROM m.birthday)::numeric", needsBirthday: true},
	"age":           {kind: number, sql: ageSQL, needsBirthday: true, today: true},
}

// ageSQL counts the years and takes one off while the birthday is still to
// come. A date and years never go beyond the end of a month, so that of 29
// February falls on the 28th where there is no other.
const ageSQL = `(extract(year FROM ?) - extract(year FROM m.birthday) - ` +
	`CASE WHEN ? < (m.birthday + (extract(year FROM ?) - extract(year FROM m.birthday))::integer * interval '1 year')::date THEN 1 ELSE 0 END)::numeric`

// value reads an expression that is not a question.
func (c *compiler) value(e ast.Expr) value {
	switch e.Kind() {
	case ast.LiteralKind:
		return c.literal(e)
	case ast.IdentKind:
		return c.name(e)
	case ast.SelectKind:
		if !e.AsSelect().IsTestOnly() {
			return c.selected(e)
		}
	case ast.CallKind:
		return c.calculated(e)
	}
	c.refuse(e, "type", "a text, a number, a moment, or a name such as member.locale is wanted here")
	return value{}
}

func (c *compiler) name(e ast.Expr) value {
	switch name := e.AsIdent(); name {
	case "now":
		return value{kind: moment}
	case "attributes":
		return value{kind: dynamic, sql: "m.attributes"}
	case "member":
		c.refuse(e, "name", "say what of the member is meant, such as member.locale")
	default:
		c.refuse(e, "name", "%s is not known here; names begin with member. or attributes.", name)
	}
	return value{}
}

func (c *compiler) selected(e ast.Expr) value {
	s := e.AsSelect()
	if isIdent(s.Operand(), "member") {
		f, ok := profile[s.FieldName()]
		if !ok {
			c.unknownField(e, s.FieldName())
			return value{}
		}
		sql := f.sql
		if f.today {
			sql = strings.ReplaceAll(sql, "?", c.arg(func(a asked) any { return a.today })+"::text::date")
		}
		return value{kind: f.kind, sql: sql}
	}
	return c.inside(e, s.Operand(), s.FieldName())
}

func (c *compiler) unknownField(e ast.Expr, name string) {
	c.refuse(e, "name", "member.%s is not known; there are %s, and the company's own as attributes.%s",
		name, strings.Join(slices.Sorted(maps.Keys(profile)), ", "), name)
}

// inside is a field of an attribute, or an attribute.
func (c *compiler) inside(e, of ast.Expr, name string) value {
	v := c.value(of)
	switch {
	case v.kind == broken:
		return v
	case v.kind != dynamic:
		c.refuse(e, "type", "%s has no fields", v.kind)
		return value{}
	case storable(name) != "":
		c.refuse(e, "type", "%s", storable(name))
		return value{}
	}
	return value{kind: dynamic, sql: v.field(c.arg(constant(name)))}
}

// calculated is timestamp(…), duration(…), a sum of them, or attributes["…"].
func (c *compiler) calculated(e ast.Expr) value {
	call := e.AsCall()
	args := call.Args()
	switch name := call.FunctionName(); {
	case name == operators.Index:
		key, ok := literal(args[1])
		if key, isText := key.(string); ok && isText {
			return c.inside(e, args[0], key)
		}
		c.refuse(args[1], "type", `name the attribute as a text, such as attributes["grade"]`)
		return value{}
	case (name == "timestamp" || name == "duration") && !call.IsMemberFunction() && len(args) == 1:
		return c.time(args[0], name)
	case name == operators.Add || name == operators.Subtract:
		return c.sum(e, args[0], name == operators.Subtract, args[1])
	case comparisons[name] != "" || slices.Contains([]string{operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.In}, name):
		c.refuse(e, "type", "a comparison cannot be compared; join comparisons by && and ||")
		return value{}
	}
	c.unknown(e)
	return value{}
}

// time reads the constant of timestamp(…) or duration(…).
func (c *compiler) time(e ast.Expr, function string) value {
	v, _ := literal(e)
	s, ok := v.(string)
	if function == "duration" {
		d, err := time.ParseDuration(s)
		if !ok || err != nil || d%time.Microsecond != 0 {
			c.refuse(e, "type", `a duration is written as "720h" or "90m"`)
			return value{}
		}
		return value{kind: span, offset: d}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if !ok || err != nil || t.Nanosecond()%1000 != 0 {
		c.refuse(e, "type", `a moment is written as "2026-01-31T09:00:00+08:00", to the microsecond at most`)
		return value{}
	}
	return value{kind: moment, fixed: &t}
}

// sum is a moment later or earlier.
func (c *compiler) sum(e, left ast.Expr, minus bool, right ast.Expr) value {
	a, b := c.value(left), c.value(right)
	switch {
	case a.kind == broken || b.kind == broken:
		return value{}
	case a.kind != moment || b.kind != span || a.sql != "":
		c.refuse(e, "type", `only a duration can be added to now or to a moment, such as now - duration("720h")`)
		return value{}
	case minus:
		b.offset = -b.offset
	}
	a.offset += b.offset
	return a
}

// placed gives a moment that is no column its parameter.
func (c *compiler) placed(v value) value {
	if v.kind == moment && v.sql == "" {
		v.sql = c.arg(func(a asked) any {
			if v.fixed != nil {
				return v.fixed.Add(v.offset)
			}
			return a.at.Add(v.offset)
		}) + "::timestamptz"
	}
	return v
}

func (c *compiler) literal(e ast.Expr) value {
	v, ok := literal(e)
	if !ok {
		c.refuse(e, "type", "this constant cannot be used; has(…) asks whether something is there")
		return value{}
	}
	if why := storable(v); why != "" {
		c.refuse(e, "type", "%s", why)
		return value{}
	}
	made := value{kind: kindOf(v), constant: v}
	switch v := v.(type) {
	case string:
		made.sql = c.arg(constant(v)) + "::text"
	case bool:
		made.sql = c.arg(constant(v)) + "::boolean"
	case int64:
		made.sql = c.arg(constant(strconv.FormatInt(v, 10))) + "::text::numeric"
	case float64:
		made.sql = c.arg(constant(strconv.FormatFloat(v, 'f', -1, 64))) + "::text::numeric"
	}
	return made
}

// literal is the constant that e is: a string, bool, int64 or float64.
func literal(e ast.Expr) (any, bool) {
	if e.Kind() != ast.LiteralKind {
		return nil, false
	}
	var v ref.Val = e.AsLiteral()
	switch v := v.(type) {
	case types.String:
		return string(v), true
	case types.Bool:
		return bool(v), true
	case types.Int:
		return int64(v), true
	case types.Double:
		return float64(v), !math.IsInf(float64(v), 0)
	}
	return nil, false
}

func kindOf(v any) kind {
	switch v.(type) {
	case string:
		return text
	case bool:
		return boolean
	}
	return number
}

// storable says why PostgreSQL cannot be asked for a constant, or nothing.
func storable(v any) string {
	s, ok := v.(string)
	switch {
	case ok && strings.ContainsRune(s, 0):
		return "a text has no zero bytes"
	case ok && !utf8.ValidString(s):
		return "a text is UTF-8"
	}
	return ""
}
