package predicate

import (
	"cel.dev/cel-go/cel"
)

// Oracle evaluates a condition as one CEL program, by the rule for absent
// values alone.
func Oracle(condition string, s Schema) (func(Values) (bool, error), error) {
	env, err := environment(s)
	if err != nil {
		return nil, err
	}
	parsed, issues := env.Parse(condition)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	literals{s}.retype(parsed.NativeRep().Expr())
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	program, err := env.PlanProgram(checked.NativeRep(), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, err
	}
	whole := &term{program: program, reads: namesIn(checked.NativeRep().Expr())}
	return func(v Values) (bool, error) {
		result, err := whole.byCEL(v)
		return result == yes, err
	}, nil
}

// NeedsCEL are the terms that are not evaluated natively.
func (p *Predicate) NeedsCEL() []string {
	var texts []string
	for _, t := range p.terms {
		if t.native == nil {
			texts = append(texts, t.Text)
		}
	}
	return texts
}
