package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"herald/campaigns"
	"herald/dispatch"
	"herald/dispatch/email"
	"herald/subscriptions"
	"herald/templates"
)

// EmailOptions says what Email sends.
type EmailOptions struct {
	Where
	Recipients int
}

// EmailResult is what a campaign took, from its start to its finished ledger.
type EmailResult struct {
	Recipients        int     `json:"recipients"`
	MessagesPerSecond float64 `json:"messages_per_second"` // over the whole campaign, preparing included
	// PreparedPerSecond is how fast its notifications were made, while the
	// first were being sent already.
	PreparedPerSecond float64 `json:"prepared_per_second"`
	PrepareSeconds    float64 `json:"prepare_seconds"`
	Seconds           float64 `json:"seconds"`
	// FloorPerSecond is what a bare sender of one prebuilt message reached over
	// as many connections, in the fastest dialogue there is; PlainPerSecond in
	// the dialogue of a plain client.
	FloorPerSecond     float64         `json:"floor_per_second"`
	PlainPerSecond     float64         `json:"plain_floor_per_second"`
	CPUSeconds         float64         `json:"cpu_seconds"`          // of Herald
	DatabaseCPUSeconds float64         `json:"database_cpu_seconds"` // of the private PostgreSQL; 0: not ours
	PeakRSS            int64           `json:"peak_rss_bytes"`       // of Herald
	Ledger             dispatch.Ledger `json:"ledger"`
}

// Email sends a campaign to so many members and says what it took.
func Email(ctx context.Context, o EmailOptions) (result EmailResult, err error) {
	s, err := mailStage(ctx, o.Where)
	if err != nil {
		return EmailResult{}, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if err := s.seed(ctx, mail(o.Recipients)); err != nil {
		return EmailResult{}, err
	}
	result = EmailResult{Recipients: o.Recipients}
	if err := result.floor(ctx, o); err != nil {
		return EmailResult{}, err
	}
	if err := s.herald.Start(ctx); err != nil {
		return EmailResult{}, err
	}
	usage := beginUsage(0)
	sent, err := s.send(ctx, mailPlan(o.Recipients))
	if err != nil {
		return EmailResult{}, err
	}
	result.Seconds, result.PrepareSeconds = sent.took.Seconds(), sent.prepared.Seconds()
	result.MessagesPerSecond = float64(o.Recipients) / result.Seconds
	result.PreparedPerSecond = float64(o.Recipients) / result.PrepareSeconds
	used, err := usage.end()
	if err != nil {
		return EmailResult{}, err
	}
	result.CPUSeconds, result.DatabaseCPUSeconds, result.PeakRSS = used.own, used.database, used.peak
	result.Ledger, err = s.herald.Campaigns.RunLedger(ctx, sent.run)
	return result, err
}

// floor measures the bare sender with a message like the campaign's.
func (r *EmailResult) floor(ctx context.Context, o EmailOptions) error {
	host, port, err := splitAddress("the mail server", o.SMTP)
	if err != nil {
		return err
	}
	mailer, err := email.NewMailer(email.Account{Name: "floor", Host: host, Port: port, TLS: "none", From: "shop@shop.example"}, "", nil)
	if err != nil {
		return err
	}
	message := dispatch.Message{
		WireID: "01990000-0000-7000-8000-000000000000", Address: "bench@members.example", Name: "Member",
		Purpose: subscriptions.Marketing, UnsubscribeURL: "https://shop.example/u/0123456789",
	}
	message.Content, err = templates.NewStore(nil, nil, time.Now).Preview(ctx, templates.Template{
		Name: "floor", Channel: "email", Locale: "en", Subject: subject, HTML: html(), Body: body(),
	}, map[string]any{"member": map[string]any{"name": "Member"}, "links": map[string]any{"unsubscribe": message.UnsubscribeURL}})
	if err != nil {
		return err
	}
	run := email.FloorRun{Connections: o.Sessions, Messages: min(o.Recipients, 50_000), Message: message, Pipelining: true}
	if r.FloorPerSecond, err = mailer.Floor(ctx, run); err != nil {
		return fmt.Errorf("measure the floor: %w", err)
	}
	run.Pipelining = false
	if r.PlainPerSecond, err = mailer.Floor(ctx, run); err != nil {
		return fmt.Errorf("measure the floor: %w", err)
	}
	return nil
}

// mailPlan is a campaign to everybody.
func mailPlan(recipients int) campaigns.Plan {
	return campaigns.Plan{
		Name:     fmt.Sprintf("Benchmark to %d", recipients),
		Segment:  campaigns.Segment{All: true},
		Channels: []subscriptions.Channel{subscriptions.Email},
		Messages: []campaigns.Wording{{Channel: subscriptions.Email, Locale: "en", Subject: subject, HTML: html(), Body: body()}},
	}
}

// A message of two parts, about 2 kB with its head.
const subject = "{{ member.name }}, something for you"

func html() string {
	return `<!doctype html><html><body><p>Dear {{ member.name }},</p>` +
		strings.Repeat(`<p>This week we have a few things that we think you will like to see.</p>`, 8) +
		`<p><a href="{{ links.unsubscribe }}">No more of these</a></p></body></html>`
}

func body() string {
	return "Dear {{ member.name }},\n\n" +
		strings.Repeat("This week we have a few things that we think you will like.\n", 8) +
		"\nNo more of these: {{ links.unsubscribe }}\n"
}
