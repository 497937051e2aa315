package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"herald/access"
	"herald/subscriptions"
)

// AlertOptions says what Alert times.
type AlertOptions struct {
	Where
	Alerts     int // one after another, when nothing else is going on
	Recipients int // of the campaign beside which more alerts are sent
}

// AlertResult is how long one event takes from its POST to the DATA of its
// message at the mail server.
type AlertResult struct {
	Idle           Latency `json:"idle"`
	BesideCampaign Latency `json:"beside_campaign"`
	// CampaignPerSecond is how fast the campaign went meanwhile, preparing included.
	CampaignPerSecond float64 `json:"campaign_messages_per_second"`
}

// Latency is how a number of times spread.
type Latency struct {
	Alerts int     `json:"alerts"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
}

func latencyOf(times []time.Duration) Latency {
	if len(times) == 0 {
		return Latency{}
	}
	slices.Sort(times)
	at := func(part float64) float64 {
		return times[min(int(part*float64(len(times))), len(times)-1)].Seconds() * 1e3
	}
	return Latency{Alerts: len(times), P50: at(0.5), P99: at(0.99), Max: at(1)}
}

// alerted is the address of the one member who hears of events.
const alerted = "alerted@members.example"

// Alert times alerts alone and beside a campaign at full speed. The mail goes
// to the server through a relay of this process, which sees each message pass.
func Alert(ctx context.Context, o AlertOptions) (result AlertResult, err error) {
	relay, err := newRelay(o.SMTP, "RCPT TO:<"+alerted+">")
	if err != nil {
		return AlertResult{}, err
	}
	defer func() { err = errors.Join(err, relay.close()) }()
	o.SMTP = relay.address()
	s, err := mailStage(ctx, o.Where)
	if err != nil {
		return AlertResult{}, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if err := s.seed(ctx, mail(o.Recipients)); err != nil {
		return AlertResult{}, err
	}
	caller, err := s.listener(ctx)
	if err != nil {
		return AlertResult{}, err
	}
	if err := s.herald.Start(ctx); err != nil {
		return AlertResult{}, err
	}
	const first = 20 // connections open and statements are prepared
	times, err := caller.alerts(ctx, relay, o.Alerts+first, nil)
	if err != nil {
		return AlertResult{}, err
	}
	result.Idle = latencyOf(times[first:])
	return result, s.beside(ctx, o, caller, relay, &result)
}

// beside sends alerts while a campaign goes.
func (s *stage) beside(ctx context.Context, o AlertOptions, caller *caller, relay *relay, result *AlertResult) error {
	done := make(chan struct{})
	var ended error
	var took time.Duration
	go func() {
		defer close(done)
		var campaign sent
		campaign, ended = s.send(ctx, mailPlan(o.Recipients))
		took = campaign.took
	}()
	times, err := caller.alerts(ctx, relay, 1_000_000, done)
	<-done
	result.BesideCampaign = latencyOf(times)
	result.CampaignPerSecond = float64(o.Recipients) / took.Seconds()
	return errors.Join(err, ended)
}

// caller posts events as a company's system would.
type caller struct {
	url, key string
	client   http.Client
	sent     int
}

// listener makes the member who hears of events, and whoever posts them.
func (s *stage) listener(ctx context.Context) (*caller, error) {
	member, err := s.herald.Members.Register(ctx, subscriptions.Registration{
		Account: "alerted", DisplayName: "Alerted", Locale: "en", TimeZone: "UTC", Origin: "api",
		Contacts: []subscriptions.NewContact{{Channel: subscriptions.Email, Address: alerted, Verified: true}},
		Consents: []subscriptions.NewConsent{{Channel: subscriptions.Email, Purpose: subscriptions.Service, Granted: true, Source: "api", Evidence: "benchmark"}},
	})
	if err != nil {
		return nil, fmt.Errorf("register a member: %w", err)
	}
	always := subscriptions.Duration(0)
	_, err = s.herald.Subscriptions.Create(ctx, subscriptions.Order{
		MemberID: member.ID, Trigger: "price_drop", Params: map[string]any{"product": "bench", "target": 100.0},
		Channels: []subscriptions.Channel{subscriptions.Email}, CoolDown: &always, Origin: "api", Actor: "operator:bench",
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	_, key, err := s.herald.Keys.Create(ctx, "bench", []access.Scope{access.EventsWrite})
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return &caller{url: s.herald.URL() + "/api/v1/events", key: key, client: http.Client{Timeout: 30 * time.Second}}, nil
}

// alerts posts n events, one after another, each when the message of the one
// before has passed; it stops when enough is closed.
func (c *caller) alerts(ctx context.Context, r *relay, n int, enough <-chan struct{}) ([]time.Duration, error) {
	var times []time.Duration
	for range n {
		select {
		case <-enough:
			return times, nil
		default:
		}
		began := time.Now()
		if err := c.post(ctx); err != nil {
			return times, err
		}
		select {
		case at := <-r.passed:
			times = append(times, at.Sub(began))
		case <-time.After(time.Minute):
			return times, errors.New("an alert did not pass within a minute")
		case <-ctx.Done():
			return times, ctx.Err()
		}
	}
	return times, nil
}

// post sends one event that the member hears of.
func (c *caller) post(ctx context.Context) error {
	c.sent++
	body, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": fmt.Sprint("bench-", c.sent), "source": "bench", "type": "price.changed",
		"data": map[string]any{"product": "bench", "name": "Bench", "price": 42, "currency": "CNY"},
	})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	request.Header.Set("Content-Type", "application/cloudevents+json")
	answer, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("post an event: %w", err)
	}
	said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if closing := answer.Body.Close(); err == nil {
		err = closing
	}
	if err == nil && answer.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("status %d: %.300s", answer.StatusCode, said)
	}
	if err != nil {
		return fmt.Errorf("post an event: %w", err)
	}
	return nil
}
