package sgip

import (
	"sync"

	"github.com/google/uuid"

	"herald/dispatch/sms/wire"
)

// doubts remembers the sequences of the parts that nobody knows of whether
// they were taken, so that they go again as what they are.
type doubts struct {
	mu    sync.Mutex
	known map[doubt]wire.Sequence // guarded by mu
	order []doubt                 // guarded by mu
}

type doubt struct {
	delivery uuid.UUID
	part     int
}

// mostDoubts is how many are remembered; the oldest are forgotten first.
const mostDoubts = 10_000

func newDoubts() *doubts { return &doubts{known: map[doubt]wire.Sequence{}} }

func (d *doubts) note(delivery uuid.UUID, part int, s wire.Sequence) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := doubt{delivery, part}
	if _, again := d.known[one]; !again {
		if len(d.order) == mostDoubts {
			delete(d.known, d.order[0])
			d.order = d.order[1:]
		}
		d.order = append(d.order, one)
	}
	d.known[one] = s
}

// of is the sequence that a part was sent with; zero: none is known.
func (d *doubts) of(delivery uuid.UUID, part int) wire.Sequence {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known[doubt{delivery, part}]
}
