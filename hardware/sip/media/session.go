// Package media carries the sound of a telephone call. Samples of 16 bits,
// 8,000 a second, go in by Play and digits by Press, and leave as a packet of
// RTP every 20 ms (RFC 3550, 3551 and 4733); what the far end sends is put in
// order and handed to those who Listen, and its digits come out of Digits.
// How the two sides speak is agreed in descriptions (SDP, RFC 8866 and 3264)
// that Offer and Answer write and Accept reads; by them, too, the keys that
// packets are encrypted with, where they are (SRTP, RFC 3711 and 4568). There are
// no reports about either (RTCP): nobody here would read them.
package media

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"herald/hardware/sip/g711"
	"herald/hardware/sip/tones"
)

// Config says how a Session speaks.
type Config struct {
	// Wheel gives the pace; all sessions of a program should have the same.
	// Nil: one of its own.
	Wheel *Wheel
	// Local is the address that it listens at, Public the one that the far end
	// is told. Public not valid: Local.
	Local, Public netip.Addr
	// Laws are those we speak, the preferred first. Empty: PCMU, PCMA.
	Laws []g711.Law
	// Encrypt offers encrypted sound, and refuses any other. Without it ours is
	// encrypted where a far end offers that. Who reads the descriptions has the
	// keys: they should come and go by TLS.
	Encrypt bool
	// Quiet is how long a far end may send nothing that should; then Lost is
	// closed. 0: for ever.
	Quiet time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger hears of digits that nobody took, and of packets that could not be
	// decrypted. Nil: nobody does.
	Logger *slog.Logger
}

// ErrClosed is what is asked of a session that is closed.
var ErrClosed = errors.New("the call's sound is over")

// Session is the sound of one call, which flows from the first Accept or
// Answer until Close. It is safe for many goroutines.
type Session struct {
	cfg    Config
	conn   *net.UDPConn
	own    netip.AddrPort // as the far end is told
	codecs []codec
	id     uint64 // of our descriptions, and the version before the first (RFC 3264, section 8)

	ownWheel bool
	digits   chan rune
	lost     chan struct{}
	closed   chan struct{}
	voice    chan struct{} // who plays or presses holds it
	stop     sync.Once
	going    sync.WaitGroup

	mu        sync.Mutex
	version   uint64         // guarded by mu: of our description
	leave     func()         // guarded by mu: of the wheel; nil before sound flows
	far       description    // guarded by mu
	law       codec          // guarded by mu: what we send
	remote    netip.AddrPort // guarded by mu: where we send to
	source    netip.AddrPort // guarded by mu: where packets come from; not valid: none came
	heardAt   time.Time      // guarded by mu: the last packet, or the agreement
	gone      bool           // guarded by mu: lost is closed
	listeners []*listener    // guarded by mu
	keys      keys           // guarded by mu
	out       outgoing       // guarded by mu
	privacy   privacy        // guarded by mu
}

type listener struct{ hear func(samples []int16) }

// mostDigits is how many wait to be taken.
const mostDigits = 64

// Open takes a port.
func Open(ctx context.Context, cfg Config) (*Session, error) {
	ownWheel := cfg.Wheel == nil
	if ownWheel {
		cfg.Wheel = &Wheel{}
	}
	if len(cfg.Laws) == 0 {
		cfg.Laws = []g711.Law{g711.Mu, g711.A}
	}
	if !cfg.Public.IsValid() {
		cfg.Public = cfg.Local
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	s := &Session{
		cfg: cfg, ownWheel: ownWheel, digits: make(chan rune, mostDigits), lost: make(chan struct{}), closed: make(chan struct{}), voice: make(chan struct{}, 1),
		id: rand.Uint64N(1 << 31), out: newOutgoing(), //nolint:gosec // no secret
	}
	s.version = s.id
	for _, law := range cfg.Laws {
		i := slices.IndexFunc(usual, func(c codec) bool { return c.law == law })
		if i < 0 {
			return nil, fmt.Errorf("media: there is no law %q", law)
		}
		s.codecs = append(s.codecs, usual[i])
	}
	conn, err := evenPort(ctx, cfg.Local)
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	s.conn = conn
	s.own = netip.AddrPortFrom(cfg.Public, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	return s, nil
}

// evenPort listens at an even port, as RTP should (RFC 3550, section 11).
func evenPort(ctx context.Context, local netip.Addr) (*net.UDPConn, error) {
	const tries = 16 // of a port and the one below it: many calls may begin at once
	for range tries {
		some, err := listenAt(ctx, netip.AddrPortFrom(local, 0))
		if err != nil {
			return nil, err
		}
		port := some.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		if port%2 == 0 {
			return some, nil
		}
		below, err := listenAt(ctx, netip.AddrPortFrom(local, port-1))
		_ = some.Close() // it was never used
		if err == nil {
			return below, nil
		}
	}
	return nil, errors.New("no even port is free")
}

func listenAt(ctx context.Context, at netip.AddrPort) (*net.UDPConn, error) {
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", at.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// Offer is our description, to be sent first.
func (s *Session) Offer() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	return own{
		at: s.own, id: s.id, version: s.version, codecs: s.codecs, events: typeEvents, keys: true, goes: both, secrets: s.privacy.offer(s.cfg.Encrypt), others: s.far.others,
	}.describe()
}

// Accept takes the far end's answer to our offer. It fails with ErrNoAudio.
func (s *Session) Accept(answer []byte) error {
	far, err := parseSDP(answer)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	terms, err := s.privacy.accepted(far.secrets)
	if err != nil {
		return err
	}
	return s.agree(far, terms)
}

// Answer takes the far end's offer and gives our answer to it. It fails with
// ErrNoAudio.
func (s *Session) Answer(offer []byte) ([]byte, error) {
	far, err := parseSDP(offer)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	terms, err := s.privacy.offered(far.secrets, s.cfg.Encrypt)
	if err != nil {
		return nil, err
	}
	if err := s.agree(far, terms); err != nil {
		return nil, err
	}
	s.version++
	return own{
		at: s.own, id: s.id, version: s.version, codecs: []codec{s.law}, events: far.events, keys: far.keys, goes: far.goes.mirrored(), secrets: terms.told(), others: s.far.others,
	}.describe()
}

// agree speaks as the far end wants it: with the first codec of its own that
// we know. It wants mu held.
func (s *Session) agree(far description, t terms) error {
	i := slices.IndexFunc(far.codecs, func(c codec) bool {
		return slices.ContainsFunc(s.codecs, func(o codec) bool { return o.law == c.law })
	})
	if i < 0 {
		return fmt.Errorf("%w: we may speak none of its codecs", ErrNoAudio)
	}
	select {
	case <-s.closed:
		return ErrClosed
	default:
	}
	if err := s.privacy.use(t); err != nil {
		return err
	}
	if far.at != s.far.at { // it moved: its packets come from somewhere else
		s.remote, s.source = far.at, netip.AddrPort{}
	}
	s.far, s.law, s.heardAt = far, far.codecs[i], s.cfg.Now()
	if s.leave == nil {
		s.leave = s.cfg.Wheel.Ride(s.turn)
		s.going.Go(s.read)
	}
	return nil
}

// Law is the law we speak by; empty before it is agreed on.
func (s *Session) Law() g711.Law {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.law.law
}

// Encrypted reports whether the sound is encrypted.
func (s *Session) Encrypted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.privacy.ours != nil
}

// Held reports whether the far end wants no sound now: it put us on hold.
func (s *Session) Held() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held()
}

