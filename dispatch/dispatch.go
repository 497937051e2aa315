// Package dispatch takes a decision to tell a member something and turns it
// into a recorded delivery.
//
// Notifications come in through EnqueueTx, inside the transaction of whoever
// decided; they become deliveries, and River jobs that each carry a chunk of
// them. A worker goes through a chunk slice by slice: it asks once more
// whether the members may be contacted now, fills the templates, takes a
// session from the pool of the account that suits, notes the intent, hands
// over, and records what came of each, together with what follows from it and
// what the ledger counts. Receipts come in through Receipts.Report. What the
// console and the member's page show of a delivery is read from here.
//
// A delivery's state moves like this; the states on the right are final,
// except that a receipt may still turn accepted into delivered or failed, and
// that an operator may send a failed one again:
//
//	           ┌──────────────► suppressed
//	pending ───┼──────────────► accepted ──► delivered
//	  ▲  │     ├──────────────► failed
//	  │  ▼     │
//	  │ deferred  (refused for now, or not yet its hour)
//	  │  │
//	  └──┴── in_doubt  (handed over, outcome unknown)
//
// What was once in doubt stays in doubt until a provider gives a clear answer:
// it is neither suppressed nor expired, because it may have arrived.
package dispatch

import (
	"context"
	"time"

	"github.com/google/uuid"

	"herald/dispatch/timing"
	"herald/subscriptions"
	"herald/templates"
)

// State is where a delivery stands. Every delivery is in exactly one.
type State string

// The states, in the order the ledger names them.
const (
	Accepted   State = "accepted"   // the provider took it
	Delivered  State = "delivered"  // the provider says that it arrived
	Suppressed State = "suppressed" // we decided not to send it
	Deferred   State = "deferred"   // it will be tried again at its next attempt
	Failed     State = "failed"     // it will not be tried again
	Pending    State = "pending"    // it waits for a worker, or is in a worker's hands
	InDoubt    State = "in_doubt"   // it was handed over and nobody knows what came of it
)

// Final reports whether Herald will not move the delivery any more by itself.
func (s State) Final() bool {
	return s == Accepted || s == Delivered || s == Suppressed || s == Failed
}

// States are all of them, in the ledger's order.
var States = []State{Accepted, Delivered, Suppressed, Deferred, Failed, Pending, InDoubt}

// Notification is the decision to tell one member one thing.
type Notification struct {
	ID             uuid.UUID // version 7; made by EnqueueTx when zero
	MemberID       int64
	Trigger        string    // empty for Herald's own messages, such as a code
	SubscriptionID int64     // 0: none
	EventID        uuid.UUID // zero: none
	CampaignID     int64     // 0: none
	Purpose        subscriptions.Purpose
	Priority       int // 1 first … 4 last
	Template       string
	Data           map[string]any          // what the template is filled from
	Channels       []subscriptions.Channel // the ladder, first choice first
	// ContactPoint, when not 0, is where it must go although it is not yet
	// verified: a confirmation code goes to the address it confirms.
	ContactPoint int64
	// Answers says that it answers what was written from ContactPoint. It goes
	// there although the address was stopped: the word that stops is answered,
	// too.
	Answers bool
	// Private data is for the receiver alone, such as a code: it is shown on
	// no page and erased as soon as the delivery is final.
	Private  bool
	Decision Decision
	// Digest says that the member wants it together with others, urgent or not.
	Digest timing.Digest
	// Patience is how long a rung of the ladder has to be confirmed before the
	// next one is tried; 0: only a failure leads on.
	Patience  time.Duration
	ExpiresAt time.Time // not sent after this
	CreatedAt time.Time // set by EnqueueTx
}

// Decision is why a notification was made: the steps in order, each a code
// with its figures, worded by whoever shows it.
type Decision []Step

// Step is one reason in a decision.
type Step struct {
	At   time.Time      `json:"at"`
	Code string         `json:"code"` // such as event_received, condition_met, cool_down_passed
	OK   bool           `json:"ok"`
	Args map[string]any `json:"args,omitempty"`
}

// Message is what a Sender hands over.
type Message struct {
	DeliveryID uuid.UUID
	Attempt    int
	// WireID is the same for every attempt of a delivery, so that a provider
	// or a reader can tell a repetition: e-mail's Message-ID is made from it.
	WireID  string
	Purpose subscriptions.Purpose
	Private bool   // as of the Notification: nothing of the content outlasts the hand-over
	Address string // normalised
	Name    string // the member's display name, may be empty
	Content templates.Content
	// UnsubscribeURL ends the subscription by GET with a page or by a
	// one-click POST (RFC 8058); empty for transactional messages.
	UnsubscribeURL string
	ExpiresAt      time.Time
}

// Receipt is what a provider said when it took a message.
type Receipt struct {
	ProviderID string
	Account    string // the account that took it
	Code       string // such as "250 2.0.0"
	Detail     string
}

// Sender opens sessions of one account of a provider. It must be safe for many
// goroutines. What else it can do, extra interfaces say: Resolver, Reporter,
// Receiver and PartCounter here, BatchSession and LiveSession of its sessions.
type Sender interface {
	Channel() subscriptions.Channel
	// Account is the account's name: unique among all, and the same on every node.
	Account() string
	// Open connects and signs in. It fails with an error that wraps
	// *SendError, and must return soon after ctx ends.
	Open(ctx context.Context) (Session, error)
}

// Resolver is a Sender that can find out what became of a message in doubt. It
// is given the message, without its content where it may not be sent again now
// or went in a digest. It returns a Receipt when the provider has it, which it
// may have found out by sending it again where repetitions are told; a
// SendError of class Permanent, Transient or SessionFatal when it surely has
// not; Throttled when it could not be asked now; and Doubt while that cannot be
// known, which ends the asking where the policy is to assume that it was sent.
// It is asked where the policy for doubt is not to send again.
type Resolver interface {
	Resolve(ctx context.Context, m Message) (Receipt, error)
}

// Reporter is a Sender whose provider says later what became of messages.
// Reports runs until ctx ends and gives what it hears to take, which it asks
// again after an error: nothing reported may be lost.
type Reporter interface {
	Reports(ctx context.Context, take func(context.Context, []Report) error) error
}

// Receiver is a Sender whose account is written to. Receive runs until ctx
// ends and gives what comes to take; the provider is told that it was taken
// only after take returned nil, and is asked for it again otherwise.
type Receiver interface {
	Receive(ctx context.Context, take func(context.Context, []Inbound) error) error
}

// PartCounter is a Sender whose provider takes a message in parts, and counts
// those.
type PartCounter interface {
	Parts(m Message) int
}
