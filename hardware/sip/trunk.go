package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"golang.org/x/time/rate"

	"herald/hardware/sip/media"
)

// Trunk is a line to a provider. It is safe for many goroutines.
type Trunk struct {
	cfg      Config
	host     string // of the server
	port     int
	media    media.Config
	ua       *sipgo.UserAgent
	client   *sipgo.Client
	listener interface{ Close() error } // nil: the far end uses the connection that we opened
	contact  sip.ContactHeader          // its port is 0 where there is no listener
	pace     *rate.Limiter
	closing  chan struct{}
	running  context.Context // until Close; of what goes on in the background
	stop     context.CancelFunc
	work     sync.WaitGroup // what goes on in the background
	serving  sync.WaitGroup // what reads from listener

	mu     sync.Mutex
	closed bool             // guarded by mu
	calls  map[string]*Call // guarded by mu, by Call-ID
	health Health           // guarded by mu
	moved  chan struct{}    // guarded by mu: closed when health changes
}

// Open listens, and begins to register and to ask whether the provider is
// there. That he is not is no failure: Health tells, and Ready waits for him.
func Open(ctx context.Context, cfg Config) (*Trunk, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	t := &Trunk{cfg: cfg, closing: make(chan struct{}), calls: map[string]*Call{}, moved: make(chan struct{}), pace: rate.NewLimiter(rate.Inf, 0)}
	if cfg.PerSecond > 0 {
		t.pace = rate.NewLimiter(rate.Limit(cfg.PerSecond), 1)
	}
	t.host, t.port, _ = splitHost(cfg.Server, 0) // complete has read it
	t.health.Since = cfg.Now()
	local, err := t.localAddress(ctx)
	if err != nil {
		return nil, fmt.Errorf("sip: %w", err)
	}
	wheel := cfg.Wheel
	if wheel == nil {
		wheel = &media.Wheel{}
	}
	public, err := t.publicAddress(ctx, local)
	if err != nil {
		return nil, fmt.Errorf("sip: %w", err)
	}
	t.media = media.Config{
		Wheel: wheel, Local: local.Addr(), Public: public, Laws: cfg.Laws, Encrypt: cfg.Encryption == RequiredEncryption,
		Quiet: cfg.Quiet, Now: cfg.Now, Logger: cfg.Logger,
	}
	if t.media.Encrypt && cfg.Transport != TLS {
		cfg.Logger.Warn("calls are encrypted, but their keys are sent in the clear: use TLS, too", "transport", cfg.Transport)
	}
	t.running, t.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := t.listen(local, public); err != nil {
		t.stop()
		return nil, fmt.Errorf("sip: %w", err)
	}
	t.background(t.keepRegistered)
	t.background(t.keepAsking)
	return t, nil
}

// localAddress is where we listen: what is configured, or where the way to the
// server begins; port 0 is any.
func (t *Trunk) localAddress(ctx context.Context) (netip.AddrPort, error) {
	host, port, err := splitHost(t.cfg.Local, 0)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: our own address is no host:port", ErrConfig)
	}
	if host == "" {
		address, err := t.wayBegins(ctx)
		return netip.AddrPortFrom(address, 0), err
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: our own address is no IP address", ErrConfig)
	}
	return netip.AddrPortFrom(address, uint16(port)), nil //nolint:gosec // splitHost has read 16 bits
}

// publicAddress is the one that the provider is told.
func (t *Trunk) publicAddress(ctx context.Context, local netip.AddrPort) (netip.Addr, error) {
	switch {
	case t.cfg.Public.IsValid():
		return t.cfg.Public, nil
	case local.Addr().IsUnspecified():
		return t.wayBegins(ctx)
	}
	return local.Addr(), nil
}

// wayBegins is our address on the way to the server. Nothing is sent.
func (t *Trunk) wayBegins(ctx context.Context) (netip.Addr, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", t.cfg.Server)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close() //nolint:errcheck // nothing was sent
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// listen opens our side of SIP.
func (t *Trunk) listen(local netip.AddrPort, public netip.Addr) (err error) {
	silent := slog.New(slog.DiscardHandler) // sipgo's words have numbers in them
	t.ua, err = sipgo.NewUA(
		sipgo.WithUserAgent("Herald"), sipgo.WithUserAgentHostname(t.cfg.Domain), sipgo.WithUserAgenTLSConfig(t.cfg.TLS),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(silent)),
		sipgo.WithUserAgentTransactionLayerOptions(
			sip.WithTransactionLayerLogger(silent), sip.WithTransactionLayerTerminateOnConnClose(),
			sip.WithTransactionLayerUnhandledResponseHandler(func(*sip.Response) {}), // of requests that are over
		),
	)
	if err != nil {
		return err
	}
	t.ua.TransportLayer().OnMessage(t.overhear)
	server, err := sipgo.NewServer(t.ua, sipgo.WithServerLogger(silent))
	if err != nil {
		return errors.Join(err, t.ua.Close())
	}
	t.handle(server)
	at, err := t.serve(server, local)
	if err != nil {
		return errors.Join(err, t.ua.Close())
	}
	options := []sipgo.ClientOption{
		sipgo.WithClientLogger(silent), sipgo.WithClientHostname(public.String()), sipgo.WithClientPort(int(at.Port())), sipgo.WithClientNAT(),
	}
	if t.cfg.Transport == UDP { // a connection of TCP may not begin where another listens
		options = append(options, sipgo.WithClientConnectionAddr(at.String()))
	}
	t.client, err = sipgo.NewClient(t.ua, options...)
	if err != nil {
		return errors.Join(err, t.stopListening(), t.ua.Close())
	}
	own := t.address(t.cfg.From)
	own.Host, own.Port = public.String(), int(at.Port())
	t.contact = sip.ContactHeader{Address: own}
	return nil
}

