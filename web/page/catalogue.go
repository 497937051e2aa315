package page

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/nicksnyder/go-i18n/v2/i18n/template"
	"golang.org/x/text/language"
)

//go:embed locale
var localeFiles embed.FS

// Languages are the languages Herald speaks, by BCP 47 tag, the fallback first.
var Languages = []string{"en", "zh-CN"}

// folders holds each language's catalogue, in the order of Languages.
var folders = []string{"en", "zh"}

// Catalogue holds the wording of every key in every language.
type Catalogue struct {
	locales []*Locale // in the order of Languages
	matcher language.Matcher
}

// Locale words keys in one language.
type Locale struct {
	Tag  string // of Languages
	keys map[string]bool
	loc  *i18n.Localizer
}

// LoadCatalogue reads the embedded catalogues. It fails when one cannot be
// read, or when a key is given twice.
func LoadCatalogue() (*Catalogue, error) {
	c := &Catalogue{}
	var tags []language.Tag
	for i, name := range Languages {
		tag, err := language.Parse(name)
		if err != nil {
			return nil, fmt.Errorf("language %q: %w", name, err)
		}
		tags = append(tags, tag)
		l, err := loadLocale(tag, name, folders[i])
		if err != nil {
			return nil, fmt.Errorf("catalogue %s: %w", folders[i], err)
		}
		c.locales = append(c.locales, l)
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

func loadLocale(tag language.Tag, name, folder string) (*Locale, error) {
	files, err := fs.Glob(localeFiles, path.Join("locale", folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	bundle := i18n.NewBundle(tag)
	l := &Locale{Tag: name, keys: map[string]bool{}, loc: i18n.NewLocalizer(bundle, name)}
	for _, file := range files {
		raw, err := fs.ReadFile(localeFiles, file)
		if err != nil {
			return nil, err
		}
		messages, err := bundle.ParseMessageBytes(tag, raw, func(b []byte, v any) error { return yaml.Unmarshal(b, v) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, m := range messages {
			if l.keys[m.ID] {
				return nil, fmt.Errorf("%s: %q is given twice", file, m.ID)
			}
			l.keys[m.ID] = true
		}
	}
	return l, nil
}

// In is the locale for a BCP 47 tag, the nearest there is.
func (c *Catalogue) In(tag string) *Locale {
	if i := slices.Index(Languages, tag); i >= 0 {
		return c.locales[i]
	}
	_, i := language.MatchStrings(c.matcher, tag)
	return c.locales[i]
}

// Has reports whether the locale words a key.
func (l *Locale) Has(key string) bool { return l.keys[key] }

// Keys are all the keys, sorted.
func (l *Locale) Keys() []string {
	keys := make([]string, 0, len(l.keys))
	for k := range l.keys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// strict makes a figure that a wording names and the caller forgot an error.
var strict = &template.TextParser{Option: "missingkey=error"}

// T words a key. The rest are the names and values the wording uses; "count"
// also decides the plural. What cannot be worded appears as its key.
func (l *Locale) T(key string, pairs ...any) string {
	config := &i18n.LocalizeConfig{MessageID: key, TemplateParser: strict}
	data := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		name := fmt.Sprint(pairs[i])
		data[name] = pairs[i+1]
		if name == "count" {
			config.PluralCount = whole(pairs[i+1])
			data[name] = l.Number(pairs[i+1])
		}
	}
	config.TemplateData = data
	s, err := l.loc.Localize(config)
	if err != nil {
		return key
	}
	return s
}

// Word words a code of a family ("state", "accepted"): the key is
// family.code. A code without wording is shown as it is.
func (l *Locale) Word(family string, code any) string {
	key := fmt.Sprintf("%s.%v", family, code)
	if l.Has(key) {
		return l.T(key)
	}
	return fmt.Sprint(code)
}

// Choices are the codes of a family that have words, in the order of the words.
func (l *Locale) Choices(family string) []Choice {
	var list []Choice
	for _, key := range l.Keys() {
		if code, ok := strings.CutPrefix(key, family+"."); ok {
			list = append(list, Choice{Value: code, Label: l.T(key)})
		}
	}
	slices.SortStableFunc(list, func(a, b Choice) int { return strings.Compare(a.Label, b.Label) })
	return list
}

// choose finds the language of a request: asked for in the address, kept in
// the session, remembered in a cookie, or what the browser prefers.
func (c *Catalogue) choose(r *http.Request, session string) *Locale {
	if asked := r.URL.Query().Get("lang"); asked != "" {
		return c.In(asked)
	}
	if session != "" {
		return c.In(session)
	}
	if cookie, err := r.Cookie(languageCookie); err == nil {
		return c.In(cookie.Value)
	}
	_, i := language.MatchStrings(c.matcher, r.Header.Get("Accept-Language"))
	return c.locales[i]
}
