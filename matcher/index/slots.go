package index

import "math/bits"

// slots is a hash table without pointers: keys in order, each as near as that
// allows to where its leading bits point, and no empty slot between (linear
// probing, sorted: Amble and Knuth, Ordered hash tables, 1974). A slot is a
// key and the columns of its only entry, or of a list: the lowest from, the
// highest to, and a word that says where the list is.
type slots struct {
	words   []int64
	room    uint32 // slots that keys point to; a few more follow
	keys    uint32 // slots in use
	skip    uint8  // leading bits that all keys have in common
	columns uint8  // of an entry
}

// spareSlots follow the room, for keys that are pushed beyond it.
func spareSlots(room int) int { return room/8 + 4 }

// stride is the words of a slot.
func (s *slots) stride() int { return int(s.columns) + 1 }

// used reports whether the slot at word i is; no key is 0.
func (s *slots) used(i int) bool { return i < len(s.words) && s.words[i] != 0 }

func (s *slots) key(i int) uint64 { return uint64(s.words[i]) }

// home is where a key's slot would be in a table without other keys.
func (s *slots) home(key uint64) int {
	slot, _ := bits.Mul64(key<<s.skip, uint64(s.room))
	return int(slot) * s.stride()
}

// find is the word where a key's slot begins, or would.
func (s *slots) find(key uint64) (i int, found bool) {
	words, stride := s.words, s.stride()
	i = s.home(key)
	for i < len(words) && uint64(words[i])-1 < key-1 { // an empty slot's 0 becomes the greatest number
		i += stride
	}
	return i, i < len(words) && uint64(words[i]) == key
}

// full reports whether one more key makes the ways long.
func (s *slots) full() bool { return (s.keys+1)*8 > s.room*7 }

// open makes a slot at i, which find gave, and moves those in the way; ok is
// false where there is no room to.
func (s *slots) open(i int, key uint64) (ok bool) {
	stride := s.stride()
	end := i
	for s.used(end) {
		end += stride
	}
	if end >= len(s.words) {
		return false
	}
	copy(s.words[i+stride:end+stride], s.words[i:end])
	s.words[i] = int64(key)
	s.keys++
	return true
}

// close gives up the slot at i.
func (s *slots) close(i int) {
	stride := s.stride()
	end := i + stride
	for s.used(end) && s.home(s.key(end)) < end {
		end += stride
	}
	copy(s.words[i:], s.words[i+stride:end])
	clear(s.words[end-stride : end])
	s.keys--
}

// newSlots is a table with room for keys and a third more, holding those of
// another table's slots between two of its words.
func newSlots(from *slots, low, high, keys int, skip uint8) slots {
	for room := keys*4/3 + 4; ; room += room/4 + 1 {
		s := slots{room: uint32(room), skip: skip, columns: from.columns}
		s.words = make([]int64, (room+spareSlots(room))*s.stride())
		if s.spread(from, low, high) {
			return s
		}
	}
}

// spread fills an empty table; ok is false when the keys are too close.
func (s *slots) spread(from *slots, low, high int) (ok bool) {
	stride, next := s.stride(), 0
	for i := low; i < high; i += stride {
		if !from.used(i) {
			continue
		}
		next = max(next, s.home(from.key(i)))
		if next == len(s.words) {
			return false
		}
		copy(s.words[next:next+stride], from.words[i:i+stride])
		next += stride
		s.keys++
	}
	return true
}

// entry is what the slot at i holds: its only entry, or a list's summary.
func (s *slots) entry(i int) entry {
	e := anywhere
	e.word = s.word(i)
	if s.columns > 1 {
		e.from = s.words[i+1]
	}
	if s.columns > 2 {
		e.to = s.words[i+2]
	}
	return e
}

// met reports whether something of the slot at i may be met at a place.
func (s *slots) met(i int, place int64) bool {
	return (s.columns < 2 || s.words[i+1] <= place) && (s.columns < 3 || s.words[i+2] >= place)
}

// word is the word of the slot at i.
func (s *slots) word(i int) int64 { return s.words[i+int(s.columns)] }

func (s *slots) set(i int, e entry) {
	if s.columns > 1 {
		s.words[i+1] = e.from
	}
	if s.columns > 2 {
		s.words[i+2] = e.to
	}
	s.words[i+int(s.columns)] = e.word
}
