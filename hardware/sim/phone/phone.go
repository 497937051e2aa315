// Package phone plays the telephones of those who are called, so that a call
// can be made without a provider and listened to afterwards, and so that tests
// can have a phone be busy, not answer, be a machine or press keys.
//
// Calls come in by SIP over UDP and TCP, and TLS where there is a certificate;
// their sound is encrypted (SRTP) where the caller offers that. What was heard,
// pressed and said of each is kept up to a limit and handed out by Calls, a
// JSON API and a page. Faults, which may be changed at any time, say what
// becomes of calls to which numbers.
package phone

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"herald/hardware/sim"
	"herald/hardware/sip/media"
)

// Config says how the phones behave. Its zero value answers at once, on a free
// port of the loopback address.
type Config struct {
	// Addr is where they listen, by UDP and TCP, such as "127.0.0.1:5060".
	// Empty: a free port of 127.0.0.1.
	Addr string
	// TLS, when set, is spoken at TLSAddr. Empty: a free port of 127.0.0.1.
	TLS     *tls.Config
	TLSAddr string
	// AnswerAfter is how long a phone rings. 0: it is answered at once.
	AnswerAfter time.Duration
	// Hello is what a person says who answers, Greeting what a machine does
	// before its beep: samples, 8,000 a second. Nil: something like speech.
	Hello, Greeting []int16
	// Longest is how much is kept of what was heard. 0: a minute.
	Longest time.Duration
	// Keep is how many calls it keeps; older ones are forgotten, but still
	// counted. 0: 100.
	Keep int
	// Wheel gives the pace of the sound. Nil: one of its own.
	Wheel *media.Wheel
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger hears of calls that break. Nil: nobody does.
	Logger *slog.Logger
}

// Phone are the simulated phones. It is safe for many goroutines.
type Phone struct {
	cfg      Config
	ownWheel bool
	box      *sim.Box[Call]
	faults   *sim.Faults[Fault]
	closing  chan struct{} // closed by Close
	work     sync.WaitGroup

	mu      sync.Mutex
	started bool             // guarded by mu
	closed  bool             // guarded by mu
	at      netip.AddrPort   // guarded by mu: of UDP and TCP
	secure  netip.AddrPort   // guarded by mu: of TLS
	open    []func() error   // guarded by mu: closes what is open, in order
	calls   map[string]*line // guarded by mu, by Call-ID
	client  *sipgo.Client    // set by Start
}

// New makes phones that are not plugged in yet.
func New(cfg Config) *Phone {
	cfg.Addr = cmp.Or(cfg.Addr, "127.0.0.1:0")
	cfg.TLSAddr = cmp.Or(cfg.TLSAddr, "127.0.0.1:0")
	cfg.Longest = cmp.Or(cfg.Longest, time.Minute)
	cfg.Keep = cmp.Or(cfg.Keep, 100)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Hello == nil {
		cfg.Hello = babble(600 * time.Millisecond)
	}
	if cfg.Greeting == nil {
		cfg.Greeting = babble(4 * time.Second)
	}
	ownWheel := cfg.Wheel == nil
	if ownWheel {
		cfg.Wheel = &media.Wheel{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Phone{
		cfg: cfg, ownWheel: ownWheel, box: sim.NewBox(cfg.Keep, func(c *Call, id int64) { c.ID = id }),
		faults:  sim.NewFaults((*Fault).complete, func(f *Fault) *int { return &f.Times }),
		closing: make(chan struct{}), calls: map[string]*line{},
	}
}

// Start listens and serves until Close. It may be called once.
func (p *Phone) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started || p.closed {
		return errors.New("simulated phones: started before")
	}
	p.started = true
	if err := p.listen(ctx); err != nil {
		for _, shut := range p.open {
			err = errors.Join(err, shut())
		}
		p.work.Wait()
		return fmt.Errorf("simulated phones: %w", err)
	}
	return nil
}

// listen wants mu held.
func (p *Phone) listen(ctx context.Context) error {
	silent := slog.New(slog.DiscardHandler) // sipgo's words have numbers in them
	ua, err := sipgo.NewUA(
		sipgo.WithUserAgent("Herald simulated phone"),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(silent)),
		sipgo.WithUserAgentTransactionLayerOptions(sip.WithTransactionLayerLogger(silent), sip.WithTransactionLayerUnhandledResponseHandler(func(*sip.Response) {})),
	)
	if err != nil {
		return err
	}
	p.open = append(p.open, ua.Close)
	server, err := sipgo.NewServer(ua, sipgo.WithServerLogger(silent))
	if err != nil {
		return err
	}
	if p.client, err = sipgo.NewClient(ua, sipgo.WithClientLogger(silent)); err != nil {
		return err
	}
	p.handle(server)
	packets, streams, err := samePort(ctx, p.cfg.Addr)
	if err != nil {
		return err
	}
	p.at = streams.Addr().(*net.TCPAddr).AddrPort()
	p.open = append(p.open, packets.Close, streams.Close)
	p.work.Go(func() { _ = server.ServeUDP(packets) }) // they end when they are closed
	p.work.Go(func() { _ = server.ServeTCP(streams) })
	if p.cfg.TLS != nil {
		streams, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.cfg.TLSAddr)
		if err != nil {
			return err
		}
		p.secure = streams.Addr().(*net.TCPAddr).AddrPort()
		p.open = append(p.open, streams.Close)
		p.work.Go(func() { _ = server.ServeTLS(tls.NewListener(streams, p.cfg.TLS)) })
	}
	return nil
}

// samePort listens at one port by UDP and TCP.
func samePort(ctx context.Context, address string) (net.PacketConn, net.Listener, error) {
	const tries = 20 // a port that is free of one may not be of the other
	for try := 1; ; try++ {
		streams, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return nil, nil, err
		}
		packets, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", streams.Addr().String())
		if err == nil {
			return packets, streams, nil
		}
		_ = streams.Close() // it was never used
		if try == tries {
			return nil, nil, err
		}
	}
}

// Addr is where they listen by UDP and TCP, as host:port; empty before Start.
func (p *Phone) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return text(p.at)
}

// TLSAddr is where they listen by TLS, as host:port; empty before Start, and
// without a certificate.
func (p *Phone) TLSAddr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return text(p.secure)
}

func text(at netip.AddrPort) string {
	if !at.IsValid() {
		return ""
	}
	return at.String()
}

// Calls are those that are over. They are shared: read them only.
func (p *Phone) Calls() *sim.Box[Call] { return p.box }

// Close hangs up, stops listening and returns when nothing runs any more. What
// was kept can still be read. Closing again does nothing.
func (p *Phone) Close() error {
	p.mu.Lock()
	open, again := p.open, p.closed
	p.closed = true
	talking := make([]*line, 0, len(p.calls))
	for _, l := range p.calls {
		talking = append(talking, l)
	}
	p.mu.Unlock()
	if again {
		return nil
	}
	close(p.closing)
	for _, l := range talking {
		<-l.kept
	}
	var err error
	for _, shut := range open {
		if serr := shut(); !errors.Is(serr, net.ErrClosed) {
			err = errors.Join(err, serr)
		}
	}
	p.work.Wait()
	if p.ownWheel {
		p.cfg.Wheel.Wait()
	}
	return err
}
