package index

// An entry is one of a key's: it is met from a place on the line to another.
type entry struct {
	from, to int64
	word     int64 // an id, see windowed, or whatever else is listed
}

// windowed is the bit of a word that does not count when words are compared:
// the subscription has a Window.
const windowed = -1 << 63

func (e entry) id() int64 { return e.word &^ windowed }

// run is entries in order of from and id, as columns of words: the froms (from
// two columns on), the tos (of three), the words. Each column has room for
// more than the n entries that it holds.
type run struct {
	words   []int64
	n, room int
	columns int
}

func (r run) column(i int) []int64 { return r.words[i*r.room : i*r.room+r.n] }

// froms are nil where there are none, being all the same.
func (r run) froms() []int64 {
	if r.columns == 1 {
		return nil
	}
	return r.column(0)
}

// tos are nil where there are none, being all beyond every value.
func (r run) tos() []int64 {
	if r.columns < 3 {
		return nil
	}
	return r.column(1)
}

func (r run) ids() []int64 { return r.column(r.columns - 1) }

func (r run) at(i int) entry {
	e := anywhere
	e.word = r.ids()[i]
	if r.columns > 1 {
		e.from = r.froms()[i]
	}
	if r.columns > 2 {
		e.to = r.tos()[i]
	}
	return e
}

// anywhere is met by every value.
var anywhere = entry{from: -1 << 63, to: 1<<63 - 1}

func (r run) set(i int, e entry) {
	r.ids()[i] = e.word
	if r.columns > 1 {
		r.froms()[i] = e.from
	}
	if r.columns > 2 {
		r.tos()[i] = e.to
	}
}

// fetch has the beginnings of the columns fetched into the cache.
func (r run) fetch() {
	for c := range r.columns {
		prefetch(&r.words[c*r.room], 0)
	}
}

// search finds an entry, or where it would stand.
func (r run) search(e entry) (i int, found bool) {
	froms, ids, id := r.froms(), r.ids(), e.id()
	low, high := 0, r.n
	for low < high {
		middle := int(uint(low+high) >> 1)
		if froms != nil && froms[middle] != e.from {
			if froms[middle] < e.from {
				low = middle + 1
			} else {
				high = middle
			}
		} else if ids[middle]&^windowed < id {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < r.n && ids[low]&^windowed == id && (froms == nil || froms[low] == e.from)
}

// insert puts an entry before the one at i; there must be room.
func (r *run) insert(i int, e entry) {
	r.n++
	for c := range r.columns {
		column := r.column(c)
		copy(column[i+1:], column[i:])
	}
	r.set(i, e)
}

func (r *run) remove(i int) {
	for c := range r.columns {
		column := r.column(c)
		copy(column[i:], column[i+1:])
	}
	r.n--
}

// move appends the entries of another run from i on, and takes them from it.
func (r *run) move(other *run, i int) {
	n := r.n
	r.n += other.n - i
	for c := range r.columns {
		copy(r.column(c)[n:], other.column(c)[i:])
	}
	other.n = i
}

// top is the highest to.
func (r run) top() int64 {
	if r.columns < 3 || r.n == 0 {
		return anywhere.to
	}
	highest := anywhere.from
	for _, to := range r.tos() {
		highest = max(highest, to)
	}
	return highest
}

// collect appends the words of the entries that are met at a place; more is
// false when those after this run begin beyond it.
func (r run) collect(place int64, into []int64) (_ []int64, more bool) {
	n := r.n
	froms := r.froms()
	if froms != nil {
		n = firstBeyond(froms, place)
	}
	ids := r.ids()[:n]
	if r.columns < 3 {
		return append(into, ids...), n == r.n
	}
	for i, to := range r.tos()[:n] {
		if to >= place {
			into = append(into, ids[i])
		}
	}
	return into, n == r.n
}

// firstBeyond is the index of the first of sorted numbers that is greater.
// Most events meet few, so the beginning is looked at first; from there on
// nothing hangs on a guess of the processor's.
func firstBeyond(sorted []int64, place int64) int {
	const beginning = 8 // a line of the cache
	if len(sorted) > beginning && sorted[beginning-1] > place {
		sorted = sorted[:beginning]
	}
	low, n := 0, len(sorted)
	for n > 1 {
		half := n / 2
		if sorted[low+half-1] <= place {
			low += half
		}
		n -= half
	}
	if n == 1 && sorted[low] <= place {
		low++
	}
	return low
}
