package media

import (
	"bytes"
	"slices"

	"herald/hardware/sip/g711"
)

// arrival is a packet of sound as it came in.
type arrival struct {
	ssrc      uint32
	sequence  uint16
	timestamp uint32
	payload   []byte
	law       g711.Law
}

// jitter puts packets in order. One that is in order goes through at once; one
// that is early waits for those before it, until so many wait that those are
// taken for lost. Its zero value is ready.
type jitter struct {
	started bool
	ssrc    uint32
	next    uint16 // the sequence number that is due
	waiting []arrival
	ready   []arrival // what take returned last, used again and again
	old     int       // how many in a row were old: a sender began anew
}

const (
	// deepest is how many packets wait for an earlier one: 100 ms.
	deepest = 5
	// farthest is how far a sequence number may jump before it is a new
	// stream (RFC 3550, appendix A.1, MAX_DROPOUT).
	farthest = 3000
	// oldest is how many old packets in a row are a new stream.
	oldest = 25
)

// take is given a packet and returns those that are in order now, until it is
// called again. The payload may be changed then, too: of one that waits it is
// copied.
func (j *jitter) take(a arrival) (ready []arrival) {
	ready = j.ready[:0]
	defer func() { j.ready = ready }()
	if j.started && a.ssrc == j.ssrc && a.sequence == j.next && len(j.waiting) == 0 {
		j.next++
		j.old = 0
		return append(ready, a)
	}
	a.payload = bytes.Clone(a.payload)
	ahead := int(a.sequence - j.next) // modulo 2^16 (RFC 3550, section 5.1)
	old := ahead >= 1<<16-farthest
	switch {
	case !j.started || a.ssrc != j.ssrc || ahead > farthest && !old || j.old >= oldest:
		ready = append(ready, j.flush()...)
		j.started, j.ssrc, j.next = true, a.ssrc, a.sequence
	case old: // it comes too late, or a second time
		j.old++
		return ready
	}
	j.old = 0
	at, doubled := slices.BinarySearchFunc(j.waiting, a, func(w, a arrival) int { return int(int16(w.sequence - a.sequence)) }) //nolint:gosec // the distance
	if doubled {
		return ready
	}
	j.waiting = slices.Insert(j.waiting, at, a)
	if len(j.waiting) > deepest {
		j.next = j.waiting[0].sequence // those before are lost
	}
	n := 0
	for n < len(j.waiting) && j.waiting[n].sequence == j.next {
		j.next++
		n++
	}
	ready = append(ready, j.waiting[:n]...)
	j.waiting = slices.Delete(j.waiting, 0, n)
	return ready
}

// flush returns all that waits: nothing more comes before it.
func (j *jitter) flush() []arrival {
	all := j.waiting
	j.waiting = nil
	return all
}
