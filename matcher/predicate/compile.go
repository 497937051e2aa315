package predicate

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"herald/problem"
)

// The limits of a condition.
const (
	MaxLength = 4096   // bytes
	MaxCost   = 50_000 // CEL's static estimate, with the sizes assumed in cost.go
	maxDepth  = 50     // nesting
)

// Predicate is a compiled condition. It is safe for concurrent use.
type Predicate struct {
	terms  []term
	anchor anchor
}

// term is one top-level part of a condition.
type term struct {
	Term                // Got, Wanted and Met are left empty
	simple  *comparison // nil where it is more than one comparison
	place   *nearness   // where it is a call of within
	native  *node       // nil where CEL alone can evaluate it
	program cel.Program
	reads   []string
	ofEvent bool // it reads nothing else
}

// Compile parses, checks and plans a condition. What is wrong with it is told
// by a *problem.Error of code Invalid, each Field with the path "condition",
// the rule broken (max, syntax, name, type, result, anchor, cost) and a message
// that begins with line:column, both counted from 1.
func Compile(condition string, s Schema) (*Predicate, error) {
	if len(condition) > MaxLength {
		return nil, refuse("max", fmt.Sprintf("at most %d bytes, this has %d", MaxLength, len(condition)))
	}
	if !utf8.ValidString(condition) {
		return nil, refuse("syntax", "1:1: not valid UTF-8")
	}
	env, err := environment(s)
	if err != nil {
		return nil, fmt.Errorf("declare the condition's names: %w", err)
	}
	parsed, issues := env.Parse(condition)
	if issues.Err() != nil {
		return nil, refuseIssues("syntax", issues)
	}
	if err := checkNames(parsed.NativeRep(), s); err != nil {
		return nil, err
	}
	texts, err := termTexts(parsed.NativeRep())
	if err != nil {
		return nil, err
	}
	literals{s}.retype(parsed.NativeRep().Expr())
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, refuseIssues("type", issues)
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, refuse("result", "1:1: must be true or false, this is a "+plainWords(checked.OutputType().String()))
	}
	if err := checkCost(env, checked); err != nil {
		return nil, err
	}
	return plan(env, checked.NativeRep(), texts, s)
}

// environment declares each attribute and parameter as a variable with a dot
// in its name, so that CEL itself refuses unknown names and wrong types.
func environment(s Schema) (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.ClearMacros(),
		cel.Macros(cel.AllMacro, cel.ExistsMacro, cel.ExistsOneMacro),
		cel.EnableMacroCallTracking(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserErrorRecoveryLimit(4),
		withinFunction(),
	}
	for _, name := range memberFields {
		options = append(options, cel.Variable("member."+name, cel.StringType))
	}
	for _, side := range []struct {
		prefix string
		names  map[string]Type
	}{{"event.", s.Event}, {"param.", s.Param}, {"previous.", s.previous()}} {
		for _, name := range slices.Sorted(maps.Keys(side.names)) {
			t, err := celType(side.names[name])
			if err != nil {
				return nil, fmt.Errorf("%s%s: %w", side.prefix, name, err)
			}
			options = append(options, cel.Variable(side.prefix+name, t))
		}
	}
	return cel.NewEnv(options...)
}

// previous are the names after "previous." and their types; nil where the
// schema has none.
func (s Schema) previous() map[string]Type {
	if !s.Previous {
		return nil
	}
	names := maps.Clone(s.Event)
	if names == nil {
		names = map[string]Type{}
	}
	names["time"], names["known"] = Time, Boolean
	return names
}

// typeOf is the declared type of root.name; empty of what is not declared.
func (s Schema) typeOf(root, name string) Type {
	switch root {
	case "event":
		return s.Event[name]
	case "param":
		return s.Param[name]
	case "previous":
		return s.previous()[name]
	case "member":
		return String
	}
	return ""
}

func celType(t Type) (*cel.Type, error) {
	switch t {
	case String:
		return cel.StringType, nil
	case Number:
		return cel.DoubleType, nil
	case Boolean:
		return cel.BoolType, nil
	case Time:
		return cel.TimestampType, nil
	case Strings:
		return cel.ListType(cel.StringType), nil
	}
	return nil, fmt.Errorf("unknown type %q", t)
}

