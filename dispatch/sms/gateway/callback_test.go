package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"herald/dispatch"
	"herald/subscriptions"
)

var testDelivery = uuid.MustParse("0196a0b0-0000-7000-8000-000000000001")

func callURL(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &url.URL{Path: u.Path, RawQuery: u.RawQuery}
}

// called is an account of one of Herald's own descriptions, at a known time.
func called(t testing.TB, name string) *Gateway {
	t.Helper()
	settings := map[string]map[string]string{
		"kannel":  {"username": "u", "country": "CN"},
		"twilio":  {"account_sid": "AC1"},
		"aliyun":  {"access_key_id": "id", "sign_name": "s", "template_code": "SMS_1"},
		"generic": {"url": "https://sms.example/send"},
	}[name]
	secrets := map[string]map[string]string{
		"kannel":  {"password": "p", "callback": "0123456789abcdef"},
		"twilio":  {"auth_token": "12345"},
		"aliyun":  {"access_key_secret": "s", "callback": "0123456789abcdef"},
		"generic": {"token": "t", "signing_key": "Jefe"},
	}[name]
	g, err := New(load(t, name), Account{Name: "main", Settings: settings, Secrets: secrets, CallbackURL: "https://herald.example"}, nil, func() time.Time { return testNow })
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// signed is a call as the provider of g makes it.
func signed(t testing.TB, g *Gateway, k Kind, query, body string) Call {
	t.Helper()
	address := g.CallbackAddress(k)
	if query != "" {
		address += map[bool]string{true: "&", false: "?"}[strings.Contains(address, "?")] + query
	}
	c := Call{Kind: k, Method: http.MethodPost, URL: callURL(t, address), Header: http.Header{}, Body: []byte(body)}
	switch d := g.description; {
	case d.spec.Trust.Twilio != "":
		form, err := url.ParseQuery(body)
		if err != nil {
			t.Fatal(err)
		}
		sum := signTwilio([]byte("12345"), "https://herald.example"+c.URL.RequestURI(), form)
		c.Header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(sum))
	case d.spec.Trust.HMAC != nil:
		stamp := fmt.Sprint(testNow.Unix())
		mac := hmac.New(sha256.New, []byte("Jefe"))
		mac.Write([]byte(stamp + "." + body))
		c.Header.Set("X-Timestamp", stamp)
		c.Header.Set("X-Signature", hex.EncodeToString(mac.Sum(nil)))
	}
	if len(body) == 0 {
		c.Method = http.MethodGet
	}
	return c
}

func TestReportsOfProviders(t *testing.T) {
	type want struct {
		event dispatch.ReportEvent // empty: it tells nothing
		code  string
		dead  bool
		id    string
		at    time.Time
	}
	named := "herald-delivery=" + testDelivery.String()
	for _, c := range []struct {
		provider, query, body string
		want                  want
	}{
		{"kannel", named + "&state=1&id=f&code=&at=1795345459", "", want{dispatch.ReportDelivered, "1", false, "f", time.Unix(1795345459, 0).UTC()}},
		{"kannel", named + "&state=2&id=f&code=NACK%2F11%2FInvalid", "", want{dispatch.ReportBounced, "NACK/11/Invalid", false, "f", time.Time{}}},
		{"kannel", named + "&state=16", "", want{dispatch.ReportBounced, "16", false, "", time.Time{}}},
		{"kannel", named + "&state=34&at=soon", "", want{dispatch.ReportExpired, "34", false, "", time.Time{}}},
		{"kannel", named + "&state=8&code=ACK%2F", "", want{}},
		{"twilio", named, "MessageSid=SM1&MessageStatus=sent", want{}},
		{"twilio", named, "MessageSid=SM1&MessageStatus=delivered&To=%2B86138", want{dispatch.ReportDelivered, "delivered", false, "SM1", time.Time{}}},
		{"twilio", named, "MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30005", want{dispatch.ReportBounced, "30005", true, "SM1", time.Time{}}},
		{"twilio", named, "MessageSid=SM1&MessageStatus=failed&ErrorCode=21610", want{dispatch.ReportUnsubscribed, "21610", false, "SM1", time.Time{}}},
		{"twilio", named, "MessageSid=SM1&MessageStatus=failed&ErrorCode=30036", want{dispatch.ReportExpired, "30036", false, "SM1", time.Time{}}},
		{"aliyun", "", `[{"phone_number":"13800138000","success":true,"err_code":"DELIVERED","report_time":"2026-11-22 19:59:00","biz_id":"9^0","out_id":"` + testDelivery.String() + `"}]`, want{dispatch.ReportDelivered, "DELIVERED", false, "9^0", testNow.Add(-time.Minute)}},
		{"aliyun", "", `[{"success":false,"err_code":"UNDELIV","biz_id":"9^0","out_id":"` + testDelivery.String() + `"}]`, want{dispatch.ReportBounced, "UNDELIV", false, "9^0", time.Time{}}},
		{"aliyun", "", `[]`, want{}},
		{"generic", named, `{"id":7,"state":"Failed","code":"unknown_number","at":"2026-11-22T12:59:00+01:00"}`, want{dispatch.ReportBounced, "unknown_number", true, "7", testNow.Add(-time.Minute)}},
		{"generic", named, `{"id":7,"state":"delayed"}`, want{dispatch.ReportDelayed, "delayed", false, "7", time.Time{}}},
	} {
		t.Run(c.provider+" "+c.query+c.body, func(t *testing.T) {
			g := called(t, c.provider)
			news, err := g.Read(signed(t, g, KindReceipt, c.query, c.body))
			if err != nil {
				t.Fatal(err)
			}
			if c.want.event == "" {
				if len(news.Reports) > 0 {
					t.Errorf("it tells %+v", news.Reports)
				}
				return
			}
			if len(news.Reports) != 1 {
				t.Fatalf("it tells %+v", news.Reports)
			}
			r := news.Reports[0]
			if got := (want{r.Event, r.Code, r.AddressDead, r.ProviderID, r.At}); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if r.DeliveryID != testDelivery || r.Account != "main" || r.Channel != subscriptions.SMS {
				t.Errorf("it is about %+v", r)
			}
			again, err := g.Read(signed(t, g, KindReceipt, c.query, c.body))
			if err != nil || again.Reports[0].Key != r.Key || r.Key == "" {
				t.Errorf("given again it has another key: %v", err)
			}
		})
	}
}

