package page

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/language"

	"herald/problem"
)

// Route is one line of a site's list.
type Route struct {
	Pattern string // as http.ServeMux takes it: "GET /alerts/{id}"
	Handle  func(*Visit) error
	// Live lets the handler take as long as it likes: server-sent events.
	Live bool
	// CrossOrigin accepts a POST from anywhere: what it does is authorised by a
	// signed link, not by the session.
	CrossOrigin bool
	// MaxForm is how large a posted form may be, in bytes; default 64 KiB.
	MaxForm int64
}

const (
	languageCookie = "herald_language"
	maxForm        = 64 << 10 // bytes of a posted form, where a route says nothing else

	// awayFor is how long a reader is asked to wait while the database is away.
	awayFor = 5 * time.Second
)

// Handler serves the routes, the assets, and an error page for everything else.
func (s *Site) Handler(routes []Route) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+assetPrefix, s.assets)
	for _, r := range routes {
		if r.CrossOrigin {
			s.origins.AddInsecureBypassPattern(r.Pattern)
		}
		mux.Handle(r.Pattern, s.handle(r))
	}
	mux.Handle("/", s.handle(Route{Handle: func(*Visit) error { return problem.New(problem.NotFound, "no such page") }}))
	return mux
}

func (s *Site) handle(route Route) http.Handler {
	inner := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := s.visit(w, r)
		defer s.recovered(v)
		if err := s.origins.Check(r); err != nil {
			s.fail(v, &problem.Error{Code: problem.Forbidden, Message: "sent from another site", Err: err})
			return
		}
		if !storable(r.URL.Path) || !storableAll(r.URL.Query()) {
			s.fail(v, problem.New(problem.Malformed, "the address is not text"))
			return
		}
		s.rememberLanguage(v)
		if err := route.Handle(v); err != nil {
			s.fail(v, err)
		}
	}))
	inner = s.sessions.LoadAndSave(inner)
	limit := cmp.Or(route.MaxForm, maxForm)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.secureHeaders(w.Header())
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		ctx := context.WithValue(r.Context(), requestIDKey{}, uuid.NewString())
		if !route.Live {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, s.Timeout)
			defer cancel()
		}
		inner.ServeHTTP(w, r.WithContext(ctx))
	})
}

// requestIDKey holds the request's id in its context: the session's error page
// needs it before there is a Visit.
type requestIDKey struct{}

func (s *Site) secureHeaders(h http.Header) {
	policy := "default-src 'none'; style-src 'self'; img-src 'self' data:; media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	if s.Layout == Console {
		policy += scriptPolicy
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if s.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// AllowScripts lets Herald's own scripts run on the page that is shown: on
// those of the portal, which say it page by page.
func (v *Visit) AllowScripts() {
	h := v.W.Header()
	if policy := h.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src") {
		h.Set("Content-Security-Policy", policy+scriptPolicy)
	}
}

const scriptPolicy = "; script-src 'self'; connect-src 'self'"

// visit makes the Visit of a request. A request whose session could not be
// loaded has the language of its browser.
func (s *Site) visit(w http.ResponseWriter, r *http.Request) *Visit {
	v := &Visit{W: w, R: r, site: s}
	v.RequestID, _ = r.Context().Value(requestIDKey{}).(string)
	preferred, zone := "", ""
	if s.hasSession(r.Context()) {
		preferred = s.sessions.GetString(r.Context(), languageKey)
		zone = s.sessions.GetString(r.Context(), zoneKey)
	}
	v.Reader = Reader{Locale: s.catalogue.choose(r, preferred), Zone: zoneOr(zone), Now: s.Now()}
	v.Company = s.Company(v.Tag)
	if zone == "" {
		v.Zone = zoneOr(v.GuessZone())
	}
	return v
}

