package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/web/page"
	"herald/webhooks"
)

// endpoint makes one that hears everything.
func (s *stand) endpoint(address string) webhooks.Endpoint {
	s.t.Helper()
	made, _, err := s.Webhooks.Create(s.t.Context(), webhooks.NewEndpoint{URL: address, Types: []string{"*"}, Description: "the CRM", By: "operator:ann"})
	must(s.t, err)
	return made
}

// announce announces deliveries, whose messages have failed since.
func (s *stand) announce(n int) {
	s.t.Helper()
	events := make([]webhooks.Event, n)
	for i := range events {
		events[i] = webhooks.Event{Type: "delivery.failed", Data: map[string]any{"member_id": i}}
	}
	must(s.t, pgx.BeginFunc(s.t.Context(), s.pool, func(tx pgx.Tx) error { return s.Webhooks.AnnounceTx(s.t.Context(), tx, events) }))
	_, err := s.pool.Exec(s.t.Context(), `
		UPDATE webhook_messages SET state = 'failed', attempts = 1, status = 500, error = 'status';
		INSERT INTO webhook_attempts (endpoint_id, message_id, number, id, type, at, microseconds, status, error)
		SELECT endpoint_id, id, 1, id, type, now(), 1234, 500, 'status' FROM webhook_messages`)
	must(s.t, err)
}

func TestAnEndpointIsMadeAndItsSecretShownOnce(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("ann")
	v.get("/console/webhooks").is(http.StatusOK).has("No system is told yet", "/console/webhooks/new")
	v.get("/console/webhooks/new").is(http.StatusOK).has("A message arrived (delivery.delivered)", `value="delivery.*" checked`)
	form := url.Values{"url": {"https://shop.example/hook"}, "description": {"the CRM"}, "types": {"delivery.*", "campaign.finished"}}
	made := v.post("/console/webhooks", form).is(http.StatusOK).has("not shown again", "data-copy")
	secret := regexp.MustCompile(`whsec_[A-Za-z0-9+/=&#;]+`).FindString(made.body)
	if secret == "" || made.header.Get("Cache-Control") != "no-store" {
		t.Errorf("secret %q, cache %q", secret, made.header.Get("Cache-Control"))
	}
	v.post("/console/webhooks", form).is(http.StatusConflict).has("Somebody already uses this").lacks("whsec_") // the page was loaded again
	v.get("/console/webhooks").has("https://shop.example/hook", "the CRM", "delivery.*").lacks("whsec_")
	e, err := s.Webhooks.List(t.Context())
	must(t, err)
	at := fmt.Sprint("/console/webhooks/", e[0].ID)
	v.get(at).is(http.StatusOK).has("campaign.finished", "operator:ann", "Nothing was announced").lacks("whsec_")

	rotate := url.Values{"version": {"1"}}
	v.post(at+"/secret", rotate).is(http.StatusOK).has("whsec_", "old secret, too, until").lacks(secret)
	v.post(at+"/secret", rotate).is(http.StatusConflict).lacks("whsec_")
	v.post(at+"/secret", nil).is(http.StatusUnprocessableEntity)
	v.get(at).has("Old secret signs until").lacks("whsec_")
}

func TestAnEndpointIsChangedSwitchedAndRemoved(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	e := s.endpoint("https://shop.example/hook")
	at := fmt.Sprint("/console/webhooks/", e.ID)
	v := s.signedIn("ann")
	form := url.Values{"url": {"https://10.0.0.1/"}, "description": {"x"}, "types": {"ledger.unbalanced"}, "version": {"1"}}
	v.post(at, form).is(http.StatusUnprocessableEntity).has("reachable from the internet", `value="https://10.0.0.1/"`, "open><summary>")
	form.Set("url", "https://shop.example/other")
	form.Set("version", "x")
	v.post(at, form).is(http.StatusConflict)
	form.Set("version", "1")
	v.post(at, form).is(http.StatusOK).at(at).has("Saved.", "https://shop.example/other", "ledger.unbalanced")
	v.post(at, form).is(http.StatusConflict)
	v.post(at+"/enabled", url.Values{"enabled": {"false"}}).at(at).has("The endpoint is off.", "Switch on").lacks("Replay…")
	v.post(at+"/replay", url.Values{"period": {"0"}}).at(at).has("Nothing was replayed")
	v.post(at+"/enabled", url.Values{"enabled": {"true"}}).at(at).has("The endpoint is on.")
	v.post(at+"/ping", nil).at(at).has("A test message is on its way", "test.ping", "waiting")
	v.post(at+"/delete", nil).at("/console/webhooks").has("was removed", "No system is told yet")
	for _, path := range []string{at, "/console/webhooks/x"} {
		v.get(path).is(http.StatusNotFound)
	}
	for _, path := range []string{at, at + "/enabled", at + "/secret", at + "/ping", at + "/delete", "/console/webhooks/x/ping", "/console/webhooks/x/replay", "/console/webhooks/x/delete"} {
		v.post(path, url.Values{"version": {"1"}, "period": {"0"}}).is(http.StatusNotFound)
	}
	v.post(at+"/replay", url.Values{"period": {"0"}}).is(http.StatusNotFound)
	v.post(at+"/replay", url.Values{"period": {"x"}}).is(http.StatusUnprocessableEntity)
	v.post(at+"/messages/x/replay", nil).is(http.StatusNotFound)
}

