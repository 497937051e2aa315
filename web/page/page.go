// Package page is the visual language of every page Herald shows: layouts,
// assets, words in English and Chinese, forms, sessions and error pages. A
// face (the customer's portal, the operator's console) is a Site: a folder of
// templates and a list of routes.
//
//	site, err := page.New(page.Config{Name: "portal", Layout: page.Portal, Pages: pages, …})
//	handler := site.Handler([]page.Route{{Pattern: "GET /alerts", Handle: p.alerts}})
//
// A request comes in as a Visit: who reads it, in which language and zone,
// what they sent. The handler answers with Show, Again (the form once more,
// with what is wrong at each field) or Go (a redirect), or returns an error,
// which the Site alone turns into a status, a page and, where nobody outside
// can act on it, a line in the log.
//
// A page is one file, pages/<name>.html, that defines "title" and "main"; "."
// in them is a View, so the handler's data is .Data. Files whose names begin
// with "_" are shared by a site's pages: a console's _nav.html defines "nav".
// In templates (see funcs.go): t "key" "name" value … words a key of the
// catalogue; word "state" x words a code; n, money, phone, masked, duration
// and measure format; $.When, $.Ago and $.Day tell a time in the reader's
// zone; icon "bell" draws an icon of assets/icons.txt; field .Form "name"
// "label.key" … with {{template "field" …}} is a labelled field. Keys and
// icons written in templates are checked when the Site is made.
//
// Words are in locale/en and locale/zh, one YAML file for each face. Styles
// are built from assets/ by `make assets` and committed under assets/dist;
// every new class, template or icon wants another build.
package page

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/alexedwards/scs/v2"
)

// Layout is the frame around a site's pages.
type Layout string

// The layouts.
const (
	Portal  Layout = "portal"  // for customers: roomy, one column, no script at all
	Console Layout = "console" // for operators: dense, a side navigation, htmx
)

// Config says what a site is made of. Every field but those with a default is
// required.
type Config struct {
	Name      string        // names the session cookie: "herald_<name>"
	Layout    Layout        // the frame and the stylesheet
	Pages     fs.FS         // the templates, *.html at its top
	Home      string        // where an error page leads back to; default "/"
	PublicURL string        // where readers reach the site; cookies are Secure when it is https
	Sessions  scs.Store     // keeps what a signed-in reader's session holds
	Lifetime  time.Duration // how long a session lasts; default 12 hours
	Timeout   time.Duration // how long a handler may take; default 15 seconds
	// Company is whose service this is, by its name in a language (BCP 47);
	// nil, or an empty name: nobody is named, and customers see Herald's.
	Company func(locale string) string
	Now     func() time.Time
	Logger  *slog.Logger
	// Away reports whether an error only says that the database could not be
	// reached: the reader is asked to come again. Nil: no error does.
	Away func(error) bool
}

func (c *Config) check() error {
	if c.Layout != Portal && c.Layout != Console {
		return fmt.Errorf("layout %q is neither portal nor console", c.Layout)
	}
	if c.Name == "" || c.Pages == nil || c.Sessions == nil || c.Logger == nil {
		return errors.New("name, pages, sessions and logger are required")
	}
	if c.Home == "" {
		c.Home = "/"
	}
	if c.Lifetime == 0 {
		c.Lifetime = 12 * time.Hour
	}
	if c.Timeout == 0 {
		c.Timeout = 15 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Company == nil {
		c.Company = func(string) string { return "" }
	}
	if c.Away == nil {
		c.Away = func(error) bool { return false }
	}
	return nil
}

// Site is one face of Herald.
type Site struct {
	Config
	catalogue *Catalogue
	assets    *Assets
	templates *templates
	sessions  *scs.SessionManager
	origins   *http.CrossOriginProtection
	secure    bool // the public URL is https
}

// New makes a site and checks its templates: each must parse, and every key
// and icon written in one must exist.
func New(c Config) (*Site, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("site %q: %w", c.Name, err)
	}
	public, err := url.Parse(c.PublicURL)
	if err != nil || public.Host == "" {
		return nil, fmt.Errorf("site %q: public URL %q is not an address like https://herald.example.com", c.Name, c.PublicURL)
	}
	s := &Site{Config: c, secure: public.Scheme == "https"}
	if s.catalogue, err = LoadCatalogue(); err != nil {
		return nil, err
	}
	if s.assets, err = LoadAssets(); err != nil {
		return nil, err
	}
	if s.templates, err = parseTemplates(c.Pages, c.Layout, s.catalogue, s.assets); err != nil {
		return nil, fmt.Errorf("site %q: %w", c.Name, err)
	}
	s.origins = http.NewCrossOriginProtection()
	if err := s.origins.AddTrustedOrigin(public.Scheme + "://" + public.Host); err != nil {
		return nil, fmt.Errorf("site %q: %w", c.Name, err)
	}
	s.sessions = s.newSessions()
	return s, nil
}

func (s *Site) newSessions() *scs.SessionManager {
	m := scs.New()
	m.Store = s.Sessions
	m.Lifetime = s.Lifetime
	m.HashTokenInStore = true
	m.Cookie.Name = "herald_" + s.Name
	m.Cookie.Secure = s.secure
	m.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) {
		s.fail(s.visit(w, r), fmt.Errorf("session: %w", err))
	}
	return m
}