// zoneOf is where most people of a country live, for those whose browser names it.
var zoneOf = map[string]string{
	"AU": "Australia/Sydney", "BR": "America/Sao_Paulo", "CA": "America/Toronto", "CN": "Asia/Shanghai", "DE": "Europe/Berlin",
	"ES": "Europe/Madrid", "FR": "Europe/Paris", "GB": "Europe/London", "HK": "Asia/Hong_Kong", "ID": "Asia/Jakarta",
	"IN": "Asia/Kolkata", "IT": "Europe/Rome", "JP": "Asia/Tokyo", "KR": "Asia/Seoul", "MX": "America/Mexico_City",
	"MY": "Asia/Singapore", "NZ": "Pacific/Auckland", "PH": "Asia/Manila", "RU": "Europe/Moscow", "SG": "Asia/Singapore",
	"TH": "Asia/Bangkok", "TW": "Asia/Taipei", "US": "America/New_York", "VN": "Asia/Ho_Chi_Minh", "ZA": "Africa/Johannesburg",
}

// GuessZone is the zone that the reader most likely lives in, by the country
// that their browser names or else by the page's language.
func (v *Visit) GuessZone() string {
	tags, _, _ := language.ParseAcceptLanguage(v.R.Header.Get("Accept-Language"))
	for _, tag := range tags {
		if region, confidence := tag.Region(); confidence == language.Exact && zoneOf[region.String()] != "" {
			return zoneOf[region.String()]
		}
	}
	if v.Tag == "zh-CN" {
		return "Asia/Shanghai"
	}
	return "UTC"
}

// hasSession reports whether a session was loaded into the context: scs
// panics where there is none.
func (s *Site) hasSession(ctx context.Context) (has bool) {
	defer func() {
		if recover() != nil {
			has = false
		}
	}()
	s.sessions.Status(ctx)
	return true
}

// rememberLanguage keeps a language that was asked for in the address.
func (s *Site) rememberLanguage(v *Visit) {
	if v.R.URL.Query().Get("lang") == "" {
		return
	}
	http.SetCookie(v.W, &http.Cookie{
		Name: languageCookie, Value: v.Tag, Path: "/", MaxAge: int((365 * 24 * time.Hour).Seconds()),
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	})
	if v.UserID() != 0 {
		s.sessions.Put(v.Context(), languageKey, v.Tag)
	}
}

// recovered turns a panic of a handler into an error page.
func (s *Site) recovered(v *Visit) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // it is thrown as it is
		panic(p)
	}
	s.fail(v, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
}

// Problem is what the error page is filled from.
type Problem struct {
	Code      problem.Code // "" when Herald failed
	Status    int
	RequestID string
	Message   string // for operators: what a problem says of itself, in English
	After     string // how long to wait, worded; may be empty
}

// fail is the one place where an error becomes a page.
func (s *Site) fail(v *Visit, err error) {
	if s.Away(err) {
		err = &problem.Error{Code: problem.Unavailable, Message: "the database cannot be reached", After: awayFor, Err: err}
	}
	status := Status(err)
	shown := Problem{Code: problem.CodeOf(err), Status: status, RequestID: v.RequestID}
	var p *problem.Error
	switch {
	case errors.As(err, &p):
		shown.Message = p.Message
		if p.After > 0 {
			shown.After = v.Duration(p.After)
			v.W.Header().Set("Retry-After", fmt.Sprint(int(p.After.Seconds())+1))
		}
	case errors.Is(err, context.Canceled):
		return // the reader has gone
	}
	if status >= http.StatusInternalServerError {
		s.Logger.ErrorContext(v.Context(), "a page failed", "site", s.Name, "request", v.RequestID,
			"method", v.R.Method, "pattern", v.R.Pattern, "error", err)
	}
	t := s.templates.byLocale[v.Tag][errorPage]
	view := View{Reader: v.Reader, Data: shown, Page: errorPage, Path: v.R.URL.Path, Home: s.Home, Name: v.Name}
	if err := v.showProblem(t, view, status); err != nil {
		http.Error(v.W, "Herald could not show this page.", http.StatusInternalServerError)
	}
}

// Status is the HTTP status of an error.
func Status(err error) int {
	if status := problem.CodeOf(err).Status(); status != 0 {
		return status
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