func TestAnEndpointsMessagesAreReadAndReplayed(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	e := s.endpoint("https://shop.example/hook")
	s.announce(45)
	at := fmt.Sprint("/console/webhooks/", e.ID)
	v := s.signedIn("ann")
	first := v.get(at+"?failed=1").is(http.StatusOK).has("refused", "500", "1 ms", "/replay")
	second := v.get(first.link("next")).is(http.StatusOK)
	v.get(second.link("next")).is(http.StatusOK)
	one := regexp.MustCompile(`/console/webhooks/\d+/messages/[0-9a-f-]+/replay`).FindString(first.body)
	v.post(one, nil).at(at).has("1 message is posted again")
	v.post(one, nil).at(at).has("1 message is posted again")
	v.post(at+"/replay", url.Values{"period": {"24"}, "delivered": {"false"}}).at(at).has("44 messages are posted again")
	v.get(at + "?failed=1").has("No message failed.")
	v.get(at + "?before=x&attempts=y").is(http.StatusOK)
}

func TestAnEndpointThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	e := s.endpoint("https://shop.example/hook")
	at := fmt.Sprint("/console/webhooks/", e.ID)
	v := s.signedIn("ann")
	set := func(sql string) {
		_, err := s.pool.Exec(t.Context(), `UPDATE webhook_endpoints SET `+sql)
		must(t, err)
	}
	set(`failures = 3, failing_since = now() - interval '2 days', hold_until = now() + interval '5 minutes'`)
	v.get(at).has("not getting through", "No message has got through since", "Left alone until")
	v.get("/console/webhooks").has("not getting through")
	set(`enabled = false, disabled_for = 'failing'`)
	v.get(at).has("nothing got through for days")
	set(`disabled_for = 'gone'`)
	v.get(at).has("410 Gone")
}

func TestOperatorsReadWebhooksAndChangeNothing(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	e := s.endpoint("https://shop.example/hook")
	s.announce(1)
	at := fmt.Sprint("/console/webhooks/", e.ID)
	v := s.signedIn("bob")
	v.get("/console/webhooks").is(http.StatusOK).lacks("/console/webhooks/new")
	v.get(at).is(http.StatusOK).has("delivery.failed").lacks("<button class=\"btn btn-primary\"", "btn-danger", at+"/messages/")
	v.get("/console/webhooks/new").is(http.StatusForbidden)
	for _, path := range []string{"/console/webhooks", at, at + "/enabled", at + "/secret", at + "/ping", at + "/replay", at + "/delete", at + "/messages/x/replay"} {
		v.post(path, nil).is(http.StatusForbidden)
	}
	if left, err := s.Webhooks.Get(t.Context(), e.ID); err != nil || left.Version != 1 {
		t.Errorf("endpoint %+v, %v", left, err)
	}
}

func TestWebhooksAreThereInBothLanguages(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("ann")
	empty := v.get("/console/webhooks?lang=zh-CN").has("还没有系统接收通知")
	e := s.endpoint("https://shop.example/hook")
	s.announce(30)
	_, err := s.pool.Exec(t.Context(), `UPDATE webhook_messages SET state = 'pending', next_attempt_at = $1 WHERE id = (SELECT id FROM webhook_messages ORDER BY id LIMIT 1)`, time.Now().Add(time.Hour))
	must(t, err)
	pages := []answer{empty}
	for _, language := range page.Languages {
		for _, path := range []string{"/console/webhooks", "/console/webhooks/new", fmt.Sprint("/console/webhooks/", e.ID)} {
			pages = append(pages, v.get(path+"?lang="+language).is(http.StatusOK).has(`<html lang="`+language+`">`))
		}
	}
	for _, a := range pages {
		if key := regexp.MustCompile(`>\s*(webhooks|rule|state)\.[a-z_.*]+`).FindString(a.body); key != "" || strings.Contains(a.body, "ZgotmplZ") {
			t.Errorf("%s shows %s", a.path, key)
		}
	}
	l := v.get("/console/webhooks/new?lang=en")
	for _, kind := range webhooks.Types() {
		if kind.Name != webhooks.Ping && !strings.Contains(l.body, "("+kind.Name+")") {
			t.Errorf("%s is not offered", kind.Name)
		}
	}
}
