package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"herald/matcher/index"
	"herald/matcher/predicate"
)

// Percentiles are of one distribution, in nanoseconds.
type Percentiles struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
}

// rounds is how often a figure is measured: the median counts.
const rounds = 9

// cost is the processor time of a call, in nanoseconds: of this thread alone,
// so that neither others on the machine nor the collector count.
func cost(calls int, run func()) float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var took [rounds]float64
	for i := range took {
		began := threadTime()
		run()
		took[i] = float64((threadTime() - began).Nanoseconds()) / float64(calls)
	}
	slices.Sort(took[:])
	return took[rounds/2]
}

// threadTime is the processor time of this thread, to the nanosecond; what
// getrusage(2) says is as of the last tick.
func threadTime() time.Duration {
	var used unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &used); err != nil {
		return 0
	}
	return time.Duration(used.Nano())
}

// filled is an index of a mix, and what it took.
type filled struct {
	mix
	conditions []*index.Condition // by kind
	addsPerSecond, heapEach, rssEach,
	gcMS float64
}

func (m mix) fill() (*filled, error) {
	heap, rss, err := memory()
	if err != nil {
		return nil, err
	}
	f := &filled{mix: m}
	x := index.New()
	for _, k := range m.kinds {
		c := x.Condition(k.Name)
		c.Declare(k.condition.Bound())
		f.conditions = append(f.conditions, c)
	}
	total := m.total()
	took, err := f.addAll()
	if err != nil {
		return nil, err
	}
	f.addsPerSecond = float64(total) / took.Seconds()
	heapAfter, rssAfter, err := memory()
	if err != nil {
		return nil, err
	}
	f.heapEach, f.rssEach = float64(heapAfter-heap)/float64(total), float64(rssAfter-rss)/float64(total)
	f.gcMS = collecting()
	return f, nil
}

// addAll adds every subscription, and returns the processor time of that
// without that of making up the subscriptions.
func (f *filled) addAll() (took time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	some := make([]subscription, 0, 10_000)
	for id := int64(1); id <= f.total(); {
		for some = some[:0]; len(some) < cap(some) && id <= f.total(); id++ {
			s, err := f.subscription(id)
			if err != nil {
				return 0, err
			}
			some = append(some, s)
		}
		began := threadTime()
		for _, s := range some {
			if err := f.conditions[s.kind].Add(s.id, s.keys, index.Window{}); err != nil {
				return 0, err
			}
		}
		took += threadTime() - began
	}
	return took, nil
}

// memory is what is in use on the heap, and of the machine, after all garbage
// is gone.
func memory() (heap, rss int64, err error) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	statm, err := os.ReadFile("/proc/self/statm") // proc(5): pages, of them resident
	if err != nil {
		return 0, 0, err
	}
	words := bytes.Fields(statm)
	if len(words) < 2 {
		return 0, 0, fmt.Errorf("/proc/self/statm says %q", statm)
	}
	pages, err := strconv.ParseInt(string(words[1]), 10, 64)
	return int64(m.HeapAlloc), pages * int64(os.Getpagesize()), err
}

// collecting is how long a full collection takes, in milliseconds: the
// shortest, since the others waited for something else.
func collecting() float64 {
	shortest := time.Hour
	for range rounds {
		began := time.Now()
		runtime.GC()
		shortest = min(shortest, time.Since(began))
	}
	return float64(shortest.Nanoseconds()) / 1e6
}

// match appends the ids that an event leads to.
func (f *filled) match(o occurrence, at time.Time, into []int64) []int64 {
	c := f.conditions[o.kind]
	for _, p := range o.probes {
		into = c.Match(p, at, into)
	}
	return into
}

// together is the cost of matching one of events, as many at once as share a
// transaction of the matcher, and how many subscriptions they find.
func (f *filled) together(events []occurrence) (each float64, found int) {
	at := time.Now()
	each = cost(len(events), func() {
		found = 0
		var lookups []index.Lookup
		for some := range slices.Chunk(events, joinEvents) {
			lookups = lookups[:0]
			for _, o := range some {
				lookups = append(lookups, index.Lookup{Condition: f.conditions[o.kind], Probes: o.probes})
			}
			index.MatchAll(lookups, at, func(_ int, ids []int64) { found += len(ids) })
		}
	})
	return each, found
}

// byKind are the costs of the mix's parts.
func (f *filled) byKind(events []occurrence) map[string]KindCost {
	costs := map[string]KindCost{}
	for i, k := range f.kinds {
		var own []occurrence
		for _, o := range events {
			if o.kind == i {
				own = append(own, o)
			}
		}
		if len(own) == 0 {
			continue
		}
		pack(own)
		together, found := f.together(own)
		costs[k.Name] = KindCost{
			Subscriptions: k.of, Events: k.in, Found: float64(found) / float64(len(own)),
			NS: f.each(own), TogetherNS: together,
		}
	}
	return costs
}

