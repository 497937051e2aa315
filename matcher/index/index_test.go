package index_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"herald/matcher/index"
	"herald/matcher/predicate"
)

func declared(bound predicate.Bound) *index.Condition {
	c := index.New().Condition("a")
	c.Declare(bound)
	return c
}

func add(t testing.TB, c *index.Condition, id int64, keys ...predicate.Key) {
	t.Helper()
	if err := c.Add(id, keys, index.Window{}); err != nil {
		t.Fatal(err)
	}
}

func TestBoundsAreExact(t *testing.T) {
	t.Parallel()
	below, above := math.Nextafter(49, 0), math.Nextafter(49, 50)
	tests := []struct {
		bound       predicate.Bound
		key         predicate.Key
		met, missed []float64
	}{
		{predicate.NoBound, predicate.Key{}, []float64{0, 49, math.NaN()}, nil},
		{predicate.Below, predicate.Key{Bound: 49}, []float64{below, -1, math.Inf(-1)}, []float64{49, above, math.NaN()}},
		{predicate.AtMost, predicate.Key{Bound: 49}, []float64{49, below, -1}, []float64{above, math.Inf(1), math.NaN()}},
		{predicate.Above, predicate.Key{Bound: 49}, []float64{above, math.Inf(1)}, []float64{49, below, -49, math.NaN()}},
		{predicate.AtLeast, predicate.Key{Bound: 49}, []float64{49, above}, []float64{below, 0, math.NaN()}},
		{predicate.AtLeast, predicate.Key{Bound: -49}, []float64{-49, 0, -below}, []float64{-above, math.NaN()}},
		{predicate.AtMost, predicate.Key{Bound: 0}, []float64{0, math.Copysign(0, -1), -5e-324}, []float64{5e-324}},
		{predicate.AtLeast, predicate.Key{Bound: math.Copysign(0, -1)}, []float64{0, math.Copysign(0, -1)}, []float64{-5e-324}},
		{predicate.Above, predicate.Key{Bound: math.Copysign(0, -1)}, []float64{5e-324}, []float64{0, math.Copysign(0, -1)}},
		{predicate.Below, predicate.Key{Bound: math.MaxFloat64}, []float64{0, math.Inf(-1)}, []float64{math.MaxFloat64, math.Inf(1)}},
		{predicate.Between, predicate.Key{Bound: 49, Upper: 49}, []float64{49}, []float64{below, above, math.NaN()}},
		{predicate.Between, predicate.Key{Bound: -1, Upper: 1}, []float64{-1, 0, 1}, []float64{below, -above}},
		{predicate.Between, predicate.Key{Bound: 1, Upper: -1}, nil, []float64{-1, 0, 1}},
	}
	for _, tt := range tests {
		c := declared(tt.bound)
		add(t, c, 7, tt.key)
		for _, value := range tt.met {
			if got := c.Match(predicate.Probe{Value: value}, began, nil); !slices.Equal(got, []int64{7}) {
				t.Errorf("%q %+v: %v finds %v", tt.bound, tt.key, value, got)
			}
		}
		for _, value := range tt.missed {
			if got := c.Match(predicate.Probe{Value: value}, began, nil); len(got) > 0 {
				t.Errorf("%q %+v: %v finds %v", tt.bound, tt.key, value, got)
			}
		}
	}
}

func TestWindowsAreExact(t *testing.T) {
	t.Parallel()
	c := declared(predicate.NoBound)
	until := began.Add(time.Hour)
	windows := map[int64]index.Window{
		1: {}, 2: {From: began}, 3: {Until: until}, 4: {From: began, Until: until}, 5: {Until: time.Unix(-1, 0)},
		6: {From: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), Until: time.Date(292_000, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
	for id, w := range windows {
		if err := c.Add(id, []predicate.Key{{}}, w); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		at   time.Time
		want []int64
	}{
		{began.Add(-time.Microsecond), []int64{1, 3, 6}},
		{began, []int64{1, 2, 3, 4, 6}},
		{until.Add(-time.Microsecond), []int64{1, 2, 3, 4, 6}},
		{until, []int64{1, 2, 6}},
	} {
		got := c.Match(predicate.Probe{}, tt.at, nil)
		if slices.Sort(got); !slices.Equal(got, tt.want) {
			t.Errorf("at %v: %v, want %v", tt.at, got, tt.want)
		}
	}
}

func TestWhatCannotBeHeldIsRefused(t *testing.T) {
	t.Parallel()
	c := declared(predicate.AtMost)
	add(t, c, 1, predicate.Key{Bound: 1})
	for _, tt := range []struct {
		id   int64
		key  predicate.Key
		says string
	}{
		{0, predicate.Key{}, "id"},
		{-1, predicate.Key{}, "id"},
		{1 << 62, predicate.Key{}, "id"},
		{1, predicate.Key{Bound: math.NaN()}, "not a bound"},
		{1, predicate.Key{Bound: math.Inf(1)}, "not a bound"},
		{1, predicate.Key{Bound: 1, Upper: math.Inf(-1)}, "not a bound"},
	} {
		if err := c.Add(tt.id, []predicate.Key{tt.key}, index.Window{}); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%d %+v: %v", tt.id, tt.key, err)
		}
		together := []index.Addition{{Condition: c, ID: tt.id, Keys: []predicate.Key{tt.key}}}
		if err := index.AddAll(together); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("together, %d %+v: %v", tt.id, tt.key, err)
		}
	}
	add(t, c, 1<<62-1, predicate.Key{Bound: 1})
	if got := c.Match(predicate.Probe{Value: 1}, began, nil); len(got) != 2 {
		t.Errorf("what was refused has changed something: %v", got)
	}
}

