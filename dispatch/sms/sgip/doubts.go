package sgip

import (
	"sync"

	"github.com/google/uuid"

	"herald/dispatch/sms/wire"
)

// doubts remembers the sequences of the parts that nobody knows of whether
// they were taken, so that they go again as what they are. How long a gateway
// remembers them, the protocol does not say.
type doubts struct {
	mu    sync.Mutex
	known map[doubt]wire.Sequence // guarded by mu
	order []noted                 // guarded by mu: what was noted, some of it forgotten since
}

type doubt struct {
	delivery uuid.UUID
	part     int
}

type noted struct {
	doubt
	sequence wire.Sequence
}

// mostDoubts is how many are remembered; the oldest are forgotten first.
const mostDoubts = 10_000

func newDoubts() *doubts { return &doubts{known: map[doubt]wire.Sequence{}} }

func (d *doubts) note(delivery uuid.UUID, part int, s wire.Sequence) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := doubt{delivery, part}
	if d.known[one] == s {
		return
	}
	if len(d.order) == mostDoubts {
		if oldest := d.order[0]; d.known[oldest.doubt] == oldest.sequence {
			delete(d.known, oldest.doubt)
		}
		d.order = d.order[1:]
	}
	d.order = append(d.order, noted{one, s})
	d.known[one] = s
}

func (d *doubts) forget(delivery uuid.UUID, part int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, doubt{delivery, part})
}

// of is the sequence that a part was sent with; zero: none is known.
func (d *doubts) of(delivery uuid.UUID, part int) wire.Sequence {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known[doubt{delivery, part}]
}
