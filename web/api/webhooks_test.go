package api_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/access"
	"herald/postgres/pgtest"
	"herald/web/api"
	"herald/webhooks"
)

// hooked is a server that offers webhooks, which are kept in a database of
// their own.
type hooked struct {
	*server
	store *webhooks.Store
	pool  *pgxpool.Pool
}

func newHooked(t *testing.T) *hooked {
	t.Helper()
	pool := pgtest.New(t)
	store, err := webhooks.NewStore(pool, webhooks.Config{
		Secret: []byte(strings.Repeat("k", 32)), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	return &hooked{server: newServer(t, func(c *api.Config) { c.Webhooks = store }), store: store, pool: pool}
}

// fail announces deliveries, and has their messages failed.
func (h *hooked) fail(n int) {
	h.t.Helper()
	events := make([]webhooks.Event, n)
	for i := range events {
		events[i] = webhooks.Event{Type: "delivery.failed", Data: map[string]any{"member_id": i}}
	}
	must(h.t, pgx.BeginFunc(h.t.Context(), h.pool, func(tx pgx.Tx) error { return h.store.AnnounceTx(h.t.Context(), tx, events) }))
	_, err := h.pool.Exec(h.t.Context(), `UPDATE webhook_messages SET state = 'failed', status = 500, error = 'status', attempts = 10`)
	must(h.t, err)
}

const newHook = `{"url":"https://shop.example/hook","types":["delivery.*"],"description":"the CRM"}`

func TestAWebhookIsMadeReadChangedAndRemoved(t *testing.T) {
	t.Parallel()
	h := newHooked(t)
	r := h.post("/api/v1/webhooks", newHook, "Idempotency-Key", "one").is(http.StatusCreated)
	made := as[api.WebhookSecret](r)
	if !strings.HasPrefix(made.Secret, "whsec_") || !made.Enabled || made.CreatedBy != "key:shop" || made.Version != 1 {
		t.Errorf("made %+v", made)
	}
	at := r.header.Get("Location")
	if got := h.get(at).is(http.StatusOK); strings.Contains(got.body, "secret") || as[webhooks.Endpoint](got).URL != made.URL {
		t.Errorf("read %s", got.body)
	}
	h.post("/api/v1/webhooks", newHook, "Idempotency-Key", "one").problem(http.StatusConflict, "conflict") // no secret is kept to be shown again
	var kept int
	must(t, h.server.pool.QueryRow(t.Context(), `SELECT count(*) FROM replays`).Scan(&kept))
	if kept != 0 {
		t.Error("the answer with the secret is kept")
	}
	changed := as[webhooks.Endpoint](h.send(http.MethodPatch, at, `{"enabled":false,"types":["*"],"version":1}`).is(http.StatusOK))
	if changed.Enabled || changed.DisabledFor != webhooks.ByOperator || changed.Types[0] != "*" || changed.Description != "the CRM" {
		t.Errorf("changed %+v", changed)
	}
	h.send(http.MethodPatch, at, `{"enabled":true,"version":1}`).problem(http.StatusConflict, "conflict")
	rotated := as[api.WebhookSecret](h.post(at+"/secret", "").is(http.StatusOK))
	if rotated.Secret == made.Secret || rotated.OldSecretUntil == nil {
		t.Errorf("rotated %+v", rotated)
	}
	if list := as[api.Page[webhooks.Endpoint]](h.get("/api/v1/webhooks").is(http.StatusOK)); len(list.Items) != 1 {
		t.Errorf("listed %+v", list)
	}
	h.send(http.MethodDelete, at, "").is(http.StatusNoContent)
	h.get(at).problem(http.StatusNotFound, "not_found")
}

func TestAWebhooksHistoryIsReadAndReplayed(t *testing.T) {
	t.Parallel()
	h := newHooked(t)
	at := h.post("/api/v1/webhooks", newHook).is(http.StatusCreated).header.Get("Location")
	h.fail(5)
	first := as[api.Page[webhooks.Message]](h.get(at + "/messages?limit=3&failed=true").is(http.StatusOK))
	second := as[api.Page[webhooks.Message]](h.get(at + "/messages?limit=3&failed=true&cursor=" + first.Next).is(http.StatusOK))
	if len(first.Items) != 3 || len(second.Items) != 2 || second.Next != "" || first.Items[0].Status != 500 || !strings.Contains(string(first.Items[0].Body), `"delivery.failed"`) {
		t.Errorf("pages %+v, %+v", first, second)
	}
	one := fmt.Sprintf("%s/messages/%s/replay", at, first.Items[0].ID)
	h.post(one, "").is(http.StatusAccepted)
	h.post(one, "").is(http.StatusAccepted) // it waits: it has its next attempt now
	if n := as[api.WebhookReplayed](h.post(at+"/replay", `{}`).is(http.StatusAccepted)); n.Replayed != 4 {
		t.Errorf("%d replayed, want 4", n.Replayed)
	}
	if sent := as[webhooks.Message](h.post(at+"/ping", "").is(http.StatusAccepted)); sent.Type != webhooks.Ping || sent.State != webhooks.Pending {
		t.Errorf("sent %+v", sent)
	}
	if page := as[api.Page[webhooks.Attempt]](h.get(at + "/attempts").is(http.StatusOK)); len(page.Items) != 0 {
		t.Errorf("attempts %+v", page)
	}
	if list := as[api.Page[webhooks.Type]](h.get("/api/v1/webhooks/types").is(http.StatusOK)); len(list.Items) != len(webhooks.Types()) {
		t.Errorf("types %+v", list)
	}
	h.get(at + "/messages").is(http.StatusOK)
	if r := h.send(http.MethodGet, at+"/messages", "", "Accept", "application/xml").is(http.StatusOK); !strings.Contains(r.body, "<type>delivery.failed</type>") {
		t.Errorf("in XML: %s", r.body)
	}
}

func TestWhatIsNoWebhookIsNamedByItsPlace(t *testing.T) {
	t.Parallel()
	h := newHooked(t)
	at := h.post("/api/v1/webhooks", newHook).is(http.StatusCreated).header.Get("Location")
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		location           string
	}{
		"an inside address":   {"POST", "/api/v1/webhooks", `{"url":"https://169.254.169.254/","types":["*"]}`, 422, "body.url"},
		"plain http":          {"POST", "/api/v1/webhooks", `{"url":"http://shop.example/","types":["*"]}`, 422, "body.url"},
		"an unknown type":     {"POST", "/api/v1/webhooks", `{"url":"https://a.example/","types":["order.paid"]}`, 422, "body.types"},
		"no types":            {"PATCH", at, `{"types":[]}`, 422, "body.types"},
		"no such endpoint":    {"GET", "/api/v1/webhooks/999/messages", ``, 404, ""},
		"no such attempts":    {"GET", "/api/v1/webhooks/999/attempts", ``, 404, ""},
		"a cursor that is no": {"GET", at + "/attempts?cursor=x", ``, 422, "query.cursor"},
		"another cursor":      {"GET", at + "/messages?cursor=7", ``, 422, "query.cursor"},
		"no such message":     {"POST", at + "/messages/0190f2c4-7c4e-7000-8000-000000000000/replay", ``, 404, ""},
		"a moment that is no": {"POST", at + "/replay", `{"since":"yesterday"}`, 422, "body.since"},
	} {
		t.Run(name, func(t *testing.T) {
			code := map[int]string{404: "not_found", 422: "invalid"}[tt.status]
			p := h.in(t).send(tt.method, tt.path, tt.body).problem(tt.status, code)
			if tt.location != "" && !names(p, tt.location) {
				t.Errorf("mistakes %+v, want one at %s", p.Errors, tt.location)
			}
		})
	}
	h.secret = h.key("reader", access.WebhooksRead)
	h.get(at).is(http.StatusOK)
	h.post(at+"/ping", "").problem(http.StatusForbidden, "forbidden")
}

func TestWithoutWebhooksThereAreNoSuchOperations(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.get("/api/v1/webhooks").problem(http.StatusNotFound, "not_found")
	if strings.Contains(s.get("/openapi.json").is(http.StatusOK).body, "create-webhook") {
		t.Error("described although it is not offered")
	}
}