func TestManyLookupsTogetherKeepTheirNumbers(t *testing.T) {
	t.Parallel()
	c, lookups := declared(predicate.NoBound), []index.Lookup{{Condition: index.New().Condition("undeclared"), Probes: []predicate.Probe{{Key: "k1"}}}}
	for id := int64(1); id <= 100; id++ {
		add(t, c, id, predicate.Key{Key: fmt.Sprint("k", id)})
		lookups = append(lookups, index.Lookup{Condition: c, Probes: []predicate.Probe{{Key: fmt.Sprint("k", id)}, {Key: "nobody's"}}})
	}
	told := 0
	index.MatchAll(lookups, began, func(lookup int, ids []int64) {
		if told++; len(ids) != 1 || ids[0] != int64(lookup) {
			t.Errorf("lookup %d finds %v", lookup, ids)
		}
	})
	if told != 100 {
		t.Errorf("%d of 100 were told", told)
	}
}

func TestWhatIsNotDeclaredHoldsNothing(t *testing.T) {
	t.Parallel()
	x := index.New()
	c := x.Condition("a")
	if err := c.Add(1, []predicate.Key{{}}, index.Window{}); err == nil {
		t.Error("added to a trigger that is not declared")
	}
	if err := index.AddAll([]index.Addition{{Condition: c, ID: 1}}); err == nil {
		t.Error("added together to a trigger that is not declared")
	}
	c.Declare(predicate.NoBound)
	add(t, c, 1, predicate.Key{})
	c.Drop()
	c.Remove(1)
	if got := c.Match(predicate.Probe{}, began, nil); len(got) > 0 || len(x.Stats().Triggers) > 0 || len(slices.Collect(c.IDs())) > 0 ||
		c.Explain(1, nil, began) != index.NotHeld || !c.Holds(1, nil, index.Window{}) || c.Holds(1, []predicate.Key{{}}, index.Window{}) {
		t.Errorf("dropped, and found: %v", got)
	}
	if x.Condition("a") != c {
		t.Error("the condition is another one")
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	c := declared(predicate.AtMost)
	for id := range int64(5000) {
		add(t, c, 1+id, predicate.Key{Key: "many", Bound: float64(id)}, predicate.Key{Key: fmt.Sprint(id), Bound: 1})
	}
	if err := c.Add(6000, []predicate.Key{{Key: "many", Bound: 1}}, index.Window{From: began}); err != nil {
		t.Fatal(err)
	}
	into := make([]int64, 0, 6000)
	if n := testing.AllocsPerRun(100, func() {
		into = c.Match(predicate.Probe{Key: "many", Value: 0}, began, into[:0])
		into = c.Match(predicate.Probe{Key: "17", Value: 0}, began, into)
	}); n > 0 || len(into) != 5002 {
		t.Errorf("%v allocations, %d found", n, len(into))
	}
}

func TestManySubscriptionsAreFewObjects(t *testing.T) {
	x := index.New()
	c := x.Condition("a")
	c.Declare(predicate.AtMost)
	before := objects()
	const n = 200_000
	for id := range int64(n) {
		add(t, c, 1+id, predicate.Key{Key: fmt.Sprint(id % 90_000), Bound: float64(id)})
	}
	if more := objects() - before; more > n/100 {
		t.Errorf("%d objects for the collector to look at", more)
	}
	if size := x.Stats().Whole; size.Bytes > 80*n || size.Subscriptions != n {
		t.Errorf("%d bytes each: %+v", size.Bytes/n, size)
	}
	for id := range int64(n) {
		c.Remove(1 + id)
	}
	if size := x.Stats().Whole; size.Bytes > 8*n || size.Anchors != 0 {
		t.Errorf("of none are left %+v", size)
	}
}

func objects() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapObjects)
}

