package console_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2/memstore"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/access"
	"herald/calendars"
	"herald/campaigns"
	"herald/collectors"
	"herald/dispatch"
	"herald/dispatch/fax"
	"herald/dispatch/replies"
	"herald/dispatch/voice"
	"herald/matcher"
	"herald/matcher/dates"
	"herald/postgres/pgtest"
	"herald/subscriptions"
	"herald/templates"
	"herald/web/console"
	"herald/webhooks"
)

func TestMain(m *testing.M) {
	// Each password takes 64 MiB for a moment, and all that is alive would be looked through.
	debug.SetGCPercent(400)
	pgtest.Main(m)
}

const password = "a long enough password"

// stand is the console on real stores, with the starter triggers in them and
// two operators: ann, an admin, and bob, who is none.
type stand struct {
	console.Config
	t        testing.TB
	url      string
	pool     *pgxpool.Pool
	store    *dispatch.Store
	intake   *matcher.Intake
	stopping chan struct{}
	events   int
}

func newStand(t testing.TB, change ...func(*console.Config)) *stand {
	t.Helper()
	s := &stand{t: t, pool: pgtest.New(t), stopping: make(chan struct{})}
	log, now := slog.New(slog.DiscardHandler), time.Now
	passwords, throttle := access.NewPasswords(1), access.NewThrottle(s.pool, now)
	consents, triggers := subscriptions.NewConsents(s.pool, now), subscriptions.NewTriggers(s.pool, now)
	must(t, triggers.LoadStarter(t.Context()))
	messages := templates.NewStore(s.pool, nil, now)
	must(t, messages.LoadStarter(t.Context()))
	calls, faxes := voice.NewStore(s.pool), fax.NewStore(s.pool)
	store, err := dispatch.NewStore(s.pool, consents, now, dispatch.StoreConfig{
		Channels: []subscriptions.Channel{subscriptions.Email}, Chronicles: []dispatch.Chronicle{calls, faxes},
	})
	must(t, err)
	s.store = store
	hooks, err := webhooks.NewStore(s.pool, webhooks.Config{Secret: []byte(strings.Repeat("k", 32)), Now: now, Logger: log})
	must(t, err)
	plans, err := campaigns.NewStore(s.pool, campaigns.Config{
		Templates: messages, Triggers: triggers, Calendars: calendars.NewStore(s.pool, now), Consents: consents, Enqueuer: store, Channels: []subscriptions.Channel{subscriptions.Email, subscriptions.SMS}, Now: now, Logger: log,
		Ledgers: campaigns.LedgerFunc(func(ctx context.Context, run int64) (dispatch.Ledger, error) {
			return store.Ledger(ctx, dispatch.Filter{Campaign: run})
		}),
	})
	must(t, err)
	s.intake = matcher.NewIntake(s.pool, triggers, store, matcher.IntakeConfig{Logger: log})
	t.Cleanup(func() { must(t, s.intake.Close(context.Background())) })

	// The console must know its own address before there is one to know.
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	s.url = server.URL
	s.Config = console.Config{
		PublicURL: s.url, Sessions: memstore.NewWithCleanupInterval(0), Logger: log, Stopping: s.stopping, Now: now,
		Operators: access.NewOperators(s.pool, passwords, throttle, now),
		Members:   subscriptions.NewMembers(s.pool, passwords, throttle, now),
		Contacts:  subscriptions.NewContacts(s.pool, store, now), Consents: consents, Triggers: triggers, Templates: messages,
		Subscriptions: subscriptions.NewStore(s.pool, triggers, consents, now), Deliveries: store, Webhooks: hooks, Campaigns: plans,
		Calendars: calendars.NewStore(s.pool, now), Calls: calls, Faxes: faxes,
	}
	s.Dates = dates.NewAhead(s.Calendars, s.Members, now)
	const fairs = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20260618\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Summer fair\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	_, err = s.Calendars.Save(t.Context(), calendars.File{Name: "fairs", Title: "Our fairs", Body: []byte(fairs)}, "operator:ann")
	must(t, err)
	s.Events, s.Previews = matcher.NewEvents(s.pool), matcher.NewPreviews(s.pool, matcher.PreviewConfig{
		Triggers: triggers, Subscriptions: s.Subscriptions, Consents: consents, Budget: 10 * time.Second,
	})
	s.Collectors = collectors.NewStore(s.pool, now)
	s.Replies, err = replies.NewStore(s.pool, replies.Config{
		Contacts: s.Contacts, Suppressions: consents, Deliveries: store, Logger: log, Now: now,
	})
	must(t, err)
	for _, c := range change {
		c(&s.Config)
	}
	handler, err = console.New(s.Config)
	must(t, err)
	for name, role := range map[string]access.Role{"ann": access.AdminRole, "bob": access.OperatorRole} {
		_, err := s.Operators.Create(t.Context(), name, password, role)
		must(t, err)
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// member registers somebody who confirmed account@example.com.
func (s *stand) member(account, displayName string) subscriptions.Member {
	s.t.Helper()
	m, err := s.Members.Register(s.t.Context(), subscriptions.Registration{
		Account: account, DisplayName: displayName, Locale: "en", TimeZone: "Asia/Shanghai", Origin: "api",
		Contacts: []subscriptions.NewContact{{Channel: subscriptions.Email, Address: account + "@example.com", Verified: true}},
	})
	must(s.t, err)
	return m
}

// subscribe asks for news of a product at 499 or less, as often as it comes.
func (s *stand) subscribe(memberID int64, product string) subscriptions.Subscription {
	s.t.Helper()
	var always subscriptions.Duration
	made, err := s.Subscriptions.Create(s.t.Context(), subscriptions.Order{
		MemberID: memberID, Trigger: "price_drop", Params: map[string]any{"product": product, "target": 499.0},
		CoolDown: &always, Origin: "api", Actor: "key:shop",
	})
	must(s.t, err)
	return made
}

// price tells Herald that a product now costs 489.
func (s *stand) price(product, name string) {
	s.t.Helper()
	s.prices(1, product, name)
}

// prices tells it so many times.
func (s *stand) prices(times int, product, name string) {
	s.t.Helper()
	var all []matcher.Event
	for range times {
		s.events++
		all = append(all, matcher.Event{
			ID: fmt.Sprint("e", s.events), Source: "shop-1", Type: "price.changed", Time: time.Now(),
			Data: map[string]any{"product": product, "name": name, "price": 489.0, "previous_price": 529.0, "currency": "CNY"},
		})
	}
	results, err := s.intake.Accept(s.t.Context(), all)
	must(s.t, err)
	for _, r := range results {
		must(s.t, r.Err)
	}
}

// deliveries are those a search finds, newest first.
func (s *stand) deliveries(search dispatch.Search) []dispatch.Delivery {
	s.t.Helper()
	found, err := s.store.Find(s.t.Context(), search)
	must(s.t, err)
	return found.Deliveries
}

// visitor is a browser at the console.
type visitor struct {
	t      testing.TB
	url    string
	client *http.Client
}

func (s *stand) visitor() *visitor {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	must(s.t, err)
	return &visitor{t: s.t, url: s.url, client: &http.Client{Jar: jar}}
}

// signedIn is a browser in which an operator has signed in.
func (s *stand) signedIn(name string) *visitor {
	s.t.Helper()
	v := s.visitor()
	v.post("/console/sign-in", url.Values{"name": {name}, "password": {password}, "zone": {"UTC"}}).is(http.StatusOK).at("/console")
	return v
}

// answer is a page, read to its end after all redirects.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	path   string
	body   string
}

func (v *visitor) get(path string) answer {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.url+path, nil)
	must(v.t, err)
	return v.do(r)
}

