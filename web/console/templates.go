package console

import (
	"cmp"
	"slices"

	"herald/access"
	"herald/campaigns"
	"herald/problem"
	"herald/subscriptions"
	"herald/templates"
	"herald/web/page"
)

// templateRoutes are the pages of what messages say.
func (c console) templateRoutes(operator func(string, func(*page.Visit, access.Operator) error) page.Route) []page.Route {
	return []page.Route{
		operator("GET /console/templates", c.templates),
		operator("GET /console/templates/{name}", c.template),
	}
}

// templateLine is a template in the list, with what it is used by.
type templateLine struct {
	Name     string
	Channels []subscriptions.Channel // in their usual order
	Locales  []string
	Triggers []subscriptions.Trigger
}

func (c console) templates(v *page.Visit, _ access.Operator) error {
	all, err := c.Templates.List(v.Context())
	if err != nil {
		return err
	}
	triggers, err := c.Triggers.List(v.Context())
	if err != nil {
		return err
	}
	return v.Show("templates", templateLines(all, triggers))
}

// templateLines gathers templates by their names, in whose order they are.
// Those of campaigns are left out: each stands on its campaign's page.
func templateLines(all []templates.Template, triggers []subscriptions.Trigger) []templateLine {
	var lines []templateLine
	for _, t := range all {
		if _, owned := campaigns.OwnsTemplate(t.Name); owned {
			continue
		}
		if len(lines) == 0 || lines[len(lines)-1].Name != t.Name {
			lines = append(lines, templateLine{Name: t.Name, Triggers: usersOf(t.Name, triggers)})
		}
		line := &lines[len(lines)-1]
		if ch := subscriptions.Channel(t.Channel); !slices.Contains(line.Channels, ch) {
			line.Channels = append(line.Channels, ch)
		}
		if !slices.Contains(line.Locales, t.Locale) {
			line.Locales = append(line.Locales, t.Locale)
		}
	}
	for _, line := range lines {
		slices.SortFunc(line.Channels, byChannel)
		slices.Sort(line.Locales)
	}
	return lines
}

// usersOf are the triggers that send a template.
func usersOf(name string, triggers []subscriptions.Trigger) []subscriptions.Trigger {
	var users []subscriptions.Trigger
	for _, t := range triggers {
		if t.Template == name {
			users = append(users, t)
		}
	}
	return users
}

func byChannel(a, b subscriptions.Channel) int {
	return cmp.Compare(slices.Index(subscriptions.Channels, a), slices.Index(subscriptions.Channels, b))
}

// templateData is a template with its texts for every channel and language.
type templateData struct {
	Name     string
	Texts    []templateText
	Triggers []subscriptions.Trigger
	Campaign int64 // whose messages these are; 0: no campaign's
}

// templateText is a text in force and how it reads.
type templateText struct {
	templates.Template
	Preview templates.Content
	Faults  []string // why it cannot be filled in, worded; then there is no preview
	SMS     *smsSize // of an SMS
}

func (c console) template(v *page.Visit, _ access.Operator) error {
	all, err := c.Templates.List(v.Context())
	if err != nil {
		return err
	}
	data := templateData{Name: v.R.PathValue("name")}
	for _, t := range all {
		if t.Name != data.Name {
			continue
		}
		text, err := c.templateText(v, t)
		if err != nil {
			return err
		}
		data.Texts = append(data.Texts, text)
	}
	if len(data.Texts) == 0 {
		return missing("template")
	}
	slices.SortStableFunc(data.Texts, func(a, b templateText) int {
		return byChannel(subscriptions.Channel(a.Channel), subscriptions.Channel(b.Channel))
	})
	triggers, err := c.Triggers.List(v.Context())
	if err != nil {
		return err
	}
	data.Triggers = usersOf(data.Name, triggers)
	data.Campaign, _ = campaigns.OwnsTemplate(data.Name)
	return v.Show("template", data)
}

// templateText fills a text from the sample data.
func (c console) templateText(v *page.Visit, t templates.Template) (templateText, error) {
	text := templateText{Template: t}
	var err error
	text.Preview, err = c.Templates.Preview(v.Context(), t, templates.Sample())
	if p, mistaken := err.(*problem.Error); mistaken && p.Code == problem.Invalid { //nolint:errorlint // only the problem itself has fields
		for _, f := range p.Fields {
			text.Faults = append(text.Faults, v.Rule(f))
		}
		return text, nil
	}
	if err != nil {
		return templateText{}, err
	}
	if t.Channel == string(subscriptions.SMS) {
		text.SMS = c.size(v, text.Preview.Text)
	}
	return text, nil
}
