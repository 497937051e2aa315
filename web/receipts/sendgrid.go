package receipts

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"herald/dispatch"
	"herald/problem"
)

// sendGrid is the signed event webhook of Twilio SendGrid ("Event Webhook
// Reference" and "Getting Started with the Event Webhook Security Features",
// twilio.com/docs/sendgrid/for-developers/tracking-events).
type sendGrid struct {
	account string
	key     *ecdsa.PublicKey
	clock   clock
}

func newSendGrid(a Account, c clock, at string, mistakes *problem.Fields) scheme {
	der, err := base64.StdEncoding.DecodeString(a.Secret)
	if err == nil {
		var public any
		if public, err = x509.ParsePKIXPublicKey(der); err == nil {
			if key, is := public.(*ecdsa.PublicKey); is && key.Curve == elliptic.P256() {
				return sendGrid{account: a.Name, key: key, clock: c}
			}
		}
	}
	mistakes.Add(at+".secret", "format", "must be the verification key of the signed event webhook: a P-256 key in base64")
	return nil
}

// verify checks an ASN.1 signature over the SHA-256 of timestamp and body.
func (s sendGrid) verify(_ context.Context, r request) error {
	stamp := r.header.Get("X-Twilio-Email-Event-Webhook-Timestamp")
	signature, err := base64.StdEncoding.DecodeString(r.header.Get("X-Twilio-Email-Event-Webhook-Signature"))
	if err != nil || len(signature) == 0 {
		return errForged
	}
	hash := sha256.New()
	hash.Write([]byte(stamp))
	hash.Write(r.body)
	if !ecdsa.VerifyASN1(s.key, hash.Sum(nil), signature) {
		return errForged
	}
	return s.clock.checkUnix(stamp)
}

// checkUnix is check of a time in seconds, as text.
func (c clock) checkUnix(text string) error {
	unix, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return errStale
	}
	return c.check(time.Unix(unix, 0))
}

type sendGridEvent struct {
	Event     string  `json:"event"`
	Timestamp float64 `json:"timestamp"`
	ID        string  `json:"sg_event_id"`
	MessageID string  `json:"sg_message_id"`
	SMTPID    string  `json:"smtp-id"`
	Delivery  string  `json:"herald-delivery"`
	Type      string  `json:"type"` // of a bounce: bounce, or blocked
	Status    string  `json:"status"`
	Reason    string  `json:"reason"`
	Response  string  `json:"response"`
	Machine   bool    `json:"sg_machine_open"`
}

// read takes an array of events. One that cannot be read is left out: the
// others must not be lost for it.
func (s sendGrid) read(_ context.Context, r request) ([]dispatch.Report, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(r.body, &list); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	var reports []dispatch.Report
	for _, raw := range list {
		var e sendGridEvent
		if err := json.Unmarshal(raw, &e); err != nil {
			continue
		}
		if report, told := e.report(); told {
			report.Key = keyOf(SendGrid, s.account, e.ID, e.Event)
			reports = append(reports, report)
		}
	}
	return reports, nil
}

func (e sendGridEvent) report() (dispatch.Report, bool) {
	r, named := mailReport(e.Delivery, e.SMTPID, e.providerID())
	switch r.At = seconds(e.Timestamp); e.Event {
	case "delivered":
		r.Event = dispatch.ReportDelivered
		say(&r, e.Response)
	case "deferred":
		r.Event = dispatch.ReportDelayed
		say(&r, e.Response)
	case "bounce":
		r.Event = dispatch.ReportBounced
		say(&r, e.Status+" "+e.Reason)
		r.AddressDead = r.AddressDead && e.Type != "blocked" // it was us, not the address
	case "dropped":
		e.dropped(&r)
	case "open", "click":
		if !e.Machine { // Apple's privacy proxy opens everything
			r.Event = dispatch.ReportRead
		}
	case "spamreport":
		r.Event = dispatch.ReportComplained
	case "unsubscribe", "group_unsubscribe":
		r.Event = dispatch.ReportUnsubscribed
	}
	return r, named && r.Event != ""
}

// providerID is the id that SendGrid gave when it took the message: its own
// name for it begins with that, and goes on with the machines it passed,
// ".filter0001.16648…" or ".recvd-…".
func (e sendGridEvent) providerID() string {
	id, _, _ := strings.Cut(e.MessageID, ".filter")
	id, _, _ = strings.Cut(id, ".recvd-")
	return id
}

// dropped is a message that SendGrid did not even try, because of what it
// remembers of the address.
func (e sendGridEvent) dropped(r *dispatch.Report) {
	r.Event = dispatch.ReportBounced
	say(r, e.Reason)
	switch e.Reason {
	case "Bounced Address", "Invalid":
		r.AddressDead = true
	case "Unsubscribed Address":
		r.Event = dispatch.ReportUnsubscribed
	case "Spam Reporting Address":
		r.Event = dispatch.ReportComplained
	}
}
