package limits

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/postgres/pgtest"
)

const (
	silence = 15 * time.Second
	// patience is the silence of the tests with a database, which beat once.
	patience = time.Hour
)

// fellow is one node of a test: its shares, and sessions that it opens and
// closes as it may.
type fellow struct {
	*Shares
	wanted, open, granted int
	dead                  bool
}

// cluster is some nodes that share the account "modem".
type cluster struct {
	t     *testing.T
	pool  *pgxpool.Pool
	total int
	nodes []*fellow
}

func newCluster(t *testing.T, total int) *cluster {
	return &cluster{t: t, pool: pgtest.New(t), total: total}
}

func (c *cluster) exec(sql string, args ...any) {
	c.t.Helper()
	if _, err := c.pool.Exec(c.t.Context(), sql, args...); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) join() *fellow {
	name := fmt.Sprintf("n%d", len(c.nodes))
	f := &fellow{Shares: NewShares(c.pool, name, patience, time.Now, slog.New(slog.DiscardHandler))}
	c.nodes = append(c.nodes, f)
	c.exec(`INSERT INTO nodes (name) VALUES ($1)`, name)
	return f
}

// turn is one turn of a node, which then closes what it must.
func (c *cluster) turn(f *fellow) {
	c.t.Helper()
	granted, err := f.Turn(c.t.Context(), map[string]Claim{"modem": {Max: c.total, Wanted: f.wanted, Open: f.open}})
	if err != nil {
		c.t.Fatal(err)
	}
	f.granted = granted["modem"]
}

// use closes what is more than granted or wanted, and opens what may be.
func (f *fellow) use() { f.open = min(f.granted, f.wanted) }

func (c *cluster) dies(f *fellow) {
	f.dead, f.open = true, 0
	c.exec(`UPDATE nodes SET beat_at = now() - $2::interval WHERE name = $1`, f.node, patience)
}

// sum is how many sessions are open, or may be by what the nodes were told.
func (c *cluster) sum() int {
	sum := 0
	for _, f := range c.nodes {
		if !f.dead {
			sum += max(f.open, f.granted)
		}
	}
	return sum
}

func TestALoneNodeGetsAllAtOnce(t *testing.T) {
	c := newCluster(t, 10)
	n := c.join()
	for _, wanted := range []int{0, 7, 70} {
		n.wanted = wanted
		if c.turn(n); n.granted != 10 {
			t.Errorf("wants %d and is granted %d, want 10", wanted, n.granted)
		}
	}
}

func TestWhatNobodyWantsIsSharedInAdvance(t *testing.T) {
	c := newCluster(t, 10)
	nodes := []*fellow{c.join(), c.join(), c.join()}
	for range 4 {
		for _, n := range nodes {
			c.turn(n)
		}
	}
	for i, n := range nodes {
		if n.granted != 3 {
			t.Errorf("node %d is granted %d, want 3", i, n.granted)
		}
	}
	nodes[1].wanted = 10
	for range 4 {
		for _, n := range nodes {
			c.turn(n)
		}
	}
	if nodes[1].granted != 10 || nodes[0].granted+nodes[2].granted != 0 {
		t.Errorf("the one that wants all is granted %d", nodes[1].granted)
	}
}

func TestOneModemHasOneHolderAmongThree(t *testing.T) {
	c := newCluster(t, 1)
	for range 3 {
		c.join().wanted = 1
	}
	rounds := func(n int) (holder *fellow) {
		t.Helper()
		for range n {
			for _, f := range c.nodes {
				if !f.dead {
					c.turn(f)
					f.use()
				}
			}
			if sum := c.sum(); sum > 1 {
				t.Fatalf("%d sessions of 1", sum)
			}
		}
		for _, f := range c.nodes {
			if f.open == 1 {
				holder = f
			}
		}
		return holder
	}
	first := rounds(1)
	if first != c.nodes[0] || rounds(5) != first {
		t.Fatal("the modem does not stay with its holder")
	}
	first.wanted = 0
	second := rounds(3)
	if second == nil || second == first {
		t.Fatal("the modem does not leave a holder that is idle")
	}
	first.wanted = 1
	if rounds(3) != second {
		t.Fatal("the modem goes back to one that only wants it")
	}
	c.dies(second)
	if third := rounds(1); third == nil || third == second {
		t.Fatal("the modem does not leave a holder that died")
	}
}

func TestANodeIsCountedWithWhatItHasNotClosed(t *testing.T) {
	c := newCluster(t, 10)
	a, b := c.join(), c.join()
	a.wanted, b.wanted = 10, 10
	c.turn(a)
	a.use()
	c.turn(b)
	if b.granted != 0 {
		t.Fatalf("b has %d while a has all", b.granted)
	}
	c.turn(a) // learns that it must give back, closes none yet
	if a.granted != 5 {
		t.Fatalf("a may have %d, want 5", a.granted)
	}
	if c.turn(b); b.granted != 0 {
		t.Fatalf("b has %d before a has closed any", b.granted)
	}
	a.open = 8
	c.turn(a)
	if c.turn(b); b.granted != 2 {
		t.Fatalf("b has %d after a closed 2, want 2", b.granted)
	}
	a.open = 5
	c.turn(a)
	if c.turn(b); b.granted != 5 {
		t.Fatalf("b has %d after a closed 5, want 5", b.granted)
	}
}

