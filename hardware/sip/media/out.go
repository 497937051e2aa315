package media

import (
	"bytes"
	"math/rand/v2"

	"github.com/pion/rtp"

	"herald/hardware/sip/g711"
)

// outgoing is the stream that we send.
type outgoing struct {
	ssrc      uint32
	sequence  uint16
	timestamp uint32
	begun     bool
	pressedAt uint32     // the timestamp of the press that is being sent
	now       *utterance // nil: nothing is to be said
	octets    []byte     // of a frame, used again and again
	packet    []byte     // likewise
}

// utterance is something to say: sound, or keys to press.
type utterance struct {
	samples []int16
	at      int // how many samples are sent
	presses []press
	done    chan struct{} // closed when all is sent
	over    bool          // done is closed
}

func newOutgoing() outgoing {
	return outgoing{ssrc: rand.Uint32(), sequence: uint16(rand.Uint32N(1 << 15)), timestamp: rand.Uint32()} //nolint:gosec // no secrets
}

// silence is a frame without sound.
var silence = map[g711.Law][]byte{
	g711.Mu: bytes.Repeat([]byte{0xFF}, FrameSamples),
	g711.A:  bytes.Repeat([]byte{0xD5}, FrameSamples),
}

// turn sends a frame and looks after what time brings about.
func (s *Session) turn() {
	s.mu.Lock()
	now := s.cfg.Now()
	digits := s.keys.overdue(now)
	if s.cfg.Quiet > 0 && !s.gone && s.far.goes != recvOnly && !s.held() && now.Sub(s.heardAt) > s.cfg.Quiet {
		s.gone = true
		close(s.lost)
	}
	packet, to := s.out.next(s.law, s.far.events, s.held()), s.remote
	if packet != nil && s.privacy.ours != nil {
		packet, _ = s.privacy.ours.seal(packet) // nil when the key is used up, after 2^48
	}
	if packet != nil {
		// The packet is written with mu held: its memory is used again. A far
		// end that is not there yet is no failure.
		_, _ = s.conn.WriteToUDPAddrPort(packet, to)
	}
	s.mu.Unlock()
	s.tell(digits)
}

// next is the packet that is due; nil: none, we are held. Time goes on anyway.
func (o *outgoing) next(law codec, events byte, held bool) []byte {
	o.timestamp += FrameSamples
	if held {
		return nil
	}
	header := rtp.Header{Version: 2, PayloadType: law.kind, SequenceNumber: o.sequence, Timestamp: o.timestamp, SSRC: o.ssrc, Marker: !o.begun}
	payload := silence[law.law]
	if u := o.now; u != nil && !u.over {
		switch {
		case len(u.presses) > 0:
			if event, first := o.pressNext(u); event != nil {
				header.PayloadType, header.Timestamp, header.Marker, payload = events, o.pressedAt, first, event
			}
		case u.at < len(u.samples):
			n := min(FrameSamples, len(u.samples)-u.at)
			o.octets = law.law.Append(o.octets[:0], u.samples[u.at:u.at+n])
			payload = append(o.octets, payload[n:]...)
			u.at += n
		}
		if len(u.presses) == 0 && u.at == len(u.samples) {
			u.over = true
			close(u.done)
		}
	}
	o.begun = true
	o.sequence++
	packet := rtp.Packet{Header: header, Payload: payload}
	if size := packet.MarshalSize(); len(o.packet) < size {
		o.packet = make([]byte, size)
	}
	n, err := packet.MarshalTo(o.packet)
	if err != nil {
		return nil // it fits, as its size was asked
	}
	return o.packet[:n]
}

// pressNext is the next packet of the keys to press; nil: silence between two.
func (o *outgoing) pressNext(u *utterance) (event []byte, first bool) {
	event, first, over := u.presses[0].frame()
	if first {
		o.pressedAt = o.timestamp
	}
	if over {
		u.presses = u.presses[1:]
	}
	return event, first
}
