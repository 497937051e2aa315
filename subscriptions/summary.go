package subscriptions

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/osteele/liquid"

	"herald/matcher/predicate"
)

// Summaries says subscriptions of one trigger in a line each. It is made once
// and used for many; safe for concurrent use.
type Summaries struct {
	text      Text
	params    []Param
	templates map[string]*liquid.Template // by language
}

// Summaries parses the trigger's summary in every language.
func (t Trigger) Summaries() (*Summaries, error) {
	s := &Summaries{text: t.Summary, params: t.Params, templates: make(map[string]*liquid.Template, len(t.Summary))}
	engine := liquid.NewEngine()
	for tag, source := range t.Summary {
		tpl, err := parseSummary(engine, source)
		if err != nil {
			return nil, fmt.Errorf("summary of %s in %s: %w", t.Name, tag, err)
		}
		s.templates[tag] = tpl
	}
	return s, nil
}

// Summarise says a subscription with these parameters in a line of plain
// text; the trigger's title where the summary fails. Who says many of them
// takes Summaries.
func (t Trigger) Summarise(params map[string]any, locale string) string {
	s, err := t.Summaries()
	if err != nil {
		return t.Title.In(locale)
	}
	line, err := s.Line(params, locale)
	if err != nil || line == "" {
		return t.Title.In(locale)
	}
	return line
}

// Line fills the summary of the locale in. The parameters may be as CheckParams
// returns them or as JSON has them. White space is folded.
func (s *Summaries) Line(params map[string]any, locale string) (string, error) {
	tag := s.text.tag(locale)
	tpl, ok := s.templates[tag]
	if !ok {
		return "", fmt.Errorf("no summary in %s", tag)
	}
	bound := make(map[string]any, len(params))
	for _, p := range s.params {
		if v, given := params[p.Name]; given {
			bound[p.Name] = p.wording(v, tag)
		}
	}
	out, err := tpl.RenderString(liquid.Bindings{"param": bound})
	if err != nil {
		return "", err
	}
	return strings.Join(strings.Fields(out), " "), nil
}

// loops are the tags that could run without end or read files.
var loops = regexp.MustCompile(`{%-?\s*(for|tablerow|include)\b`)

// parseSummary parses one summary. The error is a plain one: liquid's own type
// would make a nil look like an error.
func parseSummary(engine *liquid.Engine, source string) (*liquid.Template, error) {
	if found := loops.FindStringSubmatch(source); found != nil {
		return nil, fmt.Errorf("a summary may not use %q", found[1])
	}
	tpl, err := engine.ParseString(source)
	if err != nil {
		return nil, err
	}
	return tpl, nil
}

// wording is a parameter's value as a reader expects it.
func (p Param) wording(v any, tag string) any {
	switch v := v.(type) {
	case float64:
		return decimal(v)
	case time.Time:
		return v.UTC().Format(time.DateTime)
	case string:
		if predicate.Type(p.Type) == predicate.Time {
			if at, ok := readTime(v); ok {
				return at.Format(time.DateTime)
			}
		}
		return p.optionTitle(v, tag)
	case []string:
		titles := make([]string, len(v))
		for i, value := range v {
			titles[i] = p.optionTitle(value, tag)
		}
		return titles
	case []any:
		titles := make([]any, len(v))
		for i, value := range v {
			titles[i] = p.wording(value, tag)
		}
		return titles
	}
	return v
}

func (p Param) optionTitle(value, tag string) string {
	for _, o := range p.Options {
		if o.Value == value {
			return o.Title.In(tag)
		}
	}
	return value
}

// decimal is a number that prints as people write it: 1000000, not 1e+06.
type decimal float64

func (d decimal) String() string { return strconv.FormatFloat(float64(d), 'f', -1, 64) }
