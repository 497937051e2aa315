package predicate

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// literals gives whole literals the type of what they meet, on a condition
// that is parsed and not yet checked: event.price < 49 becomes
// event.price < 49.0, and size(event.name) > 3 stays.
type literals struct{ schema Schema }

type numeric int

const (
	notNumber numeric = iota // anything else, or a whole number by CEL's rules, such as size(…)
	untyped                  // a whole literal, or a calculation of nothing but such
	number                   // float64
)

var meeting = []string{
	operators.Equals, operators.NotEquals,
	operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
	operators.Add, operators.Subtract, operators.Multiply, operators.Divide,
}

// retype walks e and makes numbers of the literals that meet one.
func (l literals) retype(e ast.Expr) {
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ListKind:
			l.unify(e.AsList().Elements())
		case ast.CallKind:
			if e.AsCall().FunctionName() == within {
				l.numbers(e.AsCall().Args())
			}
			l.unify(operands(e.AsCall()))
		}
	}))
}

// operands are the parts of a call that must be of one type.
func operands(call ast.CallExpr) []ast.Expr {
	args := call.Args()
	switch name := call.FunctionName(); {
	case slices.Contains(meeting, name):
		return args
	case name == operators.Conditional:
		return args[1:]
	case name == operators.In && args[1].Kind() == ast.ListKind:
		return append([]ast.Expr{args[0]}, args[1].AsList().Elements()...)
	}
	return nil
}

func (l literals) unify(exprs []ast.Expr) {
	if !slices.ContainsFunc(exprs, func(e ast.Expr) bool { return l.kind(e) == number }) {
		return
	}
	l.numbers(exprs)
}

func (l literals) numbers(exprs []ast.Expr) {
	for _, e := range exprs {
		if l.kind(e) == untyped {
			makeNumber(e)
		}
	}
}

func (l literals) kind(e ast.Expr) numeric {
	switch e.Kind() {
	case ast.LiteralKind:
		switch e.AsLiteral().(type) {
		case types.Int:
			return untyped
		case types.Double:
			return number
		}
	case ast.SelectKind:
		root, name := rootOf(e)
		if l.schema.typeOf(root, name) == Number {
			return number
		}
	case ast.CallKind:
		return l.kindOfCall(e.AsCall())
	}
	return notNumber
}

func (l literals) kindOfCall(call ast.CallExpr) numeric {
	args := call.Args()
	switch call.FunctionName() {
	case "double":
		return number
	case operators.Conditional:
		args = args[1:]
	case operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Negate:
	default:
		return notNumber
	}
	kind := untyped
	for _, arg := range args {
		switch l.kind(arg) {
		case number:
			return number
		case notNumber:
			kind = notNumber
		}
	}
	return kind
}

// makeNumber changes the literals that an untyped expression is made of.
func makeNumber(e ast.Expr) {
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.LiteralKind {
			return
		}
		if whole, ok := e.AsLiteral().(types.Int); ok {
			e.SetKindCase(ast.NewExprFactory().NewLiteral(e.ID(), types.Double(whole)))
		}
	}))
}
