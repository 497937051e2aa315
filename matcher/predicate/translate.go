package predicate

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// translator makes nodes of a checked condition. Each of its methods expects
// an expression of one type and reports whether it could translate it; what it
// cannot stays with CEL.
type translator struct{ schema Schema }

var arithmetic = map[string]op{
	operators.Add: add, operators.Subtract: subtract, operators.Multiply: multiply, operators.Divide: divide,
}

var textTests = map[string]op{"startsWith": startsWith, "endsWith": endsWith, "contains": contains}

func (t translator) truth(e ast.Expr) (node, bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		truth, ok := e.AsLiteral().(types.Bool)
		return node{op: literal, truth: bool(truth)}, ok
	case ast.IdentKind:
		return t.read(e, Boolean)
	case ast.CallKind:
		return t.call(e.AsCall())
	}
	return node{}, false
}

func (t translator) call(call ast.CallExpr) (node, bool) {
	name, args := call.FunctionName(), call.Args()
	if sign, ok := comparisonSigns[name]; ok {
		return t.comparison(sign.sign, args)
	}
	if test, ok := textTests[name]; ok && call.IsMemberFunction() && len(args) == 1 {
		return all(test, t.text, call.Target(), args[0])
	}
	switch name {
	case operators.LogicalAnd:
		return all(both, t.truth, args...)
	case operators.LogicalOr:
		return all(either, t.truth, args...)
	case operators.LogicalNot:
		return all(not, t.truth, args...)
	case operators.Conditional:
		return all(choose, t.truth, args...)
	case operators.In:
		return t.in(args[0], args[1])
	case within:
		return all(isWithin, t.number, args...)
	}
	return node{}, false
}

// all translates the arguments of a call, which are of one type.
func all(o op, one func(ast.Expr) (node, bool), args ...ast.Expr) (node, bool) {
	n := node{op: o, args: make([]node, len(args))}
	for i, arg := range args {
		var ok bool
		if n.args[i], ok = one(arg); !ok {
			return node{}, false
		}
	}
	return n, true
}

func (t translator) comparison(sign string, args []ast.Expr) (node, bool) {
	for _, kind := range []struct {
		op  op
		one func(ast.Expr) (node, bool)
	}{{compareNumbers, t.number}, {compareTexts, t.text}, {compareTimes, t.time}, {compareTruths, t.truth}} {
		n, ok := all(kind.op, kind.one, args...)
		if ok && (kind.op != compareTruths || sign == "==" || sign == "!=") {
			n.sign = sign
			return n, true
		}
	}
	return node{}, false
}

func (t translator) in(element, list ast.Expr) (node, bool) {
	if list.Kind() == ast.IdentKind {
		text, ok := t.text(element)
		set, isSet := t.read(list, Strings)
		return node{op: inSet, args: []node{text, set}}, ok && isSet
	}
	// CEL takes an empty list for an answer, even where the element is absent.
	if list.Kind() != ast.ListKind || list.AsList().Size() == 0 {
		return node{}, false
	}
	if n, ok := all(inNumbers, t.number, element); ok {
		for _, e := range list.AsList().Elements() {
			figure, isNumber := literalOf[types.Double](e)
			n.numbers, ok = append(n.numbers, float64(figure)), ok && isNumber
		}
		return n, ok
	}
	n, ok := all(inTexts, t.text, element)
	for _, e := range list.AsList().Elements() {
		text, isText := literalOf[types.String](e)
		n.texts, ok = append(n.texts, string(text)), ok && isText
	}
	return n, ok
}

func literalOf[T any](e ast.Expr) (value T, ok bool) {
	if e.Kind() != ast.LiteralKind {
		return value, false
	}
	value, ok = e.AsLiteral().(T)
	return value, ok
}

func (t translator) number(e ast.Expr) (node, bool) {
	if figure, ok := literalOf[types.Double](e); ok {
		return node{op: literal, number: float64(figure)}, true
	}
	if e.Kind() != ast.CallKind {
		return t.read(e, Number)
	}
	name, args := e.AsCall().FunctionName(), e.AsCall().Args()
	if name == operators.Negate {
		return all(negate, t.number, args...)
	}
	if o, ok := arithmetic[name]; ok {
		return all(o, t.number, args...)
	}
	return node{}, false
}

func (t translator) text(e ast.Expr) (node, bool) {
	if text, ok := literalOf[types.String](e); ok {
		return node{op: literal, text: string(text)}, true
	}
	return t.read(e, String)
}

func (t translator) time(e ast.Expr) (node, bool) {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "timestamp" {
		text, ok := literalOf[types.String](e.AsCall().Args()[0])
		at, isTime := text.ConvertToType(types.TimestampType).(types.Timestamp)
		return node{op: literal, at: at.Time}, ok && isTime
	}
	return t.read(e, Time)
}

// read translates a variable of a type.
func (t translator) read(e ast.Expr, of Type) (node, bool) {
	if e.Kind() != ast.IdentKind {
		return node{}, false
	}
	root, name := splitName(e.AsIdent())
	return node{op: read, root: root, name: name}, t.schema.typeOf(root, name) == of
}
