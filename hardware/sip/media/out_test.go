package media

import (
	"testing"

	"github.com/pion/rtp"
)

// TestAKeyIsSentAsOneEvent: all its packets have the timestamp of its beginning
// (RFC 4733, section 2.5.1.2), its end is sent three times (2.5.1.4), and the
// same key again is another event.
func TestAKeyIsSentAsOneEvent(t *testing.T) {
	five, known := newPress('5')
	if !known {
		t.Fatal("5 is no key")
	}
	out := newOutgoing()
	out.now = &utterance{presses: []press{five, five}, done: make(chan struct{})}
	type key struct {
		timestamp                   uint32
		packets, ends, firsts       int
		longest                     uint16
		endedAt                     uint32
		shrinks, changesAfterItsEnd bool
	}
	var keys []key
	var before rtp.Packet
	for begun := false; !out.now.over; begun = true {
		var p rtp.Packet
		if err := p.Unmarshal(append([]byte(nil), out.next(usual[0], typeEvents, false)...)); err != nil {
			t.Fatal(err)
		}
		if begun && p.SequenceNumber != before.SequenceNumber+1 {
			t.Errorf("the sequence goes from %d to %d", before.SequenceNumber, p.SequenceNumber)
		}
		before = p
		if p.PayloadType != typeEvents {
			continue
		}
		e, ok := parseEvent(p.Payload)
		if !ok || e.code != 5 {
			t.Fatalf("the event is %+v", e)
		}
		if len(keys) == 0 || keys[len(keys)-1].timestamp != p.Timestamp {
			keys = append(keys, key{timestamp: p.Timestamp})
		}
		k := &keys[len(keys)-1]
		k.packets++
		k.shrinks = k.shrinks || e.duration < k.longest
		k.changesAfterItsEnd = k.changesAfterItsEnd || k.ends > 0 && (!e.end || e.duration != k.longest)
		k.longest = e.duration
		if e.end {
			k.ends++
			k.endedAt = p.Timestamp + uint32(e.duration)
		}
		if p.Marker {
			k.firsts++
		}
	}
	if len(keys) != 2 {
		t.Fatalf("two keys are %d events: %+v", len(keys), keys)
	}
	for _, k := range keys {
		if k.packets != pressFrames+endFrames || k.ends != 3 || k.firsts != 1 || k.longest != pressFrames*FrameSamples || k.shrinks || k.changesAfterItsEnd {
			t.Errorf("a key is %+v", k)
		}
	}
	if rest := int32(keys[1].timestamp - keys[0].endedAt); rest < restFrames*FrameSamples { //nolint:gosec // modulo 2^32
		t.Errorf("the second begins %d samples after the first", rest)
	}
}
