package phone

import (
	_ "embed"
	"net/http"
	"strconv"

	"herald/hardware/sim"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/wav"
	"herald/problem"
)

//go:embed calls.html
var page string

// Handler shows the calls, as a sim.Site does, and
//
//	GET /messages/{id}/audio  what was heard, as a WAV file
func (p *Phone) Handler() http.Handler {
	return sim.Site[Call, Fault]{Page: page, Policy: "media-src 'self'", Box: p.box, Far: p, More: map[string]http.HandlerFunc{
		"GET /messages/{id}/audio": func(w http.ResponseWriter, r *http.Request) {
			id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
			c, found := p.box.Find(id)
			if err != nil || !found || len(c.Heard) == 0 {
				sim.WriteProblem(w, problem.New(problem.NotFound, "there is no such call, nothing was heard, or it was forgotten"))
				return
			}
			w.Header().Set("Content-Type", "audio/wav")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			_, _ = w.Write(wav.Encode(c.Heard, g711.Rate)) // the reader left
		},
	}}.Handler()
}