func TestOneCallCanTellOfMany(t *testing.T) {
	g := called(t, "aliyun")
	news, err := g.Read(signed(t, g, KindReceipt, "", `[{"success":true,"biz_id":"1"},{"success":false,"biz_id":"2","err_code":"X"},{"success":null,"biz_id":"3"}]`))
	if err != nil || len(news.Reports) != 2 || news.Reports[0].Key == news.Reports[1].Key {
		t.Errorf("it tells %+v, %v", news.Reports, err)
	}
	news, err = g.Read(signed(t, g, KindReceipt, "", `[{"success":true},{"success":false,"biz_id":"2"},7]`))
	if err != nil || len(news.Reports) != 1 || news.Unreadable != 1 {
		t.Errorf("with one that cannot be read it tells %+v, %v", news, err)
	}
	for _, body := range []string{`{"success":true}`, `x`, ``} {
		c := signed(t, g, KindReceipt, "", "[]")
		c.Body = []byte(body)
		if _, err := g.Read(c); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s gives %v", body, err)
		}
	}
	if _, err := g.Read(signed(t, g, KindReceipt, "", `[{"success":true}]`)); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a report of nothing gives %v", err)
	}
}

func TestMessagesThatComeIn(t *testing.T) {
	for _, c := range []struct {
		rule, provider, query, body string
		want                        dispatch.Inbound
	}{
		{
			"Kannel in UTF-8", "kannel", "from=13800138000&to=1069&text=TD+%E2%9C%93&charset=UTF-8&id=uuid&at=1795345459", "",
			dispatch.Inbound{Key: "uuid", From: "+8613800138000", To: "1069", Text: "TD ✓", At: time.Unix(1795345459, 0).UTC()},
		},
		{
			"Kannel in UTF-16", "kannel", "from=%2B8613800138000&text=%90%00%8B%A2&charset=UTF-16BE&id=uuid", "",
			dispatch.Inbound{Key: "uuid", From: "+8613800138000", Text: "退订"},
		},
		{
			"Twilio", "twilio", "", "MessageSid=SM9&From=%2B14155552671&To=%2B14155550000&Body=STOP",
			dispatch.Inbound{Key: "SM9", From: "+14155552671", To: "+14155550000", Text: "STOP"},
		},
		{
			"a sender with a name", "twilio", "", "MessageSid=SM9&From=Bank&To=1&Body=hello",
			dispatch.Inbound{Key: "SM9", From: "Bank", To: "1", Text: "hello"},
		},
		{
			"Aliyun", "aliyun", "", `[{"phone_number":"13800138000","send_time":"2026-11-22 19:59:00","content":"退订","dest_code":"1069","sequence_id":12345678901234567}]`,
			dispatch.Inbound{Key: "12345678901234567", From: "+8613800138000", To: "1069", Text: "退订", At: testNow.Add(-time.Minute)},
		},
		{
			"the generic one, broken octets and all", "generic", "", "{\"id\":\"x\",\"from\":\"+8613800138000\",\"text\":\"a\\u0000b\xff\"}",
			dispatch.Inbound{Key: "x", From: "+8613800138000", Text: "ab\uFFFD"},
		},
	} {
		t.Run(c.rule, func(t *testing.T) {
			g := called(t, c.provider)
			news, err := g.Read(signed(t, g, KindInbound, c.query, c.body))
			if err != nil {
				t.Fatal(err)
			}
			c.want.Account, c.want.Channel = "main", subscriptions.SMS
			if diff := cmp.Diff([]dispatch.Inbound{c.want}, news.Inbound); diff != "" {
				t.Errorf("what came in differs (-want +got):\n%s", diff)
			}
		})
	}
}

