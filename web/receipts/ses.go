package receipts

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"herald/dispatch"
	"herald/problem"
)

// ses is the events of Amazon SES, published to an SNS topic as notifications
// or as events of a configuration set ("Amazon SNS notification contents" and
// "Contents of event data", docs.aws.amazon.com/ses/latest/dg).
type ses struct {
	account      string
	topic        topic
	certificates *certificates
	clock        clock
	logger       *slog.Logger
}

func newSES(a Account, cfg Config, c clock, at string, mistakes *problem.Fields) scheme {
	t, err := newTopic(a.Topic)
	if err != nil {
		mistakes.Add(at+".topic", "format", "%v", err)
		return nil
	}
	return ses{account: a.Name, topic: t, certificates: newCertificates(cfg), clock: c, logger: cfg.Logger}
}

// verify looks at the topic first: other people's are signed as well.
func (s ses) verify(ctx context.Context, r request) error {
	var n notice
	if err := json.Unmarshal(r.body, &n); err != nil || n.TopicArn != s.topic.arn || !s.topic.certificateAt(n.SigningCertURL) {
		return errForged
	}
	switch n.Type {
	case notification, subscriptionConfirmation, unsubscribeConfirmation:
	default:
		return errForged
	}
	key, err := s.certificates.key(ctx, n.SigningCertURL)
	if err != nil {
		return err
	}
	if !n.isSignedBy(key) {
		return errForged
	}
	return s.clock.check(instant(n.Timestamp))
}

func (s ses) read(ctx context.Context, r request) ([]dispatch.Report, error) {
	var n notice
	if err := json.Unmarshal(r.body, &n); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	switch n.Type {
	case subscriptionConfirmation:
		return nil, s.confirm(ctx, n)
	case unsubscribeConfirmation:
		s.logger.WarnContext(ctx, "the subscription of receipts to its topic has ended: no more of them will come", "account", s.account)
		return nil, nil
	}
	var e sesEvent
	if err := json.Unmarshal([]byte(n.Message), &e); err != nil {
		return nil, nil // SNS and SES write words to try a topic out
	}
	report, told := e.report()
	if !told {
		return nil, nil
	}
	report.Key = keyOf(SES, s.account, n.MessageID)
	return []dispatch.Report{report}, nil
}

// confirm agrees to a subscription of our own topic, whose request was signed,
// by calling the same host that signed it.
func (s ses) confirm(ctx context.Context, n notice) error {
	if !s.topic.confirmsAt(n.SubscribeURL) {
		return errForged
	}
	if _, err := s.certificates.fetch(ctx, n.SubscribeURL); err != nil {
		return fmt.Errorf("%w: confirm the subscription: %w", errBusy, err)
	}
	s.logger.InfoContext(ctx, "receipts are subscribed to their topic", "account", s.account)
	return nil
}

type sesEvent struct {
	Notification string `json:"notificationType"`
	Event        string `json:"eventType"`
	Mail         struct {
		MessageID string              `json:"messageId"`
		Tags      map[string][]string `json:"tags"`
		Headers   []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"headers"`
	} `json:"mail"`
	Bounce struct {
		Type       string         `json:"bounceType"`
		SubType    string         `json:"bounceSubType"`
		Recipients []sesRecipient `json:"bouncedRecipients"`
		Timestamp  string         `json:"timestamp"`
	} `json:"bounce"`
	Complaint struct {
		FeedbackType string `json:"complaintFeedbackType"`
		Timestamp    string `json:"timestamp"`
	} `json:"complaint"`
	Delivery struct {
		Timestamp string `json:"timestamp"`
		Response  string `json:"smtpResponse"`
	} `json:"delivery"`
	Delay struct {
		Type       string         `json:"delayType"`
		Recipients []sesRecipient `json:"delayedRecipients"`
		Timestamp  string         `json:"timestamp"`
	} `json:"deliveryDelay"`
	Reject struct {
		Reason string `json:"reason"`
	} `json:"reject"`
	Open, Click struct {
		Timestamp string `json:"timestamp"`
	}
	Subscription struct {
		Timestamp string `json:"timestamp"`
		New       struct {
			UnsubscribeAll bool `json:"unsubscribeAll"`
		} `json:"newTopicPreferences"`
	} `json:"subscription"`
}

type sesRecipient struct {
	Action     string `json:"action"`
	Status     string `json:"status"`
	Diagnostic string `json:"diagnosticCode"`
}

func (r sesRecipient) words() string {
	if r.Diagnostic != "" {
		return r.Diagnostic
	}
	return r.Status
}

func (e sesEvent) report() (dispatch.Report, bool) {
	custom, messageID := "", ""
	if tags := e.Mail.Tags[DeliveryKey]; len(tags) == 1 {
		custom = tags[0]
	}
	for _, h := range e.Mail.Headers {
		switch strings.ToLower(h.Name) {
		case "x-herald-delivery":
			if custom == "" {
				custom = h.Value
			}
		case "message-id":
			messageID = h.Value
		}
	}
	r, named := mailReport(custom, messageID, e.Mail.MessageID)
	switch e.Notification + e.Event {
	case "Bounce":
		e.bounced(&r)
	case "Complaint":
		e.complained(&r)
	case "Delivery":
		r.Event, r.At = dispatch.ReportDelivered, instant(e.Delivery.Timestamp)
		say(&r, e.Delivery.Response)
	case "DeliveryDelay":
		r.Event, r.At = dispatch.ReportDelayed, instant(e.Delay.Timestamp)
		if len(e.Delay.Recipients) > 0 {
			say(&r, e.Delay.Recipients[0].words())
		}
	case "Reject", "Rendering Failure":
		r.Event, r.Detail = dispatch.ReportBounced, "refused by the provider"
	case "Open":
		r.Event, r.At = dispatch.ReportRead, instant(e.Open.Timestamp)
	case "Click":
		r.Event, r.At = dispatch.ReportRead, instant(e.Click.Timestamp)
	case "Subscription":
		if r.At = instant(e.Subscription.Timestamp); e.Subscription.New.UnsubscribeAll {
			r.Event = dispatch.ReportUnsubscribed
		}
	}
	return r, named && r.Event != ""
}

// bounced reads a bounce. SES calls the answer of an absent reader a transient
// bounce too, of a recipient without action and status: that is not the end of
// the message, so it counts as a delay at most.
func (e sesEvent) bounced(r *dispatch.Report) {
	r.At = instant(e.Bounce.Timestamp)
	var first sesRecipient
	if len(e.Bounce.Recipients) > 0 {
		first = e.Bounce.Recipients[0]
	}
	r.Event = dispatch.ReportBounced
	if e.Bounce.Type == "Transient" && first.Action != "failed" && first.Status == "" {
		r.Event = dispatch.ReportDelayed
	}
	say(r, first.words())
	if e.Bounce.Type != "Permanent" {
		r.AddressDead = false
		return
	}
	switch e.Bounce.SubType {
	case "General":
		r.AddressDead = r.AddressDead || first.words() == "" // no more is said of some hard bounces
	case "Suppressed": // not tried: it bounced before, for SES as a whole
		r.AddressDead = true
	}
}

// complained leaves out what is no complaint of a reader (RFC 5965, section
// 7.3, and RFC 6591).
func (e sesEvent) complained(r *dispatch.Report) {
	r.At, r.Code = instant(e.Complaint.Timestamp), shorten(e.Complaint.FeedbackType)
	switch e.Complaint.FeedbackType {
	case "not-spam", "auth-failure", "virus":
	default:
		r.Event = dispatch.ReportComplained
	}
}
