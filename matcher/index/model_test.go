package index_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"herald/matcher/index"
	"herald/matcher/predicate"
)

// model is a condition as a list, looked through from beginning to end.
type model struct {
	bound predicate.Bound
	held  map[int64]held
}

type held struct {
	keys   []predicate.Key
	window index.Window
}

func (m *model) add(id int64, keys []predicate.Key, w index.Window) {
	delete(m.held, id)
	if len(keys) > 0 {
		m.held[id] = held{keys, w}
	}
}

func (m *model) meets(k predicate.Key, p predicate.Probe) bool {
	if k.Key != p.Key {
		return false
	}
	switch m.bound {
	case predicate.Below:
		return p.Value < k.Bound
	case predicate.AtMost:
		return p.Value <= k.Bound
	case predicate.Above:
		return p.Value > k.Bound
	case predicate.AtLeast:
		return p.Value >= k.Bound
	case predicate.Between:
		return p.Value >= k.Bound && p.Value <= k.Upper
	}
	return true
}

func valid(w index.Window, at time.Time) bool {
	return (w.From.IsZero() || !at.Before(w.From)) && (w.Until.IsZero() || at.Before(w.Until))
}

func (m *model) match(p predicate.Probe, at time.Time) []int64 {
	var ids []int64
	for id, h := range m.held {
		if valid(h.window, at) && slices.ContainsFunc(h.keys, func(k predicate.Key) bool { return m.meets(k, p) }) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *model) explain(id int64, probes []predicate.Probe, at time.Time) index.Reason {
	h, ok := m.held[id]
	if !ok {
		return index.NotHeld
	}
	reason := index.OtherKeys
	for _, p := range probes {
		for _, k := range h.keys {
			switch {
			case k.Key != p.Key:
			case !m.meets(k, p):
				reason = index.BoundMissed
			case !valid(h.window, at):
				return index.NotValid
			default:
				return index.Found
			}
		}
	}
	return reason
}

func (m *model) anchors() (n int64, longest int) {
	perKey := map[string]int{}
	for _, h := range m.held {
		for _, k := range h.keys {
			perKey[k.Key]++
			n++
			longest = max(longest, perKey[k.Key])
		}
	}
	return n, longest
}

var (
	bounds = []predicate.Bound{
		predicate.NoBound, predicate.Below, predicate.AtMost, predicate.Above, predicate.AtLeast, predicate.Between,
	}
	figures = []float64{-1e300, -2, -1, -0.5, 0, 0.5, 1, 2, 1e300}
	began   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// machine does to an index and to its model the same.
type machine struct {
	*rapid.T
	index *index.Condition
	size  func() index.Size
	model model
	next  int64
}

func (m *machine) drawBound() float64 { return rapid.SampledFrom(figures).Draw(m.T, "figure") }

func (m *machine) drawKey() string {
	return rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(m.T, "key")
}

// drawKeys are for one subscription, each key once.
func (m *machine) drawKeys() []predicate.Key {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"", "a", "b", "c"}), 0, 4, rapid.ID[string]).Draw(m.T, "keys")
	var keys []predicate.Key
	for _, name := range names {
		keys = append(keys, m.bounded(name))
	}
	return keys
}

func (m *machine) bounded(name string) predicate.Key {
	k := predicate.Key{Key: name}
	if m.model.bound != predicate.NoBound {
		k.Bound = m.drawBound()
	}
	if m.model.bound == predicate.Between {
		k.Upper = m.drawBound()
	}
	return k
}

func (m *machine) drawWindow() index.Window {
	instant := rapid.Map(rapid.IntRange(-1, 3), func(h int) time.Time {
		if h < 0 {
			return time.Time{}
		}
		return began.Add(time.Duration(h) * time.Hour)
	})
	return index.Window{From: instant.Draw(m.T, "from"), Until: instant.Draw(m.T, "until")}
}

func (m *machine) add(id int64, keys []predicate.Key, w index.Window) {
	m.Helper()
	if err := m.index.Add(id, keys, w); err != nil {
		m.Fatal(err)
	}
	m.model.add(id, keys, w)
}

func (m *machine) addAll(list []index.Addition) {
	m.Helper()
	if err := index.AddAll(list); err != nil {
		m.Fatal(err)
	}
	for _, a := range list {
		m.model.add(a.ID, a.Keys, a.Window)
	}
}

func (m *machine) remove(id int64) {
	m.index.Remove(id)
	delete(m.model.held, id)
}

