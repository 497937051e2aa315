package page

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"herald/dispatch"
)

func TestPagesSayWhoseServiceThisIs(t *testing.T) {
	const hostile = `"Smith" & <b>Sons</b> {{.Data}}`
	names := func(locale string) string { return map[string]string{"en": hostile, "zh-CN": "某某商城"}[locale] }
	const escaped = `&#34;Smith&#34; &amp; &lt;b&gt;Sons&lt;/b&gt; {{.Data}}`
	for name, c := range map[string]struct {
		layout   Layout
		company  func(string) string
		language string
		want     string
	}{
		"a customer's":            {Portal, names, "en", "<title>P · " + escaped + "</title>"},
		"a customer's, above":     {Portal, names, "en", "<span>" + escaped + "</span>"},
		"a customer's, Chinese":   {Portal, names, "zh", "<title>P · 某某商城</title>"},
		"a customer's of nobody":  {Portal, nil, "en", "<title>P · Herald</title>"},
		"an operator's":           {Console, names, "en", "<title>P · Herald · " + escaped + "</title>"},
		"an operator's, Chinese":  {Console, names, "zh", "<title>P · Herald · 某某商城</title>"},
		"an operator's of nobody": {Console, nil, "zh", "<title>P · Herald</title>"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := config(pages("x"))
			settings.Layout, settings.Company = c.layout, c.company
			s, err := New(settings)
			if err != nil {
				t.Fatal(err)
			}
			w := serve(s, func(v *Visit) error { return v.Show("p", nil) }, func(r *http.Request) { r.URL.RawQuery = "lang=" + c.language })
			if !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%s is not in %.600s", c.want, w.Body.String())
			}
		})
	}
}

// Customers read the company's name where a course speaks of it, and Herald's
// own occasions stay as they are; operators read what they did before.
func TestACourseNamesTheCompany(t *testing.T) {
	timeline := dispatch.Timeline{Entries: []dispatch.Entry{
		{At: moment, Code: "event_received", OK: true, Args: map[string]any{"type": "price.changed", "source": "shop", "id": "17"}},
		{At: moment, Code: "event_received", OK: true, Args: map[string]any{"type": "birthday", "source": "herald:dates", "id": "18"}},
		{At: moment, Code: "campaign", OK: true, Args: map[string]any{"name": "Spring sale"}},
	}}
	for language, want := range map[string][]string{
		"en":    {"Something happened at The Shop", "The day came that you asked to hear of", "The Shop writes this to a group of its customers, and you belong to it"},
		"zh-CN": {"The Shop那里有了新情况", "您关注的日子到了", "The Shop把这条消息发给一部分客户，您是其中之一"},
	} {
		r := Reader{Locale: catalogue(t).In(language), Zone: time.UTC, Now: moment, Company: "The Shop"}
		for i, line := range r.Narrate(Course{Audience: Customer, Timeline: timeline}) {
			if line.Text != want[i] {
				t.Errorf("line %d in %s: %q, want %q", i, language, line.Text, want[i])
			}
		}
		for _, line := range r.Narrate(Course{Audience: Operator, Timeline: timeline}) {
			if strings.Contains(line.Text, "The Shop") {
				t.Errorf("an operator reads %q", line.Text)
			}
		}
	}
}
