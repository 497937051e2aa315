package subscriptions

import "time"

// Member is a registered customer. It never holds the query password.
type Member struct {
	ID           int64  `json:"id"`
	Account      string `json:"account"`       // lower case; never changes
	CustomerType string `json:"customer_type"` // "person" or "company"
	DisplayName  string `json:"display_name"`
	Locale       string `json:"locale"`             // BCP 47, such as "en" or "zh-CN"
	TimeZone     string `json:"time_zone"`          // IANA, such as "Asia/Shanghai"
	Birthday     string `json:"birthday,omitempty"` // "2006-01-02", or empty when not told
	// From QuietFrom until before QuietUntil, over midnight when that is the
	// earlier, only urgent messages come; equal ones mean no quiet hours, nil
	// ones the company's. Both are nil or none is.
	QuietFrom  *Clock         `json:"quiet_from,omitempty"`
	QuietUntil *Clock         `json:"quiet_until,omitempty"`
	DigestHour int            `json:"digest_hour"` // of the local day, 0 to 23: when a daily digest comes
	Attributes map[string]any `json:"attributes,omitempty"`
	CreatedAt  time.Time      `json:"created_at"`
	UpdatedAt  time.Time      `json:"updated_at"`
	// PasswordMark changes with the query password and tells nothing of it: a
	// session begun under another mark is over.
	PasswordMark string `json:"-"`
}

// Registration is what a new member tells. The first contact point of each
// channel is the one used.
type Registration struct {
	Account      string
	Password     string // the query password in clear; empty: none yet
	CustomerType string // empty: "person"
	DisplayName  string
	Locale       string // empty: "en"
	TimeZone     string // empty: "UTC"
	Birthday     string
	QuietFrom    *Clock // both or none; none: the company's
	QuietUntil   *Clock
	DigestHour   *int // nil: 9
	Attributes   map[string]any
	Contacts     []NewContact
	Consents     []NewConsent
	Origin       string // portal, api, import
}

// NewContact is an address as somebody wrote it.
type NewContact struct {
	Channel Channel
	Address string
	// Region (ISO 3166, such as "CN") is the country of a number written
	// without one; empty: the one that the member's locale names, if it does.
	Region   string
	Verified bool // the registering company vouches for it
}

// MemberChange is what may be changed of a member; a nil field is left as it is.
type MemberChange struct {
	CustomerType *string
	DisplayName  *string
	Locale       *string
	TimeZone     *string
	Birthday     *string // "2006-01-02", or empty: no longer told
	QuietFrom    **Clock // to nil: the company's
	QuietUntil   **Clock
	DigestHour   *int
	// Attributes are merged into those that are there, by name at the first
	// level; null takes one away.
	Attributes map[string]any
}

// MemberFilter asks for members. Query matches the beginning of the account or
// of the display name, or a whole address; empty: everybody.
type MemberFilter struct {
	Query string
	After int64 // the ID after which to go on; 0: from the start
	Limit int   // 0: 50, at most 500
}

// NewConsent is one statement of agreement or refusal.
type NewConsent struct {
	Channel  Channel
	Purpose  Purpose
	Granted  bool
	Source   string // registration, portal, api, import, one-click, operator
	Evidence string // what was shown or received, in words
}

// Standing is how an address has behaved.
type Standing string

// The standings.
const (
	Good    Standing = "good"
	Failing Standing = "failing" // the last hand-overs failed, it may recover
	Dead    Standing = "dead"    // the provider says that there is no such address
)

// ContactPoint is an address of a member on a channel.
type ContactPoint struct {
	ID             int64      `json:"id"`
	MemberID       int64      `json:"-"`
	Channel        Channel    `json:"channel"`
	Address        string     `json:"address"` // normalised: lower-case domain, or E.164
	VerifiedAt     *time.Time `json:"verified_at,omitempty"`
	Standing       Standing   `json:"standing"`
	StandingReason string     `json:"standing_reason,omitempty"`
	CreatedAt      time.Time  `json:"created_at"`
}

// Consent is what a member agrees to now.
type Consent struct {
	Channel   Channel   `json:"channel"`
	Purpose   Purpose   `json:"purpose"`
	Granted   bool      `json:"granted"`
	ChangedAt time.Time `json:"changed_at"`
}

// ConsentChange is one statement of consent and where it came from.
type ConsentChange struct {
	Channel  Channel   `json:"channel"`
	Purpose  Purpose   `json:"purpose"`
	Granted  bool      `json:"granted"`
	Source   string    `json:"source"`
	Evidence string    `json:"evidence"`
	At       time.Time `json:"at"`
}

// The reasons to suppress an address.
const (
	Unsubscribed = "unsubscribed" // its owner wants no more service and marketing messages
	Bounced      = "bounced"      // what was sent there came back
	Complained   = "complained"   // its owner reported a message as unwanted
	Stopped      = "stopped"      // its owner answered STOP
	ByOperator   = "operator"     // an operator decided it
)

// Suppression is an address that must not be contacted.
type Suppression struct {
	Channel   Channel   `json:"channel"`
	Address   string    `json:"address"` // normalised, and mail addresses in lower case
	Reason    string    `json:"reason"`  // unsubscribed, bounced, complained, stopped, operator
	Detail    string    `json:"detail,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}
