package templates

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	texttemplate "text/template"

	"github.com/goccy/go-yaml"
)

// page is what the layouts are filled from.
type page struct {
	starterMessage
	Locale, Brand, Alerts, Unsubscribe string
	Links                              bool
	Call                               starterCall
	Fax                                starterFax
}

// Said is what a call says between its greeting and its question.
func (p page) Said() []string {
	if len(p.Spoken) > 0 {
		return p.Spoken
	}
	if p.Text == "" {
		return []string{p.Lead}
	}
	return []string{p.Lead, p.Text}
}

// Confirms reports whether a call asks for confirmation: not for that of a
// greeting, which has nothing to see either.
func (p page) Confirms() bool { return p.Button != "" }

// Stops reports whether a call offers to end such calls.
func (p page) Stops() bool { return !p.Own && !p.Transactional }

// Question is what a call asks at its end.
func (p page) Question() string {
	var asked []string
	if p.Confirms() {
		asked = append(asked, p.Call.Confirm)
	}
	asked = append(asked, p.Call.Repeat)
	if p.Stops() {
		asked = append(asked, p.Call.Stop)
	}
	return strings.Join(asked, p.Call.Between)
}

// AnyFact is a condition that there is a fact to show; empty: there always is.
func (p page) AnyFact() string {
	var conditions []string
	for _, f := range p.Facts {
		if f.If == "" {
			return ""
		}
		conditions = append(conditions, f.If)
	}
	return strings.Join(conditions, " or ")
}

// starterTemplates are the embedded messages as templates, by locale and name,
// and the names of those that Herald sends of its own accord.
func starterTemplates() (all []Template, own map[string]bool, err error) {
	layouts, err := texttemplate.New("starter").Delims("[[", "]]").Funcs(texttemplate.FuncMap{"quote": quote}).ParseFS(starterFiles, "starter/layout.html", "starter/call.yaml", "starter/fax.md")
	if err != nil {
		return nil, nil, fmt.Errorf("read the starter layouts: %w", err)
	}
	own = map[string]bool{}
	for _, file := range []string{"starter/en.yaml", "starter/zh-CN.yaml"} {
		source, err := starterFiles.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("read the starter messages: %w", err)
		}
		var l starterLocale
		if err := yaml.UnmarshalWithOptions(source, &l, yaml.Strict()); err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", file, err)
		}
		for _, name := range slices.Sorted(maps.Keys(l.Messages)) {
			made, err := l.templates(layouts, name)
			if err != nil {
				return nil, nil, fmt.Errorf("read %s: %s: %w", file, name, err)
			}
			all = append(all, made...)
			own[name] = l.Messages[name].Own || l.Messages[name].Always
		}
	}
	return all, own, nil
}

// quote writes a text as YAML.
func quote(text string) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b) // every text of JSON is one of YAML
	e.SetEscapeHTML(false)
	err := e.Encode(text)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// templates are a message's SMS and, if it has a subject, its e-mail, call and fax.
func (l starterLocale) templates(layouts *texttemplate.Template, name string) ([]Template, error) {
	m := l.Messages[name].worded(l.Phrases)
	m.Why = cmp.Or(m.Why, l.Why)
	m.Link = cmp.Or(m.Link, "links.delivery")
	p := page{
		starterMessage: m, Links: !m.Own, Call: l.Call, Fax: l.Fax,
		Locale: l.Locale, Brand: l.Brand, Alerts: l.Alerts, Unsubscribe: cmp.Or(m.Stop, l.Unsubscribe),
	}
	base := Template{Name: name, Locale: l.Locale, SavedBy: starterAuthor}
	sms := base
	sms.Channel, sms.Body = "sms", m.SMS
	if m.Subject == "" {
		return []Template{sms}, nil
	}
	email, voice, fax := base, base, base
	email.Channel, email.Subject = "email", m.Subject
	voice.Channel = "voice"
	fax.Channel, fax.Subject = "fax", m.Subject
	for _, part := range []struct {
		layout string
		into   *string
		page   page
	}{
		{"layout.html", &email.HTML, p},
		{"call.yaml", &voice.Body, p},
		{"fax.md", &fax.Body, p.withoutHTML()},
	} {
		var b bytes.Buffer
		if err := layouts.ExecuteTemplate(&b, part.layout, part.page); err != nil {
			return nil, err
		}
		*part.into = b.String()
	}
	return []Template{email, fax, sms, voice}, nil
}

// worded is m with its phrases put in.
func (m starterMessage) worded(phrases map[string]string) starterMessage {
	pairs := make([]string, 0, 2*len(phrases))
	for phrase, text := range phrases {
		pairs = append(pairs, "[["+phrase+"]]", text)
	}
	r := strings.NewReplacer(pairs...)
	for _, text := range []*string{&m.Subject, &m.Lead, &m.Text, &m.SMS} {
		*text = r.Replace(*text)
	}
	m.Facts, m.Spoken = slices.Clone(m.Facts), slices.Clone(m.Spoken)
	for i := range m.Facts {
		m.Facts[i].Value = r.Replace(m.Facts[i].Value)
	}
	for i := range m.Spoken {
		m.Spoken[i] = r.Replace(m.Spoken[i])
	}
	return m
}

// withoutHTML is p for Markdown, in which a fact stands out by its row alone.
func (p page) withoutHTML() page {
	p.Facts = slices.Clone(p.Facts)
	for i := range p.Facts {
		p.Facts[i].Value = strings.NewReplacer("<strong>", "", "</strong>", "").Replace(p.Facts[i].Value)
	}
	return p
}
