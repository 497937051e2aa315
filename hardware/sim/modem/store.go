package modem

import "slices"

// The states of a stored message (3GPP TS 27.005, section 3.1).
const (
	unread = iota
	seen
	unsent
	sent
	anyState
)

func stateName(state int) string {
	return [...]string{"REC UNREAD", "REC READ", "STO UNSENT", "STO SENT", "ALL"}[state]
}

// slot is one place of a memory.
type slot struct {
	taken bool
	state int
	pdu   []byte // as a modem gives it: the service centre and the unit
	unit  int    // where the unit begins
}

// memory is a number of places, whose first has the index 1.
type memory struct{ slots []slot }

func (s *memory) used() int {
	n := 0
	for _, place := range s.slots {
		n += bit(place.taken)
	}
	return n
}

// put takes the first free place, and is 0 when there is none.
func (s *memory) put(what slot) int {
	i := slices.IndexFunc(s.slots, func(place slot) bool { return !place.taken })
	if i < 0 {
		return 0
	}
	what.taken = true
	s.slots[i] = what
	return i + 1
}

// at is the message at an index, or nil.
func (s *memory) at(index int) *slot {
	if index < 1 || index > len(s.slots) || !s.slots[index-1].taken {
		return nil
	}
	return &s.slots[index-1]
}

// stores are the memories by name: SM is the SIM's, ME the modem's, SR for
// status reports.
type stores map[string]*memory

func newStores(cfg Config) stores {
	return stores{
		"SM": {make([]slot, cfg.SIM.Capacity)},
		"ME": {make([]slot, cfg.Memory)},
		"SR": {make([]slot, cfg.Reports)},
	}
}

// spaces are how many places of a memory are taken, and how many it has.
func (s stores) spaces(name string) (used, total int) {
	return s[name].used(), len(s[name].slots)
}
