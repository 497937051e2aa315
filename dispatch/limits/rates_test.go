package limits

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/postgres/pgtest"
)

func wants(key string, perSecond float64, burst, units int) Want {
	return Want{Key: key, Units: units, Limit: Limit{PerSecond: perSecond, Burst: burst}}
}

// repeated is a slice of n messages that want the same.
func repeated(n int, w ...Want) [][]Want { return slices.Repeat([][]Want{w}, n) }

func reserve(t *testing.T, r *Rates, slice [][]Want, horizon time.Duration) []Slot {
	t.Helper()
	slots, err := r.Reserve(t.Context(), slice, horizon)
	if err != nil {
		t.Fatal(err)
	}
	return slots
}

func reservedOf(slots []Slot) int {
	n := 0
	for _, s := range slots {
		if s.Reserved {
			n++
		}
	}
	return n
}

func TestSlotsAreEvenlySpacedUpToTheHorizon(t *testing.T) {
	r := NewRates(pgtest.New(t))
	slots := reserve(t, r, repeated(30, wants("account:a", 20, 1, 1)), 1010*time.Millisecond)
	for i, s := range slots {
		at := time.Duration(i) * 50 * time.Millisecond
		switch {
		case i <= 20 && (!s.Reserved || (s.After-at).Abs() > time.Microsecond):
			t.Errorf("message %d: %+v, want reserved at %s", i, s, at)
		case i > 20 && (s.Reserved || (s.After-at+gap).Abs() > time.Microsecond):
			t.Errorf("message %d: %+v, want it asked for again at %s", i, s, at)
		}
	}
}

func TestBurstGoesAtOnceAndIsThenPaidFor(t *testing.T) {
	r := NewRates(pgtest.New(t))
	slots := reserve(t, r, repeated(7, wants("account:a", 10, 5, 1)), time.Second)
	for i, s := range slots {
		if at := time.Duration(max(0, i-4)) * 100 * time.Millisecond; (s.After - at).Abs() > time.Microsecond {
			t.Errorf("message %d goes after %s, want %s", i, s.After, at)
		}
	}
}

func TestPartsCount(t *testing.T) {
	r := NewRates(pgtest.New(t))
	slots := reserve(t, r, [][]Want{
		{wants("account:a", 10, 2, 2)}, // all at once
		{wants("account:a", 10, 2, 1)}, // 0.1 s for the burst to hold one again
		{wants("account:a", 10, 2, 5)}, // more than the burst: when it is full
		{wants("account:a", 10, 2, 1)},
	}, 2*time.Second)
	for i, want := range []time.Duration{0, 100, 300, 700} {
		if at := want * time.Millisecond; !slots[i].Reserved || (slots[i].After-at).Abs() > time.Microsecond {
			t.Errorf("message %d: %+v, want it after %s", i, slots[i], at)
		}
	}
}

func TestSlowKeyDoesNotHoldUpTheOthers(t *testing.T) {
	r := NewRates(pgtest.New(t))
	account := wants("account:a", 100, 1, 1)
	slow := []Want{account, wants("domain:a:slow.example", 0.1, 1, 1)}
	slice := append(repeated(5, slow...), repeated(90, account)...)
	slots := reserve(t, r, slice, time.Second)
	if !slots[0].Reserved || reservedOf(slots[1:5]) != 0 {
		t.Errorf("slow ones: %+v, want the first alone reserved", slots[:5])
	}
	for i, s := range slots[1:5] {
		if at := time.Duration(i+1)*10*time.Second - gap; (s.After - at).Abs() > time.Millisecond {
			t.Errorf("slow message %d is to come again after %s, want %s", i+1, s.After, at)
		}
	}
	if n := reservedOf(slots[5:]); n != 90 {
		t.Errorf("%d of the 90 others are reserved", n)
	}
	if last := slots[94].After; (last - 900*time.Millisecond).Abs() > time.Microsecond {
		t.Errorf("the last goes after %s, want 0.9 s", last)
	}
}

func TestNarrowKeyGetsItsRateAmongTheOthers(t *testing.T) {
	r := NewRates(pgtest.New(t))
	account := wants("account:a", 100, 1, 1)
	slice := append(repeated(10, account, wants("domain:a:narrow.example", 5, 1, 1)), repeated(90, account)...)
	slots := reserve(t, r, slice, time.Second)
	for i, s := range slots[:5] {
		if at := time.Duration(i) * 200 * time.Millisecond; !s.Reserved || (s.After-at).Abs() > time.Microsecond {
			t.Errorf("narrow message %d: %+v, want it at %s", i, s, at)
		}
	}
	if n := reservedOf(slots[10:]); n != 90 {
		t.Errorf("%d of the 90 others are reserved", n)
	}
}

