package receipts

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"herald/dispatch"
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

// verify checks the HMAC-SHA1, in base64, over the address called and the
// parameters, sorted by name, each name followed by its value. Twilio has the
// port in the address or not, whichever way it was given, so both are tried.
func (t twilio) verify(_ context.Context, r request) error {
	form, err := url.ParseQuery(string(r.body))
	if err != nil {
		return errForged
	}
	given, err := base64.StdEncoding.DecodeString(r.header.Get("X-Twilio-Signature"))
	if err != nil {
		return errForged
	}
	right := false
	for _, host := range t.hosts() {
		// All are compared, so that the time tells nothing.
		right = hmac.Equal(given, t.sign(t.public.Scheme+"://"+host+r.url.RequestURI(), form)) || right
	}
	if !right {
		return errForged
	}
	return nil
}

func (t twilio) hosts() []string {
	if t.public.Port() != "" {
		return []string{t.public.Host, t.public.Hostname()}
	}
	port := ":443"
	if t.public.Scheme == "http" {
		port = ":80"
	}
	return []string{t.public.Host, t.public.Host + port}
}

func (t twilio) sign(address string, form url.Values) []byte {
	mac := hmac.New(sha1.New, t.token)
	mac.Write([]byte(address))
	for _, name := range slices.Sorted(maps.Keys(form)) {
		values := slices.Compact(slices.Sorted(slices.Values(form[name])))
		for _, value := range values {
			mac.Write([]byte(name + value))
		}
	}
	return mac.Sum(nil)
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
