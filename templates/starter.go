package templates

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	texttemplate "text/template"

	"github.com/goccy/go-yaml"
	"github.com/jackc/pgx/v5"
)

// The messages that Herald brings: one file a locale, and the page they share.
//
//go:embed starter
var starterFiles embed.FS

// starterLocale is one file of starter messages.
type starterLocale struct {
	Locale      string
	Brand       string // above the message
	Alerts      string // the words of the link to the member's alerts
	Unsubscribe string // the words of the link that stops the alert
	Why         string // why the member gets this
	Phrases     map[string]string
	Messages    map[string]starterMessage
}

// starterMessage is one message; every text is Liquid. One without a subject
// has no e-mail.
type starterMessage struct {
	Subject string
	Lead    string // the one sentence that says it
	Code    string // set large
	Text    string
	Facts   []starterFact
	Items   bool   // a digest: its items follow
	Stop    string // instead of the file's words for the link that stops it
	Button  string
	Link    string // where the button leads; empty: links.delivery
	Why     string // instead of the file's
	Own     bool   // Herald's own message: no alert to see or to stop
	Always  bool   // of an alert, but sent of Herald's own accord, whatever the triggers are
	SMS     string
}

type starterFact struct {
	Label, Value string
	If           string // shown only when this is not empty
}

// page is what layout.html is filled from.
type page struct {
	starterMessage
	Locale, Brand, Alerts, Unsubscribe string
	Links                              bool
}

// LoadStarter saves the starter templates when there are no templates at all,
// and otherwise those that there is none of and that Herald sends of its own
// accord: a newer Herald may have more to say. Several nodes may do so at once.
func (s *Store) LoadStarter(ctx context.Context) error {
	starters, own, err := starterTemplates()
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('starter templates', 0))`); err != nil {
			return err
		}
		var known []string
		if err := tx.QueryRow(ctx, `SELECT coalesce(array_agg(DISTINCT name), '{}') FROM templates`).Scan(&known); err != nil {
			return err
		}
		for _, t := range starters {
			if len(known) > 0 && (!own[t.Name] || slices.Contains(known, t.Name)) {
				continue
			}
			t.SavedAt = s.now()
			if _, err := check(ctx, &t); err != nil {
				return fmt.Errorf("%s %s %s: %w", t.Name, t.Channel, t.Locale, err)
			}
			if err := saveTx(ctx, tx, &t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load starter templates: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.kept)
	return nil
}

// starterTemplates are the embedded messages as templates, by locale and name,
// and the names of those that Herald sends of its own accord.
func starterTemplates() (all []Template, own map[string]bool, err error) {
	layout, err := texttemplate.New("layout.html").Delims("[[", "]]").ParseFS(starterFiles, "starter/layout.html")
	if err != nil {
		return nil, nil, fmt.Errorf("read the starter layout: %w", err)
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
			pair, err := l.templates(layout, name)
			if err != nil {
				return nil, nil, fmt.Errorf("read %s: %s: %w", file, name, err)
			}
			all = append(all, pair...)
			own[name] = l.Messages[name].Own || l.Messages[name].Always
		}
	}
	return all, own, nil
}

// templates are a message's e-mail, if it has one, and SMS.
func (l starterLocale) templates(layout *texttemplate.Template, name string) ([]Template, error) {
	m := l.Messages[name]
	if m.Why == "" {
		m.Why = l.Why
	}
	m.Link = cmp.Or(m.Link, "links.delivery")
	p := page{
		starterMessage: m, Links: !m.Own,
		Locale: l.Locale, Brand: l.Brand, Alerts: l.Alerts, Unsubscribe: cmp.Or(m.Stop, l.Unsubscribe),
	}
	var html bytes.Buffer
	if err := layout.Execute(&html, p); err != nil {
		return nil, err
	}
	phrases := make([]string, 0, 2*len(l.Phrases))
	for phrase, text := range l.Phrases {
		phrases = append(phrases, "[["+phrase+"]]", text)
	}
	spoken := strings.NewReplacer(phrases...)
	sms := Template{Name: name, Channel: "sms", Locale: l.Locale, Body: spoken.Replace(m.SMS), SavedBy: "herald"}
	if m.Subject == "" {
		return []Template{sms}, nil
	}
	email := Template{Name: name, Channel: "email", Locale: l.Locale, Subject: spoken.Replace(m.Subject), HTML: spoken.Replace(html.String()), SavedBy: "herald"}
	return []Template{email, sms}, nil
}
