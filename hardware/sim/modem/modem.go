// Package modem plays a GSM modem with its SIM and the network behind it, so
// that a program can send and receive messages without a radio, and so that
// tests can make a modem fail on purpose.
//
// A Modem is a pseudo-terminal: AT commands (3GPP TS 27.007 and 27.005, ITU-T
// V.250) come in at its Path, answers and indications go out there. What was
// sent is decoded, joined and kept up to a limit, and handed out by Texts,
// Parts, a JSON API and a page; Deliver puts in what the network brings.
// Faults, which may be changed at any time, make it err, hang, lose and lie.
package modem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"herald/hardware/sim"
	"herald/hardware/sim/texts"
)

// Config says how the modem behaves. Its zero value is a quick modem with a
// SIM that needs no PIN.
type Config struct {
	// Link is a symbolic link to keep to the pty, which has another number
	// whenever it is opened, like /dev/serial/by-id has for real modems. A
	// link that is there is replaced, a file is not. Empty: none.
	Link string
	// SIM is what lies in its tray. Its zero value: one that needs no PIN.
	SIM SIM
	// Manufacturer, Model, Revision and IMEI are what it says of itself.
	// Empty: names of a simulator and an IMEI for tests.
	Manufacturer, Model, Revision, IMEI string
	// Operator is the name of the network, Network its numeric code.
	// Empty: "Simulated Mobile", "00101" (the test network of ITU-T E.212).
	Operator, Network string
	// PartTime is how long it takes to send one part. 0: no time.
	PartTime time.Duration
	// KeptPartTime is how long a part takes that follows another over a link
	// that AT+CMMS kept open. 0: as long as PartTime.
	KeptPartTime time.Duration
	// ReportAfter is the time from a message's acceptance to its status
	// report. 0: 100 ms.
	ReportAfter time.Duration
	// AckTime is how long the network waits for the AT+CNMA that AT+CSMS=1
	// asks for. 0: 10 s.
	AckTime time.Duration
	// Memory is how many messages the modem itself holds ("ME"), Reports how
	// many status reports ("SR"). 0: 50 and 10.
	Memory, Reports int
	// OwnReferences makes it number parts itself whatever TP-MR says. Without
	// it, only parts whose TP-MR is 0 are.
	OwnReferences bool
	// USSD answers codes such as "*100#"; one that is not here is refused.
	// Nil: *100# tells the balance.
	USSD map[string]string
	// USSDFirst sends an answer to USSD before the OK of the command, as some
	// modems do.
	USSDFirst bool
	// USSDPacked writes them in packed septets, whatever AT+CSCS says, as some
	// modems do, and takes codes written so.
	USSDPacked bool
	// Keep is how many messages, and how many parts, it keeps; older ones are
	// forgotten, but still counted. 0: 10,000.
	Keep int
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger hears of lines that break. Nil: nobody does.
	Logger *slog.Logger
}

// SIM is a subscriber's card.
type SIM struct {
	IMSI   string // empty: of the test network
	ICCID  string // empty: of the test network
	Number string // the subscriber's own; empty: "+15550100"
	// PIN must be entered before anything else that needs the card. Empty:
	// none is needed. Three wrong ones, and only the PUK opens it.
	PIN string
	// PUK is what opens it then; empty: "12345678".
	PUK string
	// Capacity is how many messages it holds ("SM"). 0: 20.
	Capacity int
	// ServiceCentre is the number of the network's message centre. Empty: "+15550999".
	ServiceCentre string
	// Missing is an empty tray.
	Missing bool
}

