package receipts

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"herald/dispatch"
)

// mailgun is the webhooks of Mailgun ("Securing Webhooks", "Webhook Payloads"
// and "Automatic Retries", documentation.mailgun.com/docs/mailgun/user-manual/webhooks).
type mailgun struct {
	account string
	key     []byte
	clock   clock
}

type mailgunHook struct {
	Signature struct {
		Timestamp string `json:"timestamp"`
		Token     string `json:"token"`
		Signature string `json:"signature"`
	} `json:"signature"`
	Event mailgunEvent `json:"event-data"`
}

type mailgunEvent struct {
	Event     string  `json:"event"`
	Timestamp float64 `json:"timestamp"`
	Severity  string  `json:"severity"` // of failed: permanent, or temporary
	Reason    string  `json:"reason"`
	Status    struct {
		Code        json.Number `json:"code"`
		Enhanced    string      `json:"enhanced-code"`
		Message     string      `json:"message"`
		Description string      `json:"description"`
	} `json:"delivery-status"`
	Message struct {
		Headers struct {
			MessageID string `json:"message-id"`
		} `json:"headers"`
	} `json:"message"`
	Variables map[string]any `json:"user-variables"`
	Client    struct {
		Bot string `json:"bot"`
	} `json:"client-info"`
}

// verify checks a hexadecimal HMAC over timestamp and token.
func (m mailgun) verify(_ context.Context, r request) error {
	var h mailgunHook
	if err := json.Unmarshal(r.body, &h); err != nil {
		return errForged
	}
	mac := hmac.New(sha256.New, m.key)
	mac.Write([]byte(h.Signature.Timestamp + h.Signature.Token))
	given, err := hex.DecodeString(h.Signature.Signature)
	// Without a separator a digit of the token could be moved into the time:
	// tokens are 50 hexadecimal digits, times ten decimal ones.
	if err != nil || len(h.Signature.Timestamp) != 10 || !hmac.Equal(given, mac.Sum(nil)) {
		return errForged
	}
	return m.clock.checkUnix(h.Signature.Timestamp)
}

func (m mailgun) read(_ context.Context, r request) ([]dispatch.Report, error) {
	var h mailgunHook
	if err := json.Unmarshal(r.body, &h); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	report, told := h.Event.report()
	if !told {
		return nil, nil
	}
	report.Key = keyOf(Mailgun, m.account, h.Signature.Token)
	return []dispatch.Report{report}, nil
}

func (e mailgunEvent) report() (dispatch.Report, bool) {
	custom, _ := e.Variables[DeliveryKey].(string)
	id := strings.Trim(e.Message.Headers.MessageID, "<> ")
	r, named := mailReport(custom, id, id)
	switch r.At = seconds(e.Timestamp); e.Event {
	case "delivered":
		r.Event = dispatch.ReportDelivered
		e.say(&r)
	case "failed":
		e.failed(&r)
	case "rejected": // by Mailgun itself
		r.Event, r.Detail = dispatch.ReportBounced, "refused by the provider"
	case "opened", "clicked":
		if e.Client.Bot == "" { // a person, as far as Mailgun can tell
			r.Event = dispatch.ReportRead
		}
	case "complained":
		r.Event = dispatch.ReportComplained
	case "unsubscribed":
		r.Event = dispatch.ReportUnsubscribed
	}
	return r, named && r.Event != ""
}

// say gives the reply's code in front of its words, where they do not begin
// with it.
func (e mailgunEvent) say(r *dispatch.Report) {
	words := e.Status.Message
	if words == "" {
		words = e.Status.Description
	}
	if code, err := strconv.Atoi(e.Status.Code.String()); err == nil && code >= 200 && code < 600 && !strings.HasPrefix(words, e.Status.Code.String()) {
		words = fmt.Sprintf("%d %s %s", code, e.Status.Enhanced, words)
	}
	say(r, words)
}

func (e mailgunEvent) failed(r *dispatch.Report) {
	r.Event = dispatch.ReportBounced
	if e.Severity == "temporary" {
		r.Event = dispatch.ReportDelayed
	}
	e.say(r)
	if e.Severity == "temporary" {
		return
	}
	switch e.Reason {
	case "suppress-bounce": // not tried: Mailgun remembers a bounce
		r.AddressDead = true
	case "suppress-unsubscribe":
		r.Event = dispatch.ReportUnsubscribed
	case "suppress-complaint":
		r.Event = dispatch.ReportComplained
	case "old": // tried for too long
		r.Event, r.AddressDead = dispatch.ReportExpired, false
	}
}
