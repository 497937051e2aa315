package media

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/pion/rtp"

	"herald/hardware/sip/g711"
	"herald/hardware/sip/tones"
)

// incoming is the stream that comes in. The goroutine that reads owns it.
type incoming struct {
	jitter   jitter
	detector tones.Detector
	ssrc     uint32
	begun    bool
	due      uint32     // the timestamp after what was heard last
	packet   rtp.Packet // that was read last, used again and again
	samples  []int16    // that were heard last, likewise
}

const (
	mostPacket = 1500
	// longestGap is how much silence is put in where a sender sent nothing.
	longestGap = 10 * g711.Rate
	// moved is how long the place where packets come from must have been
	// silent before those from another are taken.
	moved = time.Second
)

// read takes packets until the session is closed.
func (s *Session) read() {
	var in incoming
	buffer := make([]byte, mostPacket)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of one packet
		}
		plain, ok := s.decrypted(buffer[:n])
		if !ok {
			continue
		}
		p := &in.packet
		if p.Unmarshal(plain) == nil && p.Version == 2 {
			s.take(&in, p, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		}
	}
}

// take is given a packet.
func (s *Session) take(in *incoming, p *rtp.Packet, from netip.AddrPort) {
	s.mu.Lock()
	now := s.cfg.Now()
	if from != s.source && s.source.IsValid() && now.Sub(s.heardAt) < moved {
		s.mu.Unlock()
		return // a stranger's
	}
	// Where it comes from is where ours go (symmetric RTP, RFC 4961).
	s.source, s.remote, s.heardAt = from, from, now
	var digits string
	law, isSound := s.lawOf(p.PayloadType)
	isEvent := p.PayloadType == typeEvents || s.far.keys && p.PayloadType == s.far.events
	if isEvent && !isSound {
		digits = s.keys.take(pressing{p.SSRC, p.Timestamp}, p.Payload, now)
	}
	listeners, inBand := s.listeners, !s.far.keys
	s.mu.Unlock()
	if isSound {
		for _, a := range in.jitter.take(arrival{p.SSRC, p.SequenceNumber, p.Timestamp, p.Payload, law}) {
			gap := in.gap(a)
			if len(listeners) == 0 && !inBand {
				continue // nobody hears it
			}
			samples := in.hear(a, gap)
			for _, l := range listeners {
				l.hear(samples)
			}
			if inBand {
				digits += in.detector.Hear(samples)
			}
		}
	}
	s.tell(digits)
}

// lawOf is what a payload type means: what the far end said, or what we
// offered. It wants mu held.
func (s *Session) lawOf(kind byte) (g711.Law, bool) {
	for _, codecs := range [][]codec{s.far.codecs, s.codecs} {
		for _, c := range codecs {
			if c.kind == kind {
				return c.law, true
			}
		}
	}
	return "", false
}

// gap is how much silence is before a packet, where nothing was sent: while a
// key was pressed, while nobody spoke, or because it was lost.
func (in *incoming) gap(a arrival) (samples int) {
	if in.begun && a.ssrc == in.ssrc {
		if ahead := int(int32(a.timestamp - in.due)); ahead > 0 && ahead <= longestGap { //nolint:gosec // modulo 2^32
			samples = ahead
		}
	}
	in.begun, in.ssrc = true, a.ssrc
	in.due = a.timestamp + uint32(len(a.payload)) //nolint:gosec // of a packet
	return samples
}

// hear is the sound of a packet, behind a gap. It is good until the next one.
func (in *incoming) hear(a arrival, gap int) []int16 {
	if gap > 0 { // rare: its memory is not kept
		return a.law.AppendDecoded(make([]int16, gap, gap+len(a.payload)), a.payload)
	}
	in.samples = a.law.AppendDecoded(in.samples[:0], a.payload)
	return in.samples
}

// Pressed is told of digits that came another way, as by SIP's INFO.
func (s *Session) Pressed(digits string) {
	s.tell(strings.Map(func(r rune) rune {
		if !strings.ContainsRune(tones.Digits, r) {
			return -1
		}
		return r
	}, digits))
}

// tell puts digits where they are taken.
func (s *Session) tell(digits string) {
	for _, digit := range digits {
		select {
		case s.digits <- digit:
		default:
			s.cfg.Logger.Warn("a digit was pressed and not taken: too many wait")
		}
	}
}
