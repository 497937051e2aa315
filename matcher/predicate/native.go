package predicate

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// verdict is what is known of a part of a condition.
type verdict uint8

const (
	no verdict = iota
	yes
	absent // a value that decides it is absent
	odd    // CEL must say: a value of another type, or a calculation without a result
)

// and is CEL's &&: what is false decides, whatever cannot be told of the other.
func (a verdict) and(b verdict) verdict {
	if a == no || b == no {
		return no
	}
	return max(a, b)
}

// or is CEL's ||.
func (a verdict) or(b verdict) verdict {
	if a == yes || b == yes {
		return yes
	}
	return max(a, b)
}

func (a verdict) not() verdict {
	switch a {
	case no:
		return yes
	case yes:
		return no
	}
	return a
}

func verdictOf(truth bool) verdict {
	if truth {
		return yes
	}
	return no
}

// node is a part of a condition that is evaluated without CEL, with the same
// result. Which method evaluates it follows from its type; none of them keeps
// the values, so that these stay on the stack.
type node struct {
	op   op
	args []node

	sign string // of a comparison
	// Of a value: where it is read, or what it is.
	root, name string
	number     float64
	text       string
	at         time.Time
	truth      bool
	texts      []string  // of inTexts
	numbers    []float64 // of inNumbers
}

type op uint8

const (
	literal op = iota
	read

	// Of numbers.
	add
	subtract
	multiply
	divide
	negate

	// True or false.
	both
	either
	not
	choose // the second where the first is true, or else the third
	compareNumbers
	compareTexts
	compareTimes
	compareTruths
	inTexts
	inNumbers
	inSet // a text in a parameter's set
	startsWith
	endsWith
	contains
	isWithin
)

// value is what the node reads, of event, previous and param.
func (n *node) value(v *Values) any {
	switch n.root {
	case "event":
		return v.Event[n.name]
	case "param":
		return v.Param[n.name]
	case "previous":
		return v.Previous[n.name]
	}
	return nil
}

func (n *node) asTruth(v *Values) verdict {
	switch n.op {
	case literal:
		return verdictOf(n.truth)
	case read:
		return n.readTruth(v)
	case both:
		return n.asBoth(v)
	case either:
		return n.asEither(v)
	case not:
		return n.args[0].asTruth(v).not()
	case choose:
		switch first := n.args[0].asTruth(v); first {
		case yes:
			return n.args[1].asTruth(v)
		case no:
			return n.args[2].asTruth(v)
		default:
			return first
		}
	case compareNumbers:
		return n.comparedNumbers(v)
	case compareTimes:
		return n.comparedTimes(v)
	case compareTruths:
		a, b := n.args[0].asTruth(v), n.args[1].asTruth(v)
		if a > yes || b > yes {
			return max(a, b)
		}
		return verdictOf((a == b) == (n.sign == "=="))
	case inNumbers:
		a, known := n.args[0].asNumber(v)
		if known != yes {
			return known
		}
		return verdictOf(slices.Contains(n.numbers, a))
	case isWithin:
		return n.asWithin(v)
	}
	return n.comparedTexts(v)
}

func (n *node) asBoth(v *Values) verdict {
	result := yes
	for i := range n.args {
		if result = result.and(n.args[i].asTruth(v)); result == no {
			break
		}
	}
	return result
}

func (n *node) asEither(v *Values) verdict {
	result := no
	for i := range n.args {
		if result = result.or(n.args[i].asTruth(v)); result == yes {
			break
		}
	}
	return result
}

func (n *node) readTruth(v *Values) verdict {
	if n.root == "previous" && n.name == "known" {
		return verdictOf(v.Known)
	}
	switch value := n.value(v).(type) {
	case bool:
		return verdictOf(value)
	case nil:
		return absent
	}
	return odd
}

func (n *node) comparedNumbers(v *Values) verdict {
	a, aKnown := n.args[0].asNumber(v)
	b, bKnown := n.args[1].asNumber(v)
	switch {
	case aKnown != yes || bKnown != yes:
		return max(aKnown, bKnown)
	case n.sign == "==":
		return verdictOf(a == b)
	case n.sign == "!=":
		return verdictOf(a != b)
	case math.IsNaN(a) || math.IsNaN(b):
		return odd
	}
	return n.ordered(cmp.Compare(a, b))
}