func TestWideKeyIsNotLeftUnusedForANarrowOne(t *testing.T) {
	r := NewRates(pgtest.New(t))
	account := wants("account:a", 100, 1, 1)
	narrow := reserve(t, r, repeated(10, account, wants("domain:a:narrow.example", 5, 1, 1)), time.Second)
	if n := reservedOf(narrow); n != 1 {
		t.Errorf("%d narrow messages are reserved, want 1", n)
	}
	for i, s := range narrow[1:] {
		if at := time.Duration(i+1)*200*time.Millisecond - gap; (s.After - at).Abs() > time.Microsecond {
			t.Errorf("narrow message %d is to come again after %s, want %s", i+1, s.After, at)
		}
	}
	other := reserve(t, r, repeated(1, account), time.Second)[0]
	if !other.Reserved || other.After > 10*time.Millisecond {
		t.Errorf("another of the account: %+v, want it within 10 ms", other)
	}
}

func TestALongHorizonComesBeforeThoseWithAShortOne(t *testing.T) {
	r := NewRates(pgtest.New(t))
	account := wants("account:a", 0.1, 1, 1) // so slow that no pause of the machine lets another go
	reserve(t, r, repeated(100, account), time.Second)
	if again := reserve(t, r, repeated(1, account), time.Second)[0]; again.Reserved {
		t.Errorf("bulk behind bulk: %+v, want it not reserved", again)
	}
	urgent := reserve(t, r, repeated(1, account), MaxHorizon)[0]
	if !urgent.Reserved || urgent.After > 10*time.Second {
		t.Errorf("urgent behind bulk: %+v, want it within 10 s", urgent)
	}
}

func TestMessagesUnderNoLimitGoAtOnce(t *testing.T) {
	r := NewRates(pgtest.New(t))
	slots := reserve(t, r, [][]Want{nil, {wants("account:a", 1, 1, 1)}, nil}, time.Second)
	if n := reservedOf(slots); n != 3 {
		t.Errorf("%d of 3 are reserved", n)
	}
}

func TestWrongWantsAreRefused(t *testing.T) {
	r := NewRates(pgtest.New(t))
	tests := map[string]Want{
		"no key":         wants("", 1, 1, 1),
		"an address":     wants("someone@example.com", 1, 1, 1),
		"no units":       wants("a", 1, 1, 0),
		"no rate":        wants("a", 0, 1, 1),
		"no burst":       wants("a", 1, 0, 1),
		"a negative one": wants("a", -1, 1, 1),
		"no day":         {Key: "a", Units: 1, Quota: Quota{Max: 1}},
	}
	for name, w := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := r.Reserve(t.Context(), [][]Want{{w}}, time.Second); err == nil {
				t.Error("was taken")
			}
		})
	}
	if _, err := r.Reserve(t.Context(), repeated(1, wants("a", 1, 1, 1), wants("a", 1, 1, 1)), time.Second); err == nil {
		t.Error("a key named twice was taken")
	}
	if _, err := r.Reserve(t.Context(), nil, time.Hour); err == nil {
		t.Error("a horizon of an hour was taken")
	}
}

// moment is when units of a key go, by the database's clock.
type moment struct {
	at    time.Time
	units int
}

// journal collects what is reserved.
type journal struct {
	mu   sync.Mutex
	keys map[string][]moment
}

func (j *journal) note(slice [][]Want, a answer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, wants := range slice {
		for _, w := range wants {
			if a.reserved[i] {
				at := a.clock.Add(time.Duration(a.after[i] * 1e9))
				j.keys[w.Key] = append(j.keys[w.Key], moment{at, w.Units})
			}
		}
	}
}

// check holds what was reserved of a key against a bucket that leaks at its
// rate: it never runs over, which is the same as that no stretch of time holds
// more than burst + its length × rate.
func (j *journal) check(t *testing.T, key string, limit Limit) (units int) {
	t.Helper()
	moments := j.keys[key]
	slices.SortFunc(moments, func(a, b moment) int { return a.at.Compare(b.at) })
	level := 0.0
	for i, m := range moments {
		if i > 0 {
			level = max(0, level-m.at.Sub(moments[i-1].at).Seconds()*limit.PerSecond)
		}
		level += float64(m.units)
		// The database keeps microseconds.
		if level > float64(limit.Burst)+limit.PerSecond*3e-6 {
			t.Fatalf("%s: the bucket runs over at moment %d of %d: %f of %d", key, i, len(moments), level, limit.Burst)
		}
		units += m.units
	}
	return units
}

