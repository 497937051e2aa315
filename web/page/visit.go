package page

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"herald/problem"
)

// Visit is one request for a page: who reads it and how to answer. It must not
// be kept beyond its handler.
type Visit struct {
	W http.ResponseWriter
	R *http.Request
	Reader
	// Name is what the signed-in reader is called, shown at the top; empty when
	// nobody is signed in.
	Name string
	// RequestID names the request in the log and on error pages.
	RequestID string

	site *Site
}

// Context is the request's.
func (v *Visit) Context() context.Context { return v.R.Context() }

// In is the locale for a BCP 47 tag, the nearest there is.
func (v *Visit) In(tag string) *Locale { return v.site.catalogue.In(tag) }

// Remote is the address the request came from, by which sign-ins are limited.
func (v *Visit) Remote() string {
	host, _, err := net.SplitHostPort(v.R.RemoteAddr)
	if err != nil {
		return v.R.RemoteAddr
	}
	return host
}

// View is what a template is filled from.
type View struct {
	Reader
	Data any
	Page string // the page's name
	Path string // the request's path
	Name string // the signed-in reader
	Home string
	// Translations are the same page in the other languages.
	Translations []Translation
	Flashes      []Flash
}

// Translation is a link to the same page in another language.
type Translation struct{ Tag, Title, URL string }

// Show answers with a page.
func (v *Visit) Show(name string, data any) error { return v.ShowStatus(http.StatusOK, name, data) }

// Again shows a form's page once more with what is wrong in it. When err is
// nothing the reader can mend there, it returns err. data must hold form.
func (v *Visit) Again(err error, form *Form, name string, data any) error {
	if err := form.Blame(err); err != nil {
		return err
	}
	return v.ShowStatus(Status(err), name, data)
}

// ShowStatus answers with a page and a status.
func (v *Visit) ShowStatus(status int, name string, data any) error {
	t := v.site.templates.byLocale[v.Tag][name]
	if t == nil {
		return fmt.Errorf("there is no page %q", name)
	}
	view := View{
		Reader: v.Reader, Data: data, Page: name, Path: v.R.URL.Path, Name: v.Name, Home: v.site.Home,
		Translations: v.translations(), Flashes: v.takeFlashes(),
	}
	var b bytes.Buffer
	if status >= http.StatusBadRequest {
		// A form names its mistakes above its fields, whose labels it learns
		// when they are filled in: the first filling is for that.
		if err := t.ExecuteTemplate(io.Discard, "layout", view); err != nil {
			return fmt.Errorf("page %s: %w", name, err)
		}
	}
	if err := t.ExecuteTemplate(&b, "layout", view); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	return v.write(status, b.Bytes())
}

// ShowPart answers with one template of a page alone, for htmx to put where it
// belongs.
func (v *Visit) ShowPart(name, part string, data any) error {
	t := v.site.templates.byLocale[v.Tag][name]
	if t == nil {
		return fmt.Errorf("there is no page %q", name)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, part, View{Reader: v.Reader, Data: data, Page: name, Path: v.R.URL.Path, Home: v.site.Home}); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	return v.write(http.StatusOK, b.Bytes())
}

// showProblem answers with the error page.
func (v *Visit) showProblem(t *template.Template, view View, status int) error {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout", view); err != nil {
		return err
	}
	return v.write(status, b.Bytes())
}

func (v *Visit) write(status int, body []byte) error {
	h := v.W.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Add("Vary", "Accept-Encoding, Accept-Language, Cookie")
	if len(body) > 1024 && takesGzip(v.R) {
		var b bytes.Buffer
		packed := gzip.NewWriter(&b)
		if _, err := packed.Write(body); err != nil {
			return err
		}
		if err := packed.Close(); err != nil {
			return err
		}
		h.Set("Content-Encoding", "gzip")
		body = b.Bytes()
	}
	v.W.WriteHeader(status)
	_, _ = v.W.Write(body) // the reader has gone: nobody is left to tell
	return nil
}

// Go redirects to a path of this site; the browser fetches it with GET.
func (v *Visit) Go(path string) error {
	http.Redirect(v.W, v.R, path, http.StatusSeeOther)
	return nil
}

// Form reads the form that was posted.
func (v *Visit) Form() (*Form, error) {
	if err := v.R.ParseForm(); err != nil {
		return nil, unreadForm(err)
	}
	if !storableAll(v.R.PostForm) {
		return nil, problem.New(problem.Malformed, "the form is not text")
	}
	return v.NewForm(v.R.PostForm), nil
}

// unreadForm is the problem of a form that could not be read.
func unreadForm(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &problem.Error{Code: problem.TooLarge, Message: "the form is too large", Err: err}
	}
	return &problem.Error{Code: problem.Invalid, Message: "the form cannot be read", Err: err}
}

// inMemory is up to how many bytes posted files are kept out of temporary files;
// no route's MaxForm is more.
const inMemory = 16 << 20

// FormWithFile reads a form that was posted as multipart/form-data, and what is
// in the file of one of its fields: nothing where none was chosen. The route's
// MaxForm bounds it all, which is read into memory.
func (v *Visit) FormWithFile(field string) (*Form, []byte, error) {
	if err := v.R.ParseMultipartForm(inMemory); err != nil {
		return nil, nil, unreadForm(err)
	}
	form, err := v.Form()
	if err != nil {
		return nil, nil, err
	}
	file, _, err := v.R.FormFile(field)
	if errors.Is(err, http.ErrMissingFile) {
		return form, nil, nil
	}
	if err != nil {
		return nil, nil, unreadForm(err)
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		return nil, nil, unreadForm(err)
	}
	return form, content, nil
}