func TestVeryManyOnOneKey(t *testing.T) {
	t.Parallel()
	for bound, n := range map[predicate.Bound]int64{predicate.NoBound: 100_000, predicate.AtLeast: 1_000_000, predicate.Between: 100_000} {
		c := declared(bound)
		key := func(id int64) predicate.Key {
			if bound == predicate.NoBound {
				return predicate.Key{}
			}
			return predicate.Key{Bound: float64(id * 7919 % 1000), Upper: 2000}
		}
		for id := int64(1); id <= n; id++ {
			add(t, c, id, key(id))
		}
		for id := int64(2); id <= n; id += 2 {
			c.Remove(id)
		}
		want := 0
		for id := int64(1); id <= n; id += 2 {
			if key(id).Bound <= 300 {
				want++
			}
		}
		got := c.Match(predicate.Probe{Value: 300}, began, nil)
		slices.Sort(got)
		if got = slices.Compact(got); len(got) != want || slices.ContainsFunc(got, func(id int64) bool { return id%2 == 0 || key(id).Bound > 300 }) {
			t.Errorf("%q: %d found, want %d", bound, len(got), want)
		}
	}
}

// Of the subscriptions some stay, and are found every time however the others
// come, go and change; nothing else is found than what may be.
func TestChangesDoNotDisturbWhatStays(t *testing.T) {
	t.Parallel()
	c := declared(predicate.Between)
	const keys, stable, changing = 50, 10_000, 100_000
	name := func(i int64) string { return fmt.Sprint("key", i%keys) }
	for id := int64(1); id <= stable; id++ {
		w := index.Window{}
		if id%3 == 0 {
			w.From = began
		}
		if err := c.Add(id, []predicate.Key{{Key: name(id), Bound: float64(id % 7), Upper: 10}}, w); err != nil {
			t.Fatal(err)
		}
	}
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	for w := range int64(2) {
		writers.Go(func() { disturb(t, c, stop, w*changing/2+stable+1, changing/2, name) })
	}
	for range 2 {
		readers.Go(func() {
			var got []int64
			for range 1000 {
				key := rand.Int64N(keys)
				probes := []predicate.Probe{{Key: name(key), Value: 8}}
				got = c.Match(probes[0], began, got[:0])
				checkStable(t, got, key, keys, stable)
				index.MatchAll([]index.Lookup{{Condition: c, Probes: probes}, {Condition: c}}, began, func(_ int, ids []int64) {
					checkStable(t, ids, key, keys, stable)
				})
			}
		})
	}
	readers.Wait()
	close(stop)
	writers.Wait()
}

// disturb changes subscriptions of its own, and those that stay to what they
// are, until stop.
func disturb(t *testing.T, c *index.Condition, stop chan struct{}, first, n int64, name func(int64) string) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		id := first + rand.Int64N(n)
		from := rand.Int64N(20)
		var list []predicate.Key
		for k := range rand.Int64N(4) {
			list = append(list, predicate.Key{Key: name(id + k), Bound: float64(from), Upper: 30})
		}
		list = append(list, predicate.Key{Key: fmt.Sprint("own", id)})
		w := index.Window{}
		if id%5 == 0 {
			w.Until = began.Add(time.Hour)
		}
		if err := c.Add(id, list, w); err != nil {
			t.Error(err)
			return
		}
		if id%2 == 0 {
			c.Remove(first + rand.Int64N(n))
		}
		stays := 1 + rand.Int64N(1000)
		if err := c.Add(stays, []predicate.Key{{Key: name(stays), Bound: float64(rand.IntN(7)), Upper: 10 + float64(rand.IntN(7))}}, index.Window{Until: began.AddDate(1, 0, 0)}); err != nil {
			t.Error(err)
			return
		}
	}
}

func checkStable(t *testing.T, got []int64, key, keys, stable int64) {
	t.Helper()
	seen, stays := map[int64]bool{}, int64(0)
	for _, id := range got {
		switch {
		case seen[id]:
			t.Errorf("%d found twice", id)
		case id <= stable && id%keys == key:
			stays++
		case id <= stable || (key-id%keys+keys)%keys > 3:
			t.Errorf("%d is foreign to key %d", id, key)
		}
		seen[id] = true
	}
	if stays != stable/keys {
		t.Errorf("%d of %d that stay were found", stays, stable/keys)
	}
}
