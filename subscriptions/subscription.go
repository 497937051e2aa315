package subscriptions

import "time"

// Subscription is a member's choice of a trigger.
type Subscription struct {
	ID               int64          `json:"id"`
	MemberID         int64          `json:"member_id"`
	Trigger          string         `json:"trigger"`
	Params           map[string]any `json:"params"`
	Channels         []Channel      `json:"channels"` // the ladder, first choice first
	State            State          `json:"state"`
	ValidFrom        time.Time      `json:"valid_from"`
	ValidUntil       *time.Time     `json:"valid_until,omitempty"` // the first instant at which it no longer fires
	MaxNotifications int            `json:"max_notifications,omitempty"`
	// CoolDown is the least time between two notifications; nil: the trigger's.
	CoolDown    *Duration  `json:"cool_down,omitempty"`
	Digest      string     `json:"digest,omitempty"`  // hourly or daily: messages are gathered and come together; empty: each at once
	Repeats     string     `json:"repeats,omitempty"` // daily, weekly, monthly, yearly: a follow-up when it expires
	Follows     int64      `json:"follows,omitempty"` // the subscription whose follow-up this is
	Origin      string     `json:"origin"`
	Sent        int        `json:"sent"`
	LastFiredAt *time.Time `json:"last_fired_at,omitempty"`
	Version     int        `json:"version"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	EndedAt     *time.Time `json:"ended_at,omitempty"`
	EndedBy     string     `json:"ended_by,omitempty"` // expired, exhausted, cancelled, unsubscribed
}

// State is where a subscription stands.
type State string

// The states. Active and paused subscriptions are in force; ended ones are history.
const (
	Active State = "active"
	Paused State = "paused"
	Ended  State = "ended"
)

// Order is a subscription as it is asked for.
type Order struct {
	MemberID         int64
	Trigger          string
	Params           map[string]any // as CheckParams reads them
	Channels         []Channel      // empty: the trigger's
	ValidFrom        *time.Time     // nil: now
	ValidUntil       *time.Time     // nil: without end
	MaxNotifications int            // 0: without limit
	CoolDown         *Duration      // nil: the trigger's
	Digest           string         // hourly, daily, or empty: each message at once
	Repeats          string         // daily, weekly, monthly, yearly, or empty; needs ValidUntil
	Origin           string         // portal, api, import
	Actor            string         // "member", "key:shop", "operator:ann"
}

// Change is what may be changed later; a nil field is left as it is.
type Change struct {
	Version          int            // the version that was read; 0: whichever it has now
	Params           map[string]any // all of them, as they shall be
	Channels         []Channel
	ValidUntil       **time.Time // to nil: without end
	MaxNotifications *int
	CoolDown         **Duration // to nil: the trigger's
	Digest           *string
	Repeats          *string
	Paused           *bool
	Actor            string
}

// SubscriptionFilter says which subscriptions in force to list, by id.
type SubscriptionFilter struct {
	Trigger  string // empty: of all triggers
	MemberID int64  // 0: of all members
	After    int64  // the last id of the page before
	Limit    int    // 1 to 1000; 0: 100
}

// Record is one line of a subscription's history.
type Record struct {
	Change string         `json:"change"` // created, changed, paused, resumed, ended, renewed
	Actor  string         `json:"actor"`
	Before map[string]any `json:"before,omitempty"` // only what is no longer so
	After  map[string]any `json:"after,omitempty"`  // only what is new
	At     time.Time      `json:"at"`
}
