package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"herald/access"
	"herald/webhooks"
)

// Webhooks is what *webhooks.Store does.
type Webhooks interface {
	Create(ctx context.Context, n webhooks.NewEndpoint) (webhooks.Endpoint, string, error)
	List(ctx context.Context) ([]webhooks.Endpoint, error)
	Get(ctx context.Context, id int64) (webhooks.Endpoint, error)
	Change(ctx context.Context, id int64, c webhooks.Change) (webhooks.Endpoint, error)
	Delete(ctx context.Context, id int64) error
	Rotate(ctx context.Context, id int64, version int, by string) (webhooks.Endpoint, string, error)
	Ping(ctx context.Context, endpoint int64) (webhooks.Message, error)
	Messages(ctx context.Context, f webhooks.Filter) ([]webhooks.Message, error)
	Attempts(ctx context.Context, f webhooks.Filter) ([]webhooks.Attempt, error)
	Replay(ctx context.Context, endpoint int64, message uuid.UUID) error
	ReplayAll(ctx context.Context, endpoint int64, since time.Time, delivered bool) (int, error)
}

// NewWebhook is an endpoint to be made.
type NewWebhook struct {
	URL         string   `json:"url" required:"true" doc:"Where messages are posted: https, or http within the company's own networks." example:"https://shop.example/herald"`
	Types       []string `json:"types" required:"true" nullable:"false" maxItems:"50" doc:"What it listens to: types, all of a family (delivery.*), or everything (*)." example:"[\"delivery.*\"]"`
	Description string   `json:"description,omitempty"`
}

// WebhookChange changes an endpoint; what is absent stays as it is.
type WebhookChange struct {
	URL         *string  `json:"url,omitempty"`
	Types       []string `json:"types,omitempty" maxItems:"50"`
	Description *string  `json:"description,omitempty"`
	Enabled     *bool    `json:"enabled,omitempty" doc:"Off: its messages fail, and can be replayed later."`
	Version     int      `json:"version,omitempty" minimum:"1" doc:"Change it only while this is the stored version."`
}

// WebhookSecret is an endpoint with its new secret.
type WebhookSecret struct {
	webhooks.Endpoint
	Secret string `json:"secret" doc:"What its messages are signed with. It is shown this once." example:"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"`
}

// WebhookReplay says which messages to post again.
type WebhookReplay struct {
	Since     time.Time `json:"since,omitzero" doc:"Those announced at or after it; absent: all that are kept."`
	Delivered bool      `json:"delivered,omitempty" doc:"Those that were delivered, too: for a receiver that lost what it had."`
}

// WebhookReplayed says how many messages are posted again.
type WebhookReplayed struct {
	Replayed int `json:"replayed"`
}

// WebhookMessagePath asks for a message of an endpoint.
type WebhookMessagePath struct {
	NumberPath
	Message uuid.UUID `path:"message" doc:"The message's id, which is its webhook-id."`
}

func (a *API) addWebhooks() {
	const path, tag = "/webhooks/{id}", tagWebhooks
	read, write := access.WebhooksRead, access.WebhooksWrite
	add(a, operation{
		id: "list-webhook-types", method: http.MethodGet, path: "/webhooks/types", tag: tag, scope: read,
		summary: "List the types of events", description: "What endpoints can listen to.",
	}, a.listWebhookTypes)
	add(a, operation{
		id: "list-webhooks", method: http.MethodGet, path: "/webhooks", tag: tag, scope: read,
		summary: "List the endpoints", description: "Oldest first.",
	}, a.listWebhooks)
	add(a, operation{
		id: "create-webhook", method: http.MethodPost, path: "/webhooks", tag: tag, scope: write,
		summary: "Make an endpoint", status: http.StatusCreated, errors: []int{http.StatusConflict}, secret: true,
		description: "It begins enabled. The answer shows its secret, once.",
	}, a.createWebhook)
	add(a, operation{id: "get-webhook", method: http.MethodGet, path: path, tag: tag, scope: read, summary: "Read an endpoint"}, a.getWebhook)
	add(a, operation{
		id: "change-webhook", method: http.MethodPatch, path: path, tag: tag, scope: write,
		summary: "Change an endpoint, or switch it on or off", errors: []int{http.StatusConflict},
	}, a.changeWebhook)
	add(a, operation{
		id: "delete-webhook", method: http.MethodDelete, path: path, tag: tag, scope: write,
		summary: "Remove an endpoint", status: http.StatusNoContent, description: "What waits for it is not sent any more.",
	}, a.deleteWebhook)
	add(a, operation{
		id: "rotate-webhook-secret", method: http.MethodPost, path: path + "/secret", tag: tag, scope: write,
		summary: "Give an endpoint a new secret", secret: true,
		description: "The answer shows it, once. For a day messages are signed with the old one, too.",
	}, a.rotateWebhook)
	add(a, operation{
		id: "ping-webhook", method: http.MethodPost, path: path + "/ping", tag: tag, scope: write,
		summary: "Send a test message", status: http.StatusAccepted, description: "Of type test.ping, whatever it listens to and also when it is off; it is tried once.",
	}, a.pingWebhook)
	a.addWebhookHistory(path)
}

