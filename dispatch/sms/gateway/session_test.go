package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"herald/dispatch"
	"herald/dispatch/conformance"
	"herald/templates"
)

// line is a session at a scripted far end.
type line struct {
	*farEnd
	dispatch.Session
	t *testing.T
}

func newLine(t *testing.T, description string, answer func(*heard) string) *line {
	t.Helper()
	return newLineWithin(t, answerWithin, description, answer)
}

func newLineWithin(t *testing.T, answerWithin time.Duration, description string, answer func(*heard) string) *line {
	t.Helper()
	f := startFarEnd(t, false)
	f.answer = answer
	g := newGateway(t, description, Account{Name: "far", Settings: map[string]string{"url": f.url()}, Timeout: answerWithin})
	return &line{f, openSession(t, g), t}
}

func openSession(t *testing.T, g *Gateway) dispatch.Session {
	t.Helper()
	s, err := g.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (l *line) wantClass(class dispatch.Class) *dispatch.SendError {
	l.t.Helper()
	_, err := l.Send(l.t.Context(), messageTo("+8613800138000"))
	var failure *dispatch.SendError
	if !errors.As(err, &failure) || failure.Class != class {
		l.t.Fatalf("it gives %v, want %s", err, class)
	}
	return failure
}

// TestNothingIsRepeatedInSilence: http.Transport would send this GET again on
// a new connection, and the member would have two messages.
func TestNothingIsRepeatedInSilence(t *testing.T) {
	for name, description := range map[string]string{
		"by GET": byGet,
		"with an Idempotency-Key that was not described as one": strings.Replace(byPost, "  json:", "  headers: {Idempotency-Key: '{{.Key}}'}\n  json:", 1),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine(t, description, nil)
			if _, err := l.Send(t.Context(), messageTo("+8613800138001")); err != nil {
				t.Fatal(err) // the connection has been used
			}
			m := messageTo("+8613800138000")
			l.mu.Lock()
			l.fault, l.victim = conformance.LostAfter, m.Address
			l.mu.Unlock()
			_, err := l.Send(t.Context(), m)
			var failure *dispatch.SendError
			if !errors.As(err, &failure) || failure.Class != dispatch.Doubt {
				t.Errorf("it gives %v", err)
			}
			if n := len(l.heard()); n != 2 {
				t.Errorf("the far end heard %d requests, want 2", n)
			}
		})
	}
}

var idempotent = strings.Replace(byPost, "  json:", "  headers: {Idempotency-Key: '{{.Key}}'}\n  idempotent: true\n  json:", 1)

func TestARepetitionThatIsToldResolvesTheDoubt(t *testing.T) {
	l := newLine(t, idempotent, nil)
	m := messageTo("+8613800138000")
	times := 0
	l.answer = func(h *heard) string {
		times++
		id := l.take(h, h.to())
		if times == 1 {
			return "" // taken, and the answer is lost
		}
		return reply(201, `{"id":"`+id+`"}`)
	}
	r, err := l.Send(t.Context(), m)
	if err != nil || r.ProviderID != "id-1" {
		t.Fatalf("it gives %+v, %v", r, err)
	}
	heard := l.heard()
	if len(heard) != 2 || heard[0].Header.Get("Idempotency-Key") != heard[1].Header.Get("Idempotency-Key") || heard[0].body != heard[1].body {
		t.Errorf("the far end heard %d requests", len(heard))
	}
	if l.taken[m.Address] != 1 || l.Broken() {
		t.Errorf("it was taken %d times, broken %v", l.taken[m.Address], l.Broken())
	}
}

