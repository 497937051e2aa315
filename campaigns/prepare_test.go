package campaigns

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"herald/subscriptions"
)

func TestARunTellsEverybodyOnce(t *testing.T) {
	d := newDesk(t)
	d.members(4500)
	c := d.started()
	if c.State != Preparing || c.Run == nil || c.Run.State != Preparing {
		t.Fatalf("after the start: %+v", c)
	}
	d.prepare()
	d.toldOnce(4500)
	c = d.get(c.ID)
	if c.State != Sending || c.Run.Targeted != 4500 || c.Run.Prepared != 1 {
		t.Errorf("after preparation: %s, %+v", c.State, c.Run)
	}
	if n := d.number(`SELECT count(*) FROM told WHERE run <> $1 OR template <> $2`, c.Run.ID, c.Template); n != 0 {
		t.Errorf("%d notifications are not the run's", n)
	}
}

func TestTheSegmentDecidesWhoIsTold(t *testing.T) {
	d := newDesk(t)
	d.members(10)
	d.exec(`INSERT INTO triggers (name, event_type, definition) VALUES ('price_drop', 'x', '{"name": "price_drop"}')`)
	d.exec(`INSERT INTO subscriptions (member_id, trigger, params, channels, origin, valid_from)
		SELECT id, 'price_drop', '{}', '{email}', 'api', $1 FROM members WHERE account IN ('m2', 'm3')`, monday.Add(-time.Hour))
	for name, test := range map[string]struct {
		segment Segment
		want    int
	}{
		"subscribers": {Segment{Trigger: "price_drop"}, 2},
		"condition":   {Segment{Condition: "attributes.even"}, 5},
		"both":        {Segment{Trigger: "price_drop", Condition: "attributes.even || false // even"}, 1},
		"nobody":      {Segment{Condition: "attributes.odd"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d.exec(`TRUNCATE told`)
			d.started(func(p *Plan) { p.Segment = test.segment })
			d.prepare()
			d.toldOnce(test.want)
		})
	}
}

func TestAFailingTransactionTellsNobodyTwice(t *testing.T) {
	d := newDesk(t)
	d.members(9000)
	c := d.started()
	away := errors.New("the database went away")
	d.book.set(func(b *book) {
		b.fault = func(batch int) error {
			if batch%2 == 0 {
				return away
			}
			return nil
		}
	})
	tries := 0
	for ; len(d.ranges()) > 0; tries++ {
		if err := d.store.prepareRange(t.Context(), d.ranges()[0]); err != nil && !errors.Is(err, away) {
			t.Fatal(err)
		}
	}
	if tries < 4 {
		t.Errorf("read in %d tries: nothing failed", tries)
	}
	d.toldOnce(9000)
	if got := d.get(c.ID).Run.Targeted; got != 9000 {
		t.Errorf("the run counts %d", got)
	}
}

func TestKilledInTheMiddleItGoesOn(t *testing.T) {
	d := newDesk(t)
	d.members(9000)
	d.started()
	ctx, kill := context.WithCancel(t.Context())
	d.book.set(func(b *book) {
		b.fault = func(batch int) error {
			if batch == 3 {
				kill()
			}
			return nil
		}
	})
	if err := d.store.prepareRange(ctx, d.ranges()[0]); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the cancellation", err)
	}
	if told := d.told(); told != 2*batchMembers {
		t.Errorf("%d were told before the kill, want two whole batches", told)
	}
	d.prepare()
	d.toldOnce(9000)
}