func TestLimitsHoldExactlyAcrossNodes(t *testing.T) {
	url := pgtest.URL(t)
	limits := map[string]Limit{
		"account:a": {PerSecond: 1000, Burst: 1}, "campaign:1": {PerSecond: 400, Burst: 20},
		"domain:a:0": {PerSecond: 50, Burst: 1}, "domain:a:1": {PerSecond: 200, Burst: 10}, "domain:a:2": {PerSecond: 5, Burst: 3},
	}
	j := &journal{keys: map[string][]moment{}}
	began := time.Now()
	const lasts, horizon = 2 * time.Second, time.Second // which a stall of the machine may last
	var all sync.WaitGroup
	for node := range 4 {
		pool, err := pgxpool.New(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		r := NewRates(pool)
		for worker := range 5 {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(node), uint64(worker)))
				for time.Since(began) < lasts {
					slice := randomSlice(random, limits)
					q, err := newQuestion(slice)
					if err != nil {
						t.Error(err)
						return
					}
					a, err := r.ask(t.Context(), q, "account:a", horizon)
					if err != nil {
						t.Error(err)
						return
					}
					j.note(slice, a)
					checkOrder(t, slice, a)
				}
			})
		}
	}
	all.Wait()
	elapsed := time.Since(began).Seconds()
	for key, limit := range limits {
		units := j.check(t, key, limit)
		t.Logf("%s: %.0f a second of %.0f", key, float64(units)/elapsed, limit.PerSecond)
		if got, full := float64(units), limit.PerSecond*elapsed; got < 0.6*full { // on a busy machine, too
			t.Errorf("%s: %.0f units of %.0f that the limit allows", key, got, full)
		}
	}
}

// checkOrder holds that messages which want the same go in their order.
func checkOrder(t *testing.T, slice [][]Want, a answer) {
	last := map[string]int{}
	for i, wants := range slice {
		same := fmt.Sprint(wants)
		if before, ok := last[same]; ok && a.reserved[i] && (!a.reserved[before] || a.after[before] > a.after[i]) {
			t.Errorf("message %d goes before %d, which wants the same", i, before)
		}
		last[same] = i
	}
}

// randomSlice is some messages under the account, and each under a campaign, a
// domain or nothing more.
func randomSlice(random *rand.Rand, limits map[string]Limit) [][]Want {
	slice := make([][]Want, 1+random.IntN(40))
	for i := range slice {
		units := 1
		if random.IntN(4) == 0 {
			units = 1 + random.IntN(2)
		}
		keys := []string{"account:a"}
		if random.IntN(2) == 0 {
			keys = append(keys, "campaign:1")
		}
		if random.IntN(2) == 0 {
			keys = append(keys, fmt.Sprintf("domain:a:%d", random.IntN(3)))
		}
		for _, key := range keys {
			slice[i] = append(slice[i], Want{Key: key, Units: min(units, limits[key].Burst), Limit: limits[key]})
		}
	}
	return slice
}

func TestManyNewKeysAtOnceDoNotDeadlock(t *testing.T) {
	pool := pgtest.New(t)
	var all sync.WaitGroup
	for worker := range 12 {
		r := NewRates(pool) // a node of its own, so that they meet in the database
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for n := range 40 {
				var slice [][]Want
				for range 20 {
					key := fmt.Sprintf("domain:a:%d", n*5+random.IntN(30))
					slice = append(slice, []Want{wants(key, 1000, 1, 1)})
				}
				if _, err := r.Reserve(t.Context(), slice, time.Second); err != nil {
					t.Errorf("worker %d: %v", worker, err)
					return
				}
				if n%10 == 0 {
					if _, err := r.Sweep(t.Context()); err != nil {
						t.Errorf("worker %d: %v", worker, err)
					}
				}
			}
		})
	}
	all.Wait()
}

func TestSweepForgetsWhatSaysNothingMore(t *testing.T) {
	pool := pgtest.New(t)
	r := NewRates(pool)
	reserve(t, r, [][]Want{{wants("idle", 1, 1, 1)}, {wants("used", 1, 1, 1)}}, time.Second)
	if _, err := pool.Exec(t.Context(), `UPDATE limit_slots SET free_at = now() - interval '61 minutes' WHERE key = 'idle'`); err != nil {
		t.Fatal(err)
	}
	swept, err := r.Sweep(t.Context())
	if err != nil || swept != 1 {
		t.Errorf("swept %d, %v; want 1", swept, err)
	}
	var left string
	if err := pool.QueryRow(t.Context(), `SELECT string_agg(key, ',') FROM limit_slots`).Scan(&left); err != nil || left != "used" {
		t.Errorf("left: %q, %v", left, err)
	}
}

func TestAClockThatWasSetBackDoesNotBlockForLong(t *testing.T) {
	pool := pgtest.New(t)
	r := NewRates(pool)
	account := wants("account:a", 100, 1, 1)
	reserve(t, r, repeated(1, account), time.Second)
	if _, err := pool.Exec(t.Context(), `UPDATE limit_slots SET free_at = now() + interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	if s := reserve(t, r, repeated(1, account), time.Second)[0]; s.Reserved || s.After > MaxHorizon+3*time.Second {
		t.Errorf("%+v, want it within 13 s", s)
	}
}

func TestWaitingForAnotherEndsWithItsContext(t *testing.T) {
	g := &gates{open: map[string]*gate{}}
	leave, err := g.enter(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.enter(ctx, "a"); err == nil {
		t.Error("two are through")
	}
	leave()
	if len(g.open) != 0 {
		t.Errorf("%d gates are left", len(g.open))
	}
}
