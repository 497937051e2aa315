package sim

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

//go:embed inbox.html
var inboxPage []byte

// inboxPolicy lets the page run its own script and show images of mails; a
// mail itself is shown in a frame without scripts.
const inboxPolicy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; " +
	"connect-src 'self'; img-src data: https: http:; frame-src 'self'"

// Handler shows the inbox. Its addresses are relative, so it may be mounted
// anywhere behind http.StripPrefix, at a path that ends in "/":
//
//	GET    /              a page that shows mail as it arrives
//	GET    /messages      {"total":n,"messages":[…]}: the newest ?limit= (100), oldest first;
//	                      with ?after=ID the first ones behind that; with ?wait=20s it
//	                      answers as soon as there is one (at most a minute)
//	GET    /messages/{id} one message; /messages/{id}/raw as it came
//	DELETE /messages      forgets all
//	GET    /faults        {"faults":[…]}
//	PUT    /faults        replaces them by those of the same shape
//
// Errors are {"code","message","fields"} with the status.
func (s *SMTP) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", inboxPolicy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write(inboxPage) // the reader left
	})
	mux.HandleFunc("GET /messages", s.listMessages)
	mux.HandleFunc("GET /messages/{id}", s.oneMessage)
	mux.HandleFunc("GET /messages/{id}/raw", s.rawMessage)
	mux.HandleFunc("DELETE /messages", func(w http.ResponseWriter, _ *http.Request) {
		s.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, faultList{s.Faults()})
	})
	mux.HandleFunc("PUT /faults", s.putFaults)
	return http.NewCrossOriginProtection().Handler(mux)
}

type messageList struct {
	Total    int64  `json:"total"`
	Messages []Mail `json:"messages"`
}

type faultList struct {
	Faults []Fault `json:"faults"`
}

func (s *SMTP) listMessages(w http.ResponseWriter, r *http.Request) {
	q, err := parseListQuery(r)
	if err != nil {
		writeProblem(w, err)
		return
	}
	if q.wait > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), q.wait)
		defer cancel()
		// The end of the wait is no error: there is nothing new then.
		_ = s.WaitFor(ctx, func(kept []Mail) bool { return len(kept) > 0 && kept[len(kept)-1].ID > q.after })
	}
	kept := s.Messages()
	if q.hasAfter {
		for len(kept) > 0 && kept[0].ID <= q.after {
			kept = kept[1:]
		}
		kept = kept[:min(q.limit, len(kept))]
	} else {
		kept = kept[max(0, len(kept)-q.limit):]
	}
	writeJSON(w, http.StatusOK, messageList{s.Count(), append([]Mail{}, kept...)})
}

type listQuery struct {
	after    int64
	hasAfter bool
	limit    int
	wait     time.Duration
}

func parseListQuery(r *http.Request) (listQuery, error) {
	q := listQuery{limit: 100}
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

func (s *SMTP) find(r *http.Request) (Mail, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err == nil {
		for _, m := range s.Messages() {
			if m.ID == id {
				return m, nil
			}
		}
	}
	return Mail{}, problem.New(problem.NotFound, "there is no such message, or it was forgotten")
}

func (s *SMTP) oneMessage(w http.ResponseWriter, r *http.Request) {
	m, err := s.find(r)
	if err != nil {
		writeProblem(w, err)
		return
	}
	writeJSON(w, http.StatusOK, m)
}

func (s *SMTP) rawMessage(w http.ResponseWriter, r *http.Request) {
	m, err := s.find(r)
	if err != nil {
		writeProblem(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(m.Raw) // the reader left
}

func (s *SMTP) putFaults(w http.ResponseWriter, r *http.Request) {
	var list faultList
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	body.DisallowUnknownFields()
	if err := body.Decode(&list); err != nil {
		writeProblem(w, &problem.Error{Code: problem.Invalid, Message: "the faults cannot be read: " + err.Error()})
		return
	}
	if err := s.SetFaults(list.Faults...); err != nil {
		writeProblem(w, err)
		return
	}
	writeJSON(w, http.StatusOK, faultList{s.Faults()})
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
	case problem.NotFound:
		status = http.StatusNotFound
	}
	writeJSON(w, status, struct {
		Code    problem.Code    `json:"code"`
		Message string          `json:"message"`
		Fields  []problem.Field `json:"fields,omitempty"`
	}{p.Code, p.Message, p.Fields})
}