func (c *Config) complete() {
	c.Manufacturer = cmp.Or(c.Manufacturer, "Herald")
	c.Model = cmp.Or(c.Model, "Simulated Modem")
	c.Revision = cmp.Or(c.Revision, "1.0")
	c.IMEI = cmp.Or(c.IMEI, "490154203237518") // the example of 3GPP TS 23.003, appendix B
	c.Operator = cmp.Or(c.Operator, "Simulated Mobile")
	c.Network = cmp.Or(c.Network, "00101")
	c.SIM.complete(c.Network)
	c.Memory = cmp.Or(c.Memory, 50)
	c.Reports = cmp.Or(c.Reports, 10)
	c.Keep = cmp.Or(c.Keep, 10_000)
	c.KeptPartTime = cmp.Or(c.KeptPartTime, c.PartTime)
	c.ReportAfter = cmp.Or(c.ReportAfter, 100*time.Millisecond)
	c.AckTime = cmp.Or(c.AckTime, 10*time.Second)
	if c.USSD == nil {
		c.USSD = map[string]string{"*100#": "Your balance is 12.50 USD."}
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Now == nil {
		c.Now = time.Now
	}
}

func (s *SIM) complete(network string) {
	s.IMSI = cmp.Or(s.IMSI, network+"0123456789")
	s.ICCID = cmp.Or(s.ICCID, "8988211000000000000")
	s.Number = cmp.Or(s.Number, "+15550100")
	s.PUK = cmp.Or(s.PUK, "12345678")
	s.ServiceCentre = cmp.Or(s.ServiceCentre, "+15550999")
	s.Capacity = cmp.Or(s.Capacity, 20)
}

// Modem is the simulated modem. It is safe for many goroutines.
//
// One goroutine reads the line and carries out commands; it lets go of mu
// while a part is in the air. Whoever else changes what the modem knows holds
// mu, too, so that indications never get into an answer.
type Modem struct {
	cfg      Config
	faults   *sim.Faults[Fault]
	texts    *texts.Box
	parts    *sim.Box[Part]
	commands map[string]entry
	closing  chan struct{} // closed by Close: ends every wait
	working  sync.WaitGroup

	mu       sync.Mutex
	started  bool                // guarded by mu
	closed   bool                // guarded by mu
	path     string              // guarded by mu: of the pty now
	port     *port               // guarded by mu; nil while the line is gone
	away     time.Duration       // guarded by mu: how long it is to be gone
	reader   reader              // guarded by mu
	prompted func(string) answer // guarded by mu: takes the text after a prompt
	card     card                // guarded by mu
	state    settings            // guarded by mu: what a restart forgets
	stores   stores              // guarded by mu
	centre   centre              // guarded by mu
	hung     bool                // guarded by mu: no answer until it is reset or opened anew
	silent   bool                // guarded by mu: it restarts
	busy     bool                // guarded by mu: a command is being carried out
	urcs     []string            // guarded by mu: indications that wait for the command's end
}

// New makes a modem that is not plugged in yet.
func New(cfg Config) *Modem {
	cfg.complete()
	m := &Modem{
		cfg: cfg, texts: texts.NewBox(cfg.Keep), parts: sim.NewBox[Part](cfg.Keep, nil),
		faults:  sim.NewFaults((*Fault).complete, func(f *Fault) *int { return &f.Times }),
		closing: make(chan struct{}), stores: newStores(cfg), centre: newCentre(),
	}
	m.card.insert(cfg.SIM)
	m.state = m.fresh()
	m.commands = m.table()
	return m
}

// Start opens the line and serves it until Close. It may be called once.
func (m *Modem) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started || m.closed {
		return errors.New("simulated modem: started before")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("simulated modem: %w", err)
	}
	if err := m.plugIn(); err != nil {
		return err
	}
	m.started = true
	m.working.Go(m.serve)
	return nil
}

// plugIn opens a pty and points the link at it. It wants mu held.
func (m *Modem) plugIn() error {
	p, err := openPort()
	if err != nil {
		return fmt.Errorf("simulated modem: %w", err)
	}
	if err := link(p.path, m.cfg.Link); err != nil {
		return errors.Join(fmt.Errorf("simulated modem: %w", err), p.close())
	}
	m.port, m.path = p, p.path
	return nil
}

// Path is where programs open it: the link if there is one, or the pty, which
// is empty while the line is gone. Empty before Start.
func (m *Modem) Path() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started && m.cfg.Link != "" {
		return m.cfg.Link
	}
	return m.path
}

// Insert puts another SIM into the tray, with nothing stored on it: the modem
// restarts, and what the network kept for the other number is gone.
func (m *Modem) Insert(sim SIM) {
	sim.complete(m.cfg.Network)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.card.insert(sim)
	m.stores["SM"] = &memory{make([]slot, sim.Capacity)}
	m.centre = newCentre()
	m.restart(0, "")
}

// Close unplugs it and returns when nothing of it runs any more. What was
// kept can still be read. Closing again does nothing.
func (m *Modem) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	close(m.closing)
	err := m.unplug()
	m.mu.Unlock()
	m.working.Wait()
	return err
}

// unplug closes the line, if it is there, and takes its link away before: the
// pty's name may be another's at once. It wants mu held.
func (m *Modem) unplug() error {
	p := m.port
	m.port, m.path = nil, ""
	if p == nil {
		return nil
	}
	var err error
	if m.cfg.Link != "" {
		if err = os.Remove(m.cfg.Link); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err = errors.Join(err, p.close()); err != nil {
		return fmt.Errorf("simulated modem: %w", err)
	}
	return nil
}

// wait lets time pass with mu let go; it is false when the modem closes
// meanwhile. It wants mu held.
func (m *Modem) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	m.mu.Unlock()
	defer m.mu.Lock()
	return sim.Pause(d, m.closing)
}

// later does something with mu held, after a time, unless the modem closes
// before. It wants mu held.
func (m *Modem) later(d time.Duration, do func()) {
	if m.closed {
		return
	}
	m.working.Go(func() {
		if sim.Pause(d, m.closing) {
			m.mu.Lock()
			defer m.mu.Unlock()
			do()
		}
	})
}