const octetsIn = `
about: a gateway that gives octets
settings: {url: {about: its address}}
secrets: {password: {about: the password}}
request: {url: '{{.Settings.url}}'}
answer:
  rules: [{status: 200, is: accepted}]
inbound:
  methods: GET
  from: {query: from}
  text: {query: text}
  charset: {query: charset}
  hex: true
  at: {query: at}
  time: unix_ms
trust:
  basic: {username: herald, password: '{{.Secrets.password}}'}
  networks: 192.0.2.0/24, 10.0.0.0/8
`

func newOctetsIn(t *testing.T, networks ...string) *Gateway {
	return newGateway(t, octetsIn, Account{
		Name: "main", Settings: map[string]string{"url": "https://x.example"}, Secrets: map[string]string{"password": "opened"},
		CallbackURL: "https://herald.example", Networks: networks,
	})
}

func octetsCall(t *testing.T, query, from, password string) Call {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth("herald", password)
	return Call{
		Kind: KindInbound, Method: http.MethodGet, URL: callURL(t, "https://herald.example/x?"+query), Header: r.Header, From: netip.MustParseAddr(from),
	}
}

func TestTextInHexadecimal(t *testing.T) {
	g := newOctetsIn(t)
	for query, want := range map[string]string{
		"text=90008BA2&charset=utf-16be": "退订",
		"text=cdcbb6a9&charset=GBK":      "退订",
		"text=5444":                      "TD",
	} {
		news, err := g.Read(octetsCall(t, query+"&from=%2B8613800138000&at=1795345459000", "192.0.2.7", "opened"))
		if err != nil || len(news.Inbound) != 1 || news.Inbound[0].Text != want || news.Inbound[0].Key == "" || news.Inbound[0].At.Unix() != 1795345459 {
			t.Errorf("%s gives %+v, %v", query, news, err)
		}
	}
	for _, query := range []string{"text=xyz&from=1&at=1", "text=54&charset=klingon&from=1&at=1", "text=54&at=1", "text=54&from=1", "text=" + strings.Repeat("54", maxInbound+1) + "&from=1&at=1"} {
		if _, err := g.Read(octetsCall(t, query, "192.0.2.7", "opened")); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%.60s gives %v", query, err)
		}
	}
}

func TestWhoMayNotCall(t *testing.T) {
	g := newOctetsIn(t)
	good := "text=5444&from=1&at=1"
	for rule, c := range map[string]struct{ from, password string }{
		"another network":  {"198.51.100.1", "opened"},
		"another password": {"192.0.2.1", "open"},
		"no password":      {"10.1.2.3", ""},
		"from nowhere":     {"::1", "opened"},
	} {
		if _, err := g.Read(octetsCall(t, good, c.from, c.password)); !errors.Is(err, ErrForged) {
			t.Errorf("%s gives %v", rule, err)
		}
	}
	if _, err := g.Read(octetsCall(t, good, "::ffff:10.1.2.3", "opened")); err != nil {
		t.Errorf("a mapped address gives %v", err)
	}
	narrow := newOctetsIn(t, "198.51.100.0/24")
	if _, err := narrow.Read(octetsCall(t, good, "198.51.100.1", "opened")); err != nil {
		t.Errorf("the account's own network gives %v", err)
	}
	if _, err := narrow.Read(octetsCall(t, good, "192.0.2.1", "opened")); !errors.Is(err, ErrForged) {
		t.Errorf("the description's network is still taken: %v", err)
	}
}

func TestForgeriesOfEveryKind(t *testing.T) {
	for _, name := range Names() {
		g := called(t, name)
		query, body := "herald-delivery="+testDelivery.String()+"&state=1", ""
		switch name {
		case "twilio":
			query, body = "", "MessageSid=SM1&MessageStatus=delivered"
		case "aliyun":
			query, body = "", `[{"success":true,"biz_id":"1"}]`
		case "generic":
			query, body = "", `{"id":"1","state":"delivered"}`
		}
		good := signed(t, g, KindReceipt, query, body)
		if _, err := g.Read(good); err != nil {
			t.Fatalf("%s: a good call gives %v", name, err)
		}
		bare := good
		bare.Header, bare.URL = http.Header{}, callURL(t, "https://herald.example"+Base+"main/receipt?"+query)
		if _, err := g.Read(bare); !errors.Is(err, ErrForged) {
			t.Errorf("%s: without a proof gives %v", name, err)
		}
		other := good
		other.Method = http.MethodDelete
		if _, err := g.Read(other); !errors.Is(err, ErrNoCallback) {
			t.Errorf("%s: DELETE gives %v", name, err)
		}
		other = good
		other.Kind = "other"
		if _, err := g.Read(other); !errors.Is(err, ErrNoCallback) {
			t.Errorf("%s: another kind gives %v", name, err)
		}
	}
}

