package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"herald/problem"
)

// compile reads everything within the file, and finds every mistake.
func (d *Description) compile(f *problem.Fields) {
	if d.spec.About == "" {
		f.Add("about", "required", "say in a line whom this describes")
	}
	d.compileRequest(f)
	d.compileAnswer(f)
	d.compileText(f)
	d.compileTrust(f)
	d.receipt = d.newCallback(d.spec.Receipt, "receipt", f)
	d.inbound = d.newCallback(d.spec.Inbound, "inbound", f)
	d.checkNames(f)
}

// text reads a template that stands at a path.
func (d *Description) text(source string, sample any, at string, f *problem.Fields) *text {
	t, err := newText(source, sample, asked{d.mayAsk, d.mayReveal})
	if err != nil {
		f.Add(at, "template", "cannot be read: %v", err)
	}
	return t
}

func (d *Description) texts(sources map[string]string, at string, f *problem.Fields) map[string]*text {
	list := map[string]*text{}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		list[name] = d.text(sources[name], message{}, at+"."+name, f)
	}
	return list
}

func (d *Description) compileRequest(f *problem.Fields) {
	r := &d.spec.Request
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	if !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut}, r.Method) {
		f.Add("request.method", "option", "is %q and must be one of: GET, POST, PUT", r.Method)
	}
	if r.URL == "" {
		f.Add("request.url", "required", "say where messages are handed over")
	}
	d.url = d.text(r.URL, target{}, "request.url", f)
	d.query = d.texts(r.Query, "request.query", f)
	d.headers = d.texts(r.Headers, "request.headers", f)
	d.form = d.texts(r.Form, "request.form", f)
	d.json = d.tree(r.JSON, "request.json", f)
	d.body = d.text(r.Body, message{}, "request.body", f)
	contents := 0
	for _, has := range []bool{len(r.Form) > 0, r.JSON != nil, r.Body != ""} {
		if has {
			contents++
		}
	}
	switch {
	case contents > 1:
		f.Add("request", "one_of", "can have one of form, json and body")
	case contents > 0 && r.Method == http.MethodGet:
		f.Add("request.method", "body", "is GET, which has no body: use query")
	}
	for name := range r.Headers {
		if !isHeader(name) {
			f.Add("request.headers", "header", "%q is not a header that can be set", name)
		}
	}
	d.compileAuth(f)
}

// isHeader reports whether a description may set a header: it must be a token
// (RFC 9110, section 5.6.2), and not one that frames the message.
func isHeader(name string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	for _, r := range name {
		if r > 126 || !strings.ContainsRune(marks, r) && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z') {
			return false
		}
	}
	framing := []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Upgrade", "Te", "Expect"}
	return name != "" && !slices.Contains(framing, http.CanonicalHeaderKey(name))
}

// tree reads every string within a JSON value as a template.
func (d *Description) tree(v any, at string, f *problem.Fields) any {
	switch v := v.(type) {
	case string:
		return d.text(v, message{}, at, f)
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, inner := range v {
			out[name] = d.tree(inner, at+"."+name, f)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = d.tree(inner, fmt.Sprintf("%s[%d]", at, i), f)
		}
		return out
	case nil, bool, int, int64, uint64, float64:
		return v
	}
	f.Add(at, "json", "must be what JSON has: texts, numbers, lists, and members with names")
	return nil
}

func (d *Description) compileText(f *problem.Fields) {
	t := d.spec.Text
	if t.Parts != "" && t.Parts != "whole" && t.Parts != "each" {
		f.Add("text.parts", "option", "is %q and must be one of: whole, each", t.Parts)
	}
	if t.Longest < 0 || t.Longest > 255 {
		f.Add("text.longest", "range", "is %d and must be from 0 to 255", t.Longest)
	}
}

// checkNames holds what texts ask for against what accounts give.
func (d *Description) checkNames(f *problem.Fields) {
	for kind, group := range map[string]struct {
		given map[string]setting
		asked map[string]bool
	}{"settings": {d.spec.Settings, d.mayAsk}, "secrets": {d.spec.Secrets, d.mayReveal}} {
		for _, name := range slices.Sorted(maps.Keys(group.asked)) {
			if _, known := group.given[name]; !known {
				f.Add(kind, "unknown", "has no %s, which a text asks for", name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(group.given)) {
			if !group.asked[name] {
				f.Add(kind+"."+name, "unused", "is asked for by no text")
			}
			if kind == "secrets" && group.given[name].Default != "" {
				f.Add(kind+"."+name+".default", "unknown", "cannot be: a secret stands in the configuration")
			}
		}
	}
}
