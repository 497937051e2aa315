package index

import "slices"

// content is sorted lists of entries by key. An only entry stands in the
// key's slot, a list in the arena until it is long.
type content struct {
	slots
	arena   arena
	longs   []*long // nil where one was
	entries int32
	longest int32 // entries of a key, at most; -1: not known
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
	if !found || !s.met(i, place) {
		return into
	}
	switch r := ref(s.word(i)); {
	case r&listed == 0:
		return append(into, int64(r))
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
		s.summariseLong(i, r, e.to)
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
	s.summariseLong(i, listed|lengthy|ref(at), anywhere.from)
}

// summarise follows a change of the list in the arena of the slot at i.
func (s *content) summarise(i int, r ref) {
	list := s.run(r)
	s.set(i, entry{from: list.at(0).from, to: list.top(), word: int64(r)})
}

// summariseLong follows a change of the long list of the slot at i, by an
// entry met up to to. What is highest is not looked for again when that goes:
// it may be too high, and only spares looking into the list.
func (s *content) summariseLong(i int, r ref, to int64) {
	held := s.entry(i)
	s.set(i, entry{from: s.long(r).blocks[0].first.from, to: max(held.to, to), word: int64(r)})
}

func (s *content) grew(n int) {
	if s.longest >= 0 {
		s.longest = max(s.longest, int32(n))
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
			s.summariseLong(i, r, anywhere.from)
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
	if int32(n) == s.longest {
		s.longest = -1
	}
}
