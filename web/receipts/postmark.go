package receipts

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"herald/dispatch"
)

// postmark is the webhooks of Postmark, guarded by HTTP Basic
// (postmarkapp.com/developer/webhooks, and the types of a bounce in its
// "Bounce API").
type postmark struct{ account, username, password string }

func (p postmark) verify(_ context.Context, r request) error {
	username, password, _ := (&http.Request{Header: r.header}).BasicAuth()
	right := same(username, p.username) & same(password, p.password)
	if right != 1 {
		return errForged
	}
	return nil
}

// same compares in a time that tells nothing of either, not even the length.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}

type postmarkEvent struct {
	Record    string         `json:"RecordType"`
	ID        int64          `json:"ID"`
	MessageID string         `json:"MessageID"`
	Metadata  map[string]any `json:"Metadata"`
	Type      string         `json:"Type"` // of a bounce
	Details   string         `json:"Details"`

	DeliveredAt string `json:"DeliveredAt"`
	BouncedAt   string `json:"BouncedAt"`
	ReceivedAt  string `json:"ReceivedAt"`
	ChangedAt   string `json:"ChangedAt"`

	SuppressSending   bool   `json:"SuppressSending"`
	SuppressionReason string `json:"SuppressionReason"`
	Origin            string `json:"Origin"`
}

func (p postmark) read(_ context.Context, r request) ([]dispatch.Report, error) {
	var e postmarkEvent
	if err := json.Unmarshal(r.body, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	report, told := e.report()
	if !told {
		return nil, nil
	}
	id := e.MessageID
	if e.ID != 0 {
		id = strconv.FormatInt(e.ID, 10)
	}
	report.Key = keyOf(Postmark, p.account, e.Record, id, string(report.Event))
	return []dispatch.Report{report}, nil
}

func (e postmarkEvent) report() (dispatch.Report, bool) {
	custom, _ := e.Metadata[DeliveryKey].(string)
	r, named := mailReport(custom, "", e.MessageID)
	switch e.Record {
	case "Delivery":
		r.Event, r.At = dispatch.ReportDelivered, instant(e.DeliveredAt)
		say(&r, e.Details)
	case "Bounce":
		r.At = instant(e.BouncedAt)
		e.bounced(&r)
	case "SpamComplaint":
		r.Event, r.At = dispatch.ReportComplained, instant(e.BouncedAt)
	case "Open", "Click":
		r.Event, r.At = dispatch.ReportRead, instant(e.ReceivedAt)
	case "SubscriptionChange":
		r.At = instant(e.ChangedAt)
		switch {
		case !e.SuppressSending: // or it was reactivated
		case e.SuppressionReason == "SpamComplaint":
			r.Event = dispatch.ReportComplained
		case e.SuppressionReason == "ManualSuppression" && e.Origin == "Recipient":
			r.Event = dispatch.ReportUnsubscribed
		}
	}
	return r, named && r.Event != ""
}

// bounced sorts what Postmark calls a bounce, which is every answer of the far
// end. AutoResponder, AddressChange, ChallengeVerification and the like say
// nothing of the delivery.
func (e postmarkEvent) bounced(r *dispatch.Report) {
	switch e.Type {
	case "HardBounce", "BadEmailAddress":
		r.Event = dispatch.ReportBounced
		say(r, e.Details)
		r.AddressDead = true
	case "SoftBounce", "Blocked", "SpamNotification", "DMARCPolicy", "SMTPApiError", "InboundError",
		"TemplateRenderingFailed", "ManuallyDeactivated", "VirusNotification", "Undeliverable":
		r.Event = dispatch.ReportBounced
		say(r, e.Details)
	case "Transient", "DnsError":
		r.Event = dispatch.ReportDelayed
		say(r, e.Details)
	case "SpamComplaint":
		r.Event = dispatch.ReportComplained
	case "Unsubscribe":
		r.Event = dispatch.ReportUnsubscribed
	}
}
