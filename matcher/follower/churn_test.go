package follower

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// churner writes subscriptions in transactions that overlap: it has several
// open at a time, and ends them in another order than it began them.
type churner struct {
	*world
	chance *rand.Rand
	slots  [3]slot
}

// slot is a transaction and the subscriptions that no other one touches.
type slot struct {
	tx        pgx.Tx
	committed []int64 // as they are when tx is not there
	present   []int64 // as tx sees them
}

func (c *churner) step() {
	s := &c.slots[c.chance.IntN(len(c.slots))]
	if s.tx == nil {
		tx, err := c.pool.Begin(c.ctx)
		if err != nil {
			c.Errorf("begin: %v", err)
			return
		}
		s.tx, s.present = tx, append([]int64(nil), s.committed...)
	}
	switch n := c.chance.IntN(10); {
	case n < 6:
		c.write(s)
	case n < 9:
		c.end(s, s.tx.Commit(c.ctx))
		s.committed = s.present
	default:
		c.end(s, s.tx.Rollback(c.ctx))
	}
}

func (c *churner) end(s *slot, err error) {
	if err != nil {
		c.Errorf("end a transaction: %v", err)
	}
	s.tx = nil
}

func (c *churner) finish() {
	for i := range c.slots {
		if s := &c.slots[i]; s.tx != nil {
			c.end(s, s.tx.Commit(c.ctx))
		}
	}
}

func (c *churner) exec1(s *slot, sql string, args ...any) {
	if _, err := s.tx.Exec(c.ctx, sql, args...); err != nil {
		c.Errorf("%s: %v", sql, err)
	}
}

// write creates, changes or deletes a subscription as package subscriptions
// does.
func (c *churner) write(s *slot) {
	if len(s.present) == 0 || c.chance.IntN(3) == 0 {
		c.create(s)
		return
	}
	i := c.chance.IntN(len(s.present))
	id := s.present[i]
	const note = `INSERT INTO anchor_changes (trigger, subscription_id) SELECT trigger, id FROM subscriptions WHERE id = $1`
	switch c.chance.IntN(3) {
	case 0:
		c.exec1(s, `DELETE FROM subscriptions WHERE id = $1`, id)
		s.present = append(append([]int64(nil), s.present[:i]...), s.present[i+1:]...)
	case 1:
		c.exec1(s, `DELETE FROM subscription_anchors WHERE subscription_id = $1`, id)
		c.exec1(s, note, id)
		c.anchor(s, id)
	case 2:
		until := c.clock.now().Add(time.Duration(c.chance.IntN(2)*48-24) * time.Hour) // far from the index's leeway
		c.exec1(s, note, id)
		c.exec1(s, `UPDATE subscriptions SET valid_until = $2 WHERE id = $1`, id, until)
	}
}

func (c *churner) create(s *slot) {
	var id int64
	trigger := []string{"equal", "below", "between"}[c.chance.IntN(3)]
	long := c.clock.now().Add(-100 * time.Hour)
	err := s.tx.QueryRow(c.ctx, `
		INSERT INTO subscriptions (member_id, trigger, params, channels, origin, valid_from, created_at)
		VALUES ($1, $2, '{}', '{email}', 'test', $3, $3) RETURNING id`, c.member, trigger, long).Scan(&id)
	if err != nil {
		c.Errorf("create: %v", err)
		return
	}
	s.present = append(s.present, id)
	c.exec1(s, `INSERT INTO anchor_changes (trigger, subscription_id) VALUES ($1, $2)`, trigger, id)
	c.anchor(s, id)
}

// anchor gives a subscription up to three keys.
func (c *churner) anchor(s *slot, id int64) {
	low := float64(c.chance.IntN(10))
	for _, i := range c.chance.Perm(len(products))[:c.chance.IntN(4)] {
		c.exec1(s, `
			INSERT INTO subscription_anchors (subscription_id, trigger, key, bound, upper)
			SELECT id, trigger, $2, CASE WHEN trigger <> 'equal' THEN $3::float8 END, CASE WHEN trigger = 'between' THEN $3::float8 + 2 END
			FROM subscriptions WHERE id = $1`, id, keyOf(products[i]), low)
	}
}

// TestNothingIsEverMissing has writers with up to twelve transactions at a
// time, which overlap, are held back and rolled back, while a follower takes in
// what it can.
func TestNothingIsEverMissing(t *testing.T) {
	w := newWorld(t)
	f := w.follow(Config{Poll: time.Millisecond})
	w.sync(f)
	chance := seeded(t)
	const writers, steps = 4, 150
	var writing, checking sync.WaitGroup
	var judged atomic.Int64
	for range writers {
		c := &churner{world: w, chance: rand.New(rand.NewPCG(chance.Uint64(), 1))}
		writing.Go(func() {
			for range steps {
				c.step()
			}
			c.finish()
		})
	}
	done := make(chan struct{})
	checking.Go(func() {
		probes := w.probes()
		for {
			select {
			case <-done:
				return
			default:
				judged.Add(int64(w.complete(f, probes)))
			}
		}
	})
	writing.Wait()
	close(done)
	checking.Wait()
	w.equal(f)
	if judged.Load() == 0 {
		t.Error("nothing was judged")
	}
	s := f.Stats()
	if s.Loads != 1 {
		t.Errorf("the index was loaded %d times", s.Loads)
	}
	t.Logf("%d probes judged, %d changes, %d looks, %d of %d fences left to the join", judged.Load(), s.Changes, s.Polls, s.Joins, s.Fences)
}

// TestNothingIsMissingWhileTransactionsAreOpen is the same with one writer
// and a look after each of its steps, the follower looking now and then.
func TestNothingIsMissingWhileTransactionsAreOpen(t *testing.T) {
	w := newWorld(t)
	f := w.loaded()
	chance := seeded(t)
	c := &churner{world: w, chance: chance}
	probes := w.probes()
	for range 120 {
		c.step()
		if chance.IntN(4) == 0 {
			w.sync(f)
		}
		if chance.IntN(40) == 0 {
			f.Distrust("of a test")
		}
		w.complete(f, probes)
	}
	c.finish()
	w.complete(f, probes)
	w.equal(f)
}

// TestATriggerAnchoredAnewIsWholeOrLeftToTheJoin saves a trigger with other
// conditions while its subscriptions come and go.
func TestATriggerAnchoredAnewIsWholeOrLeftToTheJoin(t *testing.T) {
	w := newWorld(t)
	f := w.follow(Config{Poll: time.Millisecond})
	w.sync(f)
	for i := range 20 {
		w.subscribe(w.order("below", products[i%4], float64(i), float64(i+3)))
	}
	w.complete(f, w.probes())
	tx := w.begin()
	w.many(tx, 10)
	for _, condition := range []string{
		"event.product == param.product && event.price >= param.low",
		"event.product == param.product",
		"event.product == param.product && event.price >= param.low && event.price <= param.high",
	} {
		w.save(trigger("below", condition))
		w.complete(f, w.probes())
		w.sync(f)
		w.complete(f, w.probes())
	}
	w.commit(tx)
	w.equal(f)
}
