package receipts

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
)

var (
	testNow      = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	testDelivery = uuid.MustParse("0196a0b0-0000-7000-8000-000000000001")
	errAway      = errors.New("the database is away")
)

// taker keeps reports in memory; it knows a Key it has.
type taker struct {
	mu      sync.Mutex
	refuse  error
	calls   int
	reports []dispatch.Report
}

func (t *taker) Report(_ context.Context, reports []dispatch.Report) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls++
	if t.refuse != nil {
		return t.refuse
	}
	for _, r := range reports {
		if r.Key == "" {
			return errors.New("a report has no key")
		}
		known := false
		for _, have := range t.reports {
			known = known || have.Key == r.Key
		}
		if !known {
			t.reports = append(t.reports, r)
		}
	}
	return nil
}

// desk is a handler with one account and what it was told.
type desk struct {
	*Handler
	*taker
	now time.Time
}

func newDesk(t testing.TB, a Account, change func(*Config)) *desk {
	t.Helper()
	d := &desk{taker: &taker{}, now: testNow}
	cfg := Config{
		Accounts: []Account{a}, PublicURL: "https://herald.example", Taker: d.taker,
		Away: func(err error) bool { return errors.Is(err, errAway) },
		Now:  func() time.Time { return d.now }, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if d.Handler, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) post(path, body string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func wantStatus(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("the answer is %d %s, want %d", w.Code, w.Body, status)
	}
}

func wantReports(t *testing.T, d *desk, want ...dispatch.Report) {
	t.Helper()
	got := d.reports
	for i := range got {
		got[i].Key = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the reports differ (-want +got):\n%s", diff)
	}
}

// sendGridKey signs as SendGrid does.
type sendGridKey struct{ *ecdsa.PrivateKey }

func newSendGridKey(t testing.TB) (sendGridKey, Account) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return sendGridKey{key}, Account{Name: "bulk", Provider: SendGrid, Secret: base64.StdEncoding.EncodeToString(der)}
}

func (k sendGridKey) header(t testing.TB, at time.Time, body string) http.Header {
	t.Helper()
	stamp := strconv.FormatInt(at.Unix(), 10)
	sum := sha256.Sum256([]byte(stamp + body))
	signature, err := ecdsa.SignASN1(rand.Reader, k.PrivateKey, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{
		"X-Twilio-Email-Event-Webhook-Signature": {base64.StdEncoding.EncodeToString(signature)},
		"X-Twilio-Email-Event-Webhook-Timestamp": {stamp},
	}
}

const sendGridBounce = `[{"email":"jane@b.example","timestamp":1795348000,"event":"bounce","sg_event_id":"e1","sg_message_id":"m1.filter0001","herald-delivery":"0196a0b0-0000-7000-8000-000000000001","type":"bounce","status":"5.1.1","reason":"550 5.1.1 <jane@b.example>: no such user"}]`

func TestTheAnswerDependsOnWhatBecameOfTheReports(t *testing.T) {
	key, account := newSendGridKey(t)
	for _, c := range []struct {
		rule   string
		refuse error
		status int
		wait   string
	}{
		{"taken", nil, 200, ""},
		{"the database is away", fmt.Errorf("report: %w", errAway), 503, "10"},
		{"the store says that it cannot now", problem.New(problem.Unavailable, "not now"), 503, "10"},
		{"something else went wrong", errors.New("a bug"), 500, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			d := newDesk(t, account, nil)
			d.refuse = c.refuse
			w := d.post("/receipts/sendgrid/bulk", sendGridBounce, key.header(t, testNow, sendGridBounce))
			wantStatus(t, w, c.status)
			if got := w.Header().Get("Retry-After"); got != c.wait {
				t.Errorf("it shall wait %q", got)
			}
			if d.calls != 1 {
				t.Errorf("the taker was asked %d times", d.calls)
			}
		})
	}
}

func TestARequestThatIsRepeatedTellsNothingNew(t *testing.T) {
	key, account := newSendGridKey(t)
	d := newDesk(t, account, nil)
	for range 3 {
		wantStatus(t, d.post("/receipts/sendgrid/bulk", sendGridBounce, key.header(t, testNow, sendGridBounce)), 200)
	}
	if len(d.reports) != 1 {
		t.Errorf("the reports are %+v", d.reports)
	}
}

