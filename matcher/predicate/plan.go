package predicate

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// comparison is a term of the form: attribute, operator, constant.
type comparison struct {
	attribute string // of the event
	operator  string // as in Term.Operator
	param     string // the parameter it is compared with, or empty
	account   bool   // it is compared with member.account
	literal   any    // what else it is compared with
}

// constant is what a subscription compares the attribute with; nil when absent.
func (c comparison) constant(param map[string]any, account string) any {
	switch {
	case c.param != "":
		return param[c.param]
	case c.account:
		return account
	}
	return c.literal
}

// anchor is what subscriptions are looked up by.
type anchor struct {
	equal  []comparison
	set    *comparison
	prefix *comparison
	ranged *comparison
	bound  Bound // of ranged
}

func (a anchor) empty() bool {
	return len(a.equal) == 0 && a.set == nil && a.prefix == nil && a.ranged == nil
}

// add takes the comparison into the anchor where it fits.
func (a *anchor) add(c comparison, s Schema) {
	switch {
	case c.operator == "==" && (c.param != "" || c.account):
		a.equal = append(a.equal, c)
	case c.operator == "in" && c.param != "" && a.set == nil:
		a.set = &c
	case c.operator == "prefix" && c.param != "" && a.prefix == nil:
		a.prefix = &c
	case c.param != "" && a.ranged == nil:
		if bound := boundOf(c.operator, s.Event[c.attribute]); bound != NoBound {
			a.ranged, a.bound = &c, bound
		}
	}
}

// boundOf is how the bound of a range term is compared. Times become seconds
// as float64, which may join neighbours, so theirs is never exclusive.
func boundOf(operator string, t Type) Bound {
	if t != Number && t != Time {
		return NoBound
	}
	switch bound := Bound(operator); {
	case bound == Below && t == Time:
		return AtMost
	case bound == Above && t == Time:
		return AtLeast
	case slices.Contains([]Bound{Below, AtMost, Above, AtLeast}, bound):
		return bound
	}
	return NoBound
}

// plan splits a checked condition into terms with a program each, and finds
// its anchor.
func plan(env *cel.Env, checked *ast.AST, texts []string, s Schema) (*Predicate, error) {
	program, err := env.PlanProgram(checked, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, refuse("syntax", "1:1: "+err.Error())
	}
	p := &Predicate{schema: s, program: program, reads: namesIn(checked.Expr())}
	for i, e := range conjuncts(checked.Expr()) {
		part := ast.NewCheckedAST(ast.NewAST(e, checked.SourceInfo()), checked.TypeMap(), checked.ReferenceMap())
		program, err := env.PlanProgram(part)
		if err != nil {
			return nil, fmt.Errorf("plan the term %q: %w", texts[i], err)
		}
		t := term{Term: Term{Text: texts[i]}, program: program, reads: namesIn(e)}
		if c, ok := comparisonOf(e); ok {
			t.simple = &c
			t.Attribute, t.Operator, t.Param = c.attribute, c.operator, c.param
			p.anchor.add(c, s)
		}
		p.terms = append(p.terms, t)
	}
	if p.anchor.empty() && !s.Broadcast {
		return nil, refuse("anchor", "1:1: names nothing to look subscriptions up by; "+
			"compare an attribute with a parameter, such as event.x == param.x, or declare the trigger a broadcast")
	}
	return p, nil
}

// namesIn are the declared names that a checked expression reads.
func namesIn(e ast.Expr) []string {
	var names []string
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.IdentKind && strings.Contains(e.AsIdent(), ".") && !slices.Contains(names, e.AsIdent()) {
			names = append(names, e.AsIdent())
		}
	}))
	return names
}

// comparisonSigns are the operators of a comparison, and what they become
// when their sides are exchanged.
var comparisonSigns = map[string]struct{ sign, turned string }{
	operators.Equals:        {"==", "=="},
	operators.NotEquals:     {"!=", "!="},
	operators.Less:          {"<", ">"},
	operators.LessEquals:    {"<=", ">="},
	operators.Greater:       {">", "<"},
	operators.GreaterEquals: {">=", "<="},
}

// comparisonOf reads a checked term as a comparison of one attribute.
func comparisonOf(e ast.Expr) (comparison, bool) {
	if e.Kind() != ast.CallKind {
		return comparison{}, false
	}
	call := e.AsCall()
	name, args := call.FunctionName(), call.Args()
	if sign, ok := comparisonSigns[name]; ok {
		if c, ok := compare(args[0], sign.sign, args[1]); ok {
			return c, true
		}
		return compare(args[1], sign.turned, args[0])
	}
	switch {
	case name == operators.In:
		return compare(args[0], "in", args[1])
	case name == "startsWith" && call.IsMemberFunction():
		return compare(call.Target(), "prefix", args[0])
	}
	return comparison{}, false
}

func compare(left ast.Expr, sign string, right ast.Expr) (comparison, bool) {
	attribute, ok := variable(left, "event.")
	if !ok {
		return comparison{}, false
	}
	c := comparison{attribute: attribute, operator: sign}
	if name, ok := variable(right, "param."); ok {
		c.param = name
		return c, true
	}
	if _, ok := variable(right, "member."); ok {
		c.account = true
		return c, true
	}
	if right.Kind() == ast.LiteralKind {
		c.literal = right.AsLiteral().Value()
		return c, true
	}
	return comparison{}, false
}

func variable(e ast.Expr, root string) (string, bool) {
	if e.Kind() != ast.IdentKind {
		return "", false
	}
	return strings.CutPrefix(e.AsIdent(), root)
}
