package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"herald/problem"
)

type contextKey int

const (
	requestKey contextKey = iota // uuid.UUID
	callerKey                    // caller
)

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey).(uuid.UUID)
	return id.String()
}

// instance names the request in a problem (RFC 9457, 3.1.5).
func instance(ctx context.Context) string { return "urn:uuid:" + requestID(ctx) }

// ServeHTTP answers a request below /api/, for the description of the API or
// for its page.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, err := uuid.NewV7()
	if err != nil { // without randomness nothing else works either
		http.Error(w, "no randomness", http.StatusInternalServerError)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), requestKey, id))
	w.Header().Set("X-Request-Id", id.String())
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	defer a.recoverFrom(w, r)
	if err := checkURL(r); err != nil {
		a.refuse(w, r, err)
		return
	}
	handler, pattern := a.mux.Handler(r)
	if pattern == "" {
		a.refuse(w, r, unrouted(handler, r))
		return
	}
	a.mux.ServeHTTP(w, r)
}

func (a *API) recoverFrom(w http.ResponseWriter, r *http.Request) {
	switch cause := recover(); cause {
	case nil:
	case http.ErrAbortHandler:
		panic(cause)
	default:
		a.log.ErrorContext(r.Context(), "a request panicked", "request_id", requestID(r.Context()),
			"cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		a.answer(w, r, http.StatusInternalServerError, internal())
	}
}

// checkURL refuses what no store could be asked for: text that is not UTF-8,
// or holds a NUL.
func checkURL(r *http.Request) error {
	query, err := url.QueryUnescape(r.URL.RawQuery)
	if err != nil || !storable(r.URL.Path) || !storable(query) {
		return problem.New(problem.Malformed, "the address of the request is not UTF-8 text")
	}
	return nil
}

func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// unrouted is the problem of a request that no operation answers: handler is
// what the mux would answer it with.
func unrouted(handler http.Handler, r *http.Request) *Problem {
	probe := &probe{header: http.Header{}}
	handler.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		p := newProblem(probe.status, codeMethod, "this address does not answer %s", r.Method)
		p.headers.Set("Allow", probe.header.Get("Allow"))
		return p
	}
	return newProblem(http.StatusNotFound, problem.NotFound, "there is nothing at this address; /openapi.json says what there is")
}

// probe takes an answer's status and headers and drops its body.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) WriteHeader(status int)      { p.status = status }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }

// problem is the answer to any error.
func (a *API) problem(ctx context.Context, err error) *Problem {
	p := problemOf(err)
	switch {
	case p != nil:
	case a.cfg.Away(err):
		a.log.WarnContext(ctx, "a request came while the database was away", "request_id", requestID(ctx), "error", err)
		p = problemOf(problem.New(problem.Unavailable, "Herald cannot reach its database now: send the request again"))
	default:
		a.log.ErrorContext(ctx, "a request failed", "request_id", requestID(ctx), "error", err)
		p = internal()
	}
	p.Instance = instance(ctx)
	return p
}

func internal() *Problem {
	return newProblem(http.StatusInternalServerError, codeInternal, "Herald failed; its log says why under this request's instance")
}
