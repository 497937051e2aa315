package templates

import (
	"fmt"
	"html"
	"regexp"
	"strings"

	"github.com/osteele/liquid"
	"github.com/osteele/liquid/filters"
	"github.com/osteele/liquid/parser"
	"github.com/osteele/liquid/render"
)

// part is one compiled field of a template.
type part struct {
	tree   *liquid.Template
	merge  merge // nil: it needs the tree
	markup markup
}

// markup says how what a template prints is written.
type markup int

const (
	plain          markup = iota // as it is
	escapeHTML                   // with & < > " ' escaped, unless filtered by raw
	escapeMarkdown               // with all punctuation escaped, in one line, unless filtered by raw
)

// write is a value as it is written.
func (m markup) write(value string) string {
	switch m {
	case escapeHTML:
		return html.EscapeString(value)
	case escapeMarkdown:
		return markdownText(value)
	}
	return value
}

// syntaxError is a mistake in a template's source.
type syntaxError struct {
	line    int // from 1
	message string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.message) }

// compile parses source for a locale.
//
// The Liquid library escapes nothing, prints numbers as Go does, reads files
// with {% include %} and bounds nothing. So the source is parsed as it stands,
// for mistakes and their lines, and then once more with every {{ expression }}
// sent through the filter that writes it, and with a step counted in every
// loop. The mistakes come back as *syntaxError.
func compile(source, locale string, m markup) (*part, error) {
	if len(source) > maxSource {
		return nil, &syntaxError{1, fmt.Sprintf("the template has %d bytes, at most %d are allowed", len(source), maxSource)}
	}
	if _, err := liquid.NewEngine().ParseTemplateLocation([]byte(source), "", 1); err != nil {
		return nil, &syntaxError{max(err.LineNumber(), 1), parseMessage(err)}
	}
	guarded, err := guard(source, knownFilters(locale))
	if err != nil {
		return nil, err
	}
	tree, perr := newEngine(locale, m).ParseTemplateLocation([]byte(guarded), "", 1)
	if perr != nil {
		return nil, &syntaxError{max(perr.LineNumber(), 1), parseMessage(perr)}
	}
	return &part{tree: tree, merge: mergeOf(source), markup: m}, nil
}

// parseMessage is what the library says, without the place, which is told apart.
func parseMessage(err liquid.SourceError) string {
	if cause := err.Cause(); cause != nil {
		return cause.Error()
	}
	message := strings.TrimPrefix(err.Error(), "Liquid error")
	if _, rest, found := strings.Cut(message, "): "); found && strings.HasPrefix(message, " (line ") {
		return rest
	}
	return strings.TrimPrefix(message, ": ")
}

func newEngine(locale string, m markup) *liquid.Engine {
	e := liquid.NewEngine()
	for name, filter := range ownFilters(locale) {
		e.RegisterFilter(name, filter)
	}
	e.RegisterFilter("raw", func(v any) verbatim { return verbatim(printed(v)) })
	e.RegisterFilter(printFilter, func(v any) string {
		if v, isVerbatim := v.(verbatim); isVerbatim {
			return string(v)
		}
		return m.write(printed(v))
	})
	e.RegisterTag("include", func(ctx render.Context) (string, error) {
		return "", ctx.Errorf("include is not available")
	})
	e.RegisterTag("assign", assign)
	e.RegisterTag(stepTag, step)
	e.RegisterBlock(captureTag, capture)
	return e
}

// verbatim is text that is printed as it stands.
type verbatim string

// The names that guard writes into a template; nobody else can, for a name
// with two underscores in front is refused.
const (
	printFilter = "__print"
	stepTag     = "__step"
	captureTag  = "__capture"
)

var (
	filterName = regexp.MustCompile(`\|\s*([A-Za-z_]\w*)`)
	quoted     = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	// A range may stand only where a loop walks it, one number at a time: as
	// an array, (1..1000000000) would fill the memory.
	loopRange = regexp.MustCompile(`^\w+\s+in\s+\([^|]*\)[^|]*$`)
)

// guard rewrites source so that it prints and loops under our rules, line for line.
func guard(source string, known map[string]bool) (string, error) {
	var b strings.Builder
	inside := "" // "raw" or "comment": left as it is
	for _, tok := range parser.Scan(source, parser.SourceLoc{LineNo: 1}, nil) {
		line := tok.SourceLoc.LineNo
		switch {
		case tok.Type == parser.TagTokenType && inside != "":
			if tok.Name == "end"+inside {
				inside = ""
			}
			b.WriteString(tok.Source)
		case inside != "" || tok.Source == "":
			b.WriteString(tok.Source)
		case tok.Type == parser.TextTokenType:
			if err := checkText(tok); err != nil {
				return "", err
			}
			b.WriteString(tok.Source)
		default:
			if err := checkArgs(tok, known); err != nil {
				return "", &syntaxError{line, err.Error()}
			}
			if tok.Name == "raw" || tok.Name == "comment" {
				inside = tok.Name
			}
			b.WriteString(guarded(tok))
		}
	}
	return b.String(), nil
}

// checkText finds markers that the scanner took for text since they never close.
func checkText(tok parser.Token) error {
	for _, open := range []string{"{{", "{%"} {
		if at := strings.Index(tok.Source, open); at >= 0 {
			line := tok.SourceLoc.LineNo + strings.Count(tok.Source[:at], "\n")
			return &syntaxError{line, fmt.Sprintf("%s is not closed on its line", open)}
		}
	}
	return nil
}

func checkArgs(tok parser.Token, known map[string]bool) error {
	bare := quoted.ReplaceAllString(tok.Args, `""`)
	if tok.Name == "include" {
		return fmt.Errorf("include is not available")
	}
	if strings.HasPrefix(tok.Name, "__") || strings.HasPrefix(tok.Name, "end__") {
		return fmt.Errorf("undefined tag %q", tok.Name)
	}
	for _, m := range filterName.FindAllStringSubmatch(bare, -1) {
		if !known[m[1]] {
			return fmt.Errorf("there is no filter %q", m[1])
		}
	}
	isLoop := tok.Name == "for" || tok.Name == "tablerow"
	if strings.Contains(bare, "..") && (!isLoop || !loopRange.MatchString(bare)) {
		return fmt.Errorf("a range such as (1..5) may stand only in {%% for i in (1..5) %%}")
	}
	return nil
}

// guarded is a token as the template will have it.
func guarded(tok parser.Token) string {
	switch {
	case tok.Type == parser.ObjTokenType:
		// The trim marks and line ends around the expression stay where they are.
		at := strings.Index(tok.Source, tok.Args)
		return tok.Source[:at] + "(" + tok.Args + ") | " + printFilter + tok.Source[at+len(tok.Args):]
	case tok.Name == "for" || tok.Name == "tablerow":
		return tok.Source + "{% " + stepTag + " %}"
	case tok.Name == "capture" || tok.Name == "endcapture":
		return strings.Replace(tok.Source, "capture", captureTag, 1)
	}
	return tok.Source
}

// recorder collects the names of the library's filters.
type recorder map[string]bool

func (r recorder) AddFilter(name string, _ any) { r[name] = true }

func knownFilters(locale string) map[string]bool {
	names := recorder{"raw": true}
	filters.AddStandardFilters(names)
	for name := range ownFilters(locale) {
		names[name] = true
	}
	return names
}
