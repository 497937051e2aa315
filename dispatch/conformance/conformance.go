// Package conformance is the suite of tests that every channel's driver
// passes: that its sessions keep the contract of dispatch.Session whatever the
// far end does.
//
// A driver's test gives Run a Peer, which opens sessions of the driver against
// a far end of its own that fails on demand and knows what it took:
//
//	func TestSessionsKeepTheContract(t *testing.T) {
//		conformance.Run(t, func(t *testing.T, answerWithin time.Duration) conformance.Peer { return newPeer(t, answerWithin) })
//	}
//
// The rule behind all of it: what a session says of a message is true. Taken
// means that the far end took it, once; any failure but doubt means that the
// far end did not take it, and never will.
package conformance

import (
	"context"
	"testing"
	"time"

	"herald/dispatch"
)

// Fault is what the far end does.
type Fault string

// The faults. Those from Refusal to Silence befall one message.
const (
	Refusal        Fault = "refuses the message for good"
	AddressUnknown Fault = "knows no such address"
	Busy           Fault = "refuses the message for now"
	Throttle       Fault = "says that we send too fast"
	EndsSession    Fault = "answers that it ends the session"
	LostBefore     Fault = "breaks the connection when it hears of the message"
	LostDuring     Fault = "breaks the connection while the message is handed over"
	LostAfter      Fault = "takes the message and breaks the connection before it answers"
	Silence        Fault = "takes the message and never answers"

	Gone             Fault = "breaks every connection, now" // and lets new ones in
	Away             Fault = "lets no session in"
	WrongCredentials Fault = "does not know our name or password"
)

// Peer is a driver under test and its far end. A test has one of its own.
type Peer interface {
	// Open opens a session of the driver.
	Open(ctx context.Context) (dispatch.Session, error)
	// Message is the i-th message: of an address of its own, and never seen before.
	Message(i int) dispatch.Message
	// Inject makes the far end do it, to m where the fault is a message's, until
	// Heal. It is false when there is no such fault on the channel.
	Inject(t *testing.T, f Fault, m dispatch.Message) bool
	// Heal ends the fault.
	Heal(t *testing.T)
	// Taken is how often the far end took m.
	Taken(m dispatch.Message) int
	// AwaitTaken returns nil as soon as the far end took m.
	AwaitTaken(ctx context.Context, m dispatch.Message) error
}

// befalls are the faults of a message and what it may become.
var befalls = []struct {
	fault   Fault
	classes []dispatch.Class
	dead    bool // the address
	lost    bool // nothing more can be said on the session
}{
	{Refusal, []dispatch.Class{dispatch.Permanent}, false, false},
	{AddressUnknown, []dispatch.Class{dispatch.Permanent}, true, false},
	{Busy, []dispatch.Class{dispatch.Transient}, false, false},
	{Throttle, []dispatch.Class{dispatch.Throttled}, false, false},
	{EndsSession, []dispatch.Class{dispatch.SessionFatal}, false, true},
	{LostBefore, []dispatch.Class{dispatch.Transient, dispatch.SessionFatal}, false, true},
	// A driver cannot always know how much the far end had heard.
	{LostDuring, []dispatch.Class{dispatch.Transient, dispatch.SessionFatal, dispatch.Doubt}, false, true},
	{LostAfter, []dispatch.Class{dispatch.Doubt}, false, true},
	{Silence, []dispatch.Class{dispatch.Doubt}, false, true},
}

// How long a driver waits for an answer: where one comes, longer than any
// machine is busy; where none ever does, no longer than an answer before it needs.
const (
	forOneThatComes = 30 * time.Second
	forSilence      = 2 * time.Second
)

// Run proves that the driver's sessions keep the contract. start makes a peer
// for each test, whose driver waits so long for an answer, and cleans up by t.
func Run(t *testing.T, start func(t *testing.T, answerWithin time.Duration) Peer) {
	within := func(answer time.Duration, check func(*bench)) func(*testing.T) {
		return func(t *testing.T) { check(&bench{t, start(t, answer)}) }
	}
	on := func(check func(*bench)) func(*testing.T) { return within(forOneThatComes, check) }
	t.Run("messages are taken, once", on((*bench).taken))
	for i := range befalls {
		name, answer := string(befalls[i].fault), forOneThatComes
		if befalls[i].fault == Silence {
			answer = forSilence
		}
		t.Run("the far end "+name, within(answer, func(b *bench) { b.single(i) }))
		t.Run("within a batch it "+name, within(answer, func(b *bench) { b.batch(i) }))
	}
	t.Run("a session that is gone is found out", on((*bench).gone))
	t.Run("a far end that lets nobody in", on((*bench).away))
	t.Run("wrong credentials are our mistake", on((*bench).credentials))
	t.Run("ctx ends before a message", on((*bench).endedBefore))
	t.Run("ctx ends after a message", on((*bench).endedAfter))
	t.Run("a closed session takes nothing", on((*bench).closed))
}
