// Package texts keeps the short messages that a simulated network took, and
// shows them as the phones have them.
//
// A simulator adds each message once it is whole; tests, the demo and a page
// read them. What is written on the page in a phone's name goes back to the
// simulator, which hands it to whoever is connected.
package texts

import (
	_ "embed"
	"net/http"
	"time"

	"herald/hardware/sim"
)

// Text is one message, whole, as its reader sees it.
type Text struct {
	ID   int64     `json:"id"` // from 1, in order of arrival
	At   time.Time `json:"at"`
	From string    `json:"from"`
	To   string    `json:"to"`
	Text string    `json:"text"`
	// Encoding is how it travelled, such as "GSM-7".
	Encoding string `json:"encoding"`
	// Parts are how many short messages it was.
	Parts int `json:"parts"`
	// Account is who was signed in.
	Account string `json:"account,omitempty"`
	// Reply says that a phone wrote it: From is the phone.
	Reply bool `json:"reply,omitempty"`
	// IDs are what the network calls its parts, in order.
	IDs []string `json:"ids,omitempty"`
	// Problem says why it could not be read in full; empty when it could.
	Problem string `json:"problem,omitempty"`
}

// Box keeps the newest texts.
type Box = sim.Box[Text]

// NewBox keeps so many texts.
func NewBox(keep int) *Box {
	return sim.NewBox(keep, func(t *Text, id int64) { t.ID = id })
}

//go:embed texts.html
var page string

// Simulator is what the page and the JSON of a Box act on.
type Simulator[F any] interface {
	sim.Faulty[F]
	// Say hands over what a phone writes; it fails with problem.Invalid or
	// problem.Unavailable.
	Say(from, to, text string) error
}

// Handler shows the box, as a sim.Site does, and lets phones answer:
//
//	POST   /messages  {"from","to","text"}: a phone writes
func Handler[F any](b *Box, s Simulator[F]) http.Handler {
	return sim.Site[Text, F]{
		Page: page, Policy: "img-src data:", Box: b, Far: s,
		More: map[string]http.HandlerFunc{"POST /messages": func(w http.ResponseWriter, r *http.Request) {
			var words struct{ From, To, Text string }
			err := sim.ReadJSON(w, r, &words, "the message")
			if err == nil {
				err = s.Say(words.From, words.To, words.Text)
			}
			if err != nil {
				sim.WriteProblem(w, err)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}},
	}.Handler()
}
