package dispatch

import (
	"fmt"

	"herald/subscriptions"
)

// DoubtPolicy is what happens to a message that was handed over without
// anybody knowing what came of it.
type DoubtPolicy string

// The policies.
const (
	// Resend hands it over again with the same wire id, marked as repeated:
	// for e-mail, whose readers and servers tell a repetition by its Message-ID.
	Resend DoubtPolicy = "resend"
	// WaitReceipt leaves it until a receipt or an operator tells.
	WaitReceipt DoubtPolicy = "wait"
	// Hold leaves it to an operator.
	Hold DoubtPolicy = "hold"
	// AssumeSent counts it as accepted, unless its provider can be asked and
	// says that it was not taken: a telephone that may have rung is not rung
	// again.
	AssumeSent DoubtPolicy = "assume_sent"
)

// DoubtPolicies says which policy a class of messages has. The most particular
// that is given counts: a channel with a purpose, then the channel.
type DoubtPolicies map[MessageClass]DoubtPolicy

// MessageClass is what a policy is given for; an empty purpose stands for all.
type MessageClass struct {
	Channel subscriptions.Channel
	Purpose subscriptions.Purpose
}

// usualDoubt is the policy where none is given.
var usualDoubt = DoubtPolicies{
	{Channel: subscriptions.Email}: Resend,
	{Channel: subscriptions.SMS}:   WaitReceipt,
	{Channel: subscriptions.Voice}: AssumeSent,
	{Channel: subscriptions.Fax}:   Hold,
}

func (p DoubtPolicies) of(ch subscriptions.Channel, purpose subscriptions.Purpose) DoubtPolicy {
	for _, policies := range []DoubtPolicies{p, usualDoubt} {
		for _, class := range []MessageClass{{ch, purpose}, {Channel: ch}} {
			if policy, found := policies[class]; found {
				return policy
			}
		}
	}
	return Hold
}

// check finds a policy that is none.
func (p DoubtPolicies) check() error {
	for class, policy := range p {
		switch policy {
		case Resend, WaitReceipt, Hold, AssumeSent:
		default:
			return fmt.Errorf("dispatch: %q is no policy for doubt, of %s %s", policy, class.Channel, class.Purpose)
		}
	}
	return nil
}

// The reasons of what rests in doubt, or did.
const (
	reasonHeld    = "held"
	reasonWaits   = "waits_for_receipt"
	reasonAssumed = "assumed_sent"
	// reasonResent lets what an operator sends again go, whatever its policy.
	reasonResent = "resent"
)

// rest is where a message in doubt comes to rest by the policy; asks says that
// its provider can be asked first.
func (p DoubtPolicy) rest(asks bool) (State, string) {
	switch p {
	case AssumeSent:
		if asks {
			return InDoubt, reasonWaits
		}
		return Accepted, reasonAssumed
	case WaitReceipt:
		return InDoubt, reasonWaits
	case Resend:
		return InDoubt, ""
	case Hold:
	}
	return InDoubt, reasonHeld
}
