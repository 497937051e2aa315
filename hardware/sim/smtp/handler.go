package smtp

import (
	_ "embed"
	"net/http"
	"strconv"

	"herald/hardware/sim"
	"herald/problem"
)

//go:embed inbox.html
var page string

// policy lets the page show images of mails; a mail itself is shown in a frame
// without scripts.
const policy = "img-src data: https: http:; frame-src 'self'"

// Handler shows the inbox, as a sim.Site does, and
//
//	GET /messages/{id}      one message
//	GET /messages/{id}/raw  as it came
func (s *Server) Handler() http.Handler {
	return sim.Site[Mail, Fault]{Page: page, Policy: policy, Box: s.inbox, Far: s, More: map[string]http.HandlerFunc{
		"GET /messages/{id}": s.one(func(w http.ResponseWriter, m Mail) { sim.WriteJSON(w, m) }),
		"GET /messages/{id}/raw": s.one(func(w http.ResponseWriter, m Mail) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			_, _ = w.Write(m.Raw) // the reader left
		}),
	}}.Handler()
}

// one finds the mail that is asked for, and shows it.
func (s *Server) one(show func(http.ResponseWriter, Mail)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		m, found := s.inbox.Find(id)
		if err != nil || !found {
			sim.WriteProblem(w, problem.New(problem.NotFound, "there is no such message, or it was forgotten"))
			return
		}
		show(w, m)
	}
}
