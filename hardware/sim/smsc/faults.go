package smsc

import (
	"cmp"
	"slices"

	"herald/dispatch/sms/smpp/pdu"
	"herald/hardware/sim"
	"herald/problem"
)

// FaultKind is what goes wrong.
type FaultKind string

// The faults, in the order of a conversation.
const (
	Close       FaultKind = "close"       // the connection is closed before a word
	RefuseBind  FaultKind = "refuse_bind" // the bind is refused: Status
	Refuse      FaultKind = "refuse"      // the unit is refused: Status
	DropBefore  FaultKind = "drop_before" // the connection breaks; the unit is not kept
	DropAfter   FaultKind = "drop_after"  // the unit is kept, and the connection breaks before the answer
	Lose        FaultKind = "lose"        // the unit is kept, and never answered
	Delay       FaultKind = "delay"       // the unit is kept, and answered after Delay
	EndSession  FaultKind = "end_session" // the unit is refused, and the session ended by unbind
	Undelivered FaultKind = "undelivered" // the unit is taken; its receipt says State and Error
	NoReceipt   FaultKind = "no_receipt"  // the unit is taken; there is never a receipt
)

// Fault makes the centre fail for some numbers.
type Fault struct {
	// Number is the recipient's, with * and ? as wildcards, such as "8613*".
	// Empty: everybody's.
	Number string    `json:"number,omitempty"`
	Kind   FaultKind `json:"kind"`
	// Status is the answer's command_status, for the kinds that refuse.
	// 0: RINVDSTADR (11), and RBINDFAIL (13) for a bind.
	Status pdu.Status `json:"status,omitempty"`
	// State is what the receipt of an undelivered one says. Empty: UNDELIV.
	State string `json:"state,omitempty"`
	// Error is the receipt's err, three digits. Empty: 001.
	Error string `json:"error,omitempty"`
	// Times is how often it happens. 0: always.
	Times int `json:"times,omitempty"`
	// After is how many units it lets pass before.
	After int `json:"after,omitempty"`
	// Delay is how long the answer takes, for the kind delay.
	Delay Duration `json:"delay,omitempty"`
}

// Duration is how long something takes; as text it is such as "1.5s".
type Duration = sim.Duration

// SetFaults replaces the faults; it fails with problem.Invalid and changes
// nothing when one of them is not complete.
func (s *SMSC) SetFaults(list ...Fault) error { return s.faults.Set(list...) }

// Faults are those in force, with what is left of their Times.
func (s *SMSC) Faults() []Fault { return s.faults.All() }

// complete fills in what was left out and notes what is wrong.
func (f *Fault) complete(mistakes *problem.Fields, at string) {
	switch f.Kind {
	case RefuseBind:
		f.Status = cmp.Or(f.Status, pdu.RBINDFAIL)
	case Refuse:
		f.Status = cmp.Or(f.Status, pdu.RINVDSTADR)
	case EndSession:
		f.Status = cmp.Or(f.Status, pdu.RINVBNDSTS)
	case Undelivered:
		f.State = cmp.Or(f.State, pdu.Undeliverable.String())
		f.Error = cmp.Or(f.Error, "001")
		if _, known := pdu.ParseState(f.State); !known {
			mistakes.Add(at+".state", "one_of", "use a state of receipts, such as UNDELIV")
		}
		if len(f.Error) != 3 {
			mistakes.Add(at+".error", "format", "use three digits")
		}
	case Close, DropBefore, DropAfter, Lose, Delay, NoReceipt:
	default:
		mistakes.Add(at+".kind", "one_of", "use close, refuse_bind, refuse, drop_before, drop_after, lose, delay, end_session, undelivered or no_receipt")
	}
	if f.After < 0 {
		mistakes.Add(at+".times", "min", "use 0 for always, or how often")
	}
	if (f.Kind == Delay) != (f.Delay > 0) {
		mistakes.Add(at+".delay", "required", "a delay, and no other kind, has a time such as 500ms")
	}
	ofConnection := f.Kind == Close || f.Kind == RefuseBind
	if !sim.IsPattern(f.Number) || ofConnection && f.Number != "" {
		mistakes.Add(at+".number", "format", "use a number with * and ?; none for the kinds close and refuse_bind")
	}
}

// fault uses up one time of the first fault of these kinds that fits the number.
func (s *SMSC) fault(number string, kinds ...FaultKind) (Fault, bool) {
	return s.faults.Take(func(f *Fault) bool {
		if !slices.Contains(kinds, f.Kind) || !sim.Fits(f.Number, number) {
			return false
		}
		if f.After > 0 {
			f.After--
			return false
		}
		return true
	})
}
