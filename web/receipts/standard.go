package receipts

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"herald/dispatch"
	"herald/dispatch/bounces"
	"herald/problem"
	"herald/subscriptions"
)

// standard is a webhook by the Standard Webhooks specification
// (standardwebhooks.com), for providers and gateways of one's own:
//
//	{"type": "delivery.bounced", "timestamp": "2026-03-11T10:12:14Z", "data": {
//	  "delivery": "0196…", "provider_id": "abc", "channel": "email",
//	  "code": "5.1.1", "detail": "no such user", "address_dead": true}}
//
// The type is delivery. and an event of dispatch.Report; delivery or
// provider_id names the delivery, and channel is required.
type standard struct {
	account string
	hook    *standardwebhooks.Webhook
	clock   clock
}

func newStandard(a Account, c clock, at string, mistakes *problem.Fields) scheme {
	const least = 24 // bytes, by the specification
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(a.Secret, "whsec_"))
	if err != nil || len(key) < least {
		mistakes.Add(at+".secret", "format", "must be whsec_ and at least %d bytes in base64", least)
		return nil
	}
	hook, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		mistakes.Add(at+".secret", "format", "cannot be used")
		return nil
	}
	return standard{account: a.Name, hook: hook, clock: c}
}

func (s standard) verify(_ context.Context, r request) error {
	if err := s.hook.VerifyIgnoringTimestamp(r.body, r.header); err != nil { // the time is checked by our clock
		return errForged
	}
	return s.clock.checkUnix(r.header.Get(standardwebhooks.HeaderWebhookTimestamp))
}

type standardEvent struct {
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"`
	Data      struct {
		Delivery    string                `json:"delivery"`
		ProviderID  string                `json:"provider_id"`
		Channel     subscriptions.Channel `json:"channel"`
		Code        string                `json:"code"`
		Detail      string                `json:"detail"`
		AddressDead bool                  `json:"address_dead"`
	} `json:"data"`
}

func (s standard) read(_ context.Context, r request) ([]dispatch.Report, error) {
	var e standardEvent
	if err := json.Unmarshal(r.body, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	name, ours := strings.CutPrefix(e.Type, "delivery.")
	event := dispatch.ReportEvent(name)
	switch event {
	case dispatch.ReportDelivered, dispatch.ReportBounced, dispatch.ReportDelayed, dispatch.ReportExpired,
		dispatch.ReportRead, dispatch.ReportComplained, dispatch.ReportUnsubscribed:
	default:
		ours = false
	}
	if !ours {
		return nil, nil // other news of the same sender
	}
	switch e.Data.Channel {
	case subscriptions.Email, subscriptions.SMS, subscriptions.Voice, subscriptions.Fax:
	default:
		return nil, fmt.Errorf("%w: there is no channel", errUnreadable)
	}
	report := dispatch.Report{
		Channel: e.Data.Channel, ProviderID: shorten(e.Data.ProviderID), Event: event, At: instant(e.Timestamp),
		Code: shorten(e.Data.Code), Detail: bounces.Diagnose(e.Data.Detail).Detail,
		AddressDead: e.Data.AddressDead && event == dispatch.ReportBounced,
		Key:         keyOf(Standard, s.account, r.header.Get(standardwebhooks.HeaderWebhookID)),
	}
	var named bool
	if report.DeliveryID, named = deliveryID(e.Data.Delivery); !named && report.ProviderID == "" {
		return nil, fmt.Errorf("%w: no delivery is named", errUnreadable)
	}
	return []dispatch.Report{report}, nil
}
