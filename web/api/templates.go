package api

import (
	"context"
	"net/http"

	"herald/access"
	"herald/templates"
)

// TemplatePath asks for a message on a channel in a language.
type TemplatePath struct {
	Name    string `path:"name" maxLength:"100" doc:"The template's name; a trigger names the one it uses." example:"price_drop"`
	Channel string `path:"channel" enum:"email,sms,voice,fax"`
	Locale  string `path:"locale" maxLength:"40" doc:"BCP 47." example:"en"`
}

// TemplateText is what a message says, in Liquid.
type TemplateText struct {
	Subject string `json:"subject,omitempty" doc:"One line, of an e-mail, which needs it, or a fax." example:"{{ event.name }} now costs {{ event.price | money: event.currency }}"`
	HTML    string `json:"html,omitempty" doc:"E-mail only; what is filled in is escaped unless the template says raw."`
	Body    string `json:"body,omitempty" doc:"Plain text, of an e-mail made from html when empty; of a call its script in YAML; of a fax Markdown."`
}

// TemplateTrial is a text to be tried before it is saved.
type TemplateTrial struct {
	TemplateText
	Channel string         `json:"channel" required:"true" enum:"email,sms,voice,fax"`
	Locale  string         `json:"locale,omitempty" default:"en" doc:"BCP 47."`
	Data    map[string]any `json:"data,omitempty" doc:"What it is filled from; absent: the sample every save is tried on. The company is always the one that the configuration names."`
}

// Filled is a message as its reader would get it.
type Filled struct {
	Subject string `json:"subject,omitempty"`
	HTML    string `json:"html,omitempty"`
	Text    string `json:"text" doc:"Of a call its transcript: what it says, and in brackets what each key does."`
	SMS     *SMS   `json:"sms,omitempty" doc:"What the text takes, where the channel is sms."`
}

func (a *API) addTemplates() {
	const path = "/templates/{name}/{channel}/{locale}"
	add(a, operation{
		id: "list-templates", method: http.MethodGet, path: "/templates", tag: tagTemplates, scope: access.TemplatesRead,
		summary: "List the templates", description: "Those in force, by name, channel and locale.",
	}, a.listTemplates)
	add(a, operation{
		id: "get-template", method: http.MethodGet, path: path, tag: tagTemplates, scope: access.TemplatesRead,
		summary: "Read a template", description: "The version in force; no other locale stands in.",
	}, a.getTemplate)
	add(a, operation{
		id: "put-template", method: http.MethodPut, path: path, tag: tagTemplates, scope: access.TemplatesWrite,
		summary: "Word a template", description: "Tries the text on sample data and makes it a new version, in force at once. Messages that have not left yet are filled from it.",
	}, a.putTemplate)
	add(a, operation{
		id: "list-template-versions", method: http.MethodGet, path: path + "/versions", tag: tagTemplates, scope: access.TemplatesRead,
		summary: "List the versions of a template", description: "Newest first. To go back, PUT the text of an older one.",
	}, a.templateVersions)
	add(a, operation{
		id: "try-template", method: http.MethodPost, path: "/templates/preview", tag: tagTemplates, scope: access.TemplatesRead,
		summary: "Try a text", description: "Fills it in and saves nothing. For an SMS it tells how many parts that takes.",
	}, a.tryTemplate)
}

func (a *API) listTemplates(ctx context.Context, _ *struct{}) (*out[Page[templates.Template]], error) {
	return whole(a.cfg.Templates.List(ctx))
}

func (a *API) getTemplate(ctx context.Context, in *TemplatePath) (*out[templates.Template], error) {
	return body(a.cfg.Templates.Get(ctx, in.Name, in.Channel, in.Locale))
}

func (a *API) putTemplate(ctx context.Context, in *struct {
	TemplatePath
	Body TemplateText
},
) (*out[templates.Template], error) {
	return body(a.cfg.Templates.Save(ctx, templates.Template{
		Name: in.Name, Channel: in.Channel, Locale: in.Locale,
		Subject: in.Body.Subject, HTML: in.Body.HTML, Body: in.Body.Body, SavedBy: callerOf(ctx).actor(),
	}))
}

func (a *API) templateVersions(ctx context.Context, in *TemplatePath) (*out[Page[templates.Template]], error) {
	return whole(a.cfg.Templates.History(ctx, in.Name, in.Channel, in.Locale))
}

func (a *API) tryTemplate(ctx context.Context, in *struct{ Body TemplateTrial }) (*out[Filled], error) {
	b := in.Body
	data := b.Data
	if data == nil {
		data = templates.Sample()
	}
	content, err := a.cfg.Templates.Preview(ctx, templates.Template{
		Name: "preview", Channel: b.Channel, Locale: b.Locale, Subject: b.Subject, HTML: b.HTML, Body: b.Body,
	}, data)
	return body(a.filled(b.Channel, content), err)
}

// filled is a message that has been filled in, and what it takes.
func (a *API) filled(channel string, c templates.Content) Filled {
	return Filled{Subject: c.Subject, HTML: c.HTML, Text: c.Text, SMS: a.sms(channel, c.Text)}
}
