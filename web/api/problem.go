package api

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"herald/problem"
)

// Problem is what every error is answered with: RFC 9457 problem details, as
// application/problem+json or application/problem+xml.
type Problem struct {
	Title    string         `json:"title" doc:"The kind of problem, in English." example:"Unprocessable Entity"`
	Status   int            `json:"status" doc:"The HTTP status." example:"422"`
	Code     problem.Code   `json:"code" doc:"The kind of problem, for programs." example:"invalid"`
	Detail   string         `json:"detail,omitempty" doc:"What went wrong this time." example:"the subscription cannot be taken as it is"`
	Instance string         `json:"instance,omitempty" doc:"The request, as Herald's log names it." example:"urn:uuid:0190f2c4-7c4e-7000-8000-000000000000"`
	Errors   []FieldProblem `json:"errors,omitempty" doc:"Each mistake with its place."`
	// Results are given where a request held several events.
	Results []EventResult `json:"results,omitempty" doc:"What became of each event, where there were several."`
	// Processed is given where a bulk request stopped in the middle.
	Processed int `json:"processed,omitempty" doc:"How many events of a bulk request were dealt with before it stopped."`

	headers http.Header
}

// FieldProblem is one mistake.
type FieldProblem struct {
	Location string         `json:"location,omitempty" doc:"Where: body.…, query.…, path.… or header.…; of an event, its attribute." example:"body.params.target"`
	Message  string         `json:"message" doc:"What to do about it, in English." example:"must be at least 0.01"`
	Rule     string         `json:"rule,omitempty" doc:"The rule that was broken, for programs." example:"min"`
	Args     map[string]any `json:"args,omitempty" doc:"The rule's figures."`
	Value    any            `json:"value,omitempty" doc:"What was sent, where it is short and no secret."`
}

// Error is for the log, not for whoever sent the request.
func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are further headers of the answer, such as Retry-After.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType is the problem's own form of a media type (RFC 9457, section 3).
func (p *Problem) ContentType(negotiated string) string {
	return "application/problem+" + strings.TrimPrefix(negotiated, "application/")
}

// The kinds of problem that only HTTP has.
const (
	codeMediaType problem.Code = "media_type"
	codeMethod    problem.Code = "method"
	codeTimeout   problem.Code = "timeout"
	codeInternal  problem.Code = "internal"
)

func newProblem(status int, code problem.Code, format string, args ...any) *Problem {
	return &Problem{
		Title: http.StatusText(status), Status: status, Code: code,
		Detail: fmt.Sprintf(format, args...), headers: http.Header{},
	}
}

// problemOf is the answer to a problem; nil when err is none that somebody
// outside can act on.
func problemOf(err error) *Problem {
	var answer *Problem
	if errors.As(err, &answer) {
		return answer
	}
	var p *problem.Error
	if !errors.As(err, &p) {
		return nil
	}
	status := p.Code.Status()
	if status == 0 {
		return nil
	}
	answer = newProblem(status, p.Code, "%s", p.Message)
	answer.Errors = fieldProblems(p.Fields, "body")
	if p.After > 0 {
		answer.headers.Set("Retry-After", retryAfter(p.After))
	} else if p.Code == problem.Unavailable || p.Code == problem.Throttled {
		answer.headers.Set("Retry-After", "1")
	}
	return answer
}

// retryAfter is a wait in whole seconds, at least one (RFC 9110, 10.2.3).
func retryAfter(wait time.Duration) string {
	return strconv.Itoa(int(math.Max(1, math.Ceil(wait.Seconds()))))
}

// fieldProblems gives each mistake its location: a path of the body, unless it
// says itself where it is.
func fieldProblems(fields []problem.Field, within string) []FieldProblem {
	out := make([]FieldProblem, len(fields))
	for i, f := range fields {
		out[i] = FieldProblem{Location: location(within, f.Path), Message: f.Message, Rule: f.Rule, Args: f.Args}
	}
	return out
}

func location(within, path string) string {
	for _, place := range []string{"query.", "path.", "header."} {
		if strings.HasPrefix(path, place) {
			return path
		}
	}
	switch {
	case within == "" || path == "":
		return within + path
	case path[0] == '[':
		return within + path
	}
	return within + "." + path
}

// ownErrors turns what huma says of a request that does not fit its schema
// into a Problem.
func (a *API) ownErrors(ctx huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := fromHuma(e)
	p.Instance = instance(ctx.Context())
	if form, err := a.huma.Negotiate(ctx.Header("Accept")); err == nil {
		ctx.SetHeader("Content-Type", p.ContentType(form))
	}
	return p, nil
}

// maxErrors is how many mistakes of one body are told.
const maxErrors = 50

func fromHuma(e *huma.ErrorModel) *Problem {
	code := cmp.Or(problem.OfStatus(e.Status), problem.Invalid)
	switch e.Status {
	case http.StatusUnsupportedMediaType:
		code = codeMediaType
	case http.StatusRequestTimeout:
		code = codeTimeout
	}
	p := newProblem(e.Status, code, "%s", e.Detail)
	for _, d := range e.Errors {
		if d == nil || len(p.Errors) == maxErrors {
			continue
		}
		p.Errors = append(p.Errors, FieldProblem{Location: d.Location, Message: d.Message, Rule: "schema", Value: shown(d)})
	}
	return p
}

// shown is the value that a mistake may repeat: short, and no secret.
func shown(d *huma.ErrorDetail) any {
	if strings.HasSuffix(d.Location, "password") || strings.HasSuffix(d.Location, "code") {
		return nil
	}
	switch v := d.Value.(type) {
	case string:
		if len(v) <= 200 && d.Location != "body" {
			return v
		}
	case bool, float64, int, int64:
		return v
	}
	return nil
}
