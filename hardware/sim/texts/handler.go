package texts

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"herald/problem"
)

//go:embed texts.html
var page []byte

const policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"

// Simulator is what the page and the JSON of a Box act on.
type Simulator interface {
	// Faults are those in force, in the shape that SetFaults reads.
	Faults() any
	// SetFaults replaces them; it fails with problem.Invalid.
	SetFaults(list json.RawMessage) error
	// Say hands over what a phone writes; it fails with problem.Invalid or
	// problem.Unavailable.
	Say(ctx context.Context, from, to, text string) error
}

// Handler shows the box. Its addresses are relative, so it may be mounted
// anywhere behind http.StripPrefix, at a path that ends in "/":
//
//	GET    /          a page that shows texts as they arrive, and lets phones answer
//	GET    /messages  {"total":n,"messages":[…]}: the newest ?limit= (100), oldest first;
//	                  with ?after=ID the first ones behind that; with ?wait=20s it
//	                  answers as soon as there is one (at most a minute)
//	DELETE /messages  forgets all
//	POST   /messages  {"from","to","text"}: a phone writes
//	GET    /faults    {"faults":[…]}
//	PUT    /faults    replaces them by those of the same shape
//
// Errors are {"code","message","fields"} with the status.
func Handler(b *Box, s Simulator) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write(page) // the reader left
	})
	mux.HandleFunc("GET /messages", b.list)
	mux.HandleFunc("DELETE /messages", func(w http.ResponseWriter, _ *http.Request) {
		b.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) { say(w, r, s) })
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"faults": s.Faults()})
	})
	mux.HandleFunc("PUT /faults", func(w http.ResponseWriter, r *http.Request) { putFaults(w, r, s) })
	return http.NewCrossOriginProtection().Handler(mux)
}

type messageList struct {
	Total    int64  `json:"total"`
	Messages []Text `json:"messages"`
}

func (b *Box) list(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuestion(r)
	if err != nil {
		writeProblem(w, err)
		return
	}
	if q.wait > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), q.wait)
		defer cancel()
		// The end of the wait is no error: there is nothing new then.
		_ = b.WaitFor(ctx, func(kept []Text, _ int64) bool { return len(kept) > 0 && kept[len(kept)-1].ID > q.after })
	}
	kept := b.All()
	if q.hasAfter {
		for len(kept) > 0 && kept[0].ID <= q.after {
			kept = kept[1:]
		}
		kept = kept[:min(q.limit, len(kept))]
	} else {
		kept = kept[max(0, len(kept)-q.limit):]
	}
	writeJSON(w, http.StatusOK, messageList{b.Count(), append([]Text{}, kept...)})
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

// mostBytes of a request are read.
const mostBytes = 1 << 20

func say(w http.ResponseWriter, r *http.Request, s Simulator) {
	var words struct{ From, To, Text string }
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBytes))
	body.DisallowUnknownFields()
	if err := body.Decode(&words); err != nil {
		writeProblem(w, problem.New(problem.Invalid, "the message cannot be read: %v", err))
		return
	}
	if err := s.Say(r.Context(), words.From, words.To, words.Text); err != nil {
		writeProblem(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func putFaults(w http.ResponseWriter, r *http.Request, s Simulator) {
	var list struct {
		Faults json.RawMessage `json:"faults"`
	}
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBytes))
	body.DisallowUnknownFields()
	if err := body.Decode(&list); err != nil {
		writeProblem(w, problem.New(problem.Invalid, "the faults cannot be read: %v", err))
		return
	}
	if err := s.SetFaults(list.Faults); err != nil {
		writeProblem(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"faults": s.Faults()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader left
}

func writeProblem(w http.ResponseWriter, err error) {
	var p *problem.Error
	if !errors.As(err, &p) {
		p = problem.New(problem.Unavailable, "it failed")
	}
	status := http.StatusInternalServerError
	switch p.Code {
	case problem.Invalid:
		status = http.StatusUnprocessableEntity
	case problem.Unavailable:
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, struct {
		Code    problem.Code    `json:"code"`
		Message string          `json:"message"`
		Fields  []problem.Field `json:"fields,omitempty"`
	}{p.Code, p.Message, p.Fields})
}
