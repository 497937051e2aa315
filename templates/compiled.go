package templates

import (
	"context"
	"errors"

	"herald/problem"
)

// compiled is one version of a template, ready to be filled. It is never
// changed and serves many goroutines.
type compiled struct {
	template            Template
	subject, html, body *part // nil where the template has none
	call                *call // instead of a body: what a voice template says
}

// compileTemplate reads every field; the mistakes come back as problem.Invalid
// with the field as Path and the line in the Message and in Args.
func compileTemplate(t Template) (*compiled, error) {
	c := &compiled{template: t}
	var mistakes problem.Fields
	body := t.Body
	if t.Channel == "voice" {
		c.call = compileCall(t.Body, t.Locale, &mistakes)
		body = ""
	}
	for _, f := range []struct {
		path, source string
		markup       markup
		into         **part
	}{
		{"subject", t.Subject, plain, &c.subject},
		{"html", t.HTML, escapeHTML, &c.html},
		{"body", body, bodyMarkup(t.Channel), &c.body},
	} {
		if f.source == "" {
			continue
		}
		p, err := compile(f.source, t.Locale, f.markup)
		if err != nil {
			addMistake(&mistakes, f.path, "syntax", err)
			continue
		}
		*f.into = p
	}
	return c, mistakes.Err("the template cannot be read")
}

// bodyMarkup is what a channel's body is written in.
func bodyMarkup(channel string) markup {
	if channel == "fax" {
		return escapeMarkdown
	}
	return plain
}

func addMistake(mistakes *problem.Fields, path, rule string, err error) {
	var at *syntaxError
	if errors.As(err, &at) {
		mistakes.AddArgs(path, rule, map[string]any{"line": at.line}, "%s", at)
		return
	}
	mistakes.Add(path, rule, "%v", err)
}

// fill makes the message. Its errors are problem.Invalid with the field that failed.
func (c *compiled) fill(ctx context.Context, data map[string]any) (Content, error) {
	out := Content{Locale: c.template.Locale, Version: c.template.Version}
	var mistakes problem.Fields
	for _, f := range []struct {
		path string
		part *part
		into *string
	}{
		{"subject", c.subject, &out.Subject},
		{"html", c.html, &out.HTML},
		{"body", c.body, &out.Text},
	} {
		if f.part == nil {
			continue
		}
		text, err := f.part.render(ctx, data)
		if err != nil {
			addMistake(&mistakes, f.path, "render", err)
			continue
		}
		*f.into = text
	}
	if c.call != nil {
		out.Script = c.call.fill(ctx, data, &mistakes)
	}
	if err := mistakes.Err("the template cannot be filled"); err != nil {
		return Content{}, err
	}
	out.Subject = oneLine(out.Subject)
	switch {
	case c.call != nil:
		out.Text = out.Script.Transcript()
	case c.body != nil:
		out.Text = tidyText(out.Text)
	default:
		out.Text = textOf(out.HTML)
	}
	return out, nil
}
