package matcher_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/matcher"
	"herald/subscriptions"
)

func TestLimitsToTheInstant(t *testing.T) {
	later := func(d time.Duration) *time.Time { at := opening.Add(d); return &at }
	coolDown := subscriptions.Duration(time.Hour)
	cases := []struct {
		name  string
		order func(*subscriptions.Order)
		at    []time.Duration // of the events, after opening
		want  []matcher.Outcome
	}{
		{
			"valid from the first instant on",
			func(o *subscriptions.Order) { o.ValidFrom = later(time.Hour) },
			[]time.Duration{time.Hour - time.Microsecond, time.Hour},
			[]matcher.Outcome{matcher.NotValid, matcher.Notified},
		},
		{
			"no longer valid from valid_until on",
			func(o *subscriptions.Order) { o.ValidUntil = later(time.Hour) },
			[]time.Duration{0, time.Hour - time.Microsecond, time.Hour},
			[]matcher.Outcome{matcher.Notified, matcher.Notified, matcher.NotValid},
		},
		{
			"a cool-down ends when it has passed in full",
			func(o *subscriptions.Order) { o.CoolDown = &coolDown },
			[]time.Duration{0, 0, time.Hour - time.Microsecond, time.Hour, 2*time.Hour - 1000},
			[]matcher.Outcome{matcher.Notified, matcher.InCoolDown, matcher.InCoolDown, matcher.Notified, matcher.InCoolDown},
		},
		{
			"a clock that is set back is no cool-down",
			func(*subscriptions.Order) {},
			[]time.Duration{time.Hour, 0, time.Minute},
			[]matcher.Outcome{matcher.Notified, matcher.Notified, matcher.Notified},
		},
		{
			"a cool-down counts from the furthest clock",
			func(o *subscriptions.Order) { o.CoolDown, o.MaxNotifications = &coolDown, 2 },
			[]time.Duration{time.Hour, 0, 2*time.Hour - time.Microsecond, 2 * time.Hour},
			[]matcher.Outcome{matcher.Notified, matcher.InCoolDown, matcher.InCoolDown, matcher.Notified},
		},
		{
			"a cap counts what was sent",
			func(o *subscriptions.Order) { o.MaxNotifications = 2 },
			[]time.Duration{0, 0, time.Hour},
			[]matcher.Outcome{matcher.Notified, matcher.Notified, matcher.CapReached},
		},
		{
			"what a cool-down holds back does not count",
			func(o *subscriptions.Order) { o.CoolDown, o.MaxNotifications = &coolDown, 2 },
			[]time.Duration{0, time.Minute, time.Hour, 2 * time.Hour},
			[]matcher.Outcome{matcher.Notified, matcher.InCoolDown, matcher.Notified, matcher.CapReached},
		},
		{
			"of a cool-down and a cap the one that ends is named",
			func(o *subscriptions.Order) { o.CoolDown, o.MaxNotifications = &coolDown, 1 },
			[]time.Duration{0, time.Hour - time.Microsecond, time.Hour},
			[]matcher.Outcome{matcher.Notified, matcher.InCoolDown, matcher.CapReached},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := openShop(t)
			s.save(priceDrop())
			sub := s.subscribe(s.member("wei"), "kettle", 49, c.order)
			i := s.intake(s.deliveries, matcher.IntakeConfig{})
			var got []matcher.Outcome
			for n, at := range c.at {
				s.clock.set(opening.Add(at))
				id := fmt.Sprint(n)
				s.accept(i, priceEvent(id, "kettle", 1))
				got = append(got, s.outcomes("/shop", id)[sub.ID])
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestTheLastTimeNeverGoesBack(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	sub := s.subscribe(s.member("wei"), "kettle", 49)
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	for n, at := range []time.Duration{time.Hour, 0} { // the second by a clock that is behind
		s.clock.set(opening.Add(at))
		s.accept(i, priceEvent(fmt.Sprint(n), "kettle", 1))
	}
	after, err := s.subscriptions.Get(s.ctx, sub.ID)
	if err != nil || after.Sent != 2 || after.LastFiredAt == nil || !after.LastFiredAt.Equal(opening.Add(time.Hour)) {
		t.Errorf("sent %d, last at %v, %v; want 2, the later time", after.Sent, after.LastFiredAt, err)
	}
}

func TestLimitsHoldWithinABatchInTheOrderGiven(t *testing.T) {
	s := openShop(t)
	trigger := priceDrop()
	trigger.CoolDown = "1h"
	s.save(trigger)
	none := subscriptions.Duration(0)
	byTrigger := s.subscribe(s.member("wei"), "kettle", 49)
	capped := s.subscribe(s.member("ann"), "kettle", 49, func(o *subscriptions.Order) { o.MaxNotifications, o.CoolDown = 2, &none })
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	// The ids fall, so that the order given is not the order of ids.
	s.accept(i, priceEvent("3", "kettle", 1), priceEvent("2", "kettle", 50), priceEvent("1", "kettle", 49), priceEvent("0", "kettle", 2))
	want := map[string]map[int64]matcher.Outcome{
		"3": {byTrigger.ID: matcher.Notified, capped.ID: matcher.Notified},
		"2": {},
		"1": {byTrigger.ID: matcher.InCoolDown, capped.ID: matcher.Notified},
		"0": {byTrigger.ID: matcher.InCoolDown, capped.ID: matcher.CapReached},
	}
	for id, outcomes := range want {
		if diff := cmp.Diff(outcomes, s.outcomes("/shop", id)); diff != "" {
			t.Errorf("event %s (-want +got)\n%s", id, diff)
		}
	}
}

func TestAPausedSubscriptionIsNotTold(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	sub := s.subscribe(s.member("wei"), "kettle", 49)
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	pause := func(on bool) {
		if _, err := s.subscriptions.Change(s.ctx, sub.ID, subscriptions.Change{Paused: &on, Actor: "member"}); err != nil {
			t.Fatal(err)
		}
	}
	pause(true)
	if r := s.accept(i, priceEvent("1", "kettle", 1)); r[0].Matches != 1 || r[0].Notifications != 0 {
		t.Errorf("paused: %+v", r)
	}
	pause(false)
	if r := s.accept(i, priceEvent("2", "kettle", 1)); r[0].Notifications != 1 {
		t.Errorf("resumed: %+v", r)
	}
	if err := s.subscriptions.End(s.ctx, sub.ID, "cancelled", "member"); err != nil {
		t.Fatal(err)
	}
	if r := s.accept(i, priceEvent("3", "kettle", 1)); r[0].Matches != 0 {
		t.Errorf("ended: %+v", r)
	}
	if got := s.outcomes("/shop", "1")[sub.ID]; got != matcher.WasPaused {
		t.Errorf("outcome %s", got)
	}
}

// Validity is judged when the subscription is locked, which may be later than
// it was looked up: the index leaves some time for that.
func TestWhatBecomesValidWhileAnEventWaitsIsTold(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	from := opening.Add(time.Hour)
	sub := s.subscribe(s.member("wei"), "kettle", 49, func(o *subscriptions.Order) { o.ValidFrom = &from })
	i := s.intake(s.deliveries, matcher.IntakeConfig{Follower: s.follow()})
	s.clock.set(from.Add(-time.Second))
	holder, err := s.pool.Begin(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback(s.ctx) }()
	if _, err := holder.Exec(s.ctx, `SELECT FROM subscriptions WHERE id = $1 FOR UPDATE`, sub.ID); err != nil {
		t.Fatal(err)
	}
	answers := s.send(s.ctx, i, priceEvent("1", "kettle", 49))
	s.blocked()
	s.clock.set(from)
	if err := holder.Commit(s.ctx); err != nil {
		t.Fatal(err)
	}
	a := <-answers
	taken(t, "the event", a)
	if got := s.outcomes("/shop", "1")[sub.ID]; got != matcher.Notified {
		t.Errorf("outcome %q", got)
	}
}

// Eight callers on two nodes send the same events in their own order, singly
// and in batches, again and again.
func TestLimitsAreExactUnderConcurrentReplays(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	hour := subscriptions.Duration(time.Hour)
	capped := s.subscribe(s.member("wei"), "kettle", 49, func(o *subscriptions.Order) { o.MaxNotifications = 7 })
	cooled := s.subscribe(s.member("ann"), "kettle", 49, func(o *subscriptions.Order) { o.CoolDown = &hour })
	free := s.subscribe(s.member("bob"), "kettle", 49)
	nodes := []*matcher.Intake{s.intake(s.deliveries, matcher.IntakeConfig{}), s.intake(s.deliveries, matcher.IntakeConfig{})}
	events := numbered(40, "kettle", 49)
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(caller), 1))
			for range 3 {
				mine := append([]matcher.Event(nil), events...)
				random.Shuffle(len(mine), func(a, b int) { mine[a], mine[b] = mine[b], mine[a] })
				for len(mine) > 0 {
					n := min(1+random.IntN(8), len(mine))
					if _, err := nodes[caller%2].Accept(s.ctx, mine[:n]); err != nil {
						t.Error(err)
						return
					}
					mine = mine[n:]
				}
			}
		})
	}
	callers.Wait()
	of := func(sub subscriptions.Subscription, outcome matcher.Outcome) string {
		return fmt.Sprintf("matches WHERE subscription_id = %d AND outcome = '%s'", sub.ID, outcome)
	}
	s.expect(map[string]int{
		"events": 40, "matches": 120, "notifications": 48,
		of(capped, matcher.Notified): 7, of(capped, matcher.CapReached): 33,
		of(cooled, matcher.Notified): 1, of(cooled, matcher.InCoolDown): 39,
		of(free, matcher.Notified): 40,
	})
	for sub, sent := range map[int64]int{capped.ID: 7, cooled.ID: 1, free.ID: 40} {
		if after, err := s.subscriptions.Get(s.ctx, sub); err != nil || after.Sent != sent {
			t.Errorf("subscription %d has sent %d, %v, want %d", sub, after.Sent, err, sent)
		}
	}
}
