package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"herald/jsontext"
	"herald/problem"
	"herald/xmlform"
)

// maxDepth is how deep a body may be nested.
const maxDepth = 32

// readBody reads an operation's body within the limits and hands it on as
// JSON, whichever form it came in.
func (a *API) readBody(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	op := ctx.Operation()
	if op.RequestBody == nil {
		next(ctx)
		return
	}
	body, err := a.read(w, r, a.cfg.MaxBody)
	if err == nil && len(body) > 0 {
		body, err = a.asJSON(op, r.Header.Get("Content-Type"), body)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	next(humago.NewContext(op, r, w))
}

// asJSON is a body as JSON that PostgreSQL can keep.
func (a *API) asJSON(op *huma.Operation, contentType string, body []byte) ([]byte, error) {
	form, err := formOf(contentType)
	if err != nil {
		return nil, err
	}
	switch {
	case form == "application/json":
		if err := jsontext.Check(body, maxDepth); err != nil {
			return nil, err
		}
	case form == "application/xml" || form == "text/xml":
		schema := op.RequestBody.Content["application/json"].Schema
		if body, err = xmlform.ToJSON(body, hint{schema, a.huma.OpenAPI().Components.Schemas}, maxDepth); err != nil {
			return nil, err
		}
	default:
		return nil, unsupported("send application/json or application/xml, not %q", form)
	}
	if jsontext.HoldsNUL(body) {
		var f problem.Fields
		f.Add("", "text", `text may not hold the character \u0000`)
		return nil, f.Err("the body holds a character that cannot be kept")
	}
	return body, nil
}

// formOf is the media type of a body in UTF-8.
func formOf(contentType string) (string, error) {
	form, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", unsupported("the header Content-Type must name the form of the body")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", unsupported("send the body in UTF-8, not in %q", charset)
	}
	return form, nil
}

func unsupported(format string, args ...any) *Problem {
	return newProblem(http.StatusUnsupportedMediaType, codeMediaType, format, args...)
}

// read is a whole body of at most limit bytes.
func (a *API) read(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if err := checkEncoding(r); err != nil {
		return nil, err
	}
	control := http.NewResponseController(w)
	a.deadline(control, a.cfg.ReadTimeout)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, readError(err)
	}
	a.deadline(control, 0)
	return body, nil
}

// deadline bounds the next reads by the network's clock, which is no other than
// the machine's. No limit lets the server watch for senders that go away.
func (a *API) deadline(control *http.ResponseController, limit time.Duration) {
	var at time.Time
	if limit > 0 {
		at = time.Now().Add(limit)
	}
	if err := control.SetReadDeadline(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		a.log.Warn("a read deadline could not be set", "error", err)
	}
}

func checkEncoding(r *http.Request) error {
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return unsupported("send the body as it is, not as %q", e)
	}
	return nil
}

// readError is the problem of a body that did not arrive.
func readError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return problem.New(problem.TooLarge, "the body may have at most %s bytes", strconv.FormatInt(large.Limit, 10))
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return newProblem(http.StatusRequestTimeout, codeTimeout, "the body did not arrive in time")
	}
	return problem.New(problem.Malformed, "the body did not arrive as a whole")
}

// hint reads a schema's types for XML.
type hint struct {
	schema   *huma.Schema
	registry huma.Registry
}

// resolved follows a reference; nil when nothing is known.
func (h hint) resolved() *huma.Schema {
	if h.schema != nil && h.schema.Ref != "" {
		return h.registry.SchemaFromRef(h.schema.Ref)
	}
	return h.schema
}

func (h hint) Type() xmlform.Type {
	s := h.resolved()
	if s == nil {
		return xmlform.Any
	}
	switch s.Type {
	case huma.TypeInteger, huma.TypeNumber:
		return xmlform.Number
	case huma.TypeBoolean:
		return xmlform.Boolean
	case huma.TypeString:
		return xmlform.String
	case huma.TypeArray:
		return xmlform.Array
	case huma.TypeObject:
		return xmlform.Object
	}
	return xmlform.Any
}

func (h hint) Member(name string) xmlform.Hint {
	s := h.resolved()
	if s == nil {
		return h
	}
	if property, ok := s.Properties[name]; ok {
		return hint{property, h.registry}
	}
	additional, _ := s.AdditionalProperties.(*huma.Schema)
	return hint{additional, h.registry}
}

func (h hint) Item() xmlform.Hint {
	if s := h.resolved(); s != nil {
		return hint{s.Items, h.registry}
	}
	return h
}
