package index

import "unsafe"

// reserve makes sure that a list of a class finds room. Slots and lists may
// move.
func (s *content) reserve(class int) {
	if !s.arena.fits(class, int(s.columns)) {
		s.remake(classes[class] * int(s.columns))
	}
}

func (s *content) alloc(class int) ref { return s.arena.alloc(class, int(s.columns)) }

// shrink gives room back when most of it is empty.
func (s *content) shrink() {
	if s.room > 64 && s.keys*4 < s.room || cap(s.arena.words) > 1024 && s.arena.live*4 < cap(s.arena.words) {
		s.remake(0)
	}
}

// remake lays all out anew, with room for need more words in the arena.
func (s *content) remake(need int) {
	longest := s.longest
	*s = s.part(0, len(s.words), s.skip, need)
	s.longest = longest
}

// part is what is between two words of the slots, laid out anew with room to
// grow. Long lists are not copied: the whole is not used after its parts.
func (s *content) part(low, high int, skip uint8, need int) content {
	keys, live := s.count(low, high)
	p := content{slots: newSlots(&s.slots, low, high, keys, skip), longest: -1}
	if live+need > 0 {
		p.arena.words = make([]int64, 0, live+live/4+need+32)
	}
	for i := 0; i < len(p.words); i += p.stride() {
		if !p.used(i) {
			continue
		}
		e := p.entry(i)
		if r := ref(e.word); r&listed == 0 {
			p.entries++
		} else {
			var n int
			e.word, n = p.adopt(s, r)
			p.entries += int32(n)
			p.slots.set(i, e)
		}
	}
	return p
}

// count is how many keys, and how many words of lists in the arena, are
// between two words of the slots.
func (s *content) count(low, high int) (keys, live int) {
	for i := low; i < high; i += s.stride() {
		if !s.used(i) {
			continue
		}
		keys++
		if r := ref(s.entry(i).word); r&listed != 0 && r&lengthy == 0 {
			live += classes[r.class()] * int(s.columns)
		}
	}
	return keys, live
}

// adopt takes over a list of the content that this is made from, and returns
// where it is now and how long.
func (s *content) adopt(from *content, r ref) (word int64, n int) {
	if r&lengthy != 0 {
		l := from.long(r)
		s.longs = append(s.longs, l)
		return int64(listed | lengthy | ref(len(s.longs)-1)), l.n
	}
	list := from.run(r)
	n = list.n
	to := s.alloc(r.class())
	copy(s.run(to).words, list.words)
	return int64(to.with(n)), n
}

// middle is the word of the first slot with a key in the upper half.
func (s *content) middle() int {
	half := s.stride()
	for i := 0; i < len(s.words); i += half {
		if s.used(i) && s.key(i)<<s.skip>>63 == 1 {
			return i
		}
	}
	return len(s.words)
}

// longestList is how many entries a key has at most.
func (s *content) longestList() int {
	longest := int(min(s.keys, 1))
	if s.longest >= 0 {
		return int(s.longest)
	}
	for i := 0; i < len(s.words); i += s.stride() {
		if !s.used(i) {
			continue
		}
		switch r := ref(s.entry(i).word); {
		case r&lengthy != 0:
			longest = max(longest, s.long(r).n)
		case r&listed != 0:
			longest = max(longest, r.count())
		}
	}
	return longest
}

func (s *content) bytes() int64 {
	n := int64(8*(cap(s.words)+cap(s.arena.words)+cap(s.longs))) + int64(unsafe.Sizeof(shard{}))
	for _, l := range s.longs {
		if l != nil {
			n += l.bytes()
		}
	}
	return n
}
