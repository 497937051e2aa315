package dispatch

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/problem"
	"herald/subscriptions"
)

func (b *bench) check() LedgerCheck {
	b.t.Helper()
	c, err := b.store.CheckLedger(b.t.Context(), time.Time{}, "operator:ann")
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// mixed is a bench with messages in many states, folded in part.
func mixed(t *testing.T) (*bench, []uuid.UUID) {
	b := newIdleBench(t)
	var stop func()
	b.events, stop = b.startUntil(b.node.Name(), b.worker)
	ids := b.enqueue(b.note(), b.note())
	b.worked(2)
	b.sender.fails(&SendError{Class: Permanent})
	ids = append(ids, b.enqueue(b.note())...)
	b.worked(1)
	b.sender.fails(&SendError{Class: Transient})
	ids = append(ids, b.enqueue(b.note())...)
	b.worked(1)
	stop()
	if _, err := b.bookkeeper().fold(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	ids = append(ids, b.enqueue(b.note(), b.note(func(n *Notification) { n.CampaignID = 9 }))...)
	b.enqueue(b.note(func(n *Notification) { n.Channels = []subscriptions.Channel{"fax"} }))
	return b, ids // accepted, accepted, failed, deferred, pending, pending of a campaign
}

func TestWhatBalancesIsFoundWell(t *testing.T) {
	b, _ := mixed(t)
	c := b.check()
	if !c.OK || c.Found != 0 || c.Counted != 7 || c.Hours < 48 || c.Actor != "operator:ann" {
		t.Errorf("%+v", c)
	}
	if list, err := b.store.LedgerChecks(t.Context(), 0, 10); err != nil || len(list) != 1 || list[0].ID != c.ID || !list[0].OK {
		t.Errorf("%+v, %v", list, err)
	}
}

// However the books are spoilt by hand, the check finds it, and what counting
// can mend the recount mends.
func TestEveryDifferenceIsFound(t *testing.T) {
	for name, spoil := range map[string]struct {
		sql    string
		kind   DifferenceKind
		mended bool
	}{
		"a count is changed":                {`UPDATE ledger SET n = n + 1 WHERE state = 'accepted'`, WrongCount, true},
		"a count is gone":                   {`DELETE FROM ledger WHERE state = 'targeted'`, WrongCount, true},
		"a move is gone":                    {`DELETE FROM ledger_moves WHERE id = (SELECT max(id) FROM ledger_moves)`, WrongCount, true},
		"a move is there twice":             {`INSERT INTO ledger_moves (hour, trigger, campaign_id, channel, state, reason, n) SELECT hour, trigger, campaign_id, channel, state, reason, n FROM ledger_moves LIMIT 1`, WrongCount, true},
		"a count of what never was":         {`INSERT INTO ledger VALUES (date_trunc('hour', now(), 'UTC'), 'ghost', 0, 'email', 'accepted', '', 3)`, WrongCount, true},
		"a state is changed behind it":      {`UPDATE deliveries SET state = 'delivered' WHERE id = $1`, WrongCount, true},
		"a reason is changed behind it":     {`UPDATE deliveries SET reason = 'other' WHERE state = 'failed'`, WrongCount, true},
		"a trigger is changed behind it":    {`UPDATE deliveries SET trigger = 'other' WHERE id = $1`, WrongCount, true},
		"a notification is deleted":         {`DELETE FROM notifications WHERE id = (SELECT notification_id FROM deliveries WHERE id = $1)`, WrongCount, true},
		"a delivery is deleted":             {`DELETE FROM deliveries WHERE id = $1`, NotOnce, false},
		"a delivery does not count":         {`UPDATE deliveries SET counts = false WHERE id = $1`, NotOnce, false},
		"two deliveries count":              {`INSERT INTO deliveries (id, notification_id, member_id, trigger, hour, rung, channel, state) SELECT gen_random_uuid(), notification_id, member_id, trigger, hour, 1, channel, state FROM deliveries WHERE id = $1`, NotOnce, false},
		"a trouble is not listed":           {`DELETE FROM troubles WHERE state = 'failed'`, Mislisted, true},
		"what is well is listed":            {`INSERT INTO troubles (delivery_id, state, reason) VALUES ($1, 'failed', '')`, Mislisted, true},
		"the job of what waits is gone":     {`DELETE FROM river_job WHERE args -> 'deliveries' ? (SELECT id::text FROM deliveries WHERE campaign_id = 9)`, Forgotten, false},
		"the job of a new try is cancelled": {`UPDATE river_job SET state = 'cancelled', finalized_at = now() WHERE args ->> 'turn' = '1'`, Forgotten, false},
		"a delivery has another turn":       {`UPDATE deliveries SET turn = 7 WHERE state = 'deferred'`, Forgotten, false},
		"a node died and no job asks":       {`INSERT INTO hand_overs (job_id, node, account, deliveries, started_at) VALUES (0, 'dead', 'main', ARRAY[$1::uuid], now() - interval '1 hour')`, LostHandOver, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, ids := mixed(t)
			if strings.Contains(spoil.sql, "$1") {
				b.exec(spoil.sql, ids[0])
			} else {
				b.exec(spoil.sql)
			}
			c := b.check()
			found := map[DifferenceKind]Difference{}
			for _, d := range c.Differences {
				found[d.Kind] = d
			}
			if _, ok := found[spoil.kind]; !ok || c.OK || c.Found != len(c.Differences) {
				t.Fatalf("found %+v", c)
			}
			if d := found[WrongCount]; d.Kind != "" && (d.Ledger == d.Rows || d.Hour.IsZero()) {
				t.Errorf("the difference is %+v", d)
			}
			after, err := b.store.Recount(t.Context(), "operator:bob")
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range after.Differences {
				if d.Kind == WrongCount || d.Kind == Mislisted {
					t.Errorf("not mended: %+v", d)
				}
			}
			if after.OK != spoil.mended {
				t.Errorf("after the recount: %+v", after)
			}
			list, err := b.store.LedgerChecks(t.Context(), 0, 10)
			if err != nil || len(list) != 2 || list[1].RepairedBy != "operator:bob" || list[1].RepairedAt == nil {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
}

func TestNothingIsRecountedThatBalances(t *testing.T) {
	b, _ := mixed(t)
	for range 2 {
		if _, err := b.store.Recount(t.Context(), "operator:ann"); problem.CodeOf(err) != problem.Conflict {
			t.Errorf("got %v", err)
		}
		b.check()
	}
}

func TestOldHoursAreCheckedWhileSomethingIsOpenInThem(t *testing.T) {
	b := newIdleBench(t)
	b.clock.advance(-100 * time.Hour)
	b.enqueue(b.note())
	if err := b.bookkeeper().foldAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(100 * time.Hour)
	if c := b.check(); !c.OK || c.Counted != 1 || c.Hours != 50 {
		t.Errorf("%+v", c)
	}
	b.exec(`UPDATE deliveries SET state = 'accepted'`)
	if c := b.check(); c.OK || c.Differences[0].Kind != WrongCount {
		t.Errorf("%+v", c)
	}
}

func TestOneCheckAtATime(t *testing.T) {
	b := newIdleBench(t)
	err := b.store.exclusively(t.Context(), func(*pgxpool.Conn) error {
		if _, err := b.store.CheckLedger(t.Context(), time.Time{}, "operator:ann"); problem.CodeOf(err) != problem.Conflict {
			t.Errorf("got %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// alarmed is an Announcer that remembers.
type alarmed struct{ data []map[string]any }

func (a *alarmed) Listening(kind string) bool { return kind == "ledger.unbalanced" }

func (a *alarmed) AnnounceTx(_ context.Context, _ pgx.Tx, news []Announcement) error {
	for _, n := range news {
		a.data = append(a.data, n.Data)
	}
	return nil
}

func TestTheAlarmIsRaisedOnce(t *testing.T) {
	b, _ := mixed(t)
	b.exec(`UPDATE ledger SET n = n + 2 WHERE state = 'accepted'`)
	alarm := &alarmed{}
	keeper := b.bookkeeper(func(c *BookkeeperConfig) { c.Announcer = alarm })
	for range 3 {
		if err := keeper.checkIfDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.clock.advance(checkEvery)
	}
	if len(alarm.data) != 1 || alarm.data[0]["difference"] != int64(-2) || alarm.data[0]["trigger"] != "price_drop" {
		t.Errorf("announced %v", alarm.data)
	}
	if n := scalar[int](b, `SELECT count(*) FROM ledger_checks`); n != 3 {
		t.Errorf("%d checks", n)
	}
}

// While messages are handed over, refused and taken up, and the ledger is
// folded, every check finds it balanced.
func TestItBalancesUnderLoad(t *testing.T) {
	b := newBench(t)
	keeper := b.bookkeeper()
	var n atomic.Int64
	b.sender.does(func(context.Context, Message) (Receipt, error) {
		switch n.Add(1) % 4 {
		case 0:
			return Receipt{}, &SendError{Class: Permanent}
		case 1:
			return Receipt{}, &SendError{Class: Transient}
		}
		return Receipt{ProviderID: "p"}, nil
	})
	for range 15 {
		ns := make([]Notification, 100)
		for i := range ns {
			ns[i] = b.note()
		}
		if err := b.enqueueAll(ns); err != nil {
			t.Fatal(err)
		}
		if _, err := keeper.fold(t.Context(), 7); err != nil {
			t.Fatal(err)
		}
		if c := b.check(); !c.OK {
			t.Fatalf("%+v", c.Differences)
		}
	}
}
