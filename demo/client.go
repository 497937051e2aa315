package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// client speaks to Herald's API as a company's systems would.
type client struct {
	base string // Herald's URL
	key  string // Bearer
	http http.Client
}

func newClient(base, key string) *client {
	return &client{base: base, key: key, http: http.Client{Timeout: 30 * time.Second}}
}

// post sends body as JSON and reads the answer into answer, when not nil.
func (c *client) post(ctx context.Context, path, contentType string, body, answer any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("cannot encode for %s: %w", path, err)
	}
	return c.do(ctx, http.MethodPost, path, contentType, encoded, answer)
}

// put sends body as JSON.
func (c *client) put(ctx context.Context, path string, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("cannot encode for %s: %w", path, err)
	}
	return c.do(ctx, http.MethodPut, path, "application/json", encoded, nil)
}

func (c *client) do(ctx context.Context, method, path, contentType string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.500s", method, path, res.Status, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// event is a CloudEvent as the shop sends it.
type event struct {
	SpecVersion string         `json:"specversion"`
	ID          string         `json:"id"`
	Source      string         `json:"source"`
	Type        string         `json:"type"`
	Time        time.Time      `json:"time"`
	ContentType string         `json:"datacontenttype"`
	Data        map[string]any `json:"data"`
}

func newEvent(id, kind string, at time.Time, data map[string]any) event {
	return event{
		SpecVersion: "1.0", ID: id, Source: "shop", Type: kind, Time: at.UTC(),
		ContentType: "application/json", Data: data,
	}
}

// result is what Herald says became of an event.
type result struct {
	ID            string `json:"id"`
	Status        string `json:"status"`
	Matches       int    `json:"matches"`
	Notifications int    `json:"notifications"`
}

// send posts events as one batch and gives a result for each.
func (c *client) send(ctx context.Context, events []event) ([]result, error) {
	var answer struct {
		Results []result `json:"results"`
	}
	err := c.post(ctx, "/api/v1/events", "application/cloudevents-batch+json", events, &answer)
	return answer.Results, err
}
