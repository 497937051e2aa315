package media

import (
	"strings"
	"time"

	"herald/hardware/sip/tones"
)

// event is the payload of a telephone-event (RFC 4733, section 2.3):
//
//	0                   1                   2                   3
//	|     event     |E|R| volume    |          duration             |
type event struct {
	code     byte
	end      bool
	duration uint16 // in samples
}

const (
	eventBytes  = 4
	eventEnd    = 0x80
	eventVolume = 10 // −10 dBm0
)

func (e event) bytes() []byte {
	flags := byte(eventVolume)
	if e.end {
		flags |= eventEnd
	}
	return []byte{e.code, flags, byte(e.duration >> 8), byte(e.duration)}
}

func parseEvent(payload []byte) (event, bool) {
	if len(payload) < eventBytes { // more are other blocks of the same (section 2.5)
		return event{}, false
	}
	return event{code: payload[0], end: payload[1]&eventEnd != 0, duration: uint16(payload[2])<<8 | uint16(payload[3])}, true
}

// pressing is what one press of a key is known by: all its packets have the
// same timestamp, and those of another press another.
type pressing struct {
	ssrc, timestamp uint32
}

// keys tells the digits pressed from the packets about them, each once: its
// end is sent three times, and may yet be lost. Its zero value is ready.
type keys struct {
	now    pressing
	code   byte
	down   bool
	seenAt time.Time
	told   [8]pressing // the newest that were told
	next   int         // of told
}

// endless is how long after the last packet of a press it is over, when its
// end was lost: packets come every 20 to 50 ms.
const endless = 200 * time.Millisecond

// take is given a packet and returns the digits that are over with it.
func (k *keys) take(p pressing, payload []byte, at time.Time) string {
	e, ok := parseEvent(payload)
	if !ok || int(e.code) >= len(tones.Digits) {
		return "" // a hook flash, a fax tone
	}
	for _, told := range k.told {
		if told == p {
			return ""
		}
	}
	var over strings.Builder
	if k.down && p != k.now { // the end of the one before was lost
		over.WriteByte(k.tell())
	}
	k.now, k.code, k.down, k.seenAt = p, e.code, true, at
	if e.end {
		over.WriteByte(k.tell())
	}
	return over.String()
}

// overdue is the digit whose end seems lost.
func (k *keys) overdue(at time.Time) string {
	if !k.down || at.Sub(k.seenAt) < endless {
		return ""
	}
	return string(k.tell())
}

func (k *keys) tell() byte {
	k.down = false
	k.told[k.next%len(k.told)] = k.now
	k.next++
	return tones.Digits[k.code]
}

// press gives the packets of a digit one after the other, one for every 20 ms.
type press struct {
	code    byte
	for20ms int // how long it is pressed
	sent    int
}

const (
	pressFrames = 5 // 100 ms
	endFrames   = 3 // RFC 4733, section 2.5.1.4
	restFrames  = 4 // 80 ms of silence behind it
)

func newPress(digit byte) (press, bool) {
	code := strings.IndexByte(tones.Digits, digit)
	return press{code: byte(max(0, code)), for20ms: pressFrames}, code >= 0 //nolint:gosec // below 16
}

// frame is the next packet; first: it is the press's first; none: there is
// silence; over: there is nothing more.
func (p *press) frame() (payload []byte, first, over bool) {
	p.sent++
	switch {
	case p.sent <= p.for20ms:
		return event{code: p.code, duration: uint16(p.sent * FrameSamples)}.bytes(), p.sent == 1, false //nolint:gosec // few
	case p.sent <= p.for20ms+endFrames:
		return event{code: p.code, end: true, duration: uint16(p.for20ms * FrameSamples)}.bytes(), false, false //nolint:gosec // few
	}
	return nil, false, p.sent > p.for20ms+endFrames+restFrames
}
