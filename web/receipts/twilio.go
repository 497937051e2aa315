package receipts

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"herald/dispatch"
	"herald/dispatch/sms/gateway"
	"herald/subscriptions"
)

// twilio is the status callback of a Twilio message ("Webhooks Security" and
// "Track the Message Status of Outbound Messages", twilio.com/docs). The
// address given to Twilio may name the delivery: ?herald-delivery={id}.
type twilio struct {
	account string
	token   []byte
	public  *url.URL // scheme and host as Twilio sees them
}

func (t twilio) verify(_ context.Context, r request) error {
	if !gateway.IsTwilios(t.token, t.public, r.url, r.header, r.body) {
		return errForged
	}
	return nil
}

// read takes one status. Accepted, queued, sending and sent tell no more than
// the hand-over did.
func (t twilio) read(_ context.Context, r request) ([]dispatch.Report, error) {
	form, err := url.ParseQuery(string(r.body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	status, code := strings.ToLower(form.Get("MessageStatus")), form.Get("ErrorCode")
	report := dispatch.Report{Channel: subscriptions.SMS, ProviderID: shorten(form.Get("MessageSid")), Code: shorten(code)}
	report.DeliveryID, _ = deliveryID(r.url.Query().Get(DeliveryKey))
	switch status {
	case "delivered":
		report.Event = dispatch.ReportDelivered
	case "read":
		report.Event = dispatch.ReportRead
	case "undelivered", "failed", "canceled":
		report.Event = dispatch.ReportBounced
		t.failed(&report, code)
	default:
		return nil, nil
	}
	if report.ProviderID == "" {
		return nil, fmt.Errorf("%w: there is no MessageSid", errUnreadable)
	}
	if report.Code == "" {
		report.Code = status
	}
	report.Key = keyOf(Twilio, t.account, report.ProviderID, status)
	return []dispatch.Report{report}, nil
}

// failed reads Twilio's error codes (twilio.com/docs/api/errors).
func (t twilio) failed(r *dispatch.Report, code string) {
	switch code {
	case "30005", "30006", "21211", "21614": // unknown; landline; not a number; not a mobile
		r.AddressDead = true
	case "21610": // answered STOP
		r.Event = dispatch.ReportUnsubscribed
	case "30036": // its validity ended
		r.Event = dispatch.ReportExpired
	}
}
