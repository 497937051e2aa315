// Package segment is the language of a question about members: it parses and
// checks a condition, and makes parametrised SQL of it. It touches nothing
// outside itself; whoever asks the database runs the SQL.
//
// A condition is a boolean CEL expression (github.com/google/cel-spec). It
// knows these names:
//
//	member.account, member.customer_type, member.display_name,
//	member.locale, member.time_zone        text
//	member.birthday                        text, "1990-05-17"; may be absent
//	member.birth_month, member.birth_day   whole numbers; absent without a birthday
//	member.age                             whole years; absent without a birthday
//	member.created_at, now                 moments
//	attributes.grade, attributes["grade"]  what the company keeps of a member: any JSON; may be absent
//	subscribed("price_drop")               has a subscription of the trigger in force
//	subscribed("price_drop", {"product": "kettle"})   … with these parameters
//
// and these operations:
//
//	&&  ||  !  (…)  true  false
//	==  !=  <  <=  >  >=        of text, numbers, moments; == and != of true and false too
//	x in ["a", "b"]             one of some constants
//	"a" in attributes.tags      an element of a list, or a name in an object
//	startsWith, endsWith, contains("…")
//	has(member.birthday), has(attributes.grade)
//	timestamp("2026-01-31T00:00:00Z"), duration("72h"), now - duration("720h")
//
// Everything else is refused with its place.
//
// What cannot be decided without an absent value is not met, and neither is
// its negation, as with NULL in SQL: a || b is met where b is, though a reads
// an absent attribute. An attribute that is null is absent. Values of two kinds
// are unequal; asking which of them is greater cannot be decided.
//
// A member who was born on 29 February has their birthday on the 28th in other
// years, and is a year older from then on.
package segment

import (
	"fmt"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"

	"herald/problem"
)

// MaxLength is the longest condition, in bytes.
const MaxLength = 4096

// maxDepth is how deep a condition may nest.
const maxDepth = 50

// Segment is a compiled condition. It is safe for concurrent use.
type Segment struct {
	where    string
	args     []argument
	mentions []Mention
}

// Mention is a trigger that a condition names, and where: "line:column".
type Mention struct {
	Trigger  string
	Position string
}

// argument is a parameter of the SQL: a constant, or what it comes to at the
// moment the question is asked.
type argument func(asked) any

// asked is when and where the question is asked.
type asked struct {
	at    time.Time // to the microsecond, as the database keeps it
	today string    // the date there, "2006-01-02"
}

func constant(v any) argument { return func(asked) any { return v } }

// Compile checks a condition. What is wrong with it is told by a
// *problem.Error of code Invalid, each Field with the path "condition", the
// rule broken (required, or condition_ and one of max, syntax, name, type and
// function) and a message that begins with line:column, both counted from 1.
func Compile(condition string) (*Segment, error) {
	switch {
	case condition == "":
		return nil, refuse("required", "say which members are meant")
	case len(condition) > MaxLength:
		return nil, refuse("condition_max", fmt.Sprintf("at most %d bytes, this has %d", MaxLength, len(condition)))
	case !utf8.ValidString(condition):
		return nil, refuse("condition_syntax", "1:1: not valid UTF-8")
	}
	env, err := cel.NewEnv(cel.ClearMacros(), cel.Macros(cel.HasMacro),
		cel.ParserRecursionLimit(maxDepth), cel.ParserErrorRecoveryLimit(4))
	if err != nil {
		return nil, fmt.Errorf("make the parser of conditions: %w", err)
	}
	parsed, issues := env.Parse(condition)
	if issues.Err() != nil {
		var fields problem.Fields
		for _, e := range issues.Errors() {
			fields.Add("condition", "condition_syntax", "%s: %s", position(e.Location), e.Message)
		}
		return nil, fields.Err(refusal)
	}
	c := compiler{source: parsed.NativeRep().SourceInfo()}
	where := c.truth(parsed.NativeRep().Expr())
	if err := c.mistakes.Err(refusal); err != nil {
		return nil, err
	}
	return &Segment{where: where, args: c.args, mentions: c.mentions}, nil
}

// SQL is the condition on a row of members that is called m, true for those
// who meet it, with its arguments; the parameters are numbered from 1. It is
// asked at an instant; today, for members' ages, is the date there in a zone.
func (s *Segment) SQL(at time.Time, zone *time.Location) (where string, args []any) {
	a := asked{at: at.UTC().Truncate(time.Microsecond), today: at.In(zone).Format(time.DateOnly)}
	args = make([]any, len(s.args))
	for i, arg := range s.args {
		args[i] = arg(a)
	}
	return s.where, args
}

// Mentions are the triggers that the condition names, in its order.
func (s *Segment) Mentions() []Mention { return s.mentions }

const refusal = "the condition cannot be used"

func refuse(rule, message string) error {
	var fields problem.Fields
	fields.Add("condition", rule, "%s", message)
	return fields.Err(refusal)
}

// position is line:column, both from 1; CEL counts columns from 0.
func position(l common.Location) string {
	if l == nil || l.Line() < 1 {
		return "1:1"
	}
	return fmt.Sprintf("%d:%d", l.Line(), max(l.Column()+1, 1))
}
