package hfaxd

import (
	"cmp"
	"slices"

	"herald/hardware/sim"
	"herald/problem"
)

// FaultKind is what goes wrong.
type FaultKind string

// The faults, in the order of a conversation and of a call.
const (
	Close       FaultKind = "close"       // the connection is closed before a word
	RefuseJob   FaultKind = "refuse_job"  // the submission is refused
	DropBefore  FaultKind = "drop_before" // the connection breaks; the job is not taken
	DropAfter   FaultKind = "drop_after"  // the job is taken, and the connection breaks before the answer
	SlowJob     FaultKind = "slow_job"    // the job is taken, and the answer comes Delay later
	Busy        FaultKind = "busy"        // the number is busy
	NoAnswer    FaultKind = "no_answer"   // nobody answers
	Human       FaultKind = "human"       // somebody answers who is no fax
	NoDialTone  FaultKind = "no_dialtone" // our line is dead
	Drop        FaultKind = "drop"        // the line drops after Page was confirmed; 0: in the first page
	Unconfirmed FaultKind = "unconfirmed" // the line drops after Page arrived, before it was confirmed
	Slow        FaultKind = "slow"        // each page takes Delay longer
	Kill        FaultKind = "kill"        // somebody kills the job during the call
	Linger      FaultKind = "linger"      // the call goes on behind the last page, until the job is killed
)

// ofCalls are those that concern calls.
var ofCalls = []FaultKind{Busy, NoAnswer, Human, NoDialTone, Drop, Unconfirmed, Slow, Kill, Linger}

// Fault makes the server fail for some numbers; a fault of calls happens once
// for each call.
type Fault struct {
	// Number is the recipient's, with * and ? as wildcards, such as "+8621*".
	// Empty: everybody's.
	Number string    `json:"number,omitempty"`
	Kind   FaultKind `json:"kind"`
	// Page is which page of the document, for the kinds drop and unconfirmed.
	Page int `json:"page,omitempty"`
	// Times is how often it happens. 0: always.
	Times int `json:"times,omitempty"`
	// Delay is how much longer a page takes, for the kind slow, or the answer,
	// for slow_job.
	Delay sim.Duration `json:"delay,omitempty"`
}

// SetFaults replaces the faults; it fails with problem.Invalid and changes
// nothing when one of them is not complete.
func (s *Server) SetFaults(list ...Fault) error { return s.faults.Set(list...) }

// Faults are those in force, with what is left of their Times.
func (s *Server) Faults() []Fault { return s.faults.All() }

// complete fills in what was left out and notes what is wrong.
func (f *Fault) complete(mistakes *problem.Fields, at string) {
	if !slices.Contains(append([]FaultKind{Close, RefuseJob, DropBefore, DropAfter, SlowJob}, ofCalls...), f.Kind) {
		mistakes.Add(at+".kind", "one_of", "use close, refuse_job, drop_before, drop_after, slow_job, busy, no_answer, human, no_dialtone, drop, unconfirmed, slow, kill or linger")
	}
	if f.Kind == Unconfirmed {
		f.Page = cmp.Or(f.Page, 1)
	}
	if f.Page < 0 || f.Page > 0 && f.Kind != Drop && f.Kind != Unconfirmed {
		mistakes.Add(at+".page", "format", "say a page for the kinds drop and unconfirmed only")
	}
	if (f.Kind == Slow || f.Kind == SlowJob) != (f.Delay > 0) {
		mistakes.Add(at+".delay", "required", "the kinds slow and slow_job, and no other, have a time such as 500ms")
	}
	if !sim.IsPattern(f.Number) || f.Kind == Close && f.Number != "" {
		mistakes.Add(at+".number", "format", "use a number with * and ?; none for the kind close")
	}
}

// fault uses up one time of the first fault of these kinds that fits the number.
func (s *Server) fault(number string, kinds ...FaultKind) (Fault, bool) {
	return s.faults.Take(func(f *Fault) bool { return slices.Contains(kinds, f.Kind) && sim.Fits(f.Number, number) })
}
