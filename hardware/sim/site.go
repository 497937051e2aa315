package sim

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"herald/problem"
)

//go:embed site.html
var frame string

// Faulty is a far end that can be told to fail.
type Faulty[F any] interface {
	// Faults are those in force.
	Faults() []F
	// SetFaults replaces them; it fails with problem.Invalid.
	SetFaults(list ...F) error
}

// Site is what browsers and programs see of a far end.
type Site[T, F any] struct {
	// Page is what the far end's page has of its own: the templates that
	// site.html names.
	Page string
	// Policy is what the page may load, in the words of a
	// Content-Security-Policy; its own script and style it may use anyway.
	Policy string
	Box    *Box[T]
	Far    Faulty[F]
	// More is served besides, by method and path such as "GET /parts".
	More map[string]http.HandlerFunc
}

// Handler serves the site. Its addresses are relative, so it may be mounted
// anywhere behind http.StripPrefix, at a path that ends in "/":
//
//	GET    /          a page that shows what comes in as it arrives
//	GET    /messages  {"total":n,"messages":[…]}: the newest ?limit= (100), oldest first;
//	                  with ?after=ID the first ones behind that; with ?wait=20s it
//	                  answers as soon as there is one (at most a minute)
//	DELETE /messages  forgets all
//	GET    /faults    {"faults":[…]}
//	PUT    /faults    replaces them by those of the same shape
//
// Errors are {"code","message","fields"} with the status. It panics when Page
// is no template.
func (s Site[T, F]) Handler() http.Handler {
	var page bytes.Buffer
	if err := template.Must(template.Must(template.New("site").Parse(frame)).Parse(s.Page)).Execute(&page, nil); err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "+s.Policy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write(page.Bytes()) // the reader left
	})
	mux.HandleFunc("GET /messages", s.list)
	mux.HandleFunc("DELETE /messages", func(w http.ResponseWriter, _ *http.Request) {
		s.Box.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { WriteJSON(w, faultList[F]{s.Far.Faults()}) })
	mux.HandleFunc("PUT /faults", s.putFaults)
	for pattern, serve := range s.More {
		mux.HandleFunc(pattern, serve)
	}
	return http.NewCrossOriginProtection().Handler(mux)
}

type messageList[T any] struct {
	Total    int64 `json:"total"`
	Messages []T   `json:"messages"`
}

type faultList[F any] struct {
	Faults []F `json:"faults"`
}

func (s Site[T, F]) list(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuestion(r)
	if err != nil {
		WriteProblem(w, err)
		return
	}
	if q.wait > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), q.wait)
		defer cancel()
		// The end of the wait is no error: there is nothing new then.
		_ = s.Box.WaitFor(ctx, func([]T, int64) bool { return len(s.Box.After(q.after)) > 0 })
	}
	var kept []T
	if q.hasAfter {
		kept = s.Box.After(q.after)
		kept = kept[:min(q.limit, len(kept))]
	} else {
		kept = s.Box.All()
		kept = kept[max(0, len(kept)-q.limit):]
	}
	WriteJSON(w, messageList[T]{s.Box.Count(), append([]T{}, kept...)})
}

type question struct {
	after    int64
	hasAfter bool
	limit    int
	wait     time.Duration
}

func parseQuestion(r *http.Request) (question, error) {
	q := question{limit: 100}
	var mistakes problem.Fields
	values, err := r.URL.Query(), error(nil)
	if text := values.Get("after"); text != "" {
		q.hasAfter = true
		if q.after, err = strconv.ParseInt(text, 10, 64); err != nil {
			mistakes.Add("after", "format", "use the id of a message")
		}
	}
	if text := values.Get("limit"); text != "" {
		if q.limit, err = strconv.Atoi(text); err != nil || q.limit < 1 || q.limit > 10_000 {
			mistakes.Add("limit", "range", "use 1 to 10000")
		}
	}
	if text := values.Get("wait"); text != "" {
		if q.wait, err = time.ParseDuration(text); err != nil || q.wait < 0 || q.wait > time.Minute {
			mistakes.Add("wait", "range", "use a time up to 1m")
		}
	}
	return q, mistakes.Err("the question cannot be read")
}

func (s Site[T, F]) putFaults(w http.ResponseWriter, r *http.Request) {
	var list faultList[F]
	err := ReadJSON(w, r, &list, "the faults")
	if err == nil {
		err = s.Far.SetFaults(list.Faults...)
	}
	if err != nil {
		WriteProblem(w, err)
		return
	}
	WriteJSON(w, faultList[F]{s.Far.Faults()})
}

// mostBytes of a request are read.
const mostBytes = 1 << 20

// ReadJSON reads the body of a request, called what, into v; it fails with
// problem.Invalid, also when there are fields that v has not.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any, what string) error {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBytes))
	body.DisallowUnknownFields()
	if err := body.Decode(v); err != nil {
		return problem.New(problem.Invalid, "%s cannot be read: %v", what, err)
	}
	return nil
}

// WriteJSON answers with v.
func WriteJSON(w http.ResponseWriter, v any) { writeJSON(w, http.StatusOK, v) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader left
}

// WriteProblem answers that something failed, with the status that fits err.
func WriteProblem(w http.ResponseWriter, err error) {
	var p *problem.Error
	if !errors.As(err, &p) {
		p = problem.New(problem.Unavailable, "it failed")
	}
	status := http.StatusInternalServerError
	switch p.Code {
	case problem.Invalid:
		status = http.StatusUnprocessableEntity
	case problem.NotFound:
		status = http.StatusNotFound
	case problem.Unavailable:
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, struct {
		Code    problem.Code    `json:"code"`
		Message string          `json:"message"`
		Fields  []problem.Field `json:"fields,omitempty"`
	}{p.Code, p.Message, p.Fields})
}
