package portal

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/pgxstore"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/access"
	"herald/dispatch"
	"herald/matcher"
	"herald/postgres/pgtest"
	"herald/subscriptions"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const password = "three blind mice"

// clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// shop is the portal on the real stores and a database of its own.
type shop struct {
	t      *testing.T
	pool   *pgxpool.Pool
	clock  *clock
	config Config
	server *httptest.Server
}

// newShop starts one; change may replace parts of its configuration.
func newShop(t *testing.T, change ...func(*Config)) *shop {
	t.Helper()
	pool := pgtest.New(t)
	s := &shop{t: t, pool: pool, clock: &clock{at: time.Now()}}
	now := s.clock.now
	signer, err := access.NewSigner([]byte(strings.Repeat("secret ", 5)))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	publicURL := "http://" + server.Listener.Addr().String()
	links, err := NewLinks(signer, publicURL)
	if err != nil {
		t.Fatal(err)
	}
	consents := subscriptions.NewConsents(pool, now)
	triggers := subscriptions.NewTriggers(pool, now)
	if err := triggers.LoadStarter(t.Context()); err != nil {
		t.Fatal(err)
	}
	channels := []subscriptions.Channel{subscriptions.Email, subscriptions.SMS}
	deliveries, err := dispatch.NewStore(pool, consents, now, dispatch.StoreConfig{Channels: channels})
	if err != nil {
		t.Fatal(err)
	}
	s.config = Config{
		PublicURL: publicURL, Links: links,
		Members:  subscriptions.NewMembers(pool, access.NewPasswords(2), access.NewThrottle(pool, now), now),
		Contacts: subscriptions.NewContacts(pool, deliveries, now), Consents: consents, Triggers: triggers,
		Subscriptions: subscriptions.NewStore(pool, triggers, consents, now), Deliveries: deliveries,
		Channels: channels, Sessions: pgxstore.NewWithCleanupInterval(pool, 0), Now: now, Logger: slog.New(slog.DiscardHandler),
	}
	s.config.Previews = matcher.NewPreviews(pool, matcher.PreviewConfig{
		Triggers: triggers, Subscriptions: subscriptions.NewStore(pool, triggers, consents, now), Consents: consents, Now: now, Budget: 10 * time.Second,
	})
	s.config.Dates = datesOf(s)
	for _, c := range change {
		c(&s.config)
	}
	if server.Config.Handler, err = New(s.config); err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(server.Close)
	s.server = server
	return s
}

// register makes a member with a confirmed e-mail address.
func (s *shop) register(account string) subscriptions.Member {
	s.t.Helper()
	m, err := s.config.Members.Register(s.t.Context(), subscriptions.Registration{
		Account: account, Password: password, DisplayName: "Zhang " + account, Locale: "en", TimeZone: "Asia/Shanghai", Origin: "api",
		Contacts: []subscriptions.NewContact{{Channel: subscriptions.Email, Address: account + "@example.com", Verified: true}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// order subscribes a member to a price of product 4411.
func (s *shop) order(m subscriptions.Member) subscriptions.Subscription {
	s.t.Helper()
	sub, err := s.config.Subscriptions.Create(s.t.Context(), subscriptions.Order{
		MemberID: m.ID, Trigger: "price_drop", Params: map[string]any{"product": "4411", "target": 499.0}, Origin: "portal", Actor: actor,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return sub
}

// drop lets the price of product 4411 fall, and gives the member's newest delivery.
func (s *shop) drop(m subscriptions.Member) dispatch.Delivery {
	s.t.Helper()
	triggers, deliveries := s.config.Triggers.(*subscriptions.Triggers), s.config.Deliveries.(*dispatch.Store)
	intake := matcher.NewIntake(s.pool, triggers, deliveries, matcher.IntakeConfig{Now: s.clock.now})
	_, err := intake.Accept(s.t.Context(), []matcher.Event{{
		ID: uuid.NewString(), Source: "shop", Type: "price.changed",
		Data: map[string]any{"product": "4411", "name": "Stroller <Lite>", "price": 489.0, "previous_price": 529.0, "currency": "CNY"},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := intake.Close(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	found, err := deliveries.ForMember(s.t.Context(), m.ID, uuid.Nil, 1)
	if err != nil || len(found) == 0 {
		s.t.Fatalf("%d deliveries, %v", len(found), err)
	}
	return found[0]
}

// code is the last code that was sent.
func (s *shop) code() string {
	s.t.Helper()
	var code string
	err := s.pool.QueryRow(s.t.Context(), `SELECT data->>'code' FROM notifications WHERE template = 'confirm_address' ORDER BY id DESC LIMIT 1`).Scan(&code)
	if err != nil {
		s.t.Fatal(err)
	}
	return code
}

// browser is a reader with cookies who follows redirects.
type browser struct {
	t      *testing.T
	base   string
	client *http.Client
}

func (s *shop) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &browser{t: s.t, base: s.server.URL, client: &http.Client{Jar: jar}}
}

// signedIn is a browser in which a member has signed in.
func (s *shop) signedIn(account string) *browser {
	s.t.Helper()
	b := s.browser()
	if p := b.post("/sign-in", "account", account, "password", password); p.path != "/alerts" {
		s.t.Fatalf("signing in led to %s: %d", p.path, p.status)
	}
	return b
}

// answer is a page that came back.
type answer struct {
	t      *testing.T
	status int
	path   string // after redirects
	body   string
	header http.Header
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, path, nil)
}

// post sends a form of names and values.
func (b *browser) post(path string, pairs ...string) answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.do(http.MethodPost, path, form)
}

func (b *browser) do(method, path string, form url.Values, change ...func(*http.Request)) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+strings.TrimPrefix(path, b.base), strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range change {
		c(r)
	}
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{b.t, resp.StatusCode, resp.Request.URL.Path, string(body), resp.Header}
}

// has fails the test unless the page has the status and the texts.
func (a answer) has(status int, texts ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("%s: status %d, want %d", a.path, a.status, status)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			a.t.Errorf("%s lacks %q", a.path, text)
		}
	}
	if a.t.Failed() {
		a.t.Logf("the page:\n%s", a.body)
		a.t.FailNow()
	}
	return a
}

func (a answer) lacks(text string) {
	a.t.Helper()
	if strings.Contains(a.body, text) {
		a.t.Fatalf("%s has %q", a.path, text)
	}
}
