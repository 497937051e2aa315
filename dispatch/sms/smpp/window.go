package smpp

import (
	"math/bits"
	"time"

	"github.com/google/uuid"

	"herald/dispatch/sms/smpp/pdu"
)

// window is the units that wait for their answers. A unit's place is found by
// its sequence number; who submits fills the places and empties them, the
// reader notes the answers in between.
type window struct {
	places   []place // a power of two of them, four times what may wait
	used     int
	answered []int // places whose answers came since somebody looked
	// late are units whose answer nobody waits for any more; an answer that
	// comes yet settles a doubt.
	late map[uint32]unit
	old  []uint32 // the keys of late, in order
}

// unit is one submit_sm: a message, or a part of one.
type unit struct {
	delivery uuid.UUID
	address  string
	// reference is its user_message_reference; 0: it has none.
	reference uint16
	// message is the index in the batch, and part in the message, from 0; -1:
	// it is the whole message.
	message, part int
}

// place is where a unit waits.
type place struct {
	unit
	sequence uint32
	state    placeState
	end      uint64    // where it ends in all that was written
	sent     time.Time // when it was written
	status   pdu.Status
	id       string // that it is recorded under
	broken   bool   // the answer was none that is allowed
}

type placeState uint8

const (
	isFree placeState = iota
	isSent
	isAnswered
)

// mostLate is how many units without an answer are remembered.
const mostLate = 1000

func newWindow(size int) window {
	return window{places: make([]place, 1<<bits.Len(uint(4*size-1))), late: map[uint32]unit{}}
}

// at is the place that a sequence number has.
func (w *window) at(sequence uint32) *place { return &w.places[int(sequence)&(len(w.places)-1)] }

// fill gives a unit a place and a sequence number.
func (l *link) fill(u unit) (sequence uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		sequence = l.nextSequence()
		if p := l.window.at(sequence); p.state == isFree {
			*p = place{unit: u, sequence: sequence, state: isSent}
			l.window.used++
			return sequence
		}
	}
}

// settle notes the answer to a unit; false: it is none's.
func (l *link) settle(h pdu.Header, body []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.window.at(h.Sequence)
	if p.sequence != h.Sequence || p.state != isSent {
		return l.settleLate(h, body)
	}
	p.state, p.status = isAnswered, h.Status
	if h.Command == pdu.GenericNack {
		p.broken = true
	} else if h.Status == pdu.OK {
		id, _ := pdu.ParseMessageResp(body) // it was taken, whatever its id
		// Its receipt may be read before who submits looks at this.
		p.id = l.client.ids.answered(id, p.address)
	}
	l.window.answered = append(l.window.answered, int(h.Sequence)&(len(l.window.places)-1))
	return true
}

// settleLate wants mu held.
func (l *link) settleLate(h pdu.Header, body []byte) bool {
	u, known := l.window.late[h.Sequence]
	if !known {
		return false
	}
	delete(l.window.late, h.Sequence)
	id := ""
	if h.Status == pdu.OK {
		id, _ = pdu.ParseMessageResp(body)
	}
	l.client.answeredLate(u, h, id)
	return true
}

// answered reports whether there are answers that nobody has looked at.
func (l *link) answered() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.window.answered) > 0
}

// collect appends the places whose answers came, and frees them.
func (l *link) collect(dst []place) []place {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range l.window.answered {
		dst = append(dst, l.window.places[i])
		l.window.free(i)
	}
	l.window.answered = l.window.answered[:0]
	return dst
}

func (w *window) free(i int) {
	w.places[i] = place{}
	w.used--
}

// due is the time by which the first unit should have its answer; zero: none waits.
func (l *link) due(patience time.Duration) (first time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.window.places {
		p := &l.window.places[i]
		if due := p.sent.Add(patience); p.state == isSent && (first.IsZero() || due.Before(first)) {
			first = due
		}
	}
	return first
}

// giveUp appends the units that were sent before and have no answer yet, and
// remembers them: their answers may still come.
func (l *link) giveUp(dst []place, before time.Time) []place {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &l.window
	for i := range w.places {
		p := w.places[i]
		if p.state != isSent || !p.sent.Before(before) {
			continue
		}
		dst = append(dst, p)
		w.free(i)
		w.late[p.sequence] = p.unit
		if w.old = append(w.old, p.sequence); len(w.old) > mostLate {
			delete(w.late, w.old[0])
			w.old = w.old[1:]
		}
	}
	return dst
}

// wrote notes when units were written, and where they end that were written
// from begin on; ends are counted from there.
func (l *link) wrote(begin uint64, sequences []uint32, ends []int, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, sequence := range sequences {
		if p := l.window.at(sequence); p.sequence == sequence {
			p.end, p.sent = begin+uint64(ends[i]), at
		}
	}
}
