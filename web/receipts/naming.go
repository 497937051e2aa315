package receipts

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/bounces"
	"herald/subscriptions"
)

// DeliveryKey is the name under which a delivery's id travels with a message
// through a provider and comes back: a unique argument (SendGrid), a variable
// (Mailgun), a message tag (SES), a metadata field (Postmark), or a parameter
// of the status address (Twilio). It fits the rules of all of them.
const DeliveryKey = "herald-delivery"

// mailReport begins a report of e-mail: the delivery is named by custom, by our
// Message-ID, or by the provider's id. ok says whether it is named at all.
func mailReport(custom, messageID, providerID string) (r dispatch.Report, ok bool) {
	r = dispatch.Report{Channel: subscriptions.Email, ProviderID: shorten(providerID)}
	left, _, _ := strings.Cut(strings.Trim(messageID, "<> "), "@")
	for _, id := range []string{custom, left} {
		if delivery, found := deliveryID(id); found {
			r.DeliveryID = delivery
			break
		}
	}
	return r, r.DeliveryID != uuid.Nil || r.ProviderID != ""
}

// deliveryID reads the one form in which we write an id.
func deliveryID(text string) (uuid.UUID, bool) {
	id, err := uuid.Parse(text)
	return id, err == nil && len(text) == 36 && id != uuid.Nil
}

// maxID is the longest id of a provider that is kept as it is.
const maxID = 200

func shorten(id string) string {
	if len(id) > maxID || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
		sum := sha256.Sum256([]byte(id))
		return hex.EncodeToString(sum[:])
	}
	return id
}

// keyOf names a report by what the provider calls its event.
func keyOf(provider, account string, event ...string) string {
	return provider + ":" + account + ":" + shorten(strings.Join(event, ":"))
}

// say puts a mail server's words into a report.
func say(r *dispatch.Report, words string) {
	d := bounces.Diagnose(words)
	r.Code, r.Detail = d.Code, d.Detail
	if r.Event == dispatch.ReportBounced {
		r.AddressDead = d.AddressDead
	}
}

// seconds is a Unix time that may have a fraction.
func seconds(s float64) time.Time {
	if s <= 0 || s > 1e11 {
		return time.Time{}
	}
	return time.UnixMilli(int64(s * 1000)).UTC()
}

// instant reads RFC 3339; anything else is no time.
func instant(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