// checkNames refuses undeclared attributes and parameters before CEL does, in
// words that name them, and loop variables that would hide a root.
func checkNames(a *ast.AST, s Schema) error {
	var fields problem.Fields
	at := func(e ast.Expr) string { return position(a.SourceInfo().GetStartLocation(e.ID())) }
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind:
			root, name := rootOf(e)
			if message := unknownName(root, name, s); message != "" {
				fields.Add("condition", "name", "%s: %s", at(e), message)
			}
		case ast.ComprehensionKind:
			for _, v := range []string{e.AsComprehension().IterVar(), e.AsComprehension().IterVar2()} {
				if slices.Contains([]string{"event", "param", "member", "previous"}, v) {
					fields.Add("condition", "name", "%s: %s cannot name an element", at(e), v)
				}
			}
		}
	}))
	return fields.Err(refusal)
}

// rootOf is "event", "price" for event.price, and empty for anything else.
func rootOf(e ast.Expr) (root, name string) {
	if e.Kind() != ast.SelectKind || e.AsSelect().Operand().Kind() != ast.IdentKind {
		return "", ""
	}
	return e.AsSelect().Operand().AsIdent(), e.AsSelect().FieldName()
}

func unknownName(root, name string, s Schema) string {
	switch root {
	case "event":
		if _, ok := s.Event[name]; !ok {
			return fmt.Sprintf("event.%s is not an attribute of this trigger", name)
		}
	case "param":
		if _, ok := s.Param[name]; !ok {
			return fmt.Sprintf("param.%s is not a parameter of this trigger", name)
		}
	case "member":
		if !slices.Contains(memberFields, name) {
			return fmt.Sprintf("member.%s is not known here, only member.%s", name, strings.Join(memberFields, ", member."))
		}
	case "previous":
		if !s.Previous {
			return "there is no event before it: only a trigger on changes has previous." + name
		}
		if _, ok := s.previous()[name]; !ok {
			return fmt.Sprintf("previous.%s is not an attribute of this trigger", name)
		}
	}
	return ""
}

// conjuncts are the parts of e joined by &&, in order.
func conjuncts(e ast.Expr) []ast.Expr {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.LogicalAnd {
		return []ast.Expr{e}
	}
	var parts []ast.Expr
	for _, arg := range e.AsCall().Args() {
		parts = append(parts, conjuncts(arg)...)
	}
	return parts
}

// termTexts are the terms as written, with the spaces of CEL's own formatting.
func termTexts(a *ast.AST) ([]string, error) {
	var texts []string
	for _, e := range conjuncts(a.Expr()) {
		text, err := cel.ExprToString(e, a.SourceInfo())
		if err != nil {
			return nil, refuse("syntax", position(a.SourceInfo().GetStartLocation(e.ID()))+": "+err.Error())
		}
		texts = append(texts, text)
	}
	return texts, nil
}

const refusal = "the condition cannot be used"

func refuse(rule, message string) error {
	var fields problem.Fields
	fields.Add("condition", rule, "%s", message)
	return fields.Err(refusal)
}

func refuseIssues(rule string, issues *cel.Issues) error {
	var fields problem.Fields
	for _, e := range issues.Errors() {
		fields.Add("condition", rule, "%s: %s", position(e.Location), plainWords(e.Message))
	}
	return fields.Err(refusal)
}

// position is line:column, both from 1; CEL counts columns from 0.
func position(l common.Location) string {
	if l == nil || l.Line() < 1 {
		return "1:1"
	}
	return fmt.Sprintf("%d:%d", l.Line(), max(l.Column()+1, 1))
}

var (
	operatorName = regexp.MustCompile(`'@?_?([^'_]+)_?'`)
	celNumber    = regexp.MustCompile(`\bdouble\b`)
	celTime      = regexp.MustCompile(`\btimestamp\b`)
)

// plainWords turns CEL's "applied to '(string, double)'" into the words of
// Schema, and '_<_' into '<'.
func plainWords(message string) string {
	message = strings.ReplaceAll(message, " (in container '')", "")
	message = operatorName.ReplaceAllString(message, "'$1'")
	message = celNumber.ReplaceAllString(message, "number")
	return celTime.ReplaceAllString(message, "time")
}
