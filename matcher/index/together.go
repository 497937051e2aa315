package index

import (
	"slices"
	"time"

	"herald/matcher/predicate"
)

// Lookup is what an event is looked up by in one condition.
type Lookup struct {
	Condition *Condition
	Probes    []predicate.Probe
}

// abreast is how many probes are on their way at once: as many as a processor
// has fetched from memory at the same time, and some more.
const abreast = 32

// MatchAll looks many up together. It hands found the number of a lookup and
// ids as Match finds them, which are overwritten by the next; it may do so
// several times for a lookup, in any order, and does not where nothing is
// found.
//
// Nearly all of the time that one Match takes it waits for memory: for the slot
// of its key, then for the list. Here that of one probe is fetched while the
// others are reckoned.
func MatchAll(lookups []Lookup, at time.Time, found func(lookup int, ids []int64)) {
	var ids []int64
	var few [abreast]turn
	turns := few[:0]
	for i, l := range lookups {
		t := l.Condition.table.Load()
		if t == nil {
			continue
		}
		for _, probe := range l.Probes {
			key, place, ok := t.look(probe)
			if !ok {
				continue
			}
			t.found.shard(key).fetch(key)
			turns = append(turns, turn{table: t, key: key, place: place, lookup: i})
			if len(turns) == abreast {
				ids = take(turns, at, ids, found)
				turns = few[:0]
			}
		}
	}
	take(turns, at, ids, found)
}

// turn is a probe of a lookup.
type turn struct {
	table  *table
	key    uint64
	place  int64
	lookup int
	listed bool // what is met is in a list
}

// take ends turns, a step of all of them after the other; ids are room for
// what one finds.
func take(turns []turn, at time.Time, ids []int64, found func(lookup int, ids []int64)) []int64 {
	for i := range turns {
		turn := &turns[i]
		if id, ok := turn.only(); ok {
			ids = append(ids[:0], id)
			turn.tell(at, ids, found)
		}
	}
	for i := range turns {
		turn := &turns[i]
		if turn.listed {
			ids = turn.table.collect(turn.key, turn.place, ids[:0])
			turn.tell(at, ids, found)
		}
	}
	return ids
}

// only is the word that is met where a key has but one; of a list that may be
// met the beginnings of its columns are fetched.
func (p *turn) only() (word int64, ok bool) {
	s := p.table.found.read(p.key)
	if i, found := s.find(p.key); found && s.met(i, p.place) {
		word = s.word(i)
		ok, p.listed = !isList(word), isList(word)
		if r := ref(word); p.listed && r&lengthy == 0 {
			s.run(r).fetch()
		}
	}
	s.mu.RUnlock()
	return word, ok
}

// tell hands over what was found, without what is not valid.
func (p *turn) tell(at time.Time, ids []int64, found func(lookup int, ids []int64)) {
	if ids = p.table.valid(ids, at); len(ids) > 0 {
		found(p.lookup, ids)
	}
}

// Addition is a subscription that is added.
type Addition struct {
	Condition *Condition
	ID        int64
	Keys      []predicate.Key
	Window    Window
}

// AddAll adds many, each as Condition.Add does; after an error, which is that
// of the first that cannot be added, some of the others are. As in MatchAll
// memory is fetched for some while others are added.
func AddAll(additions []Addition) error {
	var few [4]anchor
	var some [abreast]arrival
	anchors := make([]anchor, 0, 2*abreast)
	for chunk := range slices.Chunk(additions, abreast) {
		anchors = anchors[:0]
		for i, a := range chunk {
			t, own, err := a.Condition.prepare(a.ID, a.Keys, few[:0])
			if err != nil {
				return err
			}
			first := len(anchors)
			anchors = append(anchors, own...)
			some[i] = arrival{table: t, anchors: anchors[first:]}
			some[i].fetch(a.ID)
		}
		for i := range chunk {
			some[i].fetchLists()
		}
		for i, a := range chunk {
			some[i].table.set(a.ID, some[i].anchors, a.Window)
		}
	}
	return nil
}

// arrival is an addition that is prepared.
type arrival struct {
	table   *table
	anchors []anchor
}

// fetch has the slots fetched into the cache that setting it looks into.
func (a arrival) fetch(id int64) {
	mixed := mix(uint64(id))
	a.table.held.shard(mixed).fetch(mixed)
	for _, anchor := range a.anchors {
		a.table.found.shard(anchor.hash).fetch(anchor.hash)
	}
}

// fetchLists has the lists fetched into the cache that setting it adds to.
func (a arrival) fetchLists() {
	for _, anchor := range a.anchors {
		s := a.table.found.read(anchor.hash)
		if i, found := s.find(anchor.hash); found {
			if r := ref(s.word(i)); r&listed != 0 && r&lengthy == 0 {
				s.run(r).fetch()
			}
		}
		s.mu.RUnlock()
	}
}
