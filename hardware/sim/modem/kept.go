package modem

import (
	"net/http"

	"herald/hardware/sim"
	"herald/hardware/sim/texts"
	"herald/problem"
)

// Parts are the parts kept that programs sent, the oldest first, those of
// messages that are not whole and those refused as duplicates included. They
// are shared: read them only.
func (m *Modem) Parts() []Part { return m.parts.All() }

// Texts are the whole messages: those that programs sent, and as replies those
// put in by Deliver.
func (m *Modem) Texts() *texts.Box { return m.texts }

// Handler shows the modem's texts; see texts.Handler. What is written there
// comes to the modem as a message. It adds
//
//	GET /parts   {"parts":[…]}: every part as it was sent
//	GET /modem   where the line is, and how the modem is
func (m *Modem) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", texts.Handler(m.texts, onPage{m}))
	mux.HandleFunc("GET /parts", func(w http.ResponseWriter, _ *http.Request) {
		sim.WriteJSON(w, map[string][]Part{"parts": append([]Part{}, m.Parts()...)})
	})
	mux.HandleFunc("GET /modem", func(w http.ResponseWriter, _ *http.Request) { sim.WriteJSON(w, m.Status()) })
	return mux
}

// Status is how the modem is.
type Status struct {
	Path     string         `json:"path"`
	IMSI     string         `json:"imsi"`
	Number   string         `json:"number"`
	PIN      string         `json:"pin"`          // as AT+CPIN? says
	Network  int            `json:"registration"` // as AT+CREG? says
	Hangs    bool           `json:"hangs"`
	Memories map[string]int `json:"memories"` // messages in each
	Held     int            `json:"held"`     // by the network, until the modem can take them
}

// Status says how it is now.
func (m *Modem) Status() Status {
	path, held := m.Path(), m.Held()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{
		Path: path, IMSI: m.card.sim.IMSI, Number: m.card.sim.Number, PIN: m.card.status(), Network: m.registered(),
		Hangs: m.hung, Memories: map[string]int{}, Held: held,
	}
	for name, memory := range m.stores {
		s.Memories[name] = memory.used()
	}
	return s
}

// onPage is the modem as the page of its texts acts on it.
type onPage struct{ *Modem }

func (p onPage) Say(from, to, text string) error {
	if number := p.Status().Number; to != "" && to != number {
		return &problem.Error{Code: problem.Invalid, Message: "the message cannot be sent", Fields: []problem.Field{
			{Path: "to", Rule: "one_of", Message: "the modem's number is " + number},
		}}
	}
	return p.Deliver(from, text)
}
