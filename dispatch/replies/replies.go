// Package replies takes what members write back.
//
// What comes to any of our accounts goes in through Store.Take, which returns
// nil when all of it is kept, each message once however often its provider
// gives it. A message that is nothing but a keyword acts: STOP suppresses the
// address it came from, START lifts what a STOP set, and both and HELP are
// answered by a message of our own. Everything else goes to an inbox, which the
// console and the API read through Find, Get and Mark, and is announced as
// reply.received. Run forgets what has been kept for long enough.
package replies

import (
	"time"

	"github.com/google/uuid"

	"herald/subscriptions"
)

// Kind is what a message asks for.
type Kind string

// The kinds.
const (
	Stop    Kind = "stop"    // no more messages to this address
	Start   Kind = "start"   // messages again
	Help    Kind = "help"    // who are you, and what can I write
	Message Kind = "message" // anything else: a person reads it
)

// Done is what a keyword did; empty: there was nothing to do.
type Done string

// What can have been done.
const (
	Stopped   Done = "stopped"   // the address is suppressed from then on
	Restarted Done = "restarted" // a suppression that STOP had set was lifted
	Unchanged Done = "unchanged" // it was so already, or is so for another reason
)

// Answer is whether a keyword was answered, or why not; empty: it did nothing,
// or the message is none.
type Answer string

// The answers.
const (
	Answered  Answer = "sent"      // a message of our own is on its way
	Repeated  Answer = "repeated"  // the same word was answered within the last day
	Stranger  Answer = "unknown"   // the address is nobody's whom we know
	NoAddress Answer = "no_number" // a short code or a name wrote: nobody reads there
	Refused   Answer = "refused"   // nothing may go there now; the delivery says why
)

// Reply is a message that somebody sent to one of our accounts.
type Reply struct {
	ID      int64                 `json:"id"`
	Account string                `json:"account" doc:"That it came to."`
	Channel subscriptions.Channel `json:"channel"`
	From    string                `json:"from" doc:"Who wrote: a number in E.164, a short code or a name." example:"+8613800138000"`
	To      string                `json:"to,omitempty" doc:"Our number, as the provider writes it."`
	Text    string                `json:"text"`
	Kind    Kind                  `json:"kind" enum:"stop,start,help,message"`
	Done    Done                  `json:"done,omitempty" doc:"What a keyword did: stopped, restarted or unchanged."`
	Answer  Answer                `json:"answer,omitempty" doc:"Whether a keyword was answered: sent, or repeated, unknown, no_number or refused."`
	Inbox   bool                  `json:"inbox" doc:"Somebody should read it."`
	// MemberID is who probably wrote, 0 for nobody we know: of several whose
	// number it is, the one we last wrote to there.
	MemberID int64  `json:"member_id,omitempty"`
	Member   string `json:"member,omitempty" doc:"The member's account."`
	// DeliveryID is the message it probably answers: the last one that the
	// account sent there.
	DeliveryID uuid.UUID  `json:"delivery_id,omitzero" doc:"The message that it probably answers."`
	SentAt     time.Time  `json:"sent_at" doc:"When it was sent, by the provider's clock."`
	TakenAt    time.Time  `json:"taken_at"`
	ReadAt     *time.Time `json:"read_at,omitempty"`
	ReadBy     string     `json:"read_by,omitempty" example:"operator:ann"`
}

// Filter says which replies to find, newest first; a zero field does not
// narrow.
type Filter struct {
	MemberID int64  // all that came from this member, keywords too
	From     string // as contact points have it
	Unread   bool   // in the inbox, and nobody has read it
	All      bool   // keywords too; not only the inbox
	Before   int64  // the ID of the last one seen
	Limit    int    // 0: 50, at most 500
}

// maxText is the most characters that are kept of a message: more than the 255
// parts of a long SMS can hold (3GPP TS 23.040, section 9.2.3.24.1).
const maxText = 40_000

// maxName bounds what a provider writes for an account's number, or a sender
// that has none.
const maxName = 100