func TestWhoMayNotIsRefused(t *testing.T) {
	key, account := newSendGridKey(t)
	other, _ := newSendGridKey(t)
	d := newDesk(t, account, func(c *Config) { c.MaxBody = 1000 })
	path := "/receipts/sendgrid/bulk"
	good := key.header(t, testNow, sendGridBounce)
	for _, c := range []struct {
		rule, path, body string
		header           http.Header
		status           int
	}{
		{"no signature", path, sendGridBounce, nil, 401},
		{"another's signature", path, sendGridBounce, other.header(t, testNow, sendGridBounce), 401},
		{"another body", path, strings.Replace(sendGridBounce, "0001\"", "0002\"", 1), good, 401},
		{"too old", path, sendGridBounce, key.header(t, testNow.Add(-26*time.Hour), sendGridBounce), 400},
		{"from the future", path, sendGridBounce, key.header(t, testNow.Add(6*time.Minute), sendGridBounce), 400},
		{"no such account", "/receipts/sendgrid/other", sendGridBounce, good, 404},
		{"another provider's", "/receipts/mailgun/bulk", sendGridBounce, good, 404},
		{"more after it", path + "/x", sendGridBounce, good, 404},
		{"too large", path, strings.Repeat("x", 1001), good, 413},
		{"not JSON, and yet signed", path, "x", key.header(t, testNow, "x"), 400},
	} {
		t.Run(c.rule, func(t *testing.T) {
			wantStatus(t, d.post(c.path, c.body, c.header), c.status)
		})
	}
	if d.calls != 0 {
		t.Errorf("the taker was asked %d times", d.calls)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	wantStatus(t, w, 405)
	if got := testutil.ToFloat64(d.told.WithLabelValues(SendGrid, "forged")); got != 3 {
		t.Errorf("%v forgeries were counted", got)
	}
}

func TestMistakesInAccountsAreNamed(t *testing.T) {
	_, good := newSendGridKey(t)
	_, err := New(Config{
		Taker: &taker{}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Accounts: []Account{
			good, good,
			{Name: "a b", Provider: "pigeon"},
			{Name: "m", Provider: Mailgun, Secret: "short"},
			{Name: "s", Provider: SES, Topic: "arn:aws:sns:eu-west-1:1:x"},
			{Name: "t", Provider: Twilio, Secret: strings.Repeat("x", 32)},
			{Name: "w", Provider: Standard, Secret: "whsec_c2hvcnQ="},
			{Name: "g", Provider: SendGrid, Secret: "AAAA"},
		},
	})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Invalid {
		t.Fatalf("the error is %v", err)
	}
	var got []string
	for _, f := range p.Fields {
		got = append(got, f.Path+" "+f.Rule)
	}
	want := []string{
		"accounts[1].name unique", "accounts[2].name format", "accounts[2].provider one_of", "accounts[3].secret min_len",
		"accounts[4] required", "accounts[4].topic format", "accounts[5] public_url", "accounts[6].secret format", "accounts[7].secret format",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the mistakes differ (-want +got):\n%s", diff)
	}
}

func TestADeliveryIsNamedByWhatIsSurest(t *testing.T) {
	other := "0196a0b0-0000-7000-8000-000000000002"
	for _, c := range []struct {
		rule, custom, messageID, providerID string
		want                                dispatch.Report
		named                               bool
	}{
		{"custom before Message-ID", testDelivery.String(), "<" + other + "@x>", "p", dispatch.Report{DeliveryID: testDelivery, ProviderID: "p"}, true},
		{"our Message-ID", "nonsense", "<" + other + "@x>", "", dispatch.Report{DeliveryID: uuid.MustParse(other)}, true},
		{"the provider's id", "", "<abc@x>", "p", dispatch.Report{ProviderID: "p"}, true},
		{"another form of an id is none", "urn:uuid:" + testDelivery.String(), "", "p", dispatch.Report{ProviderID: "p"}, true},
		{"the nil id is none", uuid.Nil.String(), "", "", dispatch.Report{}, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			c.want.Channel = subscriptions.Email
			got, named := mailReport(c.custom, c.messageID, c.providerID)
			if diff := cmp.Diff(c.want, got); diff != "" || named != c.named {
				t.Errorf("named %v (-want +got):\n%s", named, diff)
			}
		})
	}
}

func TestKeysStayShort(t *testing.T) {
	long := keyOf(SendGrid, "a", strings.Repeat("x", 1000))
	if len(long) > 300 || long == keyOf(SendGrid, "a", strings.Repeat("x", 1001)) {
		t.Errorf("the key is %q", long)
	}
}
