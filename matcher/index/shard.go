package index

import (
	"iter"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A shard is split when it has this many keys, or this many words of lists:
// what has to be copied then keeps readers waiting, for some 20 µs.
const (
	shardKeys  = 1024
	shardWords = 1 << 15
)

// splitBits is how many bits of a key tell shards apart at most.
const splitBits = 28

// shard is the keys that begin with the same bits.
type shard struct {
	mu      sync.RWMutex
	content // zero when it has been split; its first words share a line of the cache with mu
	hint    hint
	_       [112]byte // so that each begins with a line of the cache, and not all with the same few
}

// hint is where the slots are, for those who have not locked them: it may be
// out of date.
type hint struct {
	words atomic.Pointer[int64]
	room  atomic.Uint32

	skip, columns uint8 // never change
}

func newShard(c content) *shard {
	s := &shard{content: c, hint: hint{skip: c.skip, columns: c.columns}}
	s.show()
	return s
}

// show makes the hint true.
func (s *shard) show() {
	if at := unsafe.SliceData(s.words); s.hint.words.Load() != at {
		s.hint.words.Store(at)
		s.hint.room.Store(s.room)
	}
}

// fetch has a key's slot fetched into the cache, most likely, without a lock.
func (s *shard) fetch(key uint64) {
	h := &s.hint
	slot, _ := bits.Mul64(key<<h.skip, uint64(h.room.Load()))
	prefetch(h.words.Load(), uintptr(slot)*uintptr(h.columns+1)*8)
}

// split reports whether it is no longer in use: look the key up again.
func (s *shard) split() bool { return s.columns == 0 }

func (s *shard) overgrown() bool {
	return (s.keys > shardKeys || s.arena.live > shardWords && s.keys > 32) && s.skip < splitBits
}

// multimap is sorted lists of entries by key, in shards that are locked one by
// one. There are as many as the keys need: a table by the leading bits of keys
// leads to them, and doubles when a shard with its own entry is split
// (Fagin and others, Extendible hashing, 1979).
type multimap struct {
	directory atomic.Pointer[directory]
	growing   sync.Mutex // held to change the directory; after a shard's
}

type directory struct {
	bits   uint8 // of a key, that lead to its shard
	shards []atomic.Pointer[shard]
}

func newMultimap(columns int) *multimap {
	one := &directory{shards: make([]atomic.Pointer[shard], 1)}
	one.shards[0].Store(newShard(content{slots: slots{columns: uint8(columns)}}))
	m := &multimap{}
	m.directory.Store(one)
	return m
}

func (m *multimap) shard(key uint64) *shard {
	d := m.directory.Load()
	return d.shards[key>>(64-d.bits)].Load()
}

// read locks a key's shard for reading.
func (m *multimap) read(key uint64) *shard {
	for {
		s := m.shard(key)
		if s.mu.RLock(); !s.split() {
			return s
		}
		s.mu.RUnlock()
	}
}

// write locks a key's shard; unlock unlocks it.
func (m *multimap) write(key uint64) *shard {
	for {
		s := m.shard(key)
		if s.mu.Lock(); !s.split() {
			return s
		}
		s.mu.Unlock()
	}
}

// unlock unlocks the shard of a key after a change, in two halves where it has
// grown too much.
func (m *multimap) unlock(s *shard, key uint64) {
	if s.overgrown() {
		m.halve(s, key)
	} else {
		s.show()
	}
	s.mu.Unlock()
}

func (m *multimap) halve(s *shard, key uint64) {
	middle := s.middle()
	left := newShard(s.part(0, middle, s.skip+1, 0))
	right := newShard(s.part(middle, len(s.words), s.skip+1, 0))
	m.replace(s, key, left, right)
	s.content = content{}
}

// replace puts two halves in the place of the shard of a key.
func (m *multimap) replace(s *shard, key uint64, left, right *shard) {
	m.growing.Lock()
	defer m.growing.Unlock()
	d := m.directory.Load()
	if d.bits == s.skip {
		d = d.doubled()
	}
	half := uint64(1) << (d.bits - left.skip)
	first := key >> (64 - s.skip) << (d.bits - s.skip)
	for i := range half {
		d.shards[first+i].Store(left)
		d.shards[first+half+i].Store(right)
	}
	m.directory.Store(d)
}

func (d *directory) doubled() *directory {
	twice := &directory{bits: d.bits + 1, shards: make([]atomic.Pointer[shard], 2*len(d.shards))}
	for i := range twice.shards {
		twice.shards[i].Store(d.shards[i/2].Load())
	}
	return twice
}

// shards are all, one after the other, each locked for reading; whoever gets
// one unlocks it.
func (m *multimap) shards() iter.Seq[*shard] {
	return func(yield func(*shard) bool) {
		for key := uint64(0); ; {
			s := m.read(key)
			end := key + 1<<(64-s.skip) // its keys are those from key on
			if !yield(s) || end == 0 {
				return
			}
			key = end
		}
	}
}

// size is what it takes of memory, and how many shards it has.
func (m *multimap) size() (bytes int64, shards int) {
	for s := range m.shards() {
		bytes += s.bytes()
		shards++
		s.mu.RUnlock()
	}
	return bytes + 8*int64(len(m.directory.Load().shards)), shards
}
