package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"herald/problem"
)

// said is an answer, or a callback, that has come in whole.
type said struct {
	status int
	header http.Header
	query  url.Values
	body   []byte

	form   url.Values // read by need
	doc    any        // likewise
	parsed bool
}

// document is the body as JSON; nil when it is none.
func (s *said) document() any {
	if s.parsed {
		return s.doc
	}
	s.parsed = true
	decoder := json.NewDecoder(bytes.NewReader(s.body))
	decoder.UseNumber() // an id has more digits than a float
	if decoder.Decode(&s.doc) != nil {
		s.doc = nil
	}
	return s.doc
}

func (s *said) fields() url.Values {
	if s.form == nil {
		s.form, _ = url.ParseQuery(string(s.body)) // what can be read of it
	}
	return s.form
}

// item is the same with another document: one of a list.
func (s *said) item(doc any) *said {
	return &said{status: s.status, header: s.header, query: s.query, body: s.body, doc: doc, parsed: true}
}

// place is where something stands.
type place struct {
	json        []string // the steps of a pointer
	isJSON      bool
	query, form string
	header      string
	body, match *regexp.Regexp
}

// find gives what stands at the place, or "".
func (p *place) find(s *said) string {
	if p == nil {
		return ""
	}
	var found string
	switch {
	case p.isJSON:
		found = scalar(step(s.document(), p.json))
	case p.query != "":
		found = s.query.Get(p.query)
	case p.form != "":
		found = s.fields().Get(p.form)
	case p.header != "":
		found = s.header.Get(p.header)
	case p.body != nil:
		if groups := p.body.FindSubmatch(s.body); groups != nil {
			found = string(groups[1])
		}
	}
	if p.match != nil {
		groups := p.match.FindStringSubmatch(found)
		if groups == nil {
			return ""
		}
		found = groups[1]
	}
	return found
}

// list gives the items of the list at the place.
func (p *place) list(s *said) ([]any, bool) {
	items, is := step(s.document(), p.json).([]any)
	return items, is
}

// step follows a JSON pointer (RFC 6901, section 4); nil where it leads nowhere.
func step(doc any, steps []string) any {
	for _, name := range steps {
		switch at := doc.(type) {
		case map[string]any:
			doc = at[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(at) || name != strconv.Itoa(i) {
				return nil
			}
			doc = at[i]
		default:
			return nil
		}
	}
	return doc
}

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// pointer takes a JSON pointer apart (RFC 6901, section 3).
func pointer(source string) ([]string, error) {
	if source == "" {
		return nil, nil
	}
	if source[0] != '/' {
		return nil, errors.New("a JSON pointer begins with /, such as /data/id")
	}
	steps := strings.Split(source[1:], "/")
	for i, s := range steps {
		steps[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return steps, nil
}

// newPlace checks where something stands. Mistakes are noted below at.
func newPlace(s *placeSpec, at string, mistakes *problem.Fields) *place {
	if s == nil {
		return nil
	}
	named := 0
	for _, is := range []bool{s.JSON != nil, s.Query != "", s.Form != "", s.Header != "", s.Body != ""} {
		if is {
			named++
		}
	}
	if named != 1 {
		mistakes.Add(at, "one_of", "must name exactly one of json, query, form, header and body")
		return nil
	}
	p := &place{query: s.Query, form: s.Form, header: s.Header}
	var err error
	if s.JSON != nil {
		p.isJSON = true
		if p.json, err = pointer(*s.JSON); err != nil {
			mistakes.Add(at+".json", "format", "%v", err)
		}
	}
	p.body = newPattern(s.Body, 1, at+".body", mistakes)
	p.match = newPattern(s.Match, 1, at+".match", mistakes)
	return p
}

// maxPattern is how long a regular expression may be, in bytes. Those of Go
// take time in proportion to what they read, and answers are bounded.
const maxPattern = 500

// newPattern compiles a regular expression that has at least so many groups.
func newPattern(source string, groups int, at string, mistakes *problem.Fields) *regexp.Regexp {
	if source == "" {
		return nil
	}
	if len(source) > maxPattern {
		mistakes.Add(at, "max_len", "must have at most %d characters", maxPattern)
		return nil
	}
	compiled, err := regexp.Compile(source)
	if err != nil {
		mistakes.Add(at, "regexp", "%s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return nil
	}
	if compiled.NumSubexp() < groups {
		mistakes.Add(at, "group", "needs a group, (…), around what counts")
		return nil
	}
	return compiled
}

// words is one word or a list of them, as texts; numbers are taken as written.
type words []string

// UnmarshalYAML takes a scalar or a list of scalars.
func (w *words) UnmarshalYAML(read func(any) error) error {
	var list []string
	if err := read(&list); err == nil {
		*w = list
		return nil
	}
	var one string
	if err := read(&one); err != nil {
		return fmt.Errorf("must be a word or a list of words: %w", err)
	}
	*w = words{one}
	return nil
}
