package smsc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	"herald/dispatch/sms/smpp/pdu"
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

// SetFaults replaces the faults; it fails with problem.Invalid and changes
// nothing when one of them is not complete.
func (s *SMSC) SetFaults(list ...Fault) error { return s.faults.set(list) }

// Faults are those in force, with what is left of their Times.
func (s *SMSC) Faults() []Fault { return s.faults.all() }

// faults are those in force; the first that fits is taken.
type faults struct {
	mu   sync.Mutex
	list []Fault // guarded by mu
}

func (f *faults) set(list []Fault) error {
	list = slices.Clone(list)
	var mistakes problem.Fields
	for i := range list {
		list[i].complete(&mistakes, fmt.Sprintf("faults[%d]", i))
	}
	if err := mistakes.Err("the faults are not complete"); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = list
	return nil
}

// complete fills in what was left out and notes what is wrong.
func (f *Fault) complete(mistakes *problem.Fields, at string) {
	switch f.Kind {
	case RefuseBind:
		set(&f.Status, pdu.RBINDFAIL)
	case Refuse:
		set(&f.Status, pdu.RINVDSTADR)
	case EndSession:
		set(&f.Status, pdu.RINVBNDSTS)
	case Undelivered:
		set(&f.State, pdu.Undeliverable.String())
		set(&f.Error, "001")
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
	if f.Times < 0 || f.After < 0 {
		mistakes.Add(at+".times", "min", "use 0 for always, or how often")
	}
	if (f.Kind == Delay) != (f.Delay > 0) {
		mistakes.Add(at+".delay", "required", "a delay, and no other kind, has a time such as 500ms")
	}
	ofConnection := f.Kind == Close || f.Kind == RefuseBind
	if _, err := path.Match(f.Number, ""); err != nil || ofConnection && f.Number != "" {
		mistakes.Add(at+".number", "format", "use a number with * and ?; none for the kinds close and refuse_bind")
	}
}

func (f *faults) all() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}

// take uses up one time of the first fault of these kinds that fits the number.
func (f *faults) take(number string, kinds ...FaultKind) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.list {
		fault := &f.list[i]
		if !slices.Contains(kinds, fault.Kind) || !fault.fits(number) {
			continue
		}
		if fault.After > 0 {
			fault.After--
			continue
		}
		taken := *fault
		switch fault.Times {
		case 0: // always
		case 1:
			f.list = slices.Delete(slices.Clone(f.list), i, i+1)
		default:
			fault.Times--
		}
		return taken, true
	}
	return Fault{}, false
}

func (f *Fault) fits(number string) bool {
	if f.Number == "" {
		return true
	}
	matched, err := path.Match(f.Number, number)
	return err == nil && matched
}

// desk is the centre as its page acts on it.
type desk struct{ smsc *SMSC }

func (d desk) Faults() any { return append([]Fault{}, d.smsc.Faults()...) }

func (d desk) SetFaults(list json.RawMessage) error {
	var faults []Fault
	body := json.NewDecoder(bytes.NewReader(list))
	body.DisallowUnknownFields()
	if err := body.Decode(&faults); err != nil {
		return problem.New(problem.Invalid, "the faults cannot be read: %v", err)
	}
	return d.smsc.SetFaults(faults...)
}

func (d desk) Say(ctx context.Context, from, to, text string) error {
	return d.smsc.Say(ctx, from, to, text)
}

// pace counts what may be taken in a second.
type pace struct {
	perSecond int

	mu    sync.Mutex
	since time.Time // guarded by mu
	taken int       // guarded by mu, since then
}

func (p *pace) allows(now time.Time) bool {
	if p.perSecond == 0 {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.since) >= time.Second {
		p.since, p.taken = now, 0
	}
	p.taken++
	return p.taken <= p.perSecond
}
