package ismg

import (
	"slices"

	"herald/hardware/sim"
	"herald/problem"
)

// FaultKind is what goes wrong.
type FaultKind string

// The faults, in the order of a conversation.
const (
	Close       FaultKind = "close"        // the connection is closed before a word
	RefuseLogin FaultKind = "refuse_login" // the login is refused: Result
	Refuse      FaultKind = "refuse"       // the message is refused: Result
	DropBefore  FaultKind = "drop_before"  // the connection breaks; the message is not kept
	DropAfter   FaultKind = "drop_after"   // the message is kept, and the connection breaks before the answer
	Lose        FaultKind = "lose"         // the message is kept, and its answer lost
	Delay       FaultKind = "delay"        // the message is kept, and answered after Delay
	Undelivered FaultKind = "undelivered"  // the message is taken; its report says State
	NoReport    FaultKind = "no_report"    // the message is taken; nothing is reported of it
)

// Befalling are the faults of a message.
var befalling = []FaultKind{Refuse, DropBefore, DropAfter, Lose, Delay, Undelivered, NoReport}

// Fault makes the gateway fail for some numbers.
type Fault struct {
	// Number is the recipient's as the client writes it, with * and ? as
	// wildcards, such as "138*". Empty: everybody's.
	Number string    `json:"number,omitempty"`
	Kind   FaultKind `json:"kind"`
	// Result is the answer's, for the kinds that refuse. 0: the one that the
	// simulator has for it.
	Result uint32 `json:"result,omitempty"`
	// State is what the report of an undelivered message says, in the
	// protocol's words. Empty: that it did not arrive.
	State string `json:"state,omitempty"`
	// Times is how often it happens. 0: always.
	Times int `json:"times,omitempty"`
	// Delay is how long the answer takes, for the kind delay.
	Delay Duration `json:"delay,omitempty"`
}

// Duration is how long something takes; as text it is such as "1.5s".
type Duration = sim.Duration

// Faults are those in force; the first that fits is taken.
type Faults struct{ *sim.Faults[Fault] }

// NewFaults has none yet.
func NewFaults() Faults {
	return Faults{sim.NewFaults((*Fault).check, func(f *Fault) *int { return &f.Times })}
}

func (f *Fault) check(mistakes *problem.Fields, at string) {
	ofConnection := f.Kind == Close || f.Kind == RefuseLogin
	if !ofConnection && !slices.Contains(befalling, f.Kind) {
		mistakes.Add(at+".kind", "one_of", "use close, refuse_login, refuse, drop_before, drop_after, lose, delay, undelivered or no_report")
	}
	if (f.Kind == Delay) != (f.Delay > 0) {
		mistakes.Add(at+".delay", "required", "a delay, and no other kind, has a time such as 500ms")
	}
	if !sim.IsPattern(f.Number) || ofConnection && f.Number != "" {
		mistakes.Add(at+".number", "format", "use a number with * and ?; none for the kinds close and refuse_login")
	}
}

// Befall uses up one time of the first fault of a message to number; without
// one it is the zero Fault.
func (f Faults) Befall(number string) Fault {
	fault, _ := f.Meet(number, befalling...)
	return fault
}

// Meet uses up one time of the first fault of these kinds that fits the number.
func (f Faults) Meet(number string, kinds ...FaultKind) (Fault, bool) {
	return f.Take(func(fault *Fault) bool {
		return slices.Contains(kinds, fault.Kind) && sim.Fits(fault.Number, number)
	})
}
