package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"herald/access"
	"herald/calendars"
	"herald/campaigns"
	"herald/dispatch"
	"herald/postgres/pgtest"
	"herald/subscriptions"
	"herald/templates"
	"herald/web/api"
)

// newPlanned is a server that offers campaigns, which are kept in a database
// of their own.
func newPlanned(t *testing.T) *server {
	t.Helper()
	pool, now := pgtest.New(t), time.Now
	consents := subscriptions.NewConsents(pool, now)
	deliveries, err := dispatch.NewStore(pool, consents, now, dispatch.StoreConfig{Channels: []subscriptions.Channel{subscriptions.Email}})
	must(t, err)
	store, err := campaigns.NewStore(pool, campaigns.Config{
		Templates: templates.NewStore(pool, nil, now), Triggers: subscriptions.NewTriggers(pool, now), Calendars: calendars.NewStore(pool, now), Consents: consents, Enqueuer: deliveries,
		Ledgers:  campaigns.LedgerFunc(func(context.Context, int64) (dispatch.Ledger, error) { return dispatch.Ledger{Balanced: true}, nil }),
		Channels: []subscriptions.Channel{subscriptions.Email}, Now: now, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	return newServer(t, func(c *api.Config) { c.Campaigns = store })
}

const newCampaign = `{"name":"A week of tea","segment":{"condition":"member.locale == \"en\""},"channels":["email"],
	"messages":[{"channel":"email","locale":"en","subject":"Tea","body":"20 % off"}],"when":{"cron":"0 9 * * MON","time_zone":"Asia/Shanghai"}}`

func TestACampaignIsWrittenReadStartedAndStopped(t *testing.T) {
	t.Parallel()
	s := newPlanned(t)
	r := s.post("/api/v1/campaigns", newCampaign, "Idempotency-Key", "one").is(http.StatusCreated)
	made := as[campaigns.Campaign](r)
	if made.State != campaigns.Draft || made.CreatedBy != "key:shop" || made.Purpose != subscriptions.Marketing || made.Version != 1 {
		t.Errorf("made %+v", made)
	}
	at := r.header.Get("Location")
	if got := as[campaigns.Campaign](s.get(at).is(http.StatusOK)); len(got.Messages) != 1 || got.When.Cron != "0 9 * * MON" {
		t.Errorf("read %+v", got)
	}
	changed := strings.Replace(newCampaign, "A week", "Two weeks", 1)
	changed = `{"version":1,` + changed[1:]
	s.send(http.MethodPut, at, changed).is(http.StatusOK)
	s.send(http.MethodPut, at, changed).is(http.StatusConflict)
	s.post(at+"/resume", "").is(http.StatusConflict)
	if got := as[campaigns.Campaign](s.post(at+"/start", "").is(http.StatusOK)); got.State != campaigns.Scheduled || got.DueAt == nil {
		t.Errorf("started %+v", got)
	}
	s.send(http.MethodDelete, at, "").is(http.StatusConflict)
	for verb, state := range map[string]campaigns.State{"pause": campaigns.Paused} {
		if got := as[campaigns.Campaign](s.post(at+"/"+verb, "").is(http.StatusOK)); got.State != state {
			t.Errorf("%s: %s", verb, got.State)
		}
	}
	s.post(at+"/resume", "").is(http.StatusOK)
	s.post(at+"/stop", "").is(http.StatusOK)
	if got := as[api.Page[campaigns.Change]](s.get(at + "/history").is(http.StatusOK)); len(got.Items) != 6 || got.Items[0].Change != "stopped" {
		t.Errorf("history %+v", got)
	}
	if got := as[api.Page[api.CampaignRun]](s.get(at + "/runs").is(http.StatusOK)); len(got.Items) != 0 {
		t.Errorf("runs %+v", got)
	}
	copied := s.post(at+"/copy", "").is(http.StatusCreated)
	s.send(http.MethodDelete, copied.header.Get("Location"), "").is(http.StatusNoContent)
	s.get(copied.header.Get("Location")).is(http.StatusNotFound)
}

func TestCampaignsAreListedInPages(t *testing.T) {
	t.Parallel()
	s := newPlanned(t)
	for i := range 3 {
		s.post("/api/v1/campaigns", strings.Replace(newCampaign, "A week", fmt.Sprint(i), 1)).is(http.StatusCreated)
	}
	first := as[api.Page[campaigns.Campaign]](s.get("/api/v1/campaigns?limit=2&state=draft").is(http.StatusOK))
	if len(first.Items) != 2 || first.Items[0].Name != "2 of tea" || first.Next == "" {
		t.Errorf("first page %+v", first)
	}
	second := as[api.Page[campaigns.Campaign]](s.get("/api/v1/campaigns?limit=2&cursor=" + first.Next).is(http.StatusOK))
	if len(second.Items) != 1 || second.Items[0].Name != "0 of tea" || second.Next != "" {
		t.Errorf("second page %+v", second)
	}
}

func TestMistakesInACampaignNameTheirFields(t *testing.T) {
	t.Parallel()
	s := newPlanned(t)
	r := s.post("/api/v1/campaigns", strings.NewReplacer(`member.locale == \"en\"`, "size(member.locale)", `"subject":"Tea",`, "").Replace(newCampaign)).is(http.StatusUnprocessableEntity)
	for _, want := range []string{"segment.condition", "1:5", "messages[0].subject"} {
		if !strings.Contains(r.body, want) {
			t.Errorf("the answer does not say %s: %s", want, r.body)
		}
	}
}

func TestADryRunIsAskedForAndRead(t *testing.T) {
	t.Parallel()
	s := newPlanned(t)
	at := s.post("/api/v1/campaigns", newCampaign).is(http.StatusCreated).header.Get("Location")
	s.get(at + "/dry-run").is(http.StatusNotFound)
	s.post(at+"/dry-run", "").is(http.StatusAccepted)
	if got := as[campaigns.Outlook](s.get(at + "/dry-run").is(http.StatusOK)); got.State != "counting" || got.AskedBy != "key:shop" {
		t.Errorf("outlook %+v", got)
	}
	s.send(http.MethodDelete, at+"/dry-run", "").is(http.StatusNoContent)
	if got := as[campaigns.Outlook](s.get(at + "/dry-run").is(http.StatusOK)); got.State != "cancelled" {
		t.Errorf("outlook %+v", got)
	}
}

func TestACampaignIsReadAsAMemberWouldWithWhatItsSMSTake(t *testing.T) {
	t.Parallel()
	s := newPlanned(t)
	plan := strings.NewReplacer(`["email"]`, `["sms","email"]`, `"messages":[`, `"messages":[{"channel":"sms","locale":"en","body":"{{ campaign.name }} for {{ member.name }}"},`).Replace(newCampaign)
	at := s.post("/api/v1/campaigns", plan).is(http.StatusCreated).header.Get("Location")
	got := as[api.Page[api.CampaignText]](s.get(at + "/preview").is(http.StatusOK)).Items
	if len(got) != 2 || got[0].Text != "A week of tea for Wei" || got[0].SMS == nil || got[0].SMS.UnitsLeft != 160-len(got[0].Text) || got[1].Subject != "Tea" || got[1].SMS != nil {
		t.Errorf("read as %+v", got)
	}
	s.get("/api/v1/campaigns/99/preview").is(http.StatusNotFound)
}

func TestReadersOfCampaignsMayNotStartThem(t *testing.T) {
	t.Parallel()
	s := newPlanned(t)
	at := s.post("/api/v1/campaigns", newCampaign).is(http.StatusCreated).header.Get("Location")
	s.secret = s.key("reader", access.CampaignsRead)
	s.get(at).is(http.StatusOK)
	for _, verb := range []string{"start", "pause", "resume", "stop", "copy"} {
		s.post(at+"/"+verb, "").is(http.StatusForbidden)
	}
}