// serve takes what comes in, and gives where.
func (t *Trunk) serve(server *sipgo.Server, local netip.AddrPort) (netip.AddrPort, error) {
	ctx := context.Background() // only to look up the address, which is one
	if t.cfg.Transport == UDP {
		conn, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", local.String())
		if err != nil {
			return netip.AddrPort{}, err
		}
		read := &firstRead{PacketConn: conn, reading: make(chan struct{})}
		t.listener = conn
		t.serving.Go(func() { _ = server.ServeUDP(read) }) // it ends when it is closed
		<-read.reading
		return conn.LocalAddr().(*net.UDPAddr).AddrPort(), nil
	}
	if t.cfg.Transport == TLS && len(t.cfg.TLS.Certificates) == 0 && t.cfg.TLS.GetCertificate == nil {
		return netip.AddrPortFrom(local.Addr(), 0), nil // nobody could be served
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", local.String())
	if err != nil {
		return netip.AddrPort{}, err
	}
	t.listener = listener
	if t.cfg.Transport == TCP {
		t.serving.Go(func() { _ = server.ServeTCP(listener) })
	} else {
		t.serving.Go(func() { _ = server.ServeTLS(tls.NewListener(listener, t.cfg.TLS)) })
	}
	return listener.Addr().(*net.TCPAddr).AddrPort(), nil
}

// stopListening has nobody connect any more.
func (t *Trunk) stopListening() error {
	if t.listener == nil {
		return nil
	}
	return t.listener.Close()
}

// send sends a request that is in no dialogue. Where nobody can connect to us,
// its contact is the end of the connection that it leaves by: a far end that
// has something to ask in a call, or hangs up, finds that connection by it and
// opens no other. Proxies and telephones look for one to an address before they
// make one (RFC 3261, section 18.1.1).
func (t *Trunk) send(ctx context.Context, req *sip.Request) (sip.ClientTransaction, error) {
	for {
		tx, err := t.sendOnce(ctx, req)
		// Those who need a connection at the same time wait for the one that is
		// being made, which fails when the time of who makes it is over.
		theirs := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
		if !theirs || ctx.Err() != nil {
			return tx, err
		}
	}
}

func (t *Trunk) sendOnce(ctx context.Context, req *sip.Request) (sip.ClientTransaction, error) {
	if t.listener != nil {
		return t.client.TransactionRequest(ctx, req)
	}
	return t.client.TransactionRequest(ctx, req, sipgo.ClientRequestBuild, func(_ *sipgo.Client, req *sip.Request) error {
		conn, err := t.ua.TransportLayer().ClientRequestConnection(ctx, req) // it names its port in Via
		if err != nil {
			return err
		}
		req.Contact().Address.Port = req.Via().Port
		_, err = conn.TryClose() // it stays open: it is not used for the moment
		return err
	})
}

// firstRead tells when it is read from for the first time: then sipgo knows
// the connection and uses it for what we send.
type firstRead struct {
	net.PacketConn
	reading chan struct{}
	once    sync.Once
}

func (f *firstRead) ReadFrom(p []byte) (int, net.Addr, error) {
	f.once.Do(func() { close(f.reading) })
	return f.PacketConn.ReadFrom(p)
}

// background does something that Close waits for; it is false, and not done,
// when the trunk is closed.
func (t *Trunk) background(do func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.work.Go(do)
	}
	return !t.closed
}

// lastWords is how long the provider has at the end to answer.
const lastWords = 2 * time.Second

// Close hangs up all calls, ends the registration and returns when nothing
// runs any more. Closing again does nothing.
func (t *Trunk) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.mu.Unlock()
	close(t.closing) // calls hang up, and those that ring are cancelled
	timer := time.AfterFunc(lastWords, t.stop)
	t.work.Wait()
	timer.Stop()
	t.stop()
	err := errors.Join(t.ua.Close(), t.stopListening())
	t.serving.Wait()
	if t.cfg.Wheel == nil {
		t.media.Wheel.Wait()
	}
	for _, first := range []error{net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} { // the far end's
		if errors.Is(err, first) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("sip: %w", err)
	}
	return nil
}
