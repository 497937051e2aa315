package phone

import (
	"strings"

	"herald/hardware/sim"
	"herald/hardware/sip/tones"
	"herald/problem"
)

// FaultKind is what becomes of a call.
type FaultKind string

// The kinds, in the order of a call.
const (
	Silent      FaultKind = "silent"       // nothing is answered, as if nobody were there
	Busy        FaultKind = "busy"         // 486
	Decline     FaultKind = "decline"      // 603
	NoNumber    FaultKind = "no_number"    // 404
	Unavailable FaultKind = "unavailable"  // 503, with RetryAfter
	NoAnswer    FaultKind = "no_answer"    // it rings until the caller gives up
	Person      FaultKind = "person"       // somebody answers, says hello and listens
	Machine     FaultKind = "machine"      // a machine answers: a greeting, a beep
	Quiet       FaultKind = "quiet_person" // somebody answers and says nothing
)

// codes are the answers of those that refuse (RFC 3261, section 21).
var codes = map[FaultKind]int{Busy: 486, Decline: 603, NoNumber: 404, Unavailable: 503}

// Fault says what becomes of calls to some numbers. Calls that none fits are
// answered by a Person.
type Fault struct {
	// Number is who is called, with * and ? as wildcards. Empty: everybody.
	Number string    `json:"number,omitempty"`
	Kind   FaultKind `json:"kind"`
	// AnswerAfter is how long it rings. 0: as long as Config says.
	AnswerAfter Duration `json:"answer_after,omitempty"`
	// Early has the ringing be heard, by early media.
	Early bool `json:"early,omitempty"`
	// Press are the keys that are pressed here.
	Press []Press `json:"press,omitempty"`
	// HangUpAfter is when it is hung up here, since the answer. 0: never.
	HangUpAfter Duration `json:"hang_up_after,omitempty"`
	// Vanish has it fall silent then, rather than hang up.
	Vanish bool `json:"vanish,omitempty"`
	// RetryAfter is what an unavailable one says. 0: nothing.
	RetryAfter Duration `json:"retry_after,omitempty"`
	// Times is how often it happens. 0: always.
	Times int `json:"times,omitempty"`
}

// Press is keys that are pressed.
type Press struct {
	After  Duration `json:"after"` // since the answer
	Digits string   `json:"digits"`
}

// Duration is how long something takes; as text it is such as "1.5s".
type Duration = sim.Duration

// SetFaults replaces the faults; it fails with problem.Invalid and changes
// nothing when one of them is not complete.
func (p *Phone) SetFaults(list ...Fault) error { return p.faults.Set(list...) }

// Faults are those in force, with what is left of their Times.
func (p *Phone) Faults() []Fault { return p.faults.All() }

// complete notes what is wrong.
func (f *Fault) complete(mistakes *problem.Fields, at string) {
	switch f.Kind {
	case Silent, Busy, Decline, NoNumber, Unavailable, NoAnswer:
		if len(f.Press) > 0 || f.HangUpAfter != 0 {
			mistakes.Add(at+".kind", "one_of", "keys are pressed and phones hung up by a person, a quiet_person or a machine")
		}
	case Person, Quiet, Machine:
	default:
		mistakes.Add(at+".kind", "one_of", "use silent, busy, decline, no_number, unavailable, no_answer, person, quiet_person or machine")
	}
	if !sim.IsPattern(f.Number) {
		mistakes.Add(at+".number", "format", "use a number with * and ?")
	}
	for name, d := range map[string]Duration{"answer_after": f.AnswerAfter, "hang_up_after": f.HangUpAfter, "retry_after": f.RetryAfter} {
		if d < 0 {
			mistakes.Add(at+"."+name, "min", "use a time such as 1.5s")
		}
	}
	for _, p := range f.Press {
		if p.After < 0 || p.Digits == "" || strings.Trim(p.Digits, tones.Digits) != "" {
			mistakes.Add(at+".press", "format", "use a time and digits, * and #")
		}
	}
	if f.Vanish && f.HangUpAfter == 0 {
		mistakes.Add(at+".vanish", "required", "give hang_up_after, too")
	}
}

// faultOf uses up one time of the first fault that fits a number.
func (p *Phone) faultOf(number string) Fault {
	f, found := p.faults.Take(func(f *Fault) bool { return sim.Fits(f.Number, number) })
	if !found {
		f.Kind = Person
	}
	if f.AnswerAfter == 0 {
		f.AnswerAfter = Duration(p.cfg.AnswerAfter)
	}
	return f
}
