package index

import (
	"slices"
	"unsafe"
)

// content is sorted lists of entries by key. An only entry stands in the
// key's slot, a list in the arena until it is long.
type content struct {
	slots
	arena   arena
	longs   []*long // nil where one was
	entries int
	longest int // entries of a key, at most; -1: not known
}

// ref says in a slot's word where a key's list is.
type ref int64

// The parts of a ref: in the arena, its class above the entries in use above
// the offset; or the number of a long list.
const (
	listed   ref = 1 << 62 // it is a ref, and not the word of an only entry
	lengthy  ref = 1 << 61 // of a long list
	refClass     = 44
	refCount     = 32
)

func (r ref) offset() int { return int(uint32(r)) }
func (r ref) count() int  { return int(r>>refCount) & (1<<(refClass-refCount) - 1) }
func (r ref) class() int  { return int(r>>refClass) & 0xff }

func isList(word int64) bool { return ref(word)&listed != 0 }

// run is the list of a ref that is not long.
func (s *content) run(r ref) run {
	room, columns := classes[r.class()], int(s.columns)
	return run{words: s.arena.words[r.offset() : r.offset()+room*columns], n: r.count(), room: room, columns: columns}
}

func (s *content) long(r ref) *long { return s.longs[r.offset()] }

// collect appends the words of a key's entries that are met at a place.
func (s *content) collect(key uint64, place int64, into []int64) []int64 {
	i, found := s.find(key)
	if !found {
		return into
	}
	e := s.entry(i)
	switch r := ref(e.word); {
	case e.from > place || e.to < place:
		return into
	case r&listed == 0:
		return append(into, e.word)
	case r&lengthy != 0:
		return s.long(r).collect(place, into)
	default:
		into, _ = s.run(r).collect(place, into)
		return into
	}
}

// all appends a key's entries.
func (s *content) all(key uint64, into []entry) []entry {
	i, found := s.find(key)
	if !found {
		return into
	}
	e := s.entry(i)
	if !isList(e.word) {
		return append(into, e)
	}
	list := run{}
	if r := ref(e.word); r&lengthy != 0 {
		list = s.long(r).run()
	} else {
		list = s.run(r)
	}
	for j := range list.n {
		into = append(into, list.at(j))
	}
	return into
}

// search finds a key's entry with from and id of e.
func (s *content) search(key uint64, e entry) (entry, bool) {
	i, found := s.find(key)
	if !found {
		return entry{}, false
	}
	held := s.entry(i)
	if !isList(held.word) {
		return held, held.from == e.from && held.id() == e.id()
	}
	if r := ref(held.word); r&lengthy != 0 {
		return s.long(r).search(e)
	} else if list := s.run(r); true {
		if j, found := list.search(e); found {
			return list.at(j), true
		}
	}
	return entry{}, false
}

// put adds an entry to a key, or changes the one with its from and id.
func (s *content) put(key uint64, e entry) {
	i, found := s.find(key)
	if !found {
		for s.full() || !s.open(i, key) {
			s.remake(0)
			i, _ = s.find(key)
		}
		s.set(i, e)
		s.entries++
		s.grew(1)
		return
	}
	held := s.entry(i)
	switch r := ref(held.word); {
	case r&listed == 0 && held.from == e.from && held.id() == e.id():
		s.set(i, e)
	case r&listed == 0:
		s.pair(key, e)
	case r&lengthy != 0:
		l := s.long(r)
		if l.put(e) {
			s.entries++
			s.grew(l.n)
		}
		s.summarise(i, r)
	default:
		s.putListed(key, i, e)
	}
}

// pair makes a list of a key's only entry and another.
func (s *content) pair(key uint64, e entry) {
	s.reserve(0)
	i, _ := s.find(key)
	r := s.alloc(0)
	list := s.run(r)
	list.insert(0, s.entry(i))
	j, _ := list.search(e)
	list.insert(j, e)
	s.entries++
	s.grew(2)
	s.summarise(i, r.with(2))
}

func (r ref) with(count int) ref {
	return r&^(1<<refClass-1<<refCount) | ref(count)<<refCount
}

