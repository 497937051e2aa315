package receipts

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"herald/dispatch"
	"herald/dispatch/sms/gateway"
	"herald/problem"
)

// gatewayDesk is a handler with a described gateway and what it was told.
type gatewayDesk struct {
	*desk
	gateway *gateway.Gateway
	inbound []dispatch.Inbound
	wait    bool // until nobody waits any more
}

func newGatewayDesk(t *testing.T, name string) *gatewayDesk {
	t.Helper()
	d, err := gateway.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]map[string]string{
		"kannel": {"username": "u"}, "aliyun": {"access_key_id": "id", "sign_name": "s", "template_code": "SMS_1"},
	}[name]
	secrets := map[string]map[string]string{
		"kannel": {"password": "p", "callback": kannelToken}, "aliyun": {"access_key_secret": "s", "callback": kannelToken},
	}[name]
	g := &gatewayDesk{}
	g.gateway, err = gateway.New(d, gateway.Account{
		Name: "main", CallbackURL: "https://herald.example", Settings: settings, Secrets: secrets,
	}, nil, func() time.Time { return testNow })
	if err != nil {
		t.Fatal(err)
	}
	_, account := newSendGridKey(t)
	g.desk = newDesk(t, account, func(c *Config) {
		c.Gateways = []*gateway.Gateway{g.gateway}
		c.Inbound = g.take
	})
	return g
}

func (g *gatewayDesk) take(ctx context.Context, messages []dispatch.Inbound) error {
	if g.wait {
		<-ctx.Done()
		return ctx.Err()
	}
	if g.refuse != nil {
		return g.refuse
	}
	g.inbound = append(g.inbound, messages...)
	return nil
}

func (g *gatewayDesk) call(method string, k gateway.Kind, query, body string) *httptest.ResponseRecorder {
	address := strings.TrimPrefix(g.gateway.CallbackAddress(k), "https://herald.example")
	r := httptest.NewRequest(method, address+query, strings.NewReader(body))
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

func TestADescribedGatewayCallsAsItsDescriptionSays(t *testing.T) {
	d := newGatewayDesk(t, "kannel")
	report := "&state=1&herald-delivery=" + testDelivery.String()
	for range 2 {
		wantStatus(t, d.call(http.MethodGet, gateway.KindReceipt, report, ""), 200)
	}
	if len(d.reports) != 1 || d.reports[0].DeliveryID != testDelivery || d.reports[0].Account != "main" {
		t.Errorf("the reports are %+v", d.reports)
	}
	wantStatus(t, d.call(http.MethodGet, gateway.KindReceipt, "&state=8", ""), 200) // it tells nothing
	w := d.call(http.MethodGet, gateway.KindInbound, "&from=%2B8613800138000&text=TD&id=1", "")
	wantStatus(t, w, 200)
	if len(d.inbound) != 1 || d.inbound[0].Text != "TD" || w.Body.Len() > 0 || w.Header().Get("Content-Type") != "text/plain" {
		t.Errorf("what came in is %+v, answered by %q", d.inbound, w.Body)
	}
	for outcome, want := range map[string]float64{"taken": 3, "nothing": 1} {
		if got := testutil.ToFloat64(d.told.WithLabelValues("gateway", outcome)); got != want {
			t.Errorf("%v are %s, want %v", got, outcome, want)
		}
	}
}

func TestAGatewayIsAnsweredInItsOwnWords(t *testing.T) {
	d := newGatewayDesk(t, "aliyun")
	w := d.call(http.MethodPost, gateway.KindReceipt, "", `[{"success":true,"biz_id":"1"},{"success":false,"biz_id":"2"}]`)
	wantStatus(t, w, 200)
	unreadable := d.call(http.MethodPost, gateway.KindReceipt, "", `[{"success":true},{"success":true,"biz_id":"3"}]`)
	wantStatus(t, unreadable, 200)
	if got := testutil.ToFloat64(d.told.WithLabelValues("gateway", "unreadable")); got != 1 {
		t.Errorf("%v unreadable items were counted", got)
	}
	if w.Body.String() != `{"code":0,"msg":"接收成功"}` || w.Header().Get("Content-Type") != "application/json" || len(d.reports) != 3 {
		t.Errorf("it is answered %s, of %d reports", w.Body, len(d.reports))
	}
}

func TestAGatewayIsAnsweredOnlyAfterAllIsKept(t *testing.T) {
	for rule, c := range map[string]struct {
		refuse error
		status int
	}{
		"the database is away": {errAway, 503},
		"something is wrong":   {errors.New("a bug"), 500},
	} {
		d := newGatewayDesk(t, "kannel")
		d.refuse = c.refuse
		for kind, query := range map[gateway.Kind]string{
			gateway.KindReceipt: "&state=1&id=1", gateway.KindInbound: "&from=%2B8613800138000&text=TD&id=1",
		} {
			w := d.call(http.MethodGet, kind, query, "")
			if w.Code != c.status || c.status == 503 && w.Header().Get("Retry-After") == "" {
				t.Errorf("%s: a %s is answered %d", rule, kind, w.Code)
			}
		}
	}
}

func TestAGatewayWaitsOnlySoLong(t *testing.T) {
	d := newGatewayDesk(t, "kannel")
	d.wait = true
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	address := strings.TrimPrefix(d.gateway.CallbackAddress(gateway.KindInbound), "https://herald.example")
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, address+"&from=%2B8613800138000&text=TD&id=1", nil))
	wantStatus(t, w, 503)
}