func TestTwoNodesPrepareOneRun(t *testing.T) {
	d := newDesk(t)
	d.members(20_000)
	c := d.started()
	ids, other := d.ranges(), d.node()
	var all sync.WaitGroup
	for _, s := range []*Store{d.store, other, d.store, other} {
		all.Go(func() {
			for _, id := range ids {
				if err := s.prepareRange(context.Background(), id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	d.toldOnce(20_000)
	d.inState(c.ID, Sending)
}

func TestPausedInTheMiddleNobodyIsToldTwice(t *testing.T) {
	d := newDesk(t)
	d.members(15_000)
	c := d.started()
	var all sync.WaitGroup
	all.Go(func() { // reads all along, as workers do whose jobs come back
		for len(d.ranges()) > 0 {
			for _, id := range d.ranges() {
				if err := d.store.prepareRange(context.Background(), id); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 20 {
		paused, err := d.store.Pause(t.Context(), c.ID, "operator:ann")
		if err != nil {
			t.Fatal(err)
		}
		told := d.told()
		if paused.State != Paused || d.told() != told {
			t.Errorf("%s: told %d and then %d", paused.State, told, d.told())
		}
		d.must(d.store.Resume(t.Context(), c.ID, "operator:ann"))
	}
	all.Wait()
	d.toldOnce(15_000)
	d.inState(c.ID, Sending)
}

func TestStoppedInTheMiddleNobodyMoreIsTold(t *testing.T) {
	d := newDesk(t)
	d.members(9000)
	c := d.started()
	if _, err := d.store.prepareBatch(t.Context(), d.ranges()[0]); err != nil {
		t.Fatal(err)
	}
	d.must(d.store.Stop(t.Context(), c.ID, "operator:ann"))
	d.prepare()
	d.look()
	d.toldOnce(batchMembers)
	d.inState(c.ID, Stopped)
}

func TestAMemberOfManyRangesIsInOne(t *testing.T) {
	d := newDesk(t)
	d.members(3000)
	d.exec(`SELECT setval(pg_get_serial_sequence('members', 'id'), 120000)`)
	d.exec(`INSERT INTO members (account) SELECT 'late' || i FROM generate_series(1, 500) AS i`)
	d.started()
	if n := len(d.ranges()); n != 5 {
		t.Errorf("%d ranges, want 5", n)
	}
	d.prepare()
	d.toldOnce(3500)
}

func TestARunOfNobodyFinishes(t *testing.T) {
	d := newDesk(t)
	c := d.started()
	d.look()
	d.look()
	d.inState(c.ID, Finished)
}

func TestWhoComesLaterIsNotMeant(t *testing.T) {
	d := newDesk(t)
	d.members(10)
	d.started()
	d.exec(`INSERT INTO members (account) VALUES ('late')`)
	d.prepare()
	d.toldOnce(10)
}

func TestBirthdaysAreToldAtTheirHourOnce(t *testing.T) {
	d := newDesk(t)
	d.clock.set(at(t, "2026-02-27T12:00:00Z"))
	d.exec(`INSERT INTO members (account, birthday, time_zone) VALUES
		('line', '1990-02-28', 'Pacific/Kiritimati'), ('east', '1990-02-28', 'Asia/Shanghai'), ('leap', '2004-02-29', 'Asia/Shanghai'),
		('home', '1990-02-28', 'UTC'), ('west', '1990-02-28', 'America/New_York'), ('other', '1990-03-01', 'UTC'), ('none', NULL, 'UTC')`)
	c := d.started(func(p *Plan) { p.When = When{Occasion: Birthday, Hour: "09:00"} })
	d.inState(c.ID, Scheduled)
	told := map[string]string{}
	for now := d.clock.now(); now.Before(at(t, "2026-03-01T08:00:00Z")); now = now.Add(5 * time.Minute) {
		d.clock.set(now)
		d.look()
		d.prepare()
		rows, err := d.pool.Query(t.Context(), `SELECT account FROM told JOIN members ON members.id = member ORDER BY account`)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var account string
			if err := rows.Scan(&account); err != nil {
				t.Fatal(err)
			}
			if told[account] == "" {
				told[account] = now.Format("02 15:04")
			}
		}
		rows.Close()
		// Moving house does not bring a second birthday.
		d.exec(`UPDATE members SET time_zone = 'Pacific/Pago_Pago' WHERE account = 'line' AND $1 > '2026-02-28'::timestamptz`, now)
	}
	want := map[string]string{"line": "27 19:00", "east": "28 01:00", "leap": "28 01:00", "home": "28 09:00", "west": "28 14:00"}
	if sprint(told) != sprint(want) {
		t.Errorf("told %v, want %v", told, want)
	}
	d.toldOnce(5)
	d.look()
	d.inState(c.ID, Scheduled)
}

func TestBirthdaysMissedForLongAreNotTold(t *testing.T) {
	d := newDesk(t)
	d.clock.set(at(t, "2026-03-01T00:00:00Z"))
	d.exec(`INSERT INTO members (account, birthday) VALUES ('a', '1990-03-01'), ('b', '1990-03-02'), ('c', '1990-03-03')`)
	d.started(func(p *Plan) { p.When = When{Occasion: Birthday, Hour: "09:00"}; p.Expiry = "30h" })
	d.clock.set(at(t, "2026-03-03T12:00:00Z")) // Herald was away
	d.look()
	d.prepare()
	d.toldOnce(2)
	d.look()
	d.prepare()
	d.toldOnce(2)
}

func TestNotificationsCarryThePlan(t *testing.T) {
	p := part{campaignID: 7, runID: 9, template: "campaign_7_1", at: monday, expires: monday.Add(time.Hour), patience: 10 * time.Minute, plan: plan()}
	p.plan.normalise()
	ns := p.notifications([]meant{{id: 3}, {id: 4, date: "2026-03-02"}})
	n := ns[1]
	if n.MemberID != 4 || n.CampaignID != 9 || n.Template != "campaign_7_1" || n.Purpose != subscriptions.Marketing || n.Priority != 4 || !n.ExpiresAt.Equal(p.expires) || n.Patience != 10*time.Minute {
		t.Errorf("got %+v", n)
	}
	if len(ns[0].Decision) != 2 || len(n.Decision) != 3 || n.Decision[2].Args["date"] != "2026-03-02" {
		t.Errorf("reasons: %v and %v", ns[0].Decision, n.Decision)
	}
}

func TestRiverReadsTheRangesOfARun(t *testing.T) {
	d := newDesk(t)
	d.members(5000)
	c := d.started()
	d.river(2)
	d.toldOnce(5000)
	d.look()
	d.look()
	d.inState(c.ID, Finished)
}

func TestARangeWhoseJobIsGoneGetsAnother(t *testing.T) {
	d := newDesk(t)
	d.members(10)
	d.started()
	jobs := func() int { return d.number(`SELECT count(*) FROM river_job WHERE kind = 'campaign_range'`) }
	d.look()
	if n := jobs(); n != 1 {
		t.Errorf("%d jobs for one range", n)
	}
	d.exec(`UPDATE river_job SET state = 'discarded', finalized_at = now() WHERE kind = 'campaign_range'`)
	d.look()
	if n := jobs(); n != 2 {
		t.Errorf("%d jobs, want another", n)
	}
}