// putListed adds to a list in the arena, which moves when it is full.
func (s *content) putListed(key uint64, i int, e entry) {
	r := ref(s.entry(i).word)
	list := s.run(r)
	j, found := list.search(e)
	switch {
	case found:
		list.set(j, e)
		s.summarise(i, r)
		return
	case list.n == classes[len(classes)-1]:
		s.lengthen(i, list, r)
		s.put(key, e)
		return
	case list.n == list.room:
		i, r = s.relist(key, r.class()+1)
		list = s.run(r)
	}
	list.insert(j, e)
	s.entries++
	s.grew(list.n)
	s.summarise(i, r.with(list.n))
}

// relist moves a key's list into the room of another class.
func (s *content) relist(key uint64, class int) (i int, r ref) {
	s.reserve(class)
	i, _ = s.find(key)
	old := ref(s.entry(i).word)
	list := s.run(old)
	r = s.alloc(class).with(list.n)
	moved := s.run(r.with(0))
	moved.move(&list, 0)
	s.arena.free(old, int(s.columns))
	s.summarise(i, r)
	return i, r
}

// lengthen makes a long list of one in the arena.
func (s *content) lengthen(i int, list run, old ref) {
	at := slices.Index(s.longs, nil)
	if at < 0 {
		at = len(s.longs)
		s.longs = append(s.longs, nil)
	}
	s.longs[at] = newLong(list)
	s.arena.free(old, int(s.columns))
	s.summarise(i, listed|lengthy|ref(at))
}

// summarise follows a change of the list of the slot at i.
func (s *content) summarise(i int, r ref) {
	e := entry{word: int64(r)}
	if r&lengthy != 0 {
		l := s.long(r)
		e.from, e.to = l.blocks[0].first.from, anywhere.to
		if s.columns > 2 {
			e.to = l.top()
		}
	} else {
		list := s.run(r)
		e.from, e.to = list.at(0).from, list.top()
	}
	s.set(i, e)
}

func (s *content) grew(n int) {
	if s.longest >= 0 {
		s.longest = max(s.longest, n)
	}
}

// remove takes the entry with from and id of e from a key.
func (s *content) remove(key uint64, e entry) {
	i, found := s.find(key)
	if !found {
		return
	}
	held := s.entry(i)
	if isList(held.word) {
		s.removeListed(key, i, e)
		return
	}
	if held.from != e.from || held.id() != e.id() {
		return
	}
	s.close(i)
	s.entries--
	s.shrank(1)
	s.shrink()
}

func (s *content) removeListed(key uint64, i int, e entry) {
	r := ref(s.entry(i).word)
	if r&lengthy != 0 {
		l := s.long(r)
		if !l.remove(e) {
			return
		}
		s.entries--
		s.shrank(l.n + 1)
		if l.n > blockRoom/2 {
			s.summarise(i, r)
			return
		}
		s.shorten(key, l.n)
		return
	}
	list := s.run(r)
	j, found := list.search(e)
	if !found {
		return
	}
	list.remove(j)
	s.entries--
	s.shrank(list.n + 1)
	s.summarise(i, r.with(list.n))
	switch {
	case list.n == 1:
		s.set(i, list.at(0))
		s.arena.free(r, int(s.columns))
		s.shrink()
	case r.class() > 1 && list.n <= classes[r.class()-2]:
		s.relist(key, r.class()-1)
		s.shrink()
	}
}

// shorten takes a list that is no longer long back into the arena.
func (s *content) shorten(key uint64, n int) {
	class := classOf(n)
	s.reserve(class)
	i, _ := s.find(key)
	old := ref(s.entry(i).word)
	list := s.long(old).run()
	s.longs[old.offset()] = nil
	r := s.alloc(class)
	moved := s.run(r)
	moved.move(&list, 0)
	s.summarise(i, r.with(moved.n))
}

// shrank notes that a key had n entries and has one less.
func (s *content) shrank(n int) {
	if n == s.longest {
		s.longest = -1
	}
}

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
			p.entries += n
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
	longest := min(s.keys, 1)
	if s.longest >= 0 {
		return s.longest
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