func (n *node) comparedTimes(v *Values) verdict {
	a, aKnown := n.args[0].asTime(v)
	b, bKnown := n.args[1].asTime(v)
	if aKnown != yes || bKnown != yes {
		return max(aKnown, bKnown)
	}
	return n.ordered(a.Compare(b))
}

// comparedTexts evaluates whatever takes texts.
func (n *node) comparedTexts(v *Values) verdict {
	a, known := n.args[0].asText(v)
	if n.op == inSet {
		return n.args[1].inSet(v, a, known)
	}
	if known != yes {
		return known
	}
	if n.op == inTexts {
		return verdictOf(slices.Contains(n.texts, a))
	}
	b, known := n.args[1].asText(v)
	if known != yes {
		return known
	}
	switch n.op {
	case startsWith:
		return verdictOf(strings.HasPrefix(a, b))
	case endsWith:
		return verdictOf(strings.HasSuffix(a, b))
	case contains:
		return verdictOf(strings.Contains(a, b))
	}
	if n.sign == "==" || n.sign == "!=" {
		return verdictOf((a == b) == (n.sign == "=="))
	}
	return n.ordered(strings.Compare(a, b))
}

// inSet tells whether the set that the node reads has an element.
func (n *node) inSet(v *Values, element string, known verdict) verdict {
	set, ok := n.value(v).([]string)
	switch {
	case ok && known == yes:
		return verdictOf(slices.Contains(set, element))
	case known == odd || !ok && n.value(v) != nil:
		return odd
	}
	return absent
}

func (n *node) ordered(order int) verdict {
	switch n.sign {
	case "<":
		return verdictOf(order < 0)
	case "<=":
		return verdictOf(order <= 0)
	case ">":
		return verdictOf(order > 0)
	case ">=":
		return verdictOf(order >= 0)
	case "!=":
		return verdictOf(order != 0)
	}
	return verdictOf(order == 0)
}

func (n *node) asWithin(v *Values) verdict {
	var figures [5]float64
	known := yes
	for i := range n.args {
		figure, one := n.args[i].asNumber(v)
		figures[i], known = figure, max(known, one)
	}
	if known != yes {
		return known
	}
	met, err := near(figures[0], figures[1], figures[2], figures[3], figures[4])
	if err != nil {
		return odd
	}
	return verdictOf(met)
}

// shown is a calculated number; nil when a part of it is absent.
func (n *node) shown(v *Values) any {
	if figure, known := n.asNumber(v); known == yes {
		return figure
	}
	return nil
}

// asNumber is the number, and yes where there is one.
func (n *node) asNumber(v *Values) (float64, verdict) {
	switch n.op {
	case literal:
		return n.number, yes
	case read:
		switch value := n.value(v).(type) {
		case float64:
			return value, yes
		case nil:
			return 0, absent
		}
		return 0, odd
	}
	a, known := n.args[0].asNumber(v)
	if n.op == negate {
		return -a, known
	}
	b, bKnown := n.args[1].asNumber(v)
	known = max(known, bKnown)
	switch n.op {
	case add:
		return a + b, known
	case subtract:
		return a - b, known
	case multiply:
		return a * b, known
	}
	return a / b, known
}

func (n *node) asText(v *Values) (string, verdict) {
	if n.op == literal {
		return n.text, yes
	}
	if n.root == "member" {
		return v.Member.text(n.name)
	}
	switch value := n.value(v).(type) {
	case string:
		return value, yes
	case nil:
		return "", absent
	}
	return "", odd
}

func (n *node) asTime(v *Values) (time.Time, verdict) {
	if n.op == literal {
		return n.at, yes
	}
	switch value := n.value(v).(type) {
	case time.Time:
		return value, yes
	case nil:
		return time.Time{}, absent
	}
	return time.Time{}, odd
}