// storable reports whether a store can be asked for a text: it is UTF-8 and
// holds no NUL.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func storableAll(values url.Values) bool {
	for _, list := range values {
		for _, s := range list {
			if !storable(s) {
				return false
			}
		}
	}
	return true
}

// translations links to this address in the other languages. A page that
// answers a POST is linked by its path, which shows the form afresh.
func (v *Visit) translations() []Translation {
	query := url.Values{}
	if v.R.Method == http.MethodGet {
		query = v.R.URL.Query()
	}
	var out []Translation
	for _, l := range v.site.catalogue.locales {
		if l.Tag == v.Tag {
			continue
		}
		query.Set("lang", l.Tag)
		out = append(out, Translation{Tag: l.Tag, Title: l.T("language.name"), URL: v.R.URL.EscapedPath() + "?" + query.Encode()})
	}
	return out
}

// The session's keys.
const (
	userKey     = "user"
	markKey     = "mark"
	languageKey = "language"
	zoneKey     = "zone"
	flashKey    = "flashes"
)

// SignIn begins a session for a user, with a new token, the mark of their
// password (see Outdated), and the language and zone of their profile.
func (v *Visit) SignIn(userID int64, mark, locale, zone string) error {
	if err := v.site.sessions.RenewToken(v.Context()); err != nil {
		return fmt.Errorf("renew the session's token: %w", err)
	}
	v.site.sessions.Put(v.Context(), userKey, userID)
	v.site.sessions.Put(v.Context(), markKey, mark)
	v.Prefer(locale, zone)
	return nil
}

// Outdated reports whether the session was begun under another mark than the
// one the user's password has now.
func (v *Visit) Outdated(mark string) bool {
	return v.site.sessions.GetString(v.Context(), markKey) != mark
}

// UserID is the signed-in user, or 0.
func (v *Visit) UserID() int64 { return v.site.sessions.GetInt64(v.Context(), userKey) }

// SignOut ends the session.
func (v *Visit) SignOut() error {
	if err := v.site.sessions.Destroy(v.Context()); err != nil {
		return fmt.Errorf("end the session: %w", err)
	}
	return nil
}

// Prefer changes the language and zone of the session, when a profile has
// changed them.
func (v *Visit) Prefer(locale, zone string) {
	v.Locale = v.site.catalogue.In(locale)
	v.Company = v.site.Company(v.Tag)
	v.Zone = zoneOr(zone)
	v.site.sessions.Put(v.Context(), languageKey, v.Tag)
	v.site.sessions.Put(v.Context(), zoneKey, zone)
}

// nextCookie holds where to go on after signing in. It is the browser's to
// keep: a visitor who never signs in leaves nothing behind here.
const (
	nextCookie = "herald_next"
	nextLength = 1 << 10 // bytes of an address that is remembered
	nextFor    = 10 * time.Minute
)

// Return remembers where to go on after signing in: this page, when it was
// asked for by GET.
func (v *Visit) Return() {
	if next := v.R.URL.RequestURI(); v.R.Method == http.MethodGet && len(next) <= nextLength {
		v.setNext(url.QueryEscape(next), int(nextFor.Seconds()))
	}
}

// Next is where to go on after signing in: what Return remembered, else home.
func (v *Visit) Next(home string) string {
	kept, err := v.R.Cookie(nextCookie)
	if err != nil {
		return home
	}
	v.setNext("", -1)
	next, err := url.QueryUnescape(kept.Value)
	if err != nil || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, "\\") {
		return home // it leads away from here: not what Return wrote
	}
	return next
}

func (v *Visit) setNext(value string, maxAge int) {
	http.SetCookie(v.W, &http.Cookie{
		Name: nextCookie, Value: value, Path: v.site.Home, MaxAge: maxAge,
		HttpOnly: true, Secure: v.site.secure, SameSite: http.SameSiteLaxMode,
	})
}

// Flash is a line on the next page that says what has just been done.
type Flash struct {
	Text string
	Bad  bool
	// Undo, when not empty, is the path that a button posts to, and UndoLabel
	// its label.
	Undo      string
	UndoLabel string
	Fields    map[string]string // what the button posts
}

// Tell puts a line on the next page that is shown.
func (v *Visit) Tell(f Flash) {
	kept := v.flashes()
	raw, err := json.Marshal(append(kept, f))
	if err != nil {
		return // strings and a map of strings always marshal
	}
	v.site.sessions.Put(v.Context(), flashKey, string(raw))
}

// Say puts the wording of a key on the next page.
func (v *Visit) Say(key string, pairs ...any) { v.Tell(Flash{Text: v.T(key, pairs...)}) }

func (v *Visit) flashes() []Flash {
	var kept []Flash
	if raw := v.site.sessions.GetString(v.Context(), flashKey); raw != "" {
		if err := json.Unmarshal([]byte(raw), &kept); err != nil {
			return nil // written by another version: a lost line does no harm
		}
	}
	return kept
}

func (v *Visit) takeFlashes() []Flash {
	kept := v.flashes()
	if len(kept) > 0 {
		v.site.sessions.Remove(v.Context(), flashKey)
	}
	return kept
}