func (a *API) addWebhookHistory(path string) {
	const tag = tagWebhooks
	add(a, operation{
		id: "list-webhook-messages", method: http.MethodGet, path: path + "/messages", tag: tag, scope: access.WebhooksRead,
		summary: "List an endpoint's messages", description: "Newest first. Those delivered are kept for 7 days, those failed for 30.",
	}, a.webhookMessages)
	add(a, operation{
		id: "list-webhook-attempts", method: http.MethodGet, path: path + "/attempts", tag: tag, scope: access.WebhooksRead,
		summary: "List what was posted to an endpoint", description: "Newest first; kept as long as the message.",
	}, a.webhookAttempts)
	add(a, operation{
		id: "replay-webhook-message", method: http.MethodPost, path: path + "/messages/{message}/replay", tag: tag, scope: access.WebhooksWrite,
		summary: "Post a message again", status: http.StatusAccepted, errors: []int{http.StatusConflict},
		description: "At once, under the same webhook-id, on a schedule that begins anew.",
	}, a.replayWebhookMessage)
	add(a, operation{
		id: "replay-webhook", method: http.MethodPost, path: path + "/replay", tag: tag, scope: access.WebhooksWrite,
		summary: "Post again what an endpoint did not take", status: http.StatusAccepted, errors: []int{http.StatusConflict},
	}, a.replayWebhook)
}

func (*API) listWebhookTypes(context.Context, *struct{}) (*out[Page[webhooks.Type]], error) {
	return whole(webhooks.Types(), nil)
}

func (a *API) listWebhooks(ctx context.Context, _ *struct{}) (*out[Page[webhooks.Endpoint]], error) {
	return whole(a.cfg.Webhooks.List(ctx))
}

func (a *API) createWebhook(ctx context.Context, in *struct{ Body NewWebhook }) (*created[WebhookSecret], error) {
	made, secret, err := a.cfg.Webhooks.Create(ctx, webhooks.NewEndpoint{
		URL: in.Body.URL, Types: in.Body.Types, Description: in.Body.Description, By: callerOf(ctx).actor(),
	})
	if err != nil {
		return nil, err
	}
	return &created[WebhookSecret]{
		Location: root + "/webhooks/" + strconv.FormatInt(made.ID, 10), Body: WebhookSecret{Endpoint: made, Secret: secret},
	}, nil
}

func (a *API) getWebhook(ctx context.Context, in *NumberPath) (*out[webhooks.Endpoint], error) {
	return body(a.cfg.Webhooks.Get(ctx, in.ID))
}

func (a *API) changeWebhook(ctx context.Context, in *struct {
	NumberPath
	Body WebhookChange
},
) (*out[webhooks.Endpoint], error) {
	c := webhooks.Change{
		URL: in.Body.URL, Description: in.Body.Description, Enabled: in.Body.Enabled, Version: in.Body.Version, By: callerOf(ctx).actor(),
	}
	if in.Body.Types != nil {
		c.Types = &in.Body.Types
	}
	return body(a.cfg.Webhooks.Change(ctx, in.ID, c))
}

func (a *API) deleteWebhook(ctx context.Context, in *NumberPath) (*none, error) {
	return nothing(a.cfg.Webhooks.Delete(ctx, in.ID))
}

func (a *API) rotateWebhook(ctx context.Context, in *NumberPath) (*out[WebhookSecret], error) {
	changed, secret, err := a.cfg.Webhooks.Rotate(ctx, in.ID, 0, callerOf(ctx).actor())
	return body(WebhookSecret{Endpoint: changed, Secret: secret}, err)
}

func (a *API) pingWebhook(ctx context.Context, in *NumberPath) (*out[webhooks.Message], error) {
	return body(a.cfg.Webhooks.Ping(ctx, in.ID))
}

// WebhookHistory asks for a page of an endpoint's messages or attempts.
type WebhookHistory struct {
	NumberPath
	PageQuery
}

func (h WebhookHistory) filter() (webhooks.Filter, error) {
	f := webhooks.Filter{Endpoint: h.ID, Limit: h.Limit + 1}
	if h.Cursor != "" {
		before, err := uuid.Parse(h.Cursor)
		if err != nil {
			return f, badCursor()
		}
		f.Before = before
	}
	return f, nil
}

func (a *API) webhookMessages(ctx context.Context, in *struct {
	WebhookHistory
	Failed bool `query:"failed" doc:"Only those that failed."`
},
) (*out[Page[webhooks.Message]], error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	f.Failed = in.Failed
	list, err := a.cfg.Webhooks.Messages(ctx, f)
	if err != nil {
		return nil, err
	}
	return pageOf(list, in.Limit, func(m webhooks.Message) string { return m.ID.String() }), nil
}

func (a *API) webhookAttempts(ctx context.Context, in *WebhookHistory) (*out[Page[webhooks.Attempt]], error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	list, err := a.cfg.Webhooks.Attempts(ctx, f)
	if err != nil {
		return nil, err
	}
	return pageOf(list, in.Limit, func(at webhooks.Attempt) string { return at.ID.String() }), nil
}

func (a *API) replayWebhookMessage(ctx context.Context, in *WebhookMessagePath) (*none, error) {
	return nothing(a.cfg.Webhooks.Replay(ctx, in.ID, in.Message))
}

func (a *API) replayWebhook(ctx context.Context, in *struct {
	NumberPath
	Body WebhookReplay
},
) (*out[WebhookReplayed], error) {
	n, err := a.cfg.Webhooks.ReplayAll(ctx, in.ID, in.Body.Since, in.Body.Delivered)
	return body(WebhookReplayed{n}, err)
}
