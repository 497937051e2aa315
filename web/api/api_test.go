package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/access"
	"herald/calendars"
	"herald/dispatch"
	"herald/matcher"
	"herald/matcher/dates"
	"herald/postgres/pgtest"
	"herald/subscriptions"
	"herald/templates"
	"herald/web/api"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// server is the API on real stores, with nothing but the starter triggers in
// them, and a key that may do everything.
type server struct {
	t      testing.TB
	url    string
	secret string
	pool   *pgxpool.Pool
	keys   *access.Keys
	intake *matcher.Intake
}

// newServer starts one; change may replace parts of its configuration.
func newServer(t testing.TB, change ...func(*api.Config)) *server {
	t.Helper()
	pool := pgtest.New(t)
	log := slog.New(slog.NewTextHandler(testWriter{t}, nil))
	now := time.Now
	consents := subscriptions.NewConsents(pool, now)
	triggers := subscriptions.NewTriggers(pool, now)
	must(t, triggers.LoadStarter(t.Context()))
	messages := templates.NewStore(pool, nil, now)
	must(t, messages.LoadStarter(t.Context()))
	deliveries, err := dispatch.NewStore(pool, consents, now, dispatch.StoreConfig{Channels: []subscriptions.Channel{subscriptions.Email, subscriptions.SMS}})
	must(t, err)
	intake := matcher.NewIntake(pool, triggers, deliveries, matcher.IntakeConfig{Logger: log})
	t.Cleanup(func() { must(t, intake.Close(context.Background())) })
	keys := access.NewKeys(pool, now)
	cfg := api.Config{
		Intake: intake, Keys: keys, Replays: access.NewReplays(pool, now),
		Members:  subscriptions.NewMembers(pool, access.NewPasswords(1), access.NewThrottle(pool, now), now),
		Contacts: subscriptions.NewContacts(pool, deliveries, now), Consents: consents, Triggers: triggers, Templates: messages,
		Subscriptions: subscriptions.NewStore(pool, triggers, consents, now), Deliveries: deliveries, Logger: log,
		Calendars: calendars.NewStore(pool, now),
		History:   matcher.NewEvents(pool), Previews: matcher.NewPreviews(pool, matcher.PreviewConfig{
			Triggers: triggers, Subscriptions: subscriptions.NewStore(pool, triggers, consents, now), Consents: consents, Budget: 10 * time.Second,
		}),
	}
	cfg.Dates = dates.NewAhead(calendars.NewStore(pool, now), subscriptions.NewMembers(pool, access.NewPasswords(1), access.NewThrottle(pool, now), now), now)
	for _, c := range change {
		c(&cfg)
	}
	a, err := api.New(cfg)
	must(t, err)
	mux := http.NewServeMux()
	a.Mount(mux)
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	s := &server{t: t, url: web.URL, pool: pool, keys: keys, intake: intake}
	s.secret = s.key("shop", access.Scopes...)
	return s
}

// in is the same server in a test below.
func (s *server) in(t *testing.T) *server {
	below := *s
	below.t = t
	return &below
}

// key makes an API key.
func (s *server) key(name string, scopes ...access.Scope) string {
	s.t.Helper()
	_, secret, err := s.keys.Create(s.t.Context(), name, scopes)
	must(s.t, err)
	return secret
}

// reply is an answer, read to its end.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// send makes a request as JSON, unless the headers, given in pairs, say otherwise.
func (s *server) send(method, path, body string, headers ...string) reply {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	must(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.secret)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	must(s.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(s.t, err)
	return reply{t: s.t, status: res.StatusCode, header: res.Header, body: string(text)}
}

func (s *server) get(path string) reply { s.t.Helper(); return s.send(http.MethodGet, path, "") }

func (s *server) post(path, body string, headers ...string) reply {
	s.t.Helper()
	return s.send(http.MethodPost, path, body, headers...)
}

// is fails the test unless the answer has this status.
func (r reply) is(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

// as reads a JSON answer.
func as[T any](r reply) T {
	r.t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		r.t.Fatalf("%v in %s", err, r.body)
	}
	return v
}

// problem reads a problem and checks what all of them share.
func (r reply) problem(status int, code string) api.Problem {
	r.t.Helper()
	r.is(status)
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		r.t.Errorf("content type %q", got)
	}
	p := as[api.Problem](r)
	if p.Status != status || string(p.Code) != code || !strings.HasPrefix(p.Instance, "urn:uuid:") {
		r.t.Errorf("problem %s, want %d %s", r.body, status, code)
	}
	if strings.HasSuffix(p.Instance, "-") || p.Instance != "urn:uuid:"+r.header.Get("X-Request-Id") {
		r.t.Errorf("instance %q is not the request %q", p.Instance, r.header.Get("X-Request-Id"))
	}
	return p
}

// names reports whether a problem has a mistake at a place.
func names(p api.Problem, location string) bool {
	for _, e := range p.Errors {
		if e.Location == location {
			return true
		}
	}
	return false
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// member registers somebody with a confirmed mail address who agreed to
// service messages, and returns their number.
func (s *server) member(account string) int64 {
	s.t.Helper()
	r := s.post("/api/v1/members", fmt.Sprintf(`{"account":%q,"contacts":[{"channel":"email","address":"%s@example.com","verified":true}],
		"consents":[{"channel":"email","purpose":"service","granted":true}]}`, account, account)).is(http.StatusCreated)
	return as[api.MemberDetails](r).ID
}

// subscribe makes a price alert.
func (s *server) subscribe(member int64, product string, target float64) int64 {
	s.t.Helper()
	r := s.post("/api/v1/subscriptions", fmt.Sprintf(`{"member_id":%d,"trigger":"price_drop","params":{"product":%q,"target":%g}}`, member, product, target))
	return as[subscriptions.Subscription](r.is(http.StatusCreated)).ID
}
