package index

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"herald/matcher/predicate"
)

// Condition is what the subscriptions of one trigger wait on.
type Condition struct {
	table atomic.Pointer[table] // nil: not declared
}

// table is a condition as it was declared.
type table struct {
	seed    maphash.Seed
	compare comparison
	found   *multimap // by a key's hash, what is met and the subscription's id
	held    *multimap // by a subscription's id, mixed, the from and hash of its anchors
	windows *multimap // by the same, the window of those that have one
	// limited says that there was a window once, to spare looking for them
	// where there never was any.
	limited atomic.Bool
	// families are those of all keys that there ever were.
	families atomic.Uint64
}

// Declare says how the anchors of the trigger compare, and forgets what was
// added before; what another goroutine is adding meanwhile may be forgotten too.
func (c *Condition) Declare(bound predicate.Bound) {
	t := &table{seed: maphash.MakeSeed(), compare: comparisonOf(bound)}
	columns := t.compare.columns
	t.found, t.held, t.windows = newMultimap(columns), newMultimap(min(columns, 2)), newMultimap(2)
	c.table.Store(t)
}

// Drop forgets the trigger: nothing is found, and nothing can be added, before
// it is declared again.
func (c *Condition) Drop() { c.table.Store(nil) }

// The ids that can be added.
const minID, maxID = 1, 1<<62 - 1

// Add makes keys and window all that a subscription waits on, in place of what
// it had. Without keys it is removed. The id must be from 1 to 2^62-1; the
// error says what of the arguments is wrong, or that the trigger is not
// declared, and nothing has changed then.
func (c *Condition) Add(id int64, keys []predicate.Key, w Window) error {
	var few [4]anchor
	t, anchors, err := c.prepare(id, keys, few[:0])
	if err != nil {
		return err
	}
	t.set(id, anchors, w)
	return nil
}

// prepare is where a subscription is added, and keys as its anchors, for which
// into is room.
func (c *Condition) prepare(id int64, keys []predicate.Key, into []anchor) (*table, []anchor, error) {
	t := c.table.Load()
	if t == nil {
		return nil, nil, errors.New("the trigger is not declared")
	}
	if id < minID || id > maxID {
		return nil, nil, fmt.Errorf("%d cannot be a subscription's id", id)
	}
	anchors, err := t.anchors(keys, into)
	if err != nil {
		return nil, nil, fmt.Errorf("subscription %d: %w", id, err)
	}
	return t, anchors, nil
}

// Remove forgets a subscription; one that is not held is none the worse.
func (c *Condition) Remove(id int64) {
	if t := c.table.Load(); t != nil {
		t.set(id, nil, Window{})
	}
}

// Match appends to into the ids of the subscriptions that a probe meets at an
// instant, each once, in no order; a subscription that waits on several keys
// may be met by several probes. The value NaN meets no bound.
func (c *Condition) Match(probe predicate.Probe, at time.Time, into []int64) []int64 {
	t := c.table.Load()
	if t == nil {
		return into
	}
	key, place, ok := t.look(probe)
	if !ok {
		return into
	}
	start := len(into)
	into = t.collect(key, place, into)
	return into[:start+len(t.valid(into[start:], at))]
}

// look is where to look for a probe; ok is false where nothing can be found.
func (t *table) look(probe predicate.Probe) (key uint64, place int64, ok bool) {
	if t.families.Load()&family(probe.Key) == 0 {
		return 0, 0, false
	}
	place, ok = t.compare.place(probe.Value)
	return t.hash(probe.Key), place, ok
}

// family is a bit of the beginning of a key, where predicates put the level of
// a place and the length of a prefix or text: an event has a probe for each,
// and subscriptions wait on few.
func family(key string) uint64 {
	if len(key) < 3 {
		return 1
	}
	return 1 << ((uint(key[0]) + uint(key[1]) + 5*uint(key[2])) % 64)
}

// collect appends the words of what is met.
func (t *table) collect(key uint64, place int64, into []int64) []int64 {
	s := t.found.read(key)
	into = s.collect(key, place, into)
	s.mu.RUnlock()
	return into
}

// hash leaves two bits of a word free, and is not 0.
func (t *table) hash(key string) uint64 { return maphash.String(t.seed, key)&^3 | 4 }

// anchors appends keys as anchors, in order. Those of one key, which no
// predicate makes, become one that is met wherever one of them is.
func (t *table) anchors(keys []predicate.Key, into []anchor) ([]anchor, error) {
	for _, k := range keys {
		from, to, err := t.compare.interval(k)
		if err != nil {
			return nil, err
		}
		if bit := family(k.Key); t.families.Load()&bit == 0 {
			t.families.Or(bit)
		}
		into = append(into, anchor{hash: t.hash(k.Key), from: from, to: to})
	}
	if len(into) < 2 {
		return into, nil
	}
	slices.SortFunc(into, func(a, b anchor) int { return cmp.Compare(a.hash, b.hash) })
	kept := into[:1]
	for _, a := range into[1:] {
		if last := &kept[len(kept)-1]; a.hash == last.hash {
			last.from, last.to = min(last.from, a.from), max(last.to, a.to)
		} else {
			kept = append(kept, a)
		}
	}
	return kept, nil
}

