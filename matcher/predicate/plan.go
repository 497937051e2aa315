package predicate

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// plan splits a checked condition into terms, and finds its anchor.
func plan(env *cel.Env, checked *ast.AST, texts []string, s Schema) (*Predicate, error) {
	if err := checkPlaces(checked); err != nil {
		return nil, err
	}
	p := &Predicate{anchor: anchor{schema: s}}
	for i, e := range conjuncts(checked.Expr()) {
		at := position(checked.SourceInfo().GetStartLocation(e.ID()))
		part := ast.NewCheckedAST(ast.NewAST(e, checked.SourceInfo()), checked.TypeMap(), checked.ReferenceMap())
		program, err := env.PlanProgram(part, cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			return nil, refuse("syntax", at+": "+err.Error())
		}
		t := term{Term: Term{Text: texts[i]}, program: program, reads: namesIn(e)}
		t.ofEvent = !slices.ContainsFunc(t.reads, func(name string) bool { return !strings.HasPrefix(name, "event.") })
		if n, ok := (translator{s}).truth(e); ok {
			t.native = &n
		}
		if c, ok := (translator{s}).comparisonOf(e); ok {
			t.simple = &c
			t.Attribute, t.Operator, t.Param, t.Previous = c.attribute, c.operator, c.param, soleName(t.reads, "previous.")
			p.anchor.add(c)
		} else if place, ok := placeOf(e); ok {
			t.place = &place
			t.Attribute, t.Operator, t.Param = place.latitude, within, place.distance.param
			p.anchor.addPlace(place)
		}
		p.terms = append(p.terms, t)
	}
	p.anchor.settle()
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
func (t translator) comparisonOf(e ast.Expr) (comparison, bool) {
	if e.Kind() != ast.CallKind {
		return comparison{}, false
	}
	call := e.AsCall()
	name, args := call.FunctionName(), call.Args()
	if sign, ok := comparisonSigns[name]; ok {
		if c, ok := t.compare(args[0], sign.sign, args[1]); ok {
			return c, true
		}
		return t.compare(args[1], sign.turned, args[0])
	}
	switch {
	case name == operators.In:
		return t.compare(args[0], "in", args[1])
	case name == "startsWith" && call.IsMemberFunction():
		return t.compare(call.Target(), "prefix", args[0])
	}
	return comparison{}, false
}

func (t translator) compare(left ast.Expr, sign string, right ast.Expr) (comparison, bool) {
	attribute, ok := variable(left, "event.")
	if !ok {
		return comparison{}, false
	}
	c := comparison{attribute: attribute, operator: sign}
	if c.param, ok = variable(right, "param."); ok {
		return c, true
	}
	if c.member, ok = variable(right, "member."); ok {
		return c, true
	}
	if c.previous, ok = variable(right, "previous."); ok {
		return c, true
	}
	if right.Kind() == ast.LiteralKind {
		c.literal = right.AsLiteral().Value()
		return c, true
	}
	n, ok := t.number(right)
	c.reckoned = &n
	return c, ok && !slices.ContainsFunc(namesIn(right), isOf("event."))
}

// soleName is the name after root that is read where there is but one; or empty.
func soleName(names []string, root string) string {
	found := slices.IndexFunc(names, isOf(root))
	if found < 0 || slices.ContainsFunc(names[found+1:], isOf(root)) {
		return ""
	}
	return strings.TrimPrefix(names[found], root)
}

func isOf(root string) func(name string) bool {
	return func(name string) bool { return strings.HasPrefix(name, root) }
}

// variable is the name after root of an expression that reads one; empty and
// false of any other.
func variable(e ast.Expr, root string) (string, bool) {
	if e.Kind() != ast.IdentKind {
		return "", false
	}
	name, ok := strings.CutPrefix(e.AsIdent(), root)
	if !ok {
		return "", false
	}
	return name, true
}
