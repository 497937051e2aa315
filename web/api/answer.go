package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"herald/xmlform"
)

// formats are what bodies can be written in. XML that comes in has become JSON
// before huma sees it, so that the schema can say what is what.
func formats() map[string]huma.Format {
	xml := huma.Format{Marshal: writeXML, Unmarshal: json.Unmarshal}
	return map[string]huma.Format{
		"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat,
		"application/xml": xml, "xml": xml,
	}
}

// problemNamespace is that of problem details in XML (RFC 9457, appendix B).
const problemNamespace = "urn:ietf:rfc:7807"

func writeXML(w io.Writer, v any) error {
	document, err := json.Marshal(v)
	if err != nil {
		return err
	}
	form := xmlform.Form{Root: elementName(v)}
	if _, ok := v.(*Problem); ok {
		form = xmlform.Form{Root: "problem", Namespace: problemNamespace, Item: "i", Untyped: true}
	}
	return xmlform.Write(w, document, form)
}

// elementName is the name of a resource's root element: its Go type in lower
// case with underscores, "page" for every page.
func elementName(v any) string {
	t := reflect.TypeOf(v)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Name() == "" {
		return "answer"
	}
	name, _, _ := strings.Cut(t.Name(), "[")
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// answer writes v in the form the request asks for. It is for what is answered
// outside of huma; a problem gets its headers and its own media type.
func (a *API) answer(w http.ResponseWriter, r *http.Request, status int, v any) {
	form, err := a.huma.Negotiate(r.Header.Get("Accept"))
	if err != nil {
		form = "application/json"
	}
	mediaType := form
	if p, ok := v.(*Problem); ok {
		p.Instance = instance(r.Context())
		mediaType = p.ContentType(form)
		for name, values := range p.headers {
			w.Header()[name] = values
		}
	}
	var body bytes.Buffer
	if err := a.huma.Marshal(&body, form, v); err != nil {
		a.log.ErrorContext(r.Context(), "an answer could not be written", "request_id", requestID(r.Context()), "error", err)
		status = http.StatusInternalServerError
		body.Reset()
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a sender that has gone away is no mistake of ours
}

// refuse answers with the problem in err. What is none is logged, and the
// sender learns only that Herald failed, and under which request to ask.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := a.problem(r.Context(), err)
	a.answer(w, r, p.Status, p)
}