func TestADoubtThatIsNotResolvedStays(t *testing.T) {
	for rule, second := range map[string]string{
		"the answer is lost again":          "",
		"the repetition is refused for now": reply(429, ``),
		"the repetition is refused":         reply(400, `{"error":"refused"}`),
	} {
		t.Run(rule, func(t *testing.T) {
			times := 0
			l := newLine(t, idempotent, func(*heard) string {
				if times++; times == 1 {
					return ""
				}
				return second
			})
			l.wantClass(dispatch.Doubt)
			if n := len(l.heard()); n != 2 {
				t.Errorf("the far end heard %d requests, want 2", n)
			}
		})
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	l := newLine(t, byGet, func(*heard) string { return reply(302, "", "Location: /elsewhere") })
	l.wantClass(dispatch.Configuration)
	if n := len(l.heard()); n != 1 {
		t.Errorf("the far end heard %d requests", n)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for rule, answer := range map[string]string{
		"another protocol":             "SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"half of one":                  "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{",
		"an endless head":              "HTTP/1.1 201 Created\r\n" + strings.Repeat("X-Y: "+strings.Repeat("z", 1000)+"\r\n", 200),
		"interim ones for ever":        strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 100),
		"another protocol, politely":   "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"a length that is none":        "HTTP/1.1 201 Created\r\nContent-Length: -5\r\n\r\n",
		"chunks that are none":         "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"a success nobody spoke of":    reply(200, `{"id":"1"}`),
		"an error of we know not what": reply(500, `<html>`),
	} {
		t.Run(rule, func(t *testing.T) {
			l := newLineWithin(t, 2*time.Second, byGet, func(*heard) string { return answer })
			l.wantClass(dispatch.Doubt)
			if !l.Broken() {
				t.Error("the session is not broken")
			}
		})
	}
}

func TestAnAnswerThatIsTooLongIsCut(t *testing.T) {
	l := newLine(t, byGet, func(*heard) string {
		return reply(400, `x`+strings.Repeat(" ", 10*maxAnswer))
	})
	l.wantClass(dispatch.Permanent)
	if !l.Broken() {
		t.Error("the connection would be used again, amid the answer")
	}
}

func TestAnInterimAnswerIsPassedOver(t *testing.T) {
	l := newLine(t, byGet, func(*heard) string {
		return "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + reply(201, `{"id":"7"}`)
	})
	if r, err := l.Send(t.Context(), messageTo("+1")); err != nil || r.ProviderID != "7" || l.Broken() {
		t.Errorf("it gives %+v, %v", r, err)
	}
}

func TestTheProviderEndsTheConnectionProperly(t *testing.T) {
	l := newLine(t, byGet, func(*heard) string { return reply(201, `{"id":"7"}`, "Connection: close") })
	if _, err := l.Send(t.Context(), messageTo("+1")); err != nil || !l.Broken() {
		t.Errorf("it gives %v, broken %v", err, l.Broken())
	}
}

// A proxy says 408 on a connection that rested too long; the next message must
// not take that for its answer, nor be in doubt.
func TestWhatIsSaidAtRestIsNoAnswer(t *testing.T) {
	l := newLine(t, byGet, func(*heard) string { return reply(201, `{"id":"7"}`) + reply(408, "") })
	if _, err := l.Send(t.Context(), messageTo("+1")); err != nil {
		t.Fatal(err)
	}
	l.wantClass(dispatch.SessionFatal)
	if n := len(l.heard()); n != 1 || !l.Broken() {
		t.Errorf("the far end heard %d requests", n)
	}
}

func TestATextThatIsTooLongGoesNowhere(t *testing.T) {
	l := newLine(t, byGet+"text: {longest: 2}\n", nil)
	m := messageTo("+8613800138000")
	m.Content.Text = strings.Repeat("x", 307)
	_, err := l.Send(t.Context(), m)
	var failure *dispatch.SendError
	if !errors.As(err, &failure) || failure.Class != dispatch.Permanent || failure.Code != "too_long" || len(l.heard()) > 0 {
		t.Errorf("it gives %v", err)
	}
	m.Content.Text = m.Content.Text[:306]
	if _, err := l.Send(t.Context(), m); err != nil {
		t.Errorf("two parts give %v", err)
	}
	if n := l.Session.(*session).gateway.Parts(m); n != 2 {
		t.Errorf("they are %d parts", n)
	}
}

func TestACertificateOfNobodyIsOurMistake(t *testing.T) {
	encrypted, plain := startFarEnd(t, true), httptest.NewServer(nil)
	t.Cleanup(plain.Close)
	for rule, address := range map[string]string{
		"an unknown authority": encrypted.url(),
		"no encryption at all": strings.Replace(plain.URL, "http:", "https:", 1),
		"another name":         strings.Replace(encrypted.url(), "127.0.0.1", "localhost", 1),
	} {
		t.Run(rule, func(t *testing.T) {
			a := Account{Name: "far", Settings: map[string]string{"url": address}, Timeout: answerWithin}
			if rule == "another name" {
				a.RootCAs = rootCAs(t, encrypted.tls)
			}
			_, err := newGateway(t, byGet, a).Open(t.Context())
			var failure *dispatch.SendError
			if !errors.As(err, &failure) || failure.Class != dispatch.Configuration {
				t.Errorf("it gives %v", err)
			}
		})
	}
}

func TestTheNumberCannotChangeWhomWeCall(t *testing.T) {
	source := strings.Replace(byPost, "/send'", "{{.To}}'", 1)
	g := newGateway(t, source, Account{Name: "a", Settings: map[string]string{"url": "https://x.example"}})
	for _, to := range []string{"@evil.example/", ".evil.example", ":8443/x", "/?to=1", "\x00"} {
		if _, err := g.request(message{account: g.identity(), To: to}); err == nil {
			t.Errorf("%q is called", to)
		}
	}
}

// Whatever a message says, it stays one value, in the query, the form and JSON.
func TestAMessageStaysWhereItBelongs(t *testing.T) {
	account := Account{Name: "a", Settings: map[string]string{"url": "https://x.example"}}
	query := newGateway(t, byGet, account)
	form := newGateway(t, strings.Replace(byPost, "json: {to", "form: {To", 1), account)
	tree := newGateway(t, byPost, account)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[&=+%"'{}\\<>\r\n?#;/ a]*`)).Draw(t, "text")
		m := dispatch.Message{Address: "+8613800138000", Content: templates.Content{Text: text}}
		for name, g := range map[string]*Gateway{"query": query, "form": form, "json": tree} {
			c, err := g.compose(m)
			if err != nil {
				return // it is too long for any number of parts
			}
			r, err := g.request(g.view(m, c))
			if err != nil {
				t.Fatal(err)
			}
			wire, err := r.wire()
			if err != nil {
				t.Fatal(err)
			}
			h := readRequest(t, wire)
			var got string
			switch values, _ := url.ParseQuery(h.body); name {
			case "query":
				got = h.URL.Query().Get("text")
			case "form":
				got = values.Get("text")
			case "json":
				got = scalar(step((&said{body: []byte(h.body)}).document(), []string{"text"}))
			}
			if got != c.Text || h.to() != m.Address {
				t.Fatalf("in the %s %q becomes %q to %q", name, c.Text, got, h.to())
			}
		}
	})
}

func TestAHeaderIsOneLine(t *testing.T) {
	source := strings.Replace(byPost, "  json:", "  headers: {X-Text: '{{.Text}}'}\n  json:", 1)
	l := newLine(t, source, nil)
	m := messageTo("+8613800138000")
	m.Content.Text = "one\r\nX-Evil: yes"
	_, err := l.Send(t.Context(), m)
	var failure *dispatch.SendError
	if !errors.As(err, &failure) || failure.Class != dispatch.Configuration || strings.Contains(err.Error(), "Evil") {
		t.Errorf("it gives %v", err)
	}
}

func TestATextThatCannotBeFilledIsOurMistake(t *testing.T) {
	for rule, text := range map[string]string{
		"a function refuses":  "{{unhex .Text}}",
		"it becomes too long": `{{printf "%600000s" .Text}}`,
	} {
		t.Run(rule, func(t *testing.T) {
			l := newLine(t, strings.Replace(byPost, "{{.Text}}", text, 1), nil)
			if failure := l.wantClass(dispatch.Configuration); strings.Contains(failure.Error(), "kettle") {
				t.Errorf("the error has the message: %v", failure)
			}
			if len(l.heard()) > 0 || l.Broken() {
				t.Error("something was said")
			}
		})
	}
}

// What each of Herald's own descriptions says, word for word.
func TestRequestsWordForWord(t *testing.T) {
	settings := map[string]map[string]string{
		"kannel":  {"url": "http://127.0.0.1:13013/cgi-bin/sendsms", "username": "herald", "from": "1069"},
		"twilio":  {"account_sid": "AC1", "service_sid": "MG1"},
		"aliyun":  {"access_key_id": "id", "sign_name": "小店", "template_code": "SMS_1"},
		"generic": {"url": "https://sms.example/v1/messages"},
	}
	secrets := map[string]map[string]string{
		"kannel":  {"password": "secret", "callback": "0123456789abcdef"},
		"twilio":  {"auth_token": "token"},
		"aliyun":  {"access_key_secret": "secret", "callback": "0123456789abcdef"},
		"generic": {"token": "t0ken", "signing_key": "key"},
	}
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			g, err := New(load(t, name), Account{
				Name: "main", Settings: settings[name], Secrets: secrets[name], CallbackURL: "https://herald.example",
			}, nil, func() time.Time { return testNow })
			if err != nil {
				t.Fatal(err)
			}
			m := dispatch.Message{Address: "+8613800138000", Content: templates.Content{Text: "水壶 39 元 & \"more\""}, ExpiresAt: testNow.Add(90 * time.Second)}
			m.DeliveryID[15] = 1
			c, err := g.compose(m)
			if err != nil {
				t.Fatal(err)
			}
			v := g.view(m, c)
			v.Nonce = "nonce"
			r, err := g.request(v)
			if err != nil {
				t.Fatal(err)
			}
			wire, err := r.wire()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".http", strings.ReplaceAll(string(wire), "\r\n", "\n")+"\n")
		})
	}
}

