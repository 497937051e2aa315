// Package hfaxd plays a HylaFAX server with its telephone lines and the fax
// machines behind them, so that faxes can be watched arriving without a modem,
// and so that tests can make a line fail on purpose.
//
// Clients sign in, hand over documents and submit jobs by the protocol of
// hfaxd(8); HylaFAX's own sendfax, faxstat and faxrm do. Each job is dialled,
// sent page by page and tried again as HylaFAX would, only faster. What
// arrived of each is kept up to a limit and handed out by Faxes, a JSON API and a page.
// Faults, which may be changed at any time, make numbers busy, drop lines and
// break sessions.
package hfaxd

import (
	"cmp"
	"context"
	_ "embed"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"herald/hardware/sim"
)

// Config says how the server behaves. Its zero value lets everybody in, on a
// free port of the loopback address.
type Config struct {
	// Addr is where it listens, such as "127.0.0.1:4559". Empty: a free port
	// of 127.0.0.1.
	Addr string
	// Accounts are those who may sign in, passwords by name. Empty: everybody,
	// without a password.
	Accounts map[string]string
	// Lines is how many calls there can be at a time. 0: 4.
	Lines int
	// PageTime is how long a page takes. 0: 50 ms.
	PageTime time.Duration
	// RetryAfter is how long after a try the next one comes, for jobs that do
	// not say so. 0: a second.
	RetryAfter time.Duration
	// Keep is how many faxes it keeps, and how many jobs that have ended;
	// older ones are forgotten, but still counted. 0: 1,000.
	Keep int
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger hears of connections that break. Nil: nobody does.
	Logger *slog.Logger
}

// Fax is a job that has ended, with what of it arrived at the machine.
type Fax struct {
	ID     int64     `json:"id"` // from 1, in the order they ended
	At     time.Time `json:"at"`
	Number string    `json:"number"`
	From   string    `json:"from"` // who submitted it
	Info   string    `json:"info"` // the client's id
	Job    string    `json:"job"`
	// State is "done" or "failed"; Why is what the server says of a failure.
	State string `json:"state"`
	Why   string `json:"why,omitempty"`
	// Pages of Of arrived and were confirmed, in Dials, of which so many Calls
	// were answered.
	Pages int `json:"pages"`
	Of    int `json:"of"`
	Dials int `json:"dials"`
	Calls int `json:"calls"`
	// Arrived are the pages that the machine took, in their order: one that was
	// sent again is there again.
	Arrived []Page `json:"arrived"`
	// Bytes is the length of the document, which the page shows.
	Bytes    int    `json:"bytes"`
	Document []byte `json:"-"`
}

// Page is one that arrived.
type Page struct {
	Page int `json:"page"` // of the document, from 1
	Call int `json:"call"` // of those that were answered, from 1
	// Confirmed says that the job knows of it.
	Confirmed bool `json:"confirmed"`
}

// Whole reports whether all pages arrived.
func (f Fax) Whole() bool { return f.Pages == f.Of }

// Server is the simulated server. It is safe for many goroutines.
type Server struct {
	cfg     Config
	box     *sim.Box[Fax]
	faults  *sim.Faults[Fault]
	door    sim.Door
	lines   chan struct{} // one for each call
	closing chan struct{} // closed by Close
	once    sync.Once     // of Close
	calls   sync.WaitGroup

	mu       sync.Mutex
	jobs     map[string]*job // guarded by mu, with what is in them
	order    []*job          // guarded by mu: the submitted ones, the oldest first
	lastJob  int             // guarded by mu
	lastFile int             // guarded by mu
}

// New makes a server that does not listen yet.
func New(cfg Config) *Server {
	cfg.Addr = cmp.Or(cfg.Addr, "127.0.0.1:0")
	cfg.Lines = cmp.Or(cfg.Lines, 4)
	cfg.PageTime = cmp.Or(cfg.PageTime, 50*time.Millisecond)
	cfg.RetryAfter = cmp.Or(cfg.RetryAfter, time.Second)
	cfg.Keep = cmp.Or(cfg.Keep, 1000)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		cfg: cfg, box: sim.NewBox(cfg.Keep, func(f *Fax, id int64) { f.ID = id }),
		faults: sim.NewFaults((*Fault).complete, func(f *Fault) *int { return &f.Times }),
		lines:  make(chan struct{}, cfg.Lines), closing: make(chan struct{}), jobs: map[string]*job{},
	}
	s.door.Name, s.door.Logger, s.door.Serve = "simulated hfaxd", cfg.Logger, sim.Each(s.serve)
	s.door.Shut = func() bool {
		_, found := s.fault("", Close)
		return found
	}
	return s
}

// Start listens and serves until Close. It may be called once.
func (s *Server) Start(ctx context.Context) error { return s.door.Open(ctx, s.cfg.Addr) }

// serve speaks on a connection until it ends.
func (s *Server) serve(conn net.Conn) { newSession(s, conn).serve() }

// Addr is where it listens, as host:port; empty before Start.
func (s *Server) Addr() string { return s.door.Addr() }

// Close stops listening, hangs up, drops every connection and returns when all
// are gone. What was kept can still be read. Closing again does nothing.
func (s *Server) Close() error {
	s.once.Do(func() { close(s.closing) })
	err := s.door.Close() // behind it, nobody submits
	s.calls.Wait()
	return err
}

// Restart breaks every connection, now, and lets new ones in. The jobs go on,
// as HylaFAX's do; with forget they are hung up, and none is known any more, as
// if the server's disk had been lost.
func (s *Server) Restart(forget bool) {
	s.door.DropAll()
	if !forget {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.order {
		j.abort()
	}
	s.order = nil
	clear(s.jobs)
}

// Faxes are the jobs that have ended.
func (s *Server) Faxes() *sim.Box[Fax] { return s.box }

//go:embed faxes.html
var page string

// Handler shows the faxes, as a sim.Site does, and their documents:
//
//	GET    /faxes/ID  the document of one, as PDF
func (s *Server) Handler() http.Handler {
	return sim.Site[Fax, Fault]{
		Page: page, Policy: "frame-src 'self'", Box: s.box, Far: s,
		More: map[string]http.HandlerFunc{"GET /faxes/{id}": s.document},
	}.Handler()
}

func (s *Server) document(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	fax, found := s.box.Find(id)
	if err != nil || !found {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/pdf")
	w.Header().Set("Content-Security-Policy", "frame-ancestors 'self'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(fax.Document) // the reader left
}
