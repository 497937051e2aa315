package gsm

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// State is where a modem stands.
type State string

// The states. Run leads through them:
//
//	closed → opening → starting → searching ⇄ ready
//	             ▲         │          │         │
//	             └──── waiting ◄──────┴─────────┘
//	                   blocked: somebody must act (a PIN, a PUK)
const (
	Closed    State = "closed"
	Opening   State = "opening"
	Starting  State = "starting"
	Searching State = "searching" // for a network
	Ready     State = "ready"
	Waiting   State = "waiting" // to be tried again
	Blocked   State = "blocked"
)

// Health is how a modem stands. It has no number in full.
type Health struct {
	State State     `json:"state"`
	Since time.Time `json:"since"`

	Maker    string `json:"maker"`
	Model    string `json:"model"`
	Revision string `json:"revision"`
	IMEI     string `json:"imei"`  // the last four digits
	ICCID    string `json:"iccid"` // the last four digits
	// SIM tells the SIM from others: the beginning of the SHA-256 of its IMSI,
	// in hexadecimal. Empty until it was read.
	SIM string `json:"sim"`

	Registration Registration `json:"registration"`
	Operator     string       `json:"operator"`
	// Signal is the strength received in dBm, -113 to -51; 0: not known.
	Signal int `json:"signal_dbm"`
	// HasCentre says that the SIM or we know a service centre.
	HasCentre bool `json:"has_centre"`

	Memory   string `json:"memory"` // where messages are stored: "SM", "ME", "MT"
	Used     int    `json:"used"`
	Capacity int    `json:"capacity"` // 0: not known

	Notify     string `json:"notify"` // the settings of AT+CNMI in force
	Phase2Plus bool   `json:"phase_2_plus"`

	Starts      int       `json:"starts"` // how often it was set up
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`

	failure error
}

// Registration is <stat> of +CREG (3GPP TS 27.007, section 7.2).
type Registration int

// The registrations that are told apart.
const (
	NotRegistered Registration = 0
	Home          Registration = 1
	SearchingNet  Registration = 2
	Denied        Registration = 3
	UnknownNet    Registration = 4
	Roaming       Registration = 5
	HomeSMSOnly   Registration = 6
	RoamSMSOnly   Registration = 7
	Emergency     Registration = 8
	HomeNoCSFB    Registration = 9
	RoamNoCSFB    Registration = 10
)

// Registered reports whether messages can be sent.
func (r Registration) Registered() bool {
	switch r {
	case Home, Roaming, HomeSMSOnly, RoamSMSOnly, HomeNoCSFB, RoamNoCSFB:
		return true
	}
	return false
}

// Health is how the modem stands now.
func (m *Modem) Health() Health {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.health
}

// update changes what is known.
func (m *Modem) update(change func(*Health)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.health)
}

func (m *Modem) setState(s State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moveTo(s)
}

// moveTo wants mu held.
func (m *Modem) moveTo(s State) {
	if m.health.State == s {
		return
	}
	m.health.State, m.health.Since = s, m.cfg.Now()
	if s == Ready {
		m.health.failure = nil
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

// failed puts the line away and notes why the modem does not work: at once, so
// that nobody is told that a modem without a line is ready.
func (m *Modem) failed(err error, s State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.port = nil
	m.health.failure = err
	m.health.LastError, m.health.LastErrorAt = err.Error(), m.cfg.Now()
	m.moveTo(s)
}

// doubtNetwork has a modem that was ready look whether there is a network.
func (m *Modem) doubtNetwork() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.health.State == Ready { // it may have failed meanwhile
		m.moveTo(Searching)
	}
	signal(m.doubted)
}

func (m *Modem) setPort(p *port) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.port = p
}

// lastFour is what is shown of a number that names a thing or a person.
func lastFour(s string) string {
	if len(s) <= 4 {
		return s
	}
	return "…" + s[len(s)-4:]
}

// digest tells secrets apart without having them.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
