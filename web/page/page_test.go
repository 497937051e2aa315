package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/alexedwards/scs/v2/memstore"

	"herald/problem"
)

var moment = time.Date(2026, 3, 3, 1, 12, 4, 0, time.UTC)

func pages(main string) fs.FS {
	return fstest.MapFS{"p.html": {Data: []byte(`{{define "title"}}P{{end}}{{define "main"}}` + main + `{{end}}`)}}
}

func config(p fs.FS) Config {
	return Config{
		Name: "portal", Layout: Portal, Pages: p, PublicURL: "https://herald.example.com",
		Sessions: memstore.New(), Now: func() time.Time { return moment }, Logger: slog.New(slog.DiscardHandler),
	}
}

func site(t *testing.T, main string) *Site {
	t.Helper()
	s, err := New(config(pages(main)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func serve(s *Site, handle func(*Visit) error, change func(*http.Request)) *httptest.ResponseRecorder {
	h := s.Handler([]Route{{Pattern: "/p", Handle: handle}})
	r := httptest.NewRequest("GET", "https://herald.example.com/p", nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestTemplatesAreCheckedWhenTheSiteIsMade(t *testing.T) {
	for name, c := range map[string]struct{ main, want string }{
		"a key without wording":          {`{{t "no.such"}}`, `no wording for "no.such"`},
		"a key within a branch":          {`{{if .Data}}{{else}}{{$.T "no.such"}}{{end}}`, `no wording for "no.such"`},
		"a field's label":                {`{{template "field" (field .Data "a" "no.such")}}`, `no wording for "no.such"`},
		"an icon that was not built":     {`{{icon "no-such"}}`, `no icon "no-such"`},
		"an asset that was not built":    {`{{asset "no.css"}}`, `no asset "no.css"`},
		"a function that there is not":   {`{{nosuch}}`, `function "nosuch" not defined`},
		"a template that there is not":   {`{{if .Data}}{{template "nosuch"}}{{end}}`, `no such template "nosuch"`},
		"a place that cannot be escaped": {`<a href={{if .Data}}"x{{end}}>`, `end in different contexts`},
		"a template that does not parse": {`{{if}}`, `missing value for if`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(config(pages(c.main)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := New(config(fstest.MapFS{"p.html": {Data: []byte("hi")}})); err == nil {
		t.Error("a page without title and main was taken")
	}
}

func TestProblemsBecomePages(t *testing.T) {
	s := site(t, "")
	for name, c := range map[string]struct {
		err    error
		status int
		shown  string
	}{
		"not found":    {problem.New(problem.NotFound, "x"), 404, "There is nothing here"},
		"throttled":    {&problem.Error{Code: problem.Throttled, After: 90 * time.Second}, 429, "wait 1 minute 30 seconds"},
		"unknown":      {errors.New("pq: secret"), 500, "Something went wrong on our side"},
		"out of time":  {context.DeadlineExceeded, 503, "Something went wrong"},
		"other's page": {problem.New(problem.Forbidden, "x"), 403, "This is not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(s, func(*Visit) error { return c.err }, nil)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.shown) {
				t.Errorf("status %d, want %d; page has %q: %v", w.Code, c.status, c.shown, strings.Contains(w.Body.String(), c.shown))
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Error("the page shows what is for the log")
			}
		})
	}
	w := serve(s, func(*Visit) error { panic("secret") }, nil)
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("a panic: status %d", w.Code)
	}
}

func TestTheLanguageIsTheReadersOwn(t *testing.T) {
	s := site(t, `{{lang}}`)
	show := func(v *Visit) error { return v.Show("p", nil) }
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   string
	}{
		"nothing said":       {nil, `lang="en"`},
		"the browser's":      {func(r *http.Request) { r.Header.Set("Accept-Language", "fr;q=0.9, zh-Hans-CN, en;q=0.5") }, `lang="zh-CN"`},
		"the cookie's":       {func(r *http.Request) { r.AddCookie(&http.Cookie{Name: languageCookie, Value: "zh-CN"}) }, `lang="zh-CN"`},
		"asked for":          {func(r *http.Request) { r.URL.RawQuery = "lang=zh" }, `lang="zh-CN"`},
		"nonsense asked for": {func(r *http.Request) { r.URL.RawQuery = "lang=%00%22x" }, `lang="en"`},
		"a nonsense header":  {func(r *http.Request) { r.Header.Set("Accept-Language", ";;;q=") }, `lang="en"`},
	} {
		t.Run(name, func(t *testing.T) {
			if w := serve(s, show, c.change); !strings.Contains(w.Body.String(), `<html `+c.want) {
				t.Errorf("want %s in %.120s", c.want, w.Body.String())
			}
		})
	}
}

func TestAPostFromAnotherSiteIsRefused(t *testing.T) {
	s := site(t, "")
	called := false
	post := func(origin string) int {
		return serve(s, func(v *Visit) error { called = true; return v.Show("p", nil) }, func(r *http.Request) {
			r.Method = http.MethodPost
			r.Header.Set("Origin", origin)
		}).Code
	}
	if code := post("https://evil.example"); code != http.StatusForbidden || called {
		t.Errorf("from another site: status %d, handler called: %v", code, called)
	}
	if code := post("https://herald.example.com"); code != http.StatusOK {
		t.Errorf("from this site: status %d", code)
	}
}

func TestSigningInRenewsTheToken(t *testing.T) {
	s := site(t, `{{.Data}}`)
	first := serve(s, func(v *Visit) error { v.Say("page.skip"); return v.Go("/p") }, nil)
	cookie := first.Result().Cookies()[0]
	if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteLaxMode {
		t.Errorf("cookie %v, want HttpOnly, Secure, SameSite=Lax", cookie)
	}
	with := func(c *http.Cookie) func(*http.Request) { return func(r *http.Request) { r.AddCookie(c) } }
	second := serve(s, func(v *Visit) error {
		if err := v.SignIn(7, "mark", "zh-CN", "Asia/Shanghai"); err != nil {
			return err
		}
		return v.Go("/home")
	}, with(cookie))
	renewed := second.Result().Cookies()[0]
	if renewed.Value == cookie.Value {
		t.Error("the token is the same as before signing in")
	}
	old := serve(s, func(v *Visit) error { return v.Show("p", v.UserID()) }, with(cookie))
	if strings.Contains(old.Body.String(), "\n  7\n") {
		t.Error("the old token is signed in")
	}
	third := serve(s, func(v *Visit) error { return v.Show("p", v.UserID()) }, with(renewed))
	if !strings.Contains(third.Body.String(), "7") || !strings.Contains(third.Body.String(), `lang="zh-CN"`) {
		t.Errorf("the renewed session is not the user's: %s", third.Body.String())
	}
}

func TestWhatIsEnteredIsKeptAndEscaped(t *testing.T) {
	s := site(t, `{{template "faults" .Data}}{{template "field" (field .Data "params.target" "language.name" "min" 1)}}{{template "field" (field .Data "pw" "language.name" "type" "password")}}`)
	w := serve(s, func(v *Visit) error {
		form, err := v.Form()
		if err != nil {
			return err
		}
		bad := &problem.Error{Code: problem.Invalid, Fields: []problem.Field{{Path: "params.target", Rule: "max", Args: map[string]any{"max": 5000.0}, Message: "m"}}}
		return v.Again(bad, form, "p", form)
	}, func(r *http.Request) {
		form := url.Values{"params.target": {`"><script>alert(1)</script>`}, "pw": {"hunter2"}}
		*r = *httptest.NewRequest("POST", "https://herald.example.com/p", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})
	body := w.Body.String()
	if w.Code != http.StatusUnprocessableEntity {
		t.Errorf("status %d, want 422", w.Code)
	}
	for _, want := range []string{
		`value="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"`, `Please enter 5,000 or less.`, `aria-invalid="true"`,
		`aria-describedby="f-params-target-fault"`, `href="#f-params-target"`, ` min="1"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(body, "hunter2") {
		t.Error("the page repeats a password")
	}
}

func TestATooLargeFormIsRefused(t *testing.T) {
	w := serve(site(t, ""), func(v *Visit) error { _, err := v.Form(); return err }, func(r *http.Request) {
		*r = *httptest.NewRequest("POST", "https://herald.example.com/p", strings.NewReader("a="+strings.Repeat("x", maxForm)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d, want 413", w.Code)
	}
}

func TestAFileComesWithItsForm(t *testing.T) {
	posted := func(limit int64, size int) (form *Form, file []byte, status int) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		if err := w.WriteField("title", "Fairs"); err != nil {
			t.Fatal(err)
		}
		part, err := w.CreateFormFile("body", "fairs.ics")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(bytes.Repeat([]byte("x"), size)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		h := site(t, "").Handler([]Route{{Pattern: "/p", MaxForm: limit, Handle: func(v *Visit) error {
			form, file, err = v.FormWithFile("body")
			return err
		}}})
		r := httptest.NewRequest("POST", "https://herald.example.com/p", &b)
		r.Header.Set("Content-Type", w.FormDataContentType())
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		return form, file, answer.Code
	}
	form, file, status := posted(2*maxForm, maxForm)
	if status != http.StatusOK || form.Get("title") != "Fairs" || len(file) != maxForm {
		t.Errorf("status %d, %d bytes", status, len(file))
	}
	if _, _, status := posted(0, maxForm); status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d, want 413", status)
	}
}

func TestAFlashIsShownOnce(t *testing.T) {
	s := site(t, "")
	w := serve(s, func(v *Visit) error {
		v.Tell(Flash{Text: "Stopped <b>", Undo: "/undo", UndoLabel: "Undo", Fields: map[string]string{"id": "7"}})
		return v.Go("/p")
	}, nil)
	cookie := w.Result().Cookies()[0]
	show := func() string {
		return serve(s, func(v *Visit) error { return v.Show("p", nil) }, func(r *http.Request) { r.AddCookie(cookie) }).Body.String()
	}
	if first := show(); !strings.Contains(first, "Stopped &lt;b&gt;") || !strings.Contains(first, `name="id" value="7"`) {
		t.Errorf("the next page lacks the line: %s", first)
	}
	if second := show(); strings.Contains(second, "Stopped") {
		t.Error("the line is shown twice")
	}
}

func TestPagesForbidScripts(t *testing.T) {
	w := serve(site(t, ""), func(v *Visit) error { return v.Show("p", nil) }, nil)
	policy := w.Header().Get("Content-Security-Policy")
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") || !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("policy is %q", policy)
	}
	if strings.Contains(w.Body.String(), "style=") {
		t.Error("the page has an inline style, which the policy forbids")
	}
}

func TestAfterSigningInItGoesOnWhereTheReaderWanted(t *testing.T) {
	s := site(t, `x`)
	asked := serve(s, func(v *Visit) error { v.Return(); return v.Go("/sign-in") }, func(r *http.Request) { r.URL.RawQuery = "a=1&b=%C3%A9" })
	kept := asked.Result().Cookies()
	if len(kept) != 1 {
		t.Fatalf("cookies %v, want one, and no session of somebody who has not signed in", kept)
	}
	next := func(value string) string {
		w := serve(s, func(v *Visit) error { return v.Go(v.Next("/home")) }, func(r *http.Request) {
			r.AddCookie(&http.Cookie{Name: kept[0].Name, Value: value})
		})
		return w.Header().Get("Location")
	}
	if got := next(kept[0].Value); got != "/p?a=1&b=%C3%A9" {
		t.Errorf("goes on to %q", got)
	}
	for _, hostile := range []string{"https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example", "evil", "%zz", ""} {
		if got := next(hostile); got != "/home" {
			t.Errorf("%q leads to %q, want home", hostile, got)
		}
	}
	long := serve(s, func(v *Visit) error { v.Return(); return v.Go("/sign-in") }, func(r *http.Request) { r.URL.RawQuery = strings.Repeat("x", 2000) })
	if len(long.Result().Cookies()) != 0 {
		t.Error("an address without end is remembered")
	}
}

func TestWhatIsNoTextIsRefused(t *testing.T) {
	s := site(t, `x`)
	handle := func(v *Visit) error {
		if _, err := v.Form(); err != nil {
			return err
		}
		return v.Show("p", nil)
	}
	for name, change := range map[string]func(*http.Request){
		"a NUL in the query":  func(r *http.Request) { r.URL.RawQuery = "q=%00" },
		"no UTF-8 in a query": func(r *http.Request) { r.URL.RawQuery = "q=%ff" },
		"a NUL in what is sent": func(r *http.Request) {
			r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader("q=%00"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", "https://herald.example.com")
		},
	} {
		if w := serve(s, handle, change); w.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", name, w.Code)
		}
	}
}

func TestADatabaseThatIsAwayAsksTheReaderToComeAgain(t *testing.T) {
	away := errors.New("no connection")
	c := config(pages(`x`))
	c.Away = func(err error) bool { return errors.Is(err, away) }
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	w := serve(s, func(*Visit) error { return fmt.Errorf("read: %w", away) }, nil)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q; want 503 and a time", w.Code, w.Header().Get("Retry-After"))
	}
}