// post sends a form from one of the console's own pages.
func (v *visitor) post(path string, form url.Values) answer {
	v.t.Helper()
	return v.postFrom(v.url, path, form)
}

// postFrom sends a form from a page of any origin.
func (v *visitor) postFrom(origin, path string, form url.Values) answer {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.url+path, strings.NewReader(form.Encode()))
	must(v.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", origin)
	return v.do(r)
}

func (v *visitor) do(r *http.Request) answer {
	v.t.Helper()
	res, err := v.client.Do(r)
	must(v.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(v.t, err)
	return answer{t: v.t, status: res.StatusCode, header: res.Header, path: res.Request.URL.RequestURI(), body: string(body)}
}

// main is the page without what all pages have.
func (a answer) main() string {
	if _, main, ok := strings.Cut(a.body, "<main"); ok {
		return main
	}
	return a.body
}

// is fails the test unless the page has this status.
func (a answer) is(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d: %s", a.path, a.status, status, a.main())
	}
	return a
}

// at fails the test unless the redirects led here.
func (a answer) at(path string) answer {
	a.t.Helper()
	if a.path != path {
		a.t.Fatalf("at %s, want %s", a.path, path)
	}
	return a
}

// has fails the test unless the page contains all of these.
func (a answer) has(texts ...string) answer {
	a.t.Helper()
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			a.t.Errorf("%s lacks %q: %s", a.path, text, a.main())
		}
	}
	return a
}

// lacks fails the test if the page contains any of these.
func (a answer) lacks(texts ...string) answer {
	a.t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			a.t.Errorf("%s has %q", a.path, text)
		}
	}
	return a
}