func (m *machine) declare(bound predicate.Bound) {
	m.index.Declare(bound)
	m.model = model{bound: bound, held: map[int64]held{}}
}

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"add": func(t *rapid.T) {
			m.T = t
			m.add(rapid.Int64Range(1, 30).Draw(t, "id"), m.drawKeys(), m.drawWindow())
		},
		"remove": func(t *rapid.T) {
			m.T = t
			m.remove(rapid.Int64Range(1, 30).Draw(t, "id"))
		},
		// Long enough for every size of list, up and down.
		"crowd": func(t *rapid.T) {
			m.T = t
			key, step := m.drawKey(), int64(rapid.SampledFrom([]int{1, -1, 7919}).Draw(t, "step"))
			keys := make([]predicate.Key, 0, 9)
			for range rapid.IntRange(1, 9).Draw(t, "different") {
				keys = append(keys, m.bounded(key))
			}
			var list []index.Addition
			for i := range int64(rapid.IntRange(1, 700).Draw(t, "crowd")) {
				list = append(list, index.Addition{
					Condition: m.index, ID: 1_000_000 + m.next%2000 + step*i, Keys: []predicate.Key{keys[i%int64(len(keys))]},
				})
			}
			m.addAll(list)
			m.next += 977
		},
		"scatter": func(t *rapid.T) {
			m.T = t
			for i := range int64(rapid.IntRange(1, 3000).Draw(t, "scattered")) {
				m.add(100_000_000+i, []predicate.Key{m.bounded0(strconv.FormatInt(i%2500, 36))}, index.Window{})
			}
		},
		"leave": func(t *rapid.T) {
			m.T = t
			ids := sortedIDs(m.model.held)
			from := rapid.IntRange(0, len(ids)).Draw(t, "from")
			for _, id := range ids[from : from+rapid.IntRange(0, len(ids)-from).Draw(t, "leaving")] {
				m.remove(id)
			}
		},
		"declare": func(t *rapid.T) {
			m.T = t
			if rapid.IntRange(0, 9).Draw(t, "now") == 0 {
				m.declare(rapid.SampledFrom(bounds).Draw(t, "bound"))
			}
		},
		"match": func(t *rapid.T) { m.T = t; m.match() },
		"":      func(t *rapid.T) { m.T = t; m.check() },
	}
}

// bounded0 draws nothing.
func (m *machine) bounded0(name string) predicate.Key {
	k := predicate.Key{Key: name}
	if m.model.bound == predicate.Between {
		k.Upper = 1
	}
	return k
}

func sortedIDs(of map[int64]held) []int64 {
	ids := make([]int64, 0, len(of))
	for id := range of {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (m *machine) match() {
	probe := predicate.Probe{Key: m.drawKey(), Value: m.drawBound() + rapid.SampledFrom([]float64{-0.1, 0, 0.1}).Draw(m.T, "off")}
	at := began.Add(time.Duration(rapid.IntRange(-60, 200).Draw(m.T, "minute")) * time.Minute)
	got := m.index.Match(probe, at, []int64{-7})
	if got[0] != -7 {
		m.Fatal("what was there is gone")
	}
	got = got[1:]
	slices.Sort(got)
	if want := m.model.match(probe, at); !slices.Equal(got, want) {
		m.Fatalf("%+v at %v: %d found, want %d: %s", probe, at, len(got), len(want), cmp.Diff(want, got))
	}
	m.matchAll(at)
	id := rapid.Int64Range(1, 30).Draw(m.T, "id")
	probes := []predicate.Probe{{Key: "a", Value: probe.Value}, probe}
	if got, want := m.index.Explain(id, probes, at), m.model.explain(id, probes, at); got != want {
		m.Fatalf("explain %d: %q, want %q", id, got, want)
	}
}

// matchAll looks two probes up so often that they are not all abreast.
func (m *machine) matchAll(at time.Time) {
	probes := []predicate.Probe{{Key: m.drawKey(), Value: m.drawBound()}, {Key: m.drawKey(), Value: m.drawBound()}}
	want := [][]int64{m.model.match(probes[0], at), m.model.match(probes[1], at)}
	want = append(want, slices.Sorted(slices.Values(slices.Concat(want...))))
	lookups := make([]index.Lookup, rapid.IntRange(0, 40).Draw(m.T, "lookups"))
	for i := range lookups {
		lookups[i] = index.Lookup{Condition: m.index, Probes: [][]predicate.Probe{probes[:1], probes[1:], probes}[i%3]}
	}
	got := make([][]int64, len(lookups))
	index.MatchAll(lookups, at, func(lookup int, ids []int64) { got[lookup] = append(got[lookup], ids...) })
	for i, ids := range got {
		if slices.Sort(ids); !slices.Equal(ids, want[i%3]) {
			m.Fatalf("%+v at %v: %d found together with others, want %d", lookups[i].Probes, at, len(ids), len(want[i%3]))
		}
	}
}

// check compares all that is held.
func (m *machine) check() {
	size := m.size()
	anchors, longest := m.model.anchors()
	if size.Anchors != anchors || size.Longest != longest || size.Subscriptions != int64(len(m.model.held)) {
		m.Fatalf("size %+v, want %d subscriptions, %d anchors, %d the longest", size, len(m.model.held), anchors, longest)
	}
	if got, want := slices.Sorted(m.index.IDs()), sortedIDs(m.model.held); !slices.Equal(got, want) {
		m.Fatalf("%d ids, want %d: %s", len(got), len(want), cmp.Diff(want, got))
	}
	for id, h := range m.model.held {
		if !m.index.Holds(id, h.keys, h.window) {
			m.Fatalf("%d should wait on %v in %v", id, h.keys, h.window)
		}
		if m.index.Holds(id, nil, index.Window{}) || m.index.Holds(id, slices.Concat(h.keys[1:], []predicate.Key{{Key: "another"}}), h.window) ||
			m.index.Holds(id, h.keys, index.Window{From: began.Add(time.Minute)}) {
			m.Fatalf("%d waits on anything", id)
		}
	}
}

func TestFindsWhatALookThroughAllFinds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := index.New()
		m := &machine{T: t, index: x.Condition("drop"), size: func() index.Size { return x.Stats().Triggers["drop"] }}
		m.declare(rapid.SampledFrom(bounds).Draw(t, "bound"))
		t.Repeat(m.actions())
	})
}
