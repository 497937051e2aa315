package predicate

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
)

// The sizes that the cost of a condition is estimated with. Longer values
// cost more in proportion; they are not refused.
const (
	assumedEventText = 1000 // characters of an attribute
	assumedParamText = 200  // characters of a parameter or of an element of a set
	assumedSet       = MaxKeys
)

// checkCost refuses a condition that could hold up the matcher: CEL's static
// estimate multiplies the sizes of what loops and searches run over.
func checkCost(env *cel.Env, checked *cel.Ast) error {
	estimate, err := env.EstimateCost(checked, sizes{})
	if err != nil {
		return fmt.Errorf("estimate the condition's cost: %w", err)
	}
	if estimate.Max > MaxCost {
		return refuse("cost", fmt.Sprintf("1:1: too dear to evaluate: estimated at %d, the limit is %d", estimate.Max, MaxCost))
	}
	return nil
}

// sizes tells CEL how large the variables may be.
type sizes struct{}

func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	path := node.Path()
	if len(path) == 0 {
		return nil
	}
	size := uint64(assumedParamText)
	switch {
	case node.Type().Kind() == types.ListKind:
		size = assumedSet
	case strings.HasPrefix(path[0], "event."):
		size = assumedEventText
	}
	return &cost.SizeEstimate{Max: size}
}
