package dispatch

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Announcement is something that happened and that the company's systems may
// want to hear of, such as delivery.failed.
type Announcement struct {
	Type string
	At   time.Time
	Data map[string]any
}

// Announcer tells the company's systems what became of messages.
type Announcer interface {
	// Listening reports whether anybody may want to hear of a type, at no cost.
	Listening(kind string) bool
	// AnnounceTx tells of them if and only if tx commits.
	AnnounceTx(ctx context.Context, tx pgx.Tx, news []Announcement) error
}

// The types that are announced.
const (
	saysAccepted   = "delivery.accepted"
	saysDelivered  = "delivery.delivered"
	saysFailed     = "delivery.failed"
	saysSuppressed = "delivery.suppressed"
	saysInDoubt    = "delivery.in_doubt"
	saysBounced    = "delivery.bounced"
	saysComplained = "delivery.complained"
	saysContact    = "contact.suppressed"
)

// saysOf is the type for a delivery that came to a state; "" for those that
// nobody is told of.
func saysOf(state State) string {
	switch state {
	case Accepted:
		return saysAccepted
	case Delivered:
		return saysDelivered
	case Failed:
		return saysFailed
	case Suppressed:
		return saysSuppressed
	case InDoubt:
		return saysInDoubt
	case Pending, Deferred:
	}
	return ""
}

// news collects announcements of one transaction; without an announcer, or
// where nobody listens, it stays empty.
type news struct {
	to   Announcer
	at   time.Time
	list []Announcement
}

func (n *news) wanted(kind string) bool { return n.to != nil && kind != "" && n.to.Listening(kind) }

// delivery adds what happened to one, as it stands then.
func (n *news) delivery(kind string, t *task, account string, state State, reason string) {
	if !n.wanted(kind) {
		return
	}
	data := map[string]any{
		"delivery_id": t.ID, "notification_id": t.NotificationID, "member_id": t.MemberID,
		"channel": t.Channel, "state": state, "attempts": t.Attempts,
	}
	if t.EventID != uuid.Nil {
		data["event_id"] = t.EventID
	}
	if t.CampaignID != 0 {
		data["campaign"] = t.CampaignID
	}
	for name, value := range map[string]string{"trigger": t.Trigger, "account": account, "reason": reason} {
		if value != "" {
			data[name] = value
		}
	}
	n.list = append(n.list, Announcement{Type: kind, At: n.at, Data: data})
}

// contact adds that an address must not be contacted any more.
func (n *news) contact(t *task, reason string) {
	if !n.wanted(saysContact) {
		return
	}
	data := map[string]any{"member_id": t.MemberID, "channel": t.Channel, "reason": reason}
	if t.ContactID != 0 {
		data["contact_point_id"] = t.ContactID
	}
	n.list = append(n.list, Announcement{Type: saysContact, At: n.at, Data: data})
}

// tellTx announces what was collected.
func (n *news) tellTx(ctx context.Context, tx pgx.Tx) error {
	if len(n.list) == 0 {
		return nil
	}
	return n.to.AnnounceTx(ctx, tx, n.list)
}
