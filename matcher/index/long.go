package index

import (
	"slices"
	"unsafe"
)

// blockRoom is how many entries a block of a long list has room for. To add
// one costs moving half a block, and with every half block half of the table
// of blocks: about the square root of the list in all.
const blockRoom = 256

// long is the list of a key that very many wait on: blocks, none empty, in order.
type long struct {
	n      int
	blocks []block
}

// block is a run with what is asked of it most, to spare a look into its words.
type block struct {
	run
	first entry
	top   int64
}

func newBlock(columns int) block {
	return block{run: run{words: make([]int64, blockRoom*columns), room: blockRoom, columns: columns}}
}

// refresh follows a change of the run.
func (b *block) refresh() { b.first, b.top = b.at(0), b.run.top() }

// newLong takes over the entries of a run.
func newLong(from run) *long {
	b := newBlock(from.columns)
	l := &long{n: from.n, blocks: []block{b}}
	l.blocks[0].move(&from, 0)
	l.blocks[0].refresh()
	return l
}

// block is the one that an entry stands in, or would.
func (l *long) block(e entry) int {
	i, _ := slices.BinarySearchFunc(l.blocks, e, func(b block, e entry) int {
		if b.first.from < e.from || b.first.from == e.from && b.first.id() <= e.id() {
			return -1
		}
		return 1
	})
	return max(i-1, 0)
}

// put adds an entry, or changes what it has besides its place in the order.
func (l *long) put(e entry) (added bool) {
	i := l.block(e)
	b := &l.blocks[i]
	j, found := b.search(e)
	if !found && b.n == blockRoom {
		b, j = l.open(i, j)
	}
	if found {
		b.set(j, e)
	} else {
		b.insert(j, e)
		l.n++
	}
	b.refresh()
	return !found
}

// open makes room at j of block i, which is full. Entries that come in order
// fill one block after the other; for others, the block is halved.
func (l *long) open(i, j int) (*block, int) {
	half := blockRoom / 2
	if j == blockRoom && i == len(l.blocks)-1 {
		half = blockRoom
	}
	l.blocks = slices.Insert(l.blocks, i+1, newBlock(l.blocks[i].columns))
	left, right := &l.blocks[i], &l.blocks[i+1]
	right.move(&left.run, half)
	if right.n > 0 {
		left.refresh()
		right.refresh()
	}
	if j < half || j == half && right.n > 0 {
		return left, j
	}
	return right, j - half
}

func (l *long) remove(e entry) (removed bool) {
	i := l.block(e)
	b := &l.blocks[i]
	j, found := b.search(e)
	if !found {
		return false
	}
	l.n--
	b.remove(j)
	switch {
	case b.n == 0:
		l.blocks = slices.Delete(l.blocks, i, i+1)
	case b.n < blockRoom/4:
		b.refresh()
		l.join(max(i-1, 0))
	default:
		b.refresh()
	}
	return true
}

// join makes one of block i and the one after it, where that leaves room.
func (l *long) join(i int) {
	if i+1 == len(l.blocks) || l.blocks[i].n+l.blocks[i+1].n > blockRoom*3/4 {
		return
	}
	l.blocks[i].move(&l.blocks[i+1].run, 0)
	l.blocks[i].refresh()
	l.blocks = slices.Delete(l.blocks, i+1, i+2)
}

func (l *long) search(e entry) (entry, bool) {
	b := l.blocks[l.block(e)]
	i, found := b.search(e)
	if !found {
		return entry{}, false
	}
	return b.at(i), true
}

func (l *long) collect(place int64, into []int64) []int64 {
	for i := range l.blocks {
		b := &l.blocks[i]
		if b.top < place {
			continue
		}
		more := false
		if into, more = b.run.collect(place, into); !more {
			break
		}
	}
	return into
}

// run is all entries in one run.
func (l *long) run() run {
	columns := l.blocks[0].columns
	all := run{words: make([]int64, l.n*columns), room: l.n, columns: columns}
	for _, b := range l.blocks {
		all.move(&b.run, 0)
	}
	return all
}

func (l *long) bytes() int64 {
	n := int(unsafe.Sizeof(*l)) + cap(l.blocks)*int(unsafe.Sizeof(block{}))
	for i := range l.blocks {
		n += len(l.blocks[i].words) * 8
	}
	return int64(n)
}