func TestASignatureHasItsTime(t *testing.T) {
	g := called(t, "generic")
	c := signed(t, g, KindReceipt, "", `{"id":"1","state":"delivered"}`)
	for shift, want := range map[time.Duration]error{
		5 * time.Minute: nil, 5*time.Minute + time.Second: ErrStale, -5 * time.Minute: nil, -6 * time.Minute: ErrStale,
	} {
		g.now = func() time.Time { return testNow.Add(shift) }
		if _, err := g.Read(c); !errors.Is(err, want) {
			t.Errorf("after %v it gives %v, want %v", shift, err, want)
		}
	}
	c.Header.Set("X-Timestamp", fmt.Sprint(testNow.Unix()+1))
	if _, err := g.Read(c); !errors.Is(err, ErrForged) {
		t.Errorf("another time gives %v", err)
	}
}

func TestNobodySignsWithoutAKey(t *testing.T) {
	source := strings.Replace(octetsIn, "{about: the password}", "{about: the password, optional: true}", 1)
	source = source[:strings.Index(source, "trust:")] + "trust:\n  hmac: {header: X-Sign, secret: '{{.Secrets.password}}'}\n"
	g := newGateway(t, source, Account{Name: "main", Settings: map[string]string{"url": "https://x.example"}, CallbackURL: "https://herald.example"})
	c := octetsCall(t, "text=54&from=1&at=1", "192.0.2.1", "")
	mac := hmac.New(sha256.New, nil)
	c.Header.Set("X-Sign", hex.EncodeToString(mac.Sum(nil)))
	if _, err := g.Read(c); !errors.Is(err, ErrForged) {
		t.Errorf("it gives %v", err)
	}
}

func FuzzCallback(f *testing.F) {
	var all []*Gateway
	for _, name := range Names() {
		all = append(all, called(f, name))
	}
	f.Add(0, "[{\"success\":true,\"biz_id\":\"1\",\"err_msg\":\"+8613800138000\"}]", "", false)
	f.Add(1, `{"id":"1","state":"delivered","at":"2026-11-22T12:59:00+01:00"}`, "herald-part=2&herald-delivery="+testDelivery.String(), false)
	f.Add(2, "", "from=1&text=%90%00&charset=UTF-16BE&id=1&at=1e99", true)
	f.Add(3, "MessageSid=SM1&From=%2B8613800138000&Body=STOP", "", true)
	f.Fuzz(func(t *testing.T, which int, body, query string, inbound bool) {
		g := all[uint(which)%uint(len(all))]
		d, s := g.description.receipt, &said{body: []byte(body)}
		s.query, _ = url.ParseQuery(query)
		if inbound {
			in, err := g.readInbound(g.description.inbound, s)
			if err == nil && (in.Key == "" || len(in.Key) > maxID || in.From == "" && s.query == nil || len(in.To) > maxNumber || len(in.Text) > 3*maxInbound || strings.Contains(in.Text, "\x00")) {
				t.Errorf("what came in is %+v", in)
			}
		} else {
			r, tells, err := g.readReport(d, s)
			if tells && err == nil && (r.Event == "" || r.Key == "" || len(r.Key) > 300 || !isNamed(r) || number.MatchString(r.Detail) || r.At.Year() > 9999) {
				t.Errorf("the report is %+v", r)
			}
		}
		c := Call{Kind: KindReceipt, Method: http.MethodPost, URL: &url.URL{Path: "/x", RawQuery: query}, Header: http.Header{}, Body: []byte(body)}
		if _, err := g.Read(c); err == nil && !strings.Contains(query, "0123456789abcdef") {
			t.Error("it is taken without a proof")
		}
	})
}

// FuzzDescription gives the reader of descriptions what is none.
func FuzzDescription(f *testing.F) {
	for _, source := range []string{byGet, byPost, inParts, octetsIn, hashed} {
		f.Add([]byte(source))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		if d, err := Parse("fuzz.yaml", source); err == nil && (d.url == nil || len(d.rules) == 0) {
			t.Error("it is not whole")
		} else if err != nil && !strings.Contains(err.Error(), "fuzz.yaml") {
			t.Errorf("the error names no file: %v", err)
		}
	})
}