// each is the cost of matching one of events.
func (f *filled) each(events []occurrence) float64 {
	var found []int64
	at := time.Now()
	return cost(len(events), func() {
		for _, o := range events {
			found = f.match(o, at, found[:0])
		}
	})
}

// costs are of matching events, by how many subscriptions they meet.
func (f *filled) costs(mixed []occurrence) (map[string]float64, error) {
	costs := map[string]float64{"mix": f.each(mixed)}
	for matches, count := range map[int64]int{0: 200_000, 1: 200_000, 10: 200_000, 1000: 20_000, 100_000: 200} {
		events, err := f.meeting(matches, count)
		if err != nil {
			return nil, err
		}
		if matches > 0 {
			if got := len(f.match(events[0], time.Now(), nil)); int64(got) != matches {
				return nil, fmt.Errorf("%d subscriptions found, want %d", got, matches)
			}
		}
		costs[strconv.FormatInt(matches, 10)] = f.each(events)
	}
	return costs, nil
}

// updatesPerSecond go on while matches are timed.
const updatesPerSecond = 5000

// underUpdates times matches while subscriptions change.
func (f *filled) underUpdates(events []occurrence) (Percentiles, error) {
	stop, stopped := make(chan struct{}), make(chan error)
	go func() { stopped <- f.update(stop) }()
	took := make([]time.Duration, 0, 4*len(events))
	at := time.Now()
	var found []int64
	for range 4 {
		for _, o := range events {
			began := time.Now()
			found = f.match(o, at, found[:0])
			took = append(took, time.Since(began))
		}
	}
	close(stop)
	err := <-stopped
	slices.Sort(took)
	at1000 := func(n int) float64 { return float64(took[len(took)*n/1000].Nanoseconds()) }
	return Percentiles{P50: at1000(500), P99: at1000(990), P999: at1000(999)}, err
}

// update changes the bounds of subscriptions, and back, until stop.
func (f *filled) update(stop chan struct{}) error {
	const perTick = 5
	ticker := time.NewTicker(time.Second * perTick / updatesPerSecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-ticker.C:
		}
		for range perTick {
			s, err := f.subscription(1 + rand.Int64N(f.n))
			if err != nil {
				return err
			}
			for i := range s.keys {
				if f.kinds[s.kind].condition.Bound() != predicate.NoBound {
					s.keys[i].Bound += rand.Float64()
				}
			}
			if err := f.conditions[s.kind].Add(s.id, s.keys, index.Window{}); err != nil {
				return err
			}
		}
	}
}

// removes takes a tenth of the subscriptions out, and returns how many could
// be in a second.
func (f *filled) removes() (float64, error) {
	type held struct {
		id int64
		of *index.Condition
	}
	var list []held
	for range f.n / 10 {
		s, err := f.subscription(1 + rand.Int64N(f.n))
		if err != nil {
			return 0, err
		}
		list = append(list, held{s.id, f.conditions[s.kind]})
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := threadTime()
	for _, h := range list {
		h.of.Remove(h.id)
	}
	return float64(len(list)) / (threadTime() - began).Seconds(), nil
}

// plain is the index as one would write it first: a map of lists.
type plain struct {
	kinds []kind
	held  []map[string][]waiting // by kind
}

type waiting struct {
	id           int64
	bound, upper float64
}

func (m mix) plain() (*plain, error) {
	p := &plain{kinds: m.kinds, held: make([]map[string][]waiting, len(m.kinds))}
	for i := range p.held {
		p.held[i] = map[string][]waiting{}
	}
	for id := int64(1); id <= m.total(); id++ {
		s, err := m.subscription(id)
		if err != nil {
			return nil, err
		}
		for _, k := range s.keys {
			p.held[s.kind][k.Key] = append(p.held[s.kind][k.Key], waiting{id, k.Bound, k.Upper})
		}
	}
	return p, nil
}

func (p *plain) match(o occurrence, into []int64) []int64 {
	bound := p.kinds[o.kind].condition.Bound()
	for _, probe := range o.probes {
		for _, w := range p.held[o.kind][probe.Key] {
			if bound.Meets(probe.Value, w.bound, w.upper) {
				into = append(into, w.id)
			}
		}
	}
	return into
}

// compare makes sure that the map finds what the index finds.
func (f *filled) compare(p *plain, events []occurrence) error {
	at := time.Now()
	for _, o := range events {
		want, got := p.match(o, nil), f.match(o, at, nil)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("%s: the index finds %d subscriptions, the map %d", o.body, len(got), len(want))
		}
	}
	return nil
}

func (p *plain) each(events []occurrence) float64 {
	var found []int64
	return cost(len(events), func() {
		for _, o := range events {
			found = p.match(o, found[:0])
		}
	})
}