func TestWhoIsNoGatewayIsRefused(t *testing.T) {
	d := newGatewayDesk(t, "kannel")
	for rule, c := range map[string]struct {
		method, path string
		status       int
	}{
		"no such account": {http.MethodGet, "/receipts/gateway/other/receipt", 404},
		"no such kind":    {http.MethodGet, "/receipts/gateway/main/other", 404},
		"no kind":         {http.MethodGet, "/receipts/gateway/main", 404},
		"another method":  {http.MethodPost, "/receipts/gateway/main/receipt?herald-token=" + kannelToken, 405},
		"no token":        {http.MethodGet, "/receipts/gateway/main/receipt?state=1&id=1", 401},
		"another token":   {http.MethodGet, "/receipts/gateway/main/receipt?state=1&id=1&herald-token=" + kannelToken + "x", 401},
		"no delivery":     {http.MethodGet, "/receipts/gateway/main/receipt?state=1&herald-token=" + kannelToken, 400},
	} {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status {
			t.Errorf("%s is answered %d, want %d", rule, w.Code, c.status)
		}
		if c.status == 405 && w.Header().Get("Allow") != "GET" {
			t.Errorf("allowed is %q", w.Header().Get("Allow"))
		}
	}
	large := newGatewayDesk(t, "aliyun")
	wantStatus(t, large.call(http.MethodPost, gateway.KindReceipt, "", strings.Repeat(" ", maxCallback+1)), 413)
	if d.calls+large.calls > 0 {
		t.Error("the taker was asked")
	}
}

const withPassword = `
about: a gateway that signs in
request: {url: https://sms.example}
answer: {rules: [{status: 200, is: accepted}]}
receipt: {id: {query: id}, state: {query: state}, states: {delivered: 1}}
trust: {basic: {username: herald, password: opened}}
`

func TestAGatewayThatSignsInIsAskedTo(t *testing.T) {
	d, err := gateway.Parse("test.yaml", []byte(withPassword))
	if err != nil {
		t.Fatal(err)
	}
	g := newGatewayDesk(t, "kannel")
	if g.gateways["main"], err = gateway.New(d, gateway.Account{Name: "main", CallbackURL: "https://herald.example"}, nil, time.Now); err != nil {
		t.Fatal(err)
	}
	path := "/receipts/gateway/main/receipt?state=1&id=1"
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	wantStatus(t, w, 401)
	if w.Header().Get("WWW-Authenticate") == "" {
		t.Error("it does not say how")
	}
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.SetBasicAuth("herald", "opened")
	w = httptest.NewRecorder()
	g.ServeHTTP(w, r)
	wantStatus(t, w, 200)
}

func TestGatewaysNeedSomebodyWhoTakesWhatIsSent(t *testing.T) {
	d := newGatewayDesk(t, "kannel")
	if _, err := New(Config{Taker: d.taker, Now: time.Now, Logger: discard(), Gateways: []*gateway.Gateway{d.gateway}}); err == nil {
		t.Error("it goes without")
	}
	_, err := New(Config{
		Taker: d.taker, Now: time.Now, Logger: discard(), Gateways: []*gateway.Gateway{d.gateway, d.gateway}, Inbound: d.take,
	})
	if problem.CodeOf(err) != problem.Invalid {
		t.Errorf("two of one name give %v", err)
	}
}
