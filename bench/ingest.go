package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"herald/access"
	"herald/app/config"
	"herald/matcher/predicate"
)

// IngestOptions say how many events are sent, and how.
type IngestOptions struct {
	DatabaseURL   string // empty: a private server in a temporary directory
	Subscriptions int    // in force, each waiting for a product of its own
	Events        int    // for each rate of matches
	Callers       int    // clients at once
	Batch         int    // events of one request
	Recipients    int    // of the one event that very many wait for
	Log           *slog.Logger
}

// IngestResult is how fast events were durably accepted over HTTP, with all
// that they caused, while nothing was sent.
type IngestResult struct {
	// EventsPerSecond is by how many subscriptions each event met on average.
	EventsPerSecond map[string]float64 `json:"events_per_second"`
	LatencyP99      float64            `json:"latency_p99_ms"` // of a request, at 0.1 matches
	// OneByOne is the same at 0.1 matches with a request for each event.
	OneByOne Requests `json:"one_by_one"`
	// RememberingChanges is at 0.1 matches while there is also a trigger on
	// changes (price_fall), for which every event is compared with the one
	// before it and remembered.
	RememberingChanges Requests `json:"remembering_changes"`
	// FanOut is how long the POST took of the event that all recipients wait
	// for, and FanOutDone when each of them had their decision.
	Recipients int     `json:"recipients"`
	FanOut     float64 `json:"fanout_ms"`
	FanOut100k float64 `json:"fanout_100k_ms,omitempty"` // the same, where there were 100,000
	FanOutDone float64 `json:"fanout_decided_ms"`

	CPUSeconds         float64 `json:"cpu_seconds"`
	DatabaseCPUSeconds float64 `json:"database_cpu_seconds"`
	PeakRSS            int64   `json:"peak_rss_bytes"`
}

// Requests is a rate and its latency.
type Requests struct {
	EventsPerSecond float64 `json:"events_per_second"`
	LatencyP99      float64 `json:"latency_p99_ms"`
}

// Ingest measures how fast events come in.
func Ingest(ctx context.Context, o IngestOptions) (result IngestResult, err error) {
	s, err := newStage(ctx, o.DatabaseURL, o.Log, func(cfg *config.Config) {
		cfg.Roles = []string{"web"}
		cfg.API.RequestsPerSecond, cfg.API.Burst = 1_000_000, 1_000_000
		// Nothing is sent: no node dispatches. But e-mail could be.
		cfg.Email.Accounts = []config.EmailAccount{{Name: accountName, Host: "127.0.0.1", Port: 9, TLS: "none", From: "shop@shop.example", Timeout: time.Second}}
	})
	if err != nil {
		return IngestResult{}, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if err := s.seed(ctx, mail(max(o.Subscriptions, o.Recipients))); err != nil {
		return IngestResult{}, err
	}
	if err := s.subscribeAll(ctx, o.Subscriptions, func(i int) string { return fmt.Sprintf("p%d", i) }); err != nil {
		return IngestResult{}, err
	}
	if err := s.subscribeAll(ctx, o.Recipients, func(int) string { return "everybody" }); err != nil {
		return IngestResult{}, err
	}
	if err := s.switchTrigger(ctx, changeTrigger, false); err != nil {
		return IngestResult{}, err
	}
	_, key, err := s.herald.Keys.Create(ctx, "bench", []access.Scope{access.EventsWrite})
	if err != nil {
		return IngestResult{}, fmt.Errorf("make a key: %w", err)
	}
	if err := s.herald.Start(ctx); err != nil {
		return IngestResult{}, err
	}
	c := &crier{
		url: s.herald.URL() + "/api/v1/events", key: key, products: o.Subscriptions,
		client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: o.Callers}},
	}
	return result, c.measure(ctx, s, o, &result)
}

func (c *crier) measure(ctx context.Context, s *stage, o IngestOptions, result *IngestResult) error {
	usage := beginUsage(0)
	if _, err := c.cry(ctx, o.Callers, o.Batch, min(o.Events, 20_000), 0.1); err != nil { // connections open, statements are prepared
		return err
	}
	result.EventsPerSecond = map[string]float64{}
	for name, matches := range map[string]float64{"0": 0, "0.1": 0.1, "1": 1} {
		cried, err := c.cry(ctx, o.Callers, o.Batch, o.Events, matches)
		if err != nil {
			return err
		}
		result.EventsPerSecond[name] = cried.EventsPerSecond
		if name == "0.1" {
			result.LatencyP99 = cried.LatencyP99
		}
	}
	var err error
	if result.OneByOne, err = c.cry(ctx, o.Callers, 1, o.Events/4, 0.1); err != nil {
		return err
	}
	if err := c.fanOut(ctx, s, o.Recipients, result); err != nil {
		return err
	}
	if err := s.switchTrigger(ctx, changeTrigger, true); err != nil {
		return err
	}
	if result.RememberingChanges, err = c.cry(ctx, o.Callers, o.Batch, o.Events/2, 0.1); err != nil {
		return err
	}
	used, err := usage.end()
	result.CPUSeconds, result.DatabaseCPUSeconds, result.PeakRSS = used.own, used.database, used.peak
	return err
}

// changeTrigger is the starter trigger on changes that shares its events with
// price_drop.
const changeTrigger = "price_fall"

func (s *stage) switchTrigger(ctx context.Context, name string, on bool) error {
	if err := s.herald.Triggers.SetEnabled(ctx, name, on, "operator:bench"); err != nil {
		return fmt.Errorf("switch %s: %w", name, err)
	}
	return nil
}