// held wants mu held.
func (s *Session) held() bool {
	return !s.far.at.IsValid() || s.far.goes == sendOnly || s.far.goes == inactive
}

// Digits are those that the far end pressed, each as it was let go.
func (s *Session) Digits() <-chan rune { return s.digits }

// Lost is closed when the far end has sent nothing for too long.
func (s *Session) Lost() <-chan struct{} { return s.lost }

// Listen gives what is heard from now on, in order and without gaps, to hear,
// until stop is called. hear is called by one goroutine at a time and must not
// block nor keep the samples.
func (s *Session) Listen(hear func(samples []int16)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &listener{hear}
	s.listeners = append(slices.Clip(s.listeners), l)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.listeners = slices.DeleteFunc(slices.Clone(s.listeners), func(other *listener) bool { return other == l })
	}
}

// Record keeps what is heard from now on, at most so long. stop ends it, and
// gives the samples; it may be called again.
func (s *Session) Record(longest time.Duration) (stop func() []int16) {
	var mu sync.Mutex
	var kept []int16
	most := int(longest * g711.Rate / time.Second)
	end := s.Listen(func(samples []int16) {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, samples[:min(len(samples), most-len(kept))]...)
	})
	return func() []int16 {
		end()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(kept)
	}
}

// Play speaks samples and returns when all are sent, or when ctx ends, with
// ctx's error; heard is how much of them the far end has got. While the far
// end holds us, it waits. Whoever plays while another does waits, too.
func (s *Session) Play(ctx context.Context, samples []int16) (heard time.Duration, err error) {
	return s.say(ctx, &utterance{samples: samples, done: make(chan struct{})})
}

// Press presses digits, one after the other: as events, or as tones where the
// far end knows none. What is no digit is left out.
func (s *Session) Press(ctx context.Context, digits string) error {
	s.mu.Lock()
	keys := s.far.keys
	s.mu.Unlock()
	u := &utterance{done: make(chan struct{})}
	const each = 100 * time.Millisecond
	if keys {
		for i := range len(digits) {
			if p, known := newPress(digits[i]); known {
				u.presses = append(u.presses, p)
			}
		}
	} else {
		u.samples = tones.Sound(digits, each)
	}
	_, err := s.say(ctx, u)
	return err
}

func (s *Session) say(ctx context.Context, u *utterance) (heard time.Duration, err error) {
	select {
	case s.voice <- struct{}{}:
		defer func() { <-s.voice }()
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.closed:
		return 0, ErrClosed
	}
	s.mu.Lock()
	s.out.now = u
	s.mu.Unlock()
	select {
	case <-u.done:
	case <-ctx.Done():
		err = ctx.Err()
	case <-s.closed:
		err = ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.now = nil
	return time.Duration(u.at) * time.Second / g711.Rate, err
}

// Close ends the sound and returns when nothing of it runs any more, save a
// turn of a wheel that is shared. Closing again does nothing.
func (s *Session) Close() (err error) {
	s.stop.Do(func() {
		s.mu.Lock()
		close(s.closed)
		leave, unread := s.leave, s.privacy.unread
		s.mu.Unlock()
		if unread > 0 {
			s.cfg.Logger.Warn("packets of a call could not be decrypted: they were encrypted with another key, or not at all, changed, or sent again", "packets", unread)
		}
		if leave != nil {
			leave()
		}
		err = s.conn.Close()
	})
	s.going.Wait()
	if s.ownWheel {
		s.cfg.Wheel.Wait()
	}
	return err
}
