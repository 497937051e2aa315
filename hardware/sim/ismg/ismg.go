// Package ismg is what the simulated gateways of China's operators have in
// common (they call them ISMG or SMG): the faults, the texts that phones have,
// and what clients must be told.
//
// A protocol's simulator, such as hardware/sim/cmpp, shows itself by a Front,
// asks the Faults what befalls a message, gives what it took to a Phones, and
// what it must tell to an Outbox, from which Tellers take it.
package ismg

import (
	"herald/hardware/sim"
	"herald/hardware/sim/texts"
)

// Front is the side of a gateway that its users see, whatever it speaks.
type Front struct {
	faults Faults
	phones *Phones
	door   *sim.Door
}

// NewFront is before these. The door is shut for a moment by the fault Close.
func NewFront(f Faults, p *Phones, d *sim.Door) Front {
	d.Shut = func() bool {
		_, found := f.Meet("", Close)
		return found
	}
	return Front{f, p, d}
}

// Addr is where the gateway listens, as host:port; empty before its start.
func (f Front) Addr() string { return f.door.Addr() }

// Connections is how many there are.
func (f Front) Connections() int { return f.door.Inside() }

// DropAll breaks every connection, now; new ones are let in.
func (f Front) DropAll() { f.door.DropAll() }

// SetFaults replaces the faults; it fails with problem.Invalid and changes
// nothing when one of them is not complete.
func (f Front) SetFaults(list ...Fault) error { return f.faults.Set(list...) }

// Faults are those in force, with what is left of their Times.
func (f Front) Faults() []Fault { return f.faults.All() }

// Texts are the texts that clients submitted and those that phones wrote.
func (f Front) Texts() *texts.Box { return f.phones.texts }

// Submitted are the short messages that were taken, the oldest first, as far
// as they are kept. They are shared: read them only.
func (f Front) Submitted() []Message { return f.phones.messages.All() }

// Count is how many short messages were taken since the start, forgotten ones
// included.
func (f Front) Count() int64 { return f.phones.messages.Count() }
