// Package predicate is the language of a trigger's condition: it parses,
// checks, plans and evaluates, and touches nothing outside itself.
//
// A condition is a boolean CEL expression (github.com/google/cel-spec) over
// event.<attribute>, param.<parameter>, member.account, member.time_zone and
// member.birthday, and where the schema has it previous.<attribute>. Compile
// checks it against the declared names and types, and finds its anchor: the
// terms an event can be looked up by. A subscription's constants give the keys it
// waits on (Keys), an event gives the keys it has (Probes); where a key
// agrees, Eval decides, and Explain says why in terms that can be put in words.
//
// # The language
//
// It is CEL with these rules of its own:
//
//   - Every number is a float64. A whole literal takes the type of what it is
//     compared or calculated with, as an untyped constant does in Go: both
//     event.price < 49 and size(event.name) > 3 are meant as they read.
//   - The parts joined by && at the top are the terms of the condition.
//   - What cannot be decided without an absent value is not met, as with NULL
//     in SQL: a term that reads an absent attribute is not met, nor is its
//     negation; in a || b an absent value in b does no harm where a is true.
//     A value of nil is absent. There is no has().
//   - The macros are all, exists and exists_one.
//   - within(latitude, longitude, latitude, longitude, distance) is true where
//     two places lie at most distance kilometres apart, along the great circle
//     of a sphere; latitudes are -90 to 90 degrees, longitudes -180 to 360.
//   - previous.<attribute> is what the event before it said, previous.time when
//     that was, and previous.known whether there was one.
//
// # Anchors
//
// These terms, with the sides in either order, are looked up by key:
//
//	event.x == param.y, event.x == member.account        all of them together
//	event.x in param.set                                 the first; a key for each element
//	event.x.startsWith(param.p), startsWith(member.m)    the first; a probe for each length
//	within(event.a, event.o, param.a, param.o, param.d)  the first, instead of sets and prefixes
//	event.n >= param.lo && event.n <= param.hi           the first; numbers and times
//	event.n <= param.m (also < > >=)                     the first, where none has two sides
//
// Every other term is left to Eval, but that an event which misses a term by
// itself, such as event.stock > 0, has no probes. Keys and Probes never lose a
// subscription that Eval would find met; they may find more.
package predicate

// Type is the type of an attribute or a parameter.
type Type string

// The types. Strings is a list of strings, for parameters only.
const (
	String  Type = "string"
	Number  Type = "number" // float64
	Boolean Type = "boolean"
	Time    Type = "time" // time.Time in Go, RFC 3339 in JSON
	Strings Type = "strings"
)

// Schema declares the names that a condition may use.
type Schema struct {
	Event map[string]Type // the attributes
	Param map[string]Type // the parameters
	// Optional attributes and parameters may be absent; a term that reads an
	// absent one is not met.
	Optional map[string]bool // by "event.name" or "param.name"
	// Previous declares previous.<attribute> for each attribute not called time
	// or known, previous.time and previous.known.
	Previous bool
	// Broadcast allows a condition without an anchor.
	Broadcast bool
}

// Values are the constants and readings a condition is evaluated on: strings
// (valid UTF-8), float64, bool, time.Time and []string.
type Values struct {
	Event    map[string]any
	Previous map[string]any // the attributes of the event before it, and its time under "time"
	Param    map[string]any
	Known    bool // previous.known: there was an event before it
	Member   Member
}

// Member is what a condition can read of the subscriber. An empty time zone or
// birthday is absent.
type Member struct {
	Account  string // member.account
	TimeZone string // member.time_zone, a name of the IANA database
	Birthday string // member.birthday, month and day: "02-28"
}

// memberFields are the names after "member.".
var memberFields = []string{"account", "time_zone", "birthday"}

// value is the field of a name; nil when it is absent.
func (m *Member) value(name string) any {
	if text, known := m.text(name); known == yes {
		return text
	}
	return nil
}

func (m *Member) text(name string) (string, verdict) {
	var text string
	switch name {
	case "account":
		return m.Account, yes
	case "time_zone":
		text = m.TimeZone
	case "birthday":
		text = m.Birthday
	}
	if text == "" {
		return "", absent
	}
	return text, yes
}

// Bound says how an anchor's range term compares the event with the
// subscription's bound.
type Bound string

// The comparisons of a range term, seen from the subscription: with AtMost the
// event's value must be at most the bound.
const (
	NoBound Bound = ""
	Below   Bound = "<"
	AtMost  Bound = "<="
	Above   Bound = ">"
	AtLeast Bound = ">="
	Between Bound = "between" // at least Key.Bound and at most Key.Upper
)

// Key is what a subscription waits on. Which of its figures mean anything is
// told by Predicate.Bound; the others are 0.
type Key struct {
	Key   string  // the equality, set, prefix and place constants, encoded; "" for a broadcast
	Bound float64 // the range term's constant; of Between the lower one
	Upper float64 // of Between
}

// Meets reports whether an event's value meets a key's figures, Key.Bound and
// Key.Upper, compared in this way.
func (b Bound) Meets(value, bound, upper float64) bool {
	switch b {
	case Below:
		return value < bound
	case AtMost:
		return value <= bound
	case Above:
		return value > bound
	case AtLeast:
		return value >= bound
	case Between:
		return bound <= value && value <= upper
	}
	return true // there is none
}

// Probe is what an event is looked up by.
type Probe struct {
	Key   string
	Value float64 // compared with Key.Bound and Key.Upper; 0 where there is no range term
}

// Term is one top-level part of a condition, as an event met or missed it.
type Term struct {
	Text      string `json:"text"`                // as written: "event.price <= param.target"
	Attribute string `json:"attribute,omitempty"` // "price", where the term compares one attribute
	Operator  string `json:"operator,omitempty"`  // ==, !=, <, <=, >, >=, in, prefix, within
	Param     string `json:"param,omitempty"`     // "target", where it is compared with one parameter; of within the distance
	Previous  string `json:"previous,omitempty"`  // "price", where that of the event before has a part in it
	Got       any    `json:"got,omitempty"`       // the attribute's value; of within the distance found, in kilometres
	Wanted    any    `json:"wanted,omitempty"`    // what it was compared with; the beginning of a long set
	Before    any    `json:"before,omitempty"`    // what the event before said of Previous
	Met       bool   `json:"met"`
}