func TestNobodyReportsWhereNobodyCanCall(t *testing.T) {
	d := load(t, "kannel")
	a := Account{Name: "k", Settings: map[string]string{"username": "u"}, Secrets: map[string]string{"password": "p", "callback": "0123456789abcdef"}}
	g, err := New(d, a, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := g.compose(messageTo("+1"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := g.request(g.view(messageTo("+1"), c))
	if err != nil {
		t.Fatal(err)
	}
	if query := r.url.Query(); query.Has("dlr-url") || query.Has("dlr-mask") || g.HasReceipts() {
		t.Errorf("receipts are asked for: %v", query)
	}
	if _, err := g.Read(Call{Kind: KindReceipt, Method: http.MethodGet, URL: &url.URL{}}); !errors.Is(err, ErrNoCallback) {
		t.Errorf("a call gives %v", err)
	}
}

func TestABodyOfItsOwnFormat(t *testing.T) {
	source := strings.Replace(byPost, "  json: {to: '{{.To}}', text: '{{.Text}}'}", "  headers: {Content-Type: text/xml}\n  body: '<sms to=\"{{.To}}\">{{xml .Text}}</sms>'", 1)
	l := newLine(t, source, func(*heard) string { return reply(201, `{"id":"7"}`) })
	m := messageTo("+8613800138000")
	m.Content.Text = "</sms> & more"
	if _, err := l.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	h := l.heard()[0]
	if h.body != `<sms to="+8613800138000">&lt;/sms&gt; &amp; more</sms>` || h.Header.Get("Content-Type") != "text/xml" {
		t.Errorf("it says %s %s", h.Header.Get("Content-Type"), h.body)
	}
}

func TestListsAndConstantsOfJSON(t *testing.T) {
	source := strings.Replace(byPost, "json: {to: '{{.To}}', text: '{{.Text}}'}",
		"json: {all: [{to: '{{.To}}', from: '{{.Name}}'}, 7, true, null], text: '{{.Text}}', n: 1.5}", 1)
	l := newLine(t, source, func(*heard) string { return reply(201, `{"id":"7"}`) })
	if _, err := l.Send(t.Context(), messageTo("+8613800138000")); err != nil {
		t.Fatal(err)
	}
	const want = `{"all":[{"to":"+8613800138000"},7,true,null],"n":1.5,"text":"The kettle is 39 now."}`
	if got := l.heard()[0].body; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
