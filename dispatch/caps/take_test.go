package caps

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"herald/postgres/pgtest"
	"herald/subscriptions"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func newCaps(t testing.TB, rules Rules) *Caps {
	t.Helper()
	c, err := New(rules)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func marketing(member int64) Want {
	return Want{MemberID: member, Purpose: subscriptions.Marketing, ID: uuid.New()}
}

// take asks in a transaction of its own.
func take(t testing.TB, c *Caps, pool *pgxpool.Pool, at time.Time, wants ...Want) []Verdict {
	t.Helper()
	var verdicts []Verdict
	err := pgx.BeginFunc(context.Background(), pool, func(tx pgx.Tx) (err error) {
		verdicts, err = c.TakeTx(context.Background(), tx, at, wants)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return verdicts
}

func giveBack(t testing.TB, c *Caps, pool *pgxpool.Pool, wants ...Want) {
	t.Helper()
	err := pgx.BeginFunc(context.Background(), pool, func(tx pgx.Tx) error {
		return c.GiveBackTx(context.Background(), tx, wants)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func allowed(verdicts []Verdict) (ok []bool) {
	for _, v := range verdicts {
		ok = append(ok, v.OK)
	}
	return ok
}

func TestNotificationsOfOneCallAreJudgedInTheirOrder(t *testing.T) {
	pool, c := pgtest.New(t), newCaps(t, fewAndRules)
	service := Want{MemberID: 1, Purpose: subscriptions.Service, ID: uuid.New()}
	verdicts := take(t, c, pool, noon, marketing(1), marketing(2), service, marketing(1), marketing(1), marketing(2))
	want := []Verdict{
		{OK: true, Cap: twiceADay},
		{OK: true, Cap: twiceADay},
		{OK: true},
		{OK: true, Cap: twiceADay, Sent: 1},
		{Cap: twiceADay, Sent: 2, Next: noon.Add(day)},
		{OK: true, Cap: twiceADay, Sent: 1},
	}
	if diff := cmp.Diff(want, verdicts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	later := take(t, c, pool, noon.Add(day), marketing(1), marketing(2), marketing(3))
	if got := allowed(later); !slices.Equal(got, []bool{true, true, true}) {
		t.Errorf("a day later: %v", got)
	}
}

func TestAskingTwiceInOneTransactionGoesOn(t *testing.T) {
	pool, c := pgtest.New(t), newCaps(t, fewAndRules)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	first := marketing(1)
	var got []bool
	for _, wants := range [][]Want{{first}, {first, marketing(1)}, {marketing(1)}} {
		verdicts, err := c.TakeTx(t.Context(), tx, noon, wants)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, allowed(verdicts)...)
	}
	if err := c.GiveBackTx(t.Context(), tx, []Want{first}); err != nil {
		t.Fatal(err)
	}
	verdicts, err := c.TakeTx(t.Context(), tx, noon, []Want{marketing(1), marketing(1)})
	if err != nil {
		t.Fatal(err)
	}
	if got = append(got, allowed(verdicts)...); !slices.Equal(got, []bool{true, true, true, false, true, false}) {
		t.Errorf("one after the other: %v", got)
	}
}

func TestWhatHasNoCapsCostsNothing(t *testing.T) {
	c := newCaps(t, fewAndRules)
	wants := []Want{{MemberID: 1, Purpose: subscriptions.Service, ID: uuid.New()}}
	verdicts, err := c.TakeTx(t.Context(), nil, noon, wants) // a nil transaction: nothing is asked
	if err != nil || !slices.Equal(allowed(verdicts), []bool{true}) {
		t.Errorf("%v, %v", verdicts, err)
	}
	if err := c.GiveBackTx(t.Context(), nil, wants); err != nil {
		t.Error(err)
	}
	if verdicts, err := c.TakeTx(t.Context(), nil, noon, nil); err != nil || len(verdicts) != 0 {
		t.Errorf("for nothing: %v, %v", verdicts, err)
	}
}

func TestWhatIsGivenBackMayGoToAnother(t *testing.T) {
	pool, c := pgtest.New(t), newCaps(t, fewAndRules)
	first, second, third := marketing(1), marketing(1), marketing(1)
	if got := allowed(take(t, c, pool, noon, first, second, third)); !slices.Equal(got, []bool{true, true, false}) {
		t.Fatal(got)
	}
	giveBack(t, c, pool, first, third, marketing(1), marketing(2)) // of which only the first was counted
	if got := allowed(take(t, c, pool, noon, third, marketing(1))); !slices.Equal(got, []bool{true, false}) {
		t.Errorf("after one was given back: %v", got)
	}
}

func TestAskingAgainCountsOnce(t *testing.T) {
	pool, c := pgtest.New(t), newCaps(t, fewAndRules)
	same := marketing(1)
	for i := range 3 {
		if v := take(t, c, pool, noon.Add(time.Duration(i)*time.Hour), same); !v[0].OK {
			t.Fatalf("time %d: %+v", i+1, v)
		}
	}
	if v := take(t, c, pool, noon, marketing(1)); !v[0].OK || v[0].Sent != 1 {
		t.Errorf("another one after that: %+v", v)
	}
}

func TestARollbackGivesBack(t *testing.T) {
	pool, c := pgtest.New(t), newCaps(t, fewAndRules)
	take(t, c, pool, noon, marketing(1))
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.TakeTx(t.Context(), tx, noon, []Want{marketing(1), marketing(2), marketing(2)}); err != nil || !v[0].OK || !v[2].OK {
		t.Fatalf("%+v, %v", v, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := allowed(take(t, c, pool, noon, marketing(1), marketing(2), marketing(2))); !slices.Equal(got, []bool{true, true, true}) {
		t.Errorf("after the rollback: %v", got)
	}
}

func TestOnlyTheNewestAreKept(t *testing.T) {
	pool, c := pgtest.New(t), newCaps(t, fewAndRules)
	for i := range 30 {
		take(t, c, pool, noon.Add(time.Duration(i)*12*time.Hour), marketing(1))
	}
	var ids, instants int
	err := pool.QueryRow(t.Context(), `SELECT cardinality(ids), cardinality(taken) FROM cap_counts WHERE member_id = 1`).Scan(&ids, &instants)
	if err != nil || ids != 5 || instants != 5 {
		t.Errorf("%d ids and %d instants are kept, %v", ids, instants, err)
	}
}

// Many transactions at once, each for many members in an order of its own,
// some of which are rolled back and some give back: no cap is exceeded, none
// is left unused, and no transaction is a victim of a deadlock.
func TestCapsHoldExactlyUnderConcurrency(t *testing.T) {
	const members, workers, rounds = 40, 12, 15
	pool, c := pgtest.New(t), newCaps(t, Rules{subscriptions.Marketing: {{Max: 7, Within: day}}, subscriptions.Service: {{Max: 3, Within: day}}})
	var mu sync.Mutex
	counted := map[key]int{}
	var serial atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for round := range rounds {
				var wants []Want
				for i := range members {
					member := int64((i*(2*w+1)+round)%members + 1)
					wants = append(wants, marketing(member), Want{MemberID: member, Purpose: subscriptions.Service, ID: uuid.New()})
				}
				var verdicts []Verdict
				err := pgx.BeginFunc(context.Background(), pool, func(tx pgx.Tx) (err error) {
					at := noon.Add(time.Duration(serial.Add(1)) * time.Millisecond)
					if verdicts, err = c.TakeTx(context.Background(), tx, at, wants); err == nil && (w+round)%4 == 0 {
						err = errOnPurpose
					}
					return err
				})
				if errors.Is(err, errOnPurpose) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				var ended []Want
				mu.Lock()
				for i, v := range verdicts {
					if v.OK && (i+w)%5 == 0 {
						ended = append(ended, wants[i])
					} else if v.OK {
						counted[wants[i].key()]++
					}
				}
				mu.Unlock()
				giveBack(t, c, pool, ended...)
			}
		})
	}
	wg.Wait()
	for member := range int64(members) {
		take(t, c, pool, noon.Add(time.Hour), fill(member+1)...)
	}
	var over, under int
	err := pool.QueryRow(t.Context(), `
		SELECT count(*) FILTER (WHERE cardinality(ids) > CASE purpose WHEN 'marketing' THEN 7 ELSE 3 END),
		       count(*) FILTER (WHERE cardinality(ids) < CASE purpose WHEN 'marketing' THEN 7 ELSE 3 END)
		FROM cap_counts`).Scan(&over, &under)
	if err != nil || over != 0 || under != 0 {
		t.Errorf("%d counts are over their caps and %d under, %v", over, under, err)
	}
	for k, n := range counted {
		if limit := map[subscriptions.Purpose]int{subscriptions.Marketing: 7, subscriptions.Service: 3}[k.purpose]; n > limit {
			t.Errorf("member %d was sent %d of %s, %d are allowed", k.member, n, k.purpose, limit)
		}
	}
}

var errOnPurpose = errors.New("rolled back on purpose")

// fill is more than any cap of the test allows.
func fill(member int64) (wants []Want) {
	for range 8 {
		wants = append(wants, marketing(member), Want{MemberID: member, Purpose: subscriptions.Service, ID: uuid.New()})
	}
	return wants
}

// The rows agree with the model of one count: what is stored is what was judged.
func TestRowsAgreeWithANaiveModel(t *testing.T) {
	pool := pgtest.New(t)
	var runs int64
	rapid.Check(t, func(t *rapid.T) {
		runs++ // members of its own for each run
		rules := drawRules(t)
		c, err := New(Rules{subscriptions.Marketing: rules})
		if err != nil {
			t.Fatal(err)
		}
		models := map[int64]model{}
		for i := range int64(3) {
			models[runs*10+i] = model{rules: rules, sent: map[uuid.UUID]time.Time{}}
		}
		at := noon
		for range rapid.IntRange(1, 8).Draw(t, "calls") {
			at = at.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "hours later")) * time.Hour)
			var wants []Want
			for range rapid.IntRange(1, 8).Draw(t, "wants") {
				wants = append(wants, marketing(runs*10+rapid.Int64Range(0, 2).Draw(t, "member")))
			}
			keep := rapid.IntRange(0, 3).Draw(t, "rolled back") > 0
			tx, err := pool.Begin(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			verdicts, err := c.TakeTx(context.Background(), tx, at, wants)
			if err != nil {
				t.Fatal(err)
			}
			for i, w := range wants {
				m := models[w.MemberID]
				if verdicts[i].OK != m.allows(at) {
					t.Fatalf("at %s for member %d: %+v", at, w.MemberID, verdicts[i])
				}
				if verdicts[i].OK {
					m.sent[w.ID] = at
				}
			}
			if keep {
				err = tx.Commit(context.Background())
			} else {
				err = tx.Rollback(context.Background())
				for _, w := range wants {
					delete(models[w.MemberID].sent, w.ID)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The cost for 1,000 members: at the first message, at later ones, and where
// the cap says no.
func BenchmarkTakeTx(b *testing.B) {
	const members = 1000
	pool := pgtest.New(b)
	c := newCaps(b, fewAndRules)
	full := newCaps(b, Rules{subscriptions.Marketing: {{Max: 1, Within: 365 * day}}})
	next := int64(0)
	wants := func(from int64) (wants []Want) {
		for i := range int64(members) {
			wants = append(wants, marketing(from+i))
		}
		return wants
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			next += members
			take(b, c, pool, noon, wants(next)...)
		}
	})
	b.Run("later", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			take(b, c, pool, noon.Add(time.Duration(i)*2*day), wants(members)...)
		}
	})
	b.Run("refused", func(b *testing.B) {
		for b.Loop() {
			take(b, full, pool, noon, wants(members)...)
		}
	})
}

func TestWhatIsAskedIsWhatWouldBeTaken(t *testing.T) {
	pool := pgtest.New(t)
	c := newCaps(t, Rules{subscriptions.Marketing: {{Max: 2, Within: 24 * time.Hour}}})
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	question := func(member int64, purpose subscriptions.Purpose, at time.Time) Question {
		return Question{MemberID: member, Purpose: purpose, At: at}
	}
	for i := range 2 {
		take(t, c, pool, start.Add(time.Duration(i)*time.Hour), marketing(1))
	}
	for range 2 { // asking counts nothing
		got, err := c.Ask(t.Context(), pool, []Question{
			question(1, subscriptions.Marketing, start.Add(2*time.Hour)),
			question(1, subscriptions.Marketing, start.Add(24*time.Hour-time.Microsecond)),
			question(1, subscriptions.Marketing, start.Add(24*time.Hour)),
			question(1, subscriptions.Service, start.Add(2*time.Hour)),
			question(2, subscriptions.Marketing, start.Add(2*time.Hour)),
		})
		if err != nil {
			t.Fatal(err)
		}
		var may []bool
		for _, v := range got {
			may = append(may, v.OK)
		}
		if want := []bool{false, false, true, true, true}; !slices.Equal(may, want) {
			t.Errorf("may go: %v, want %v", may, want)
		}
	}
	if v := take(t, c, pool, start.Add(24*time.Hour), marketing(1)); !v[0].OK {
		t.Errorf("what was foreseen is not so: %+v", v)
	}
}
