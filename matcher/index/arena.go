package index

// classes are how many entries a list of the arena has room for.
var classes = [...]int{2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256}

// classOf is the smallest class with room for n entries.
func classOf(n int) int {
	for i, room := range classes {
		if room >= n {
			return i
		}
	}
	return len(classes) - 1
}

// arena is where a shard's lists stand that are not long. What is given up is
// used again by lists of its class, and for others when all is made anew.
type arena struct {
	words []int64
	live  int                  // words in use
	given [len(classes)]uint32 // offset and 1 of what was given up last; its first word leads on
}

// fits reports whether a list of a class finds room.
func (a *arena) fits(class, columns int) bool {
	return a.given[class] != 0 || len(a.words)+classes[class]*columns <= cap(a.words)
}

// alloc is room for a list, which must fit.
func (a *arena) alloc(class, columns int) ref {
	size := classes[class] * columns
	a.live += size
	offset := len(a.words)
	if last := a.given[class]; last != 0 {
		offset = int(last - 1)
		a.given[class] = uint32(a.words[offset])
	} else {
		a.words = a.words[:offset+size]
	}
	return listed | ref(class)<<refClass | ref(offset)
}

// free gives up a list's room.
func (a *arena) free(r ref, columns int) {
	a.live -= classes[r.class()] * columns
	a.words[r.offset()] = int64(a.given[r.class()])
	a.given[r.class()] = uint32(r.offset() + 1)
}