// fanOut sends the event that everybody waits for.
func (c *crier) fanOut(ctx context.Context, s *stage, recipients int, result *IngestResult) error {
	began := time.Now()
	if err := c.post(ctx, c.batch(1, func(int) string { return "everybody" })); err != nil {
		return err
	}
	took := time.Since(began)
	for {
		var decided int
		err := s.herald.DB.Pool().QueryRow(ctx, `SELECT count(*) FROM matches m JOIN subscriptions s ON s.id = m.subscription_id WHERE s.params ->> 'product' = 'everybody'`).Scan(&decided)
		if err != nil {
			return fmt.Errorf("count the decisions: %w", err)
		}
		if decided >= recipients {
			break
		}
		if time.Since(began) > 5*time.Minute {
			return fmt.Errorf("%d of %d recipients were decided on within five minutes", decided, recipients)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	result.Recipients, result.FanOut, result.FanOutDone = recipients, took.Seconds()*1e3, time.Since(began).Seconds()*1e3
	if recipients == 100_000 {
		result.FanOut100k = result.FanOut
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subscribeAll gives the first members a subscription each, as importing them
// would: a price of 100 for a product.
func (s *stage) subscribeAll(ctx context.Context, n int, product func(i int) string) error {
	if n == 0 {
		return nil
	}
	trigger, err := s.herald.Triggers.Get(ctx, "price_drop")
	if err != nil {
		return fmt.Errorf("find the trigger: %w", err)
	}
	condition, err := trigger.Compile()
	if err != nil {
		return fmt.Errorf("compile the trigger: %w", err)
	}
	products := make([]string, n)
	keys, bounds := make([]string, n), make([]float64, n)
	for i := range n {
		products[i] = product(i)
		waits, err := condition.Keys(map[string]any{"product": products[i], "target": 100.0}, predicate.Member{})
		if err != nil {
			return fmt.Errorf("find what a subscription waits on: %w", err)
		}
		keys[i], bounds[i] = waits[0].Key, waits[0].Bound
	}
	_, err = s.herald.DB.Pool().Exec(ctx, `
WITH wished AS (SELECT * FROM unnest($1::text[], $2::text[], $3::float8[]) WITH ORDINALITY AS w (product, key, bound, i)),
made AS (
    INSERT INTO subscriptions (member_id, trigger, params, channels, cool_down, origin)
    SELECT m.id, 'price_drop', jsonb_build_object('product', w.product, 'target', 100), '{email}', '0', 'import'
    FROM wished w JOIN members m ON m.account = 'bench' || w.i
    RETURNING id, member_id
), anchored AS (
    INSERT INTO subscription_anchors (subscription_id, trigger, key, bound)
    SELECT made.id, 'price_drop', w.key, w.bound
    FROM made JOIN members m ON m.id = made.member_id JOIN wished w ON m.account = 'bench' || w.i
)
INSERT INTO anchor_changes (trigger, subscription_id) SELECT 'price_drop', id FROM made`, products, keys, bounds)
	if err != nil {
		return fmt.Errorf("make subscriptions: %w", err)
	}
	return nil
}

// crier sends events.
type crier struct {
	url, key string
	client   *http.Client
	products int
	number   atomic.Int64
}

// cry sends n events by so many callers at once, each of which meets so many
// subscriptions on average.
func (c *crier) cry(ctx context.Context, callers, batch, n int, matches float64) (Requests, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var left atomic.Int64
	left.Store(int64(n))
	times := make([][]time.Duration, callers)
	began := time.Now()
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for left.Add(-int64(batch)) >= 0 && ctx.Err() == nil {
				body := c.batch(batch, func(i int) string { return c.product(i, matches) })
				start := time.Now()
				if err := c.post(ctx, body); err != nil {
					cancel(err)
					return
				}
				times[caller] = append(times[caller], time.Since(start))
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	var each []time.Duration
	for _, t := range times {
		each = append(each, t...)
	}
	return Requests{EventsPerSecond: float64(len(each)*batch) / took.Seconds(), LatencyP99: latencyOf(each).P99}, context.Cause(ctx)
}

// product is what event number i is about: one that somebody waits for as
// often as matches says.
func (c *crier) product(i int, matches float64) string {
	if matches > 0 && i%int(1/matches) == 0 {
		return fmt.Sprintf("p%d", i*7919%c.products)
	}
	return fmt.Sprintf("unknown%d", i)
}

// batch is a request's body.
func (c *crier) batch(n int, product func(i int) string) []byte {
	var body bytes.Buffer
	body.WriteByte('[')
	for k := range n {
		i := int(c.number.Add(1))
		if k > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"specversion":"1.0","id":"b%d","source":"/bench","type":"price.changed","data":{"product":%q,"name":"Kettle","price":42.5,"currency":"CNY"}}`, i, product(i))
	}
	body.WriteByte(']')
	return body.Bytes()
}

func (c *crier) post(ctx context.Context, body []byte) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	request.Header.Set("Content-Type", "application/cloudevents-batch+json")
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("send events: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusAccepted {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return fmt.Errorf("send events: %s: %s", response.Status, text)
	}
	var answer struct{ Refused int }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("read what became of events: %w", err)
	}
	if answer.Refused > 0 {
		return fmt.Errorf("%d events were refused", answer.Refused)
	}
	return nil
}
