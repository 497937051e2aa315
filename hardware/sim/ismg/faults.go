package ismg

import (
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

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

// Duration is a time.Duration that reads and writes as text, such as "1.5s".
type Duration time.Duration

// MarshalText writes d as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads "1.5s", "200ms", "1m".
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("delay: %w", err)
	}
	*d = Duration(parsed)
	return nil
}

// Faults are those in force; the first that fits is taken. The zero value has
// none.
type Faults struct {
	mu   sync.Mutex
	list []Fault // guarded by mu
}

// Set replaces the faults; it fails with problem.Invalid and changes nothing
// when one of them is not complete.
func (f *Faults) Set(list ...Fault) error {
	list = slices.Clone(list)
	var mistakes problem.Fields
	for i := range list {
		list[i].check(&mistakes, fmt.Sprintf("faults[%d]", i))
	}
	if err := mistakes.Err("the faults are not complete"); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = list
	return nil
}

func (f *Fault) check(mistakes *problem.Fields, at string) {
	ofConnection := f.Kind == Close || f.Kind == RefuseLogin
	if !ofConnection && !slices.Contains(befalling, f.Kind) {
		mistakes.Add(at+".kind", "one_of", "use close, refuse_login, refuse, drop_before, drop_after, lose, delay, undelivered or no_report")
	}
	if f.Times < 0 {
		mistakes.Add(at+".times", "min", "use 0 for always, or how often")
	}
	if (f.Kind == Delay) != (f.Delay > 0) {
		mistakes.Add(at+".delay", "required", "a delay, and no other kind, has a time such as 500ms")
	}
	if _, err := path.Match(f.Number, ""); err != nil || ofConnection && f.Number != "" {
		mistakes.Add(at+".number", "format", "use a number with * and ?; none for the kinds close and refuse_login")
	}
}

// All are those in force, with what is left of their Times.
func (f *Faults) All() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Fault{}, f.list...)
}

// Befall uses up one time of the first fault of a message to number; without
// one it is the zero Fault.
func (f *Faults) Befall(number string) Fault {
	fault, _ := f.Take(number, befalling...)
	return fault
}

// Take uses up one time of the first fault of these kinds that fits the number.
func (f *Faults) Take(number string, kinds ...FaultKind) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.list {
		fault := f.list[i]
		if !slices.Contains(kinds, fault.Kind) || !fault.fits(number) {
			continue
		}
		switch fault.Times {
		case 0: // always
		case 1:
			f.list = slices.Delete(slices.Clone(f.list), i, i+1)
		default:
			f.list[i].Times--
		}
		return fault, true
	}
	return Fault{}, false
}

func (f *Fault) fits(number string) bool {
	matched, err := path.Match(f.Number, number)
	return f.Number == "" || err == nil && matched
}
