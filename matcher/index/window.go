package index

import (
	"math"
	"time"
)

// Window is when a subscription is valid, to the microsecond: from From on,
// and before Until. A zero time leaves its side open. One that began before
// anything is matched is better given as open, because every window takes
// room and time.
type Window struct{ From, Until time.Time }

// span is a Window in microseconds since 1970.
type span struct{ from, until int64 }

// never is the until of a window without end.
const never = 1<<62 - 1

func spanOf(w Window) span {
	s := open
	if !w.From.IsZero() {
		s.from = w.From.UnixMicro()
	}
	if !w.Until.IsZero() {
		s.until = min(max(w.Until.UnixMicro(), 1), never) // no entry's word is 0, nor a ref
	}
	return s
}

var open = span{from: math.MinInt64, until: never}

func (s span) holds(at int64) bool { return s.from <= at && at < s.until }

// limit gives a subscription a window, by its mixed id, in place of another.
func (t *table) limit(mixed uint64, limit span) {
	s := t.windows.write(mixed)
	defer t.windows.unlock(s, mixed)
	for _, e := range s.all(mixed, nil) {
		s.remove(mixed, e)
	}
	s.put(mixed, entry{from: limit.from, word: limit.until})
	t.limited.Store(true)
}

func (t *table) unlimit(mixed uint64) {
	if !t.limited.Load() {
		return
	}
	s := t.windows.write(mixed)
	defer t.windows.unlock(s, mixed)
	for _, e := range s.all(mixed, nil) {
		s.remove(mixed, e)
	}
}

// window is a subscription's, by its mixed id; open where it has none.
func (t *table) window(mixed uint64) span {
	s := t.windows.read(mixed)
	defer s.mu.RUnlock()
	i, found := s.find(mixed)
	if !found {
		return open
	}
	e := s.entry(i)
	return span{from: e.from, until: e.word}
}

// valid takes out of words those of subscriptions whose window does not hold,
// and makes ids of the others.
func (t *table) valid(words []int64, at time.Time) []int64 {
	if !t.limited.Load() {
		return words
	}
	kept, instant := 0, at.UnixMicro()
	for _, word := range words {
		if word < 0 {
			if word &^= windowed; !t.window(mix(uint64(word))).holds(instant) {
				continue
			}
		}
		words[kept] = word
		kept++
	}
	return words[:kept]
}
