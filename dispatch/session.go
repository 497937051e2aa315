package dispatch

import (
	"context"
	"time"

	"github.com/google/uuid"

	"herald/subscriptions"
)

// Session is one live connection of an account: an SMTP connection, a bind, a
// modem, a call, a fax line. It is used by one goroutine at a time.
//
// Send hands one message over. It returns a Receipt when the provider took it
// and otherwise an error that wraps *SendError; an unmarked error counts as
// Transient. It must return soon after ctx ends, and must say Doubt, never
// Transient, when the provider may have taken the message. After a
// SessionFatal error, and whenever Broken is true, the session is closed and
// replaced.
type Session interface {
	Send(ctx context.Context, m Message) (Receipt, error)
	// Broken reports whether nothing more can be said on the session.
	Broken() bool
	// Close ends the session, politely where that is possible before ctx ends.
	Close(ctx context.Context) error
}

// BatchSession is a Session that can have several messages under way at once.
//
// SendBatch hands the messages over in their order and calls done exactly once
// for each index, from the calling goroutine, as soon as its answer is known;
// it returns after the last. When the session breaks, those that the provider
// has not heard of are SessionFatal and may be handed over again at once, and
// those it may have taken are Doubt.
type BatchSession interface {
	Session
	SendBatch(ctx context.Context, ms []Message, done func(i int, r Receipt, err error))
}

// LiveSession is a Session that can be asked whether it still is one. It is
// asked before it is used after a rest.
type LiveSession interface {
	Session
	Alive(ctx context.Context) error
}

// Report is what a provider says of a message after it took it.
type Report struct {
	// The delivery is named by its id, or else by the account and the id that
	// the provider gave the message.
	DeliveryID uuid.UUID
	Account    string
	ProviderID string
	Channel    subscriptions.Channel

	Event  ReportEvent
	Code   string    // the provider's, such as "5.1.1" or "DELIVRD"
	Detail string    // in the provider's words, without addresses
	At     time.Time // when it happened; zero: now
	// AddressDead says that the provider knows no such address: it is
	// suppressed from now on.
	AddressDead bool
	// Key tells a report that is given twice; empty: what it says tells.
	Key string
}

// ReportEvent is what happened to a message.
type ReportEvent string

// The events of a report.
const (
	ReportDelivered    ReportEvent = "delivered"    // it arrived
	ReportBounced      ReportEvent = "bounced"      // it will never arrive
	ReportDelayed      ReportEvent = "delayed"      // it has not arrived yet
	ReportExpired      ReportEvent = "expired"      // the provider gave up
	ReportRead         ReportEvent = "read"         // its reader opened it
	ReportComplained   ReportEvent = "complained"   // its reader calls it spam: no more to this address
	ReportUnsubscribed ReportEvent = "unsubscribed" // its reader wants no more
)

// Inbound is a message that somebody sent to one of our accounts.
type Inbound struct {
	Account string // that it came to
	Channel subscriptions.Channel
	Key     string // tells one that is given twice, among those of its account
	From    string // an address as contact points have it: E.164 for a number
	To      string // our number, as the provider writes it; may be empty
	Text    string
	At      time.Time // when it was sent, as the provider says; zero: now
}