// set makes anchors all that a subscription waits on. Its window comes before
// its first anchor and goes after its last, and what changes of one key
// changes at once: Match never misses what stays.
func (t *table) set(id int64, anchors []anchor, w Window) {
	mixed := mix(uint64(id))
	own := t.held.write(mixed)
	var few [4]entry
	old := own.all(mixed, few[:0])
	word := id
	if limit := spanOf(w); limit != open && len(anchors) > 0 {
		t.limit(mixed, limit)
		word |= windowed
	}
	t.move(old, anchors, word)
	if word >= 0 && len(old) > 0 {
		t.unlimit(mixed)
	}
	for _, e := range old {
		own.remove(mixed, e)
	}
	for _, a := range anchors {
		own.put(mixed, entry{from: a.from, word: wordOf(a.hash)})
	}
	t.held.unlock(own, mixed)
}

// wordOf is a hash as the word of an entry.
func wordOf(hash uint64) int64 { return int64(hash >> 2) }

func hashOf(e entry) uint64 { return uint64(e.word) << 2 }

// move lets a subscription wait on anchors, which are in order, and no longer
// on its old ones.
func (t *table) move(old []entry, anchors []anchor, word int64) {
	slices.SortFunc(old, func(a, b entry) int { return cmp.Compare(hashOf(a), hashOf(b)) })
	for len(old) > 0 || len(anchors) > 0 {
		if len(anchors) == 0 || len(old) > 0 && hashOf(old[0]) < anchors[0].hash {
			t.leave(old[0], word)
			old = old[1:]
			continue
		}
		a := anchors[0]
		anchors = anchors[1:]
		s := t.found.write(a.hash)
		s.put(a.hash, entry{from: a.from, to: a.to, word: word})
		if len(old) > 0 && hashOf(old[0]) == a.hash {
			if old[0].from != a.from {
				s.remove(a.hash, entry{from: old[0].from, word: word})
			}
			old = old[1:]
		}
		t.found.unlock(s, a.hash)
	}
}

// leave lets a subscription no longer wait on an old anchor.
func (t *table) leave(old entry, word int64) {
	key := hashOf(old)
	s := t.found.write(key)
	s.remove(key, entry{from: old.from, word: word})
	t.found.unlock(s, key)
}

// mix spreads ids over all keys, each to one of its own (the finalizer of
// SplitMix64, Steele and others 2014); unmix takes it back.
func mix(id uint64) uint64 {
	id = (id ^ id>>30) * 0xbf58476d1ce4e5b9
	id = (id ^ id>>27) * 0x94d049bb133111eb
	return id ^ id>>31
}

func unmix(key uint64) int64 {
	key = (key ^ key>>31 ^ key>>62) * 0x319642b2d24d8ec3
	key = (key ^ key>>27 ^ key>>54) * 0x96de1b173f119089
	return int64(key ^ key>>30 ^ key>>60)
}

// Reason is why Match finds a subscription, or passes it over.
type Reason string

// The reasons.
const (
	Found       Reason = "found"
	NotHeld     Reason = "not held"       // the index has nothing of the subscription
	OtherKeys   Reason = "other keys"     // no probe has a key that it waits on
	BoundMissed Reason = "bound missed"   // a key agrees; the value is on the wrong side of its bound
	NotValid    Reason = "outside window" // all is met, but not at this instant
)

// Explain says what comes of a subscription when an event has these probes.
func (c *Condition) Explain(id int64, probes []predicate.Probe, at time.Time) Reason {
	t := c.table.Load()
	if t == nil {
		return NotHeld
	}
	own, w := t.of(id)
	if len(own) == 0 {
		return NotHeld
	}
	reason := OtherKeys
	for _, p := range probes {
		place, ok := t.compare.place(p.Value)
		for _, a := range own {
			switch {
			case a.hash != t.hash(p.Key):
			case !ok || place < a.from || place > a.to:
				reason = BoundMissed
			case !w.holds(at.UnixMicro()):
				return NotValid
			default:
				return Found
			}
		}
	}
	return reason
}

// of is what a subscription waits on, in order.
func (t *table) of(id int64) ([]anchor, span) {
	mixed := mix(uint64(id))
	own := t.held.read(mixed)
	defer own.mu.RUnlock()
	var anchors []anchor
	for _, e := range own.all(mixed, nil) {
		s := t.found.read(hashOf(e))
		if found, ok := s.search(hashOf(e), entry{from: e.from, word: id}); ok {
			anchors = append(anchors, anchor{hash: hashOf(e), from: found.from, to: found.to})
		}
		s.mu.RUnlock()
	}
	slices.SortFunc(anchors, func(a, b anchor) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.from, b.from)) })
	return anchors, t.window(mixed)
}

// Holds reports whether keys and window are exactly what a subscription waits
// on. Without keys: whether the index has nothing of it.
func (c *Condition) Holds(id int64, keys []predicate.Key, w Window) bool {
	t := c.table.Load()
	if t == nil {
		return len(keys) == 0
	}
	wanted, err := t.anchors(keys, nil)
	if err != nil {
		return false
	}
	held, window := t.of(id)
	return slices.Equal(wanted, held) && (len(wanted) == 0 || spanOf(w) == window)
}

// IDs are the subscriptions that are held, each once, in no order. One that
// is added or removed meanwhile may be missing.
func (c *Condition) IDs() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		t := c.table.Load()
		if t == nil {
			return
		}
		var ids []int64
		for s := range t.held.shards() {
			ids = ids[:0]
			for i := 0; i < len(s.words); i += s.stride() {
				if s.used(i) {
					ids = append(ids, unmix(s.key(i)))
				}
			}
			s.mu.RUnlock()
			for _, id := range ids {
				if !yield(id) {
					return
				}
			}
		}
	}
}