func TestAnAccountThatIsNotClaimedIsGivenBack(t *testing.T) {
	c := newCluster(t, 1)
	a, b := c.join(), c.join()
	a.wanted, b.wanted = 1, 1
	c.turn(a)
	if _, err := a.Turn(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if c.turn(b); b.granted != 1 {
		t.Errorf("granted %d, want 1", b.granted)
	}
}

func TestANodeWithoutABeatHasNothing(t *testing.T) {
	c := newCluster(t, 1)
	a := c.join()
	a.wanted = 1
	c.turn(a)
	c.dies(a)
	for _, sql := range []string{`SELECT 1`, `DELETE FROM nodes`} {
		c.exec(sql)
		if _, err := a.Turn(t.Context(), map[string]Claim{"modem": {Max: 1, Wanted: 1}}); !errors.Is(err, ErrNotAlive) {
			t.Errorf("after %s: %v, want ErrNotAlive", sql, err)
		}
	}
}

// TestSharesNeverExceedTheMaximum lets nodes come, want, close late, lose the
// answer to a turn, and die, in no order; and then settle.
func TestSharesNeverExceedTheMaximum(t *testing.T) {
	for seed := range uint64(6) {
		c := newCluster(t, 1+int(seed)*2)
		random := rand.New(rand.NewPCG(seed, 0))
		c.join()
		for step := range 150 {
			f := c.nodes[random.IntN(len(c.nodes))]
			switch event := random.IntN(20); {
			case event == 0 && len(c.nodes) < 5:
				c.join()
			case event == 1 && len(c.nodes) > 2 && !f.dead:
				c.dies(f)
			case f.dead:
			case event < 5:
				f.wanted = random.IntN(8)
			case event < 8:
				f.open = max(min(f.open, f.granted), random.IntN(f.granted+1)) // opens as it may
			case event < 11 && f.open > f.granted:
				f.open--
			case event == 11: // the answer is lost: what was granted before still holds
				before := maps.Clone(f.Shares.granted)
				_, err := f.Turn(t.Context(), map[string]Claim{"modem": {Max: c.total, Wanted: f.wanted, Open: f.open}})
				if err != nil {
					t.Fatal(err)
				}
				f.Shares.granted = before
			default:
				c.turn(f)
			}
			if sum := c.sum(); sum > c.total {
				t.Fatalf("seed %d, step %d: %d sessions of %d", seed, step, sum, c.total)
			}
		}
		wanted, got := 0, 0
		for range 6 {
			wanted, got = 0, 0
			for _, f := range c.nodes {
				if !f.dead {
					c.turn(f)
					f.use()
					wanted += f.wanted
					got += f.open
				}
			}
		}
		if got != min(wanted, c.total) {
			t.Errorf("seed %d: settled at %d sessions, want %d of %d", seed, got, wanted, c.total)
		}
	}
}

// TestRunTakesBackWhatLapses has a database that goes away for a while.
func TestRunTakesBackWhatLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		at := func() time.Duration { return time.Since(began) }
		s := &Shares{node: "n", silent: silence, now: time.Now, logger: slog.New(slog.DiscardHandler), granted: map[string]int{}}
		s.turn = func(ctx context.Context, claims map[string]Claim) (map[string]int, time.Duration, error) {
			if at() > 10*time.Second && at() < 40*time.Second {
				<-ctx.Done() // away
				return nil, 0, ctx.Err()
			}
			return map[string]int{"a": claims["a"].Wanted}, time.Second, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var taken, given time.Duration
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Run(ctx, time.Second, func() map[string]Claim { return map[string]Claim{"a": {Max: 9, Wanted: 4}} }, func(granted map[string]int) {
				switch {
				case granted["a"] == 0 && taken == 0:
					taken = at()
				case granted["a"] == 4 && taken > 0 && given == 0:
					given = at()
				}
			})
		}()
		time.Sleep(time.Minute)
		cancel()
		<-done
		// The last turn that succeeded was at 10 s, when the beat was 1 s old.
		if want := 10*time.Second + silence - time.Second - closeWithin; taken < want-time.Second || taken > want {
			t.Errorf("taken back after %s, want %s", taken, want)
		}
		if given < 40*time.Second || given > 46*time.Second {
			t.Errorf("given again after %s, want soon after 40 s", given)
		}
	})
}

func TestRunGivesNothingToANodeWithoutABeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Shares{node: "n", silent: silence, now: time.Now, logger: slog.New(slog.DiscardHandler), granted: map[string]int{}}
		turns := 0
		s.turn = func(context.Context, map[string]Claim) (map[string]int, time.Duration, error) {
			if turns++; turns > 1 {
				return nil, 0, ErrNotAlive
			}
			return map[string]int{"a": 1}, 0, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		gives := 0
		s.Run(ctx, time.Second, func() map[string]Claim { return nil }, func(granted map[string]int) {
			if gives++; gives == 2 {
				if len(granted) != 0 {
					t.Errorf("given %v without a beat", granted)
				}
				cancel()
			}
		})
	})
}
