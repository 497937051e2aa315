// Package access knows who may use Herald: operators and their roles, API keys
// and their scopes, and how often a sign-in may be tried. It also hashes
// passwords, for operators and members alike.
package access

import "time"

// Role is what an operator may do. Each includes the ones before it.
type Role string

// The roles.
const (
	OperatorRole Role = "operator" // watches delivery, finds members, resends and suppresses
	MarketerRole Role = "marketer" // also plans campaigns and edits templates
	AdminRole    Role = "admin"    // also operators, keys and triggers
)

// Includes reports whether r may do all that other may. A role that is none of
// the three includes nothing, and nothing includes it.
func (r Role) Includes(other Role) bool {
	return other.rank() > 0 && r.rank() >= other.rank()
}

func (r Role) rank() int {
	switch r {
	case OperatorRole:
		return 1
	case MarketerRole:
		return 2
	case AdminRole:
		return 3
	}
	return 0
}

// Operator is somebody who signs in to the console.
type Operator struct {
	ID         int64
	Name       string // lower case
	Role       Role
	CreatedAt  time.Time
	DisabledAt *time.Time
	// PasswordMark changes with the password and tells nothing of it: a session
	// begun under another mark is over.
	PasswordMark string
}

// Scope is what an API key may do.
type Scope string

// The scopes.
const (
	EventsRead      Scope = "events:read"
	EventsWrite     Scope = "events:write"
	MembersRead     Scope = "members:read"
	MembersWrite    Scope = "members:write"
	TriggersRead    Scope = "triggers:read"
	TriggersWrite   Scope = "triggers:write"
	TemplatesRead   Scope = "templates:read"
	TemplatesWrite  Scope = "templates:write"
	DeliveriesRead  Scope = "deliveries:read"
	DeliveriesWrite Scope = "deliveries:write"
	WebhooksRead    Scope = "webhooks:read"
	WebhooksWrite   Scope = "webhooks:write"
	CampaignsRead   Scope = "campaigns:read"
	CampaignsWrite  Scope = "campaigns:write"
)

// Scopes are all of them.
var Scopes = []Scope{EventsRead, EventsWrite, MembersRead, MembersWrite, TriggersRead, TriggersWrite, TemplatesRead, TemplatesWrite, DeliveriesRead, DeliveriesWrite, WebhooksRead, WebhooksWrite, CampaignsRead, CampaignsWrite}

// Key is an API key, without the key itself: that is shown once, when made.
type Key struct {
	ID         int64
	Name       string
	Prefix     string // "hk_3f9a…": may be shown
	Scopes     []Scope
	CreatedAt  time.Time
	LastUsedAt *time.Time
	RevokedAt  *time.Time
}

// Can reports whether the key has a scope.
func (k Key) Can(s Scope) bool {
	for _, have := range k.Scopes {
		if have == s {
			return true
		}
	}
	return false
}
