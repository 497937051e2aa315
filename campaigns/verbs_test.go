package campaigns

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/caps"
	"herald/dispatch/timing"
	"herald/problem"
	"herald/subscriptions"
)

// inEveryState makes a campaign in each state.
func (d *desk) inEveryState() map[State]Campaign {
	d.Helper()
	ctx := context.Background()
	later := func(p *Plan) { at := d.clock.now().Add(time.Hour); p.When.At = &at }
	made := map[State]Campaign{Draft: d.create(), Scheduled: d.started(later), Preparing: d.started()}
	sending := d.started()
	d.book.set(func(b *book) { b.open = 1 })
	d.exec(`UPDATE campaign_ranges SET done = true, next_id = last_id + 1 WHERE run_id = $1`, sending.Run.ID)
	if err := d.store.endPreparation(ctx, sending.Run.ID); err != nil {
		d.Fatal(err)
	}
	made[Sending] = d.get(sending.ID)
	made[Paused] = d.must(d.store.Pause(ctx, d.started().ID, "operator:ann"))
	made[Stopped] = d.must(d.store.Stop(ctx, d.started().ID, "operator:ann"))
	finished := d.started()
	d.exec(`UPDATE campaign_runs SET state = 'finished' WHERE id = $1`, finished.Run.ID)
	d.exec(`UPDATE campaigns SET state = 'finished' WHERE id = $1`, finished.ID)
	made[Finished] = d.get(finished.ID)
	return made
}

func TestVerbsAtEveryState(t *testing.T) {
	verbs := map[string]struct {
		do   func(*Store, context.Context, int64, string) (Campaign, error)
		from map[State]State
	}{
		"start":  {(*Store).Start, map[State]State{Draft: Preparing}},
		"pause":  {(*Store).Pause, map[State]State{Scheduled: Paused, Preparing: Paused, Sending: Paused}},
		"resume": {(*Store).Resume, map[State]State{Paused: Preparing}},
		"stop":   {(*Store).Stop, map[State]State{Scheduled: Stopped, Preparing: Stopped, Sending: Stopped, Paused: Stopped}},
		"change": {func(s *Store, ctx context.Context, id int64, by string) (Campaign, error) {
			return s.Change(ctx, id, 0, plan(), by)
		}, map[State]State{Draft: Draft}},
		"delete": {func(s *Store, ctx context.Context, id int64, _ string) (Campaign, error) {
			return Campaign{State: "gone"}, s.Delete(ctx, id)
		}, map[State]State{Draft: "gone"}},
		"copy": {(*Store).Copy, map[State]State{Draft: Draft, Scheduled: Draft, Preparing: Draft, Sending: Draft, Paused: Draft, Finished: Draft, Stopped: Draft}},
	}
	for name, verb := range verbs {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.members(3)
			for state, c := range d.inEveryState() {
				if c.State != state {
					t.Fatalf("made a campaign that is %s, want %s", c.State, state)
				}
				moved, err := verb.do(d.store, t.Context(), c.ID, "operator:ann")
				want, allowed := verb.from[state]
				switch {
				case allowed && (err != nil || moved.State != want):
					t.Errorf("from %s: %s, %v; want %s", state, moved.State, err, want)
				case !allowed && problem.CodeOf(err) != problem.Conflict:
					t.Errorf("from %s: %v, want a conflict", state, err)
				case !allowed:
					d.inState(c.ID, state)
				}
			}
			if _, err := verb.do(d.store, t.Context(), 4711, "operator:ann"); problem.CodeOf(err) != problem.NotFound {
				t.Errorf("of no campaign: %v", err)
			}
		})
	}
}

func TestResumedACampaignGoesOnWhereItsRunsStand(t *testing.T) {
	d := newDesk(t)
	d.members(3)
	for state, c := range d.inEveryState() {
		if !state.oneOf([]State{Scheduled, Preparing, Sending}) {
			continue
		}
		d.must(d.store.Pause(t.Context(), c.ID, "operator:ann"))
		if got := d.must(d.store.Resume(t.Context(), c.ID, "operator:ann")); got.State != state {
			t.Errorf("paused from %s it is resumed to %s", state, got.State)
		}
	}
}

func TestFinishedOnlyWhenTheLedgerSaysSo(t *testing.T) {
	d := newDesk(t)
	d.members(5)
	c := d.started()
	d.look()
	d.inState(c.ID, Preparing) // an empty ledger is none
	d.prepare()
	d.book.set(func(b *book) { b.open = 1 })
	d.look()
	d.inState(c.ID, Sending)
	d.exec(`DELETE FROM told WHERE ctid = (SELECT min(ctid) FROM told)`)
	d.book.set(func(b *book) { b.open = 0 })
	d.look()
	d.inState(c.ID, Sending) // one is missing in the ledger
	d.exec(`INSERT INTO told (run) VALUES ($1)`, c.Run.ID)
	d.must(d.store.Pause(t.Context(), c.ID, "operator:ann"))
	d.look()
	d.inState(c.ID, Paused)
	d.must(d.store.Resume(t.Context(), c.ID, "operator:ann"))
	d.look()
	d.inState(c.ID, Finished)
	if want := []string{"campaign.started", "campaign.paused", "campaign.finished"}; !slices.Equal(d.book.events, want) {
		t.Errorf("announced %v, want %v", d.book.events, want)
	}
	if !slices.Equal(d.book.woken, []int64{c.Run.ID}) {
		t.Errorf("what waited of runs %v was woken, want of run %d", d.book.woken, c.Run.ID)
	}
	d.history(c.ID, "created started fired paused resumed finished")
}

func (d *desk) history(id int64, want string) {
	d.Helper()
	changes, err := d.store.History(context.Background(), id)
	if err != nil {
		d.Fatal(err)
	}
	var names []string
	for _, c := range slices.Backward(changes) {
		names = append(names, c.Change)
		if c.Actor == "" || c.Detail == nil {
			d.Errorf("%+v names nobody or nothing", c)
		}
	}
	if got := strings.Join(names, " "); got != want {
		d.Errorf("history %q, want %q", got, want)
	}
}

func TestADueCampaignFiresOnceOnManyNodes(t *testing.T) {
	d := newDesk(t)
	d.members(5)
	c := d.started(func(p *Plan) { p.When = When{Cron: "0 9 * * *", TimeZone: "UTC"}; p.Expiry = "5h" })
	d.clock.set(at(t, "2026-03-03T09:00:00Z"))
	var all sync.WaitGroup
	for range 4 {
		s := d.node()
		all.Go(func() {
			if err := s.fireDue(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	d.inState(c.ID, Preparing)
	if n := d.number(`SELECT count(*) FROM campaign_runs`); n != 1 {
		t.Errorf("%d runs, want 1", n)
	}
	d.prepare()
	d.look()
	d.inState(c.ID, Scheduled)
	if due := d.get(c.ID).DueAt; due == nil || !due.Equal(at(t, "2026-03-04T09:00:00Z")) {
		t.Errorf("due next at %v", due)
	}
	// After days away the latest is fired late, and those before it are missed.
	d.clock.set(at(t, "2026-03-07T11:00:00Z"))
	d.look()
	d.prepare()
	d.look()
	if n := d.number(`SELECT count(*) FROM campaign_runs`); n != 2 {
		t.Errorf("%d runs, want 2", n)
	}
	d.history(c.ID, "created started fired finished missed missed missed fired finished")
	d.clock.set(at(t, "2026-03-08T20:00:00Z")) // too late for today's
	d.look()
	d.inState(c.ID, Scheduled)
	d.history(c.ID, "created started fired finished missed missed missed fired finished missed")
}

func TestAMomentIsWaitedFor(t *testing.T) {
	d := newDesk(t)
	d.members(2)
	when := monday.Add(time.Hour)
	c := d.started(func(p *Plan) { p.When.At = &when })
	d.look()
	d.inState(c.ID, Scheduled)
	d.clock.set(when)
	d.look()
	d.prepare()
	d.toldOnce(2)
	d.look()
	d.inState(c.ID, Finished)

	past := d.create(func(p *Plan) { p.When.At = &monday })
	_, err := d.store.Start(t.Context(), past.ID, "operator:ann")
	var p *problem.Error
	if !errors.As(err, &p) || p.Fields[0].Path != "when.at" {
		t.Errorf("a moment that has passed: %v", err)
	}
	if copied := d.must(d.store.Copy(t.Context(), past.ID, "operator:ann")); copied.When.At != nil || copied.Name != "A week of tea (2)" {
		t.Errorf("the copy is %+v", copied.Plan)
	}
	never := d.create(func(p *Plan) { p.When.Cron = "0 0 30 2 *" })
	if _, err := d.store.Start(t.Context(), never.ID, "operator:ann"); !errors.As(err, &p) || p.Fields[0].Path != "when.cron" {
		t.Errorf("a schedule that never comes: %v", err)
	}
}

func TestHold(t *testing.T) {
	d := newDesk(t)
	d.members(3)
	c := d.started(func(p *Plan) { p.Rate = 50 })
	other := d.node()
	ask := func(s *Store, want string) {
		t.Helper()
		if got, err := s.Hold(t.Context(), c.Run.ID); err != nil || got != want {
			t.Errorf("held %q, %v; want %q", got, err, want)
		}
	}
	ask(d.store, "")
	ask(other, "")
	d.must(d.store.Pause(t.Context(), c.ID, "operator:ann"))
	ask(d.store, "paused")
	ask(other, "") // for a second
	d.clock.set(d.clock.now().Add(holdFor))
	ask(other, "paused")
	d.must(d.store.Resume(t.Context(), c.ID, "operator:ann"))
	ask(d.store, "")
	d.must(d.store.Stop(t.Context(), c.ID, "operator:ann"))
	ask(d.store, "stopped")
	if rate, err := d.store.Rate(t.Context(), c.Run.ID); err != nil || rate != 50 {
		t.Errorf("rate %d, %v", rate, err)
	}
	if got, err := d.store.Hold(t.Context(), 4711); err != nil || got != "stopped" {
		t.Errorf("a run that is none: %q, %v", got, err)
	}
}

func TestAnOutlookCountsWithoutTelling(t *testing.T) {
	d := newDesk(t)
	d.members(5000)
	d.exec(`INSERT INTO contact_points (member_id, channel, address, verified_at)
		SELECT id, 'email', account || '@example.com', now() FROM members WHERE id % 5 <> 0`)
	d.exec(`INSERT INTO contact_points (member_id, channel, address, verified_at) SELECT id, 'sms', '+4479460' || id, now() FROM members WHERE id % 5 = 0 AND id % 2 = 0`)
	d.exec(`INSERT INTO consents (member_id, channel, purpose, granted) SELECT id, unnest(ARRAY['email', 'sms']), 'marketing', true FROM members WHERE id % 3 <> 0`)
	d.exec(`UPDATE members SET locale = 'zh-CN' WHERE id % 2 = 0`)
	c := d.create(func(p *Plan) {
		p.Channels = []subscriptions.Channel{subscriptions.Email, subscriptions.SMS}
		p.Messages = append(p.Messages, Wording{Channel: subscriptions.Email, Locale: "zh", Subject: "茶", Body: "八折，{{ member.name }}"},
			Wording{Channel: subscriptions.SMS, Locale: "zh-CN", Body: "茶 {{ campaign.name }}"})
	})
	if _, err := d.store.Outlook(t.Context(), c.ID); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("before it was asked: %v", err)
	}
	if err := d.store.DryRun(t.Context(), c.ID, "operator:ann"); err != nil {
		t.Fatal(err)
	}
	if more, err := d.store.countBatch(t.Context(), c.ID, 1); err != nil || !more {
		t.Fatal(more, err)
	}
	half, err := d.store.Outlook(t.Context(), c.ID)
	if err != nil || half.State != "counting" || half.Meant != batchMembers || half.Share < 0.15 || half.Share > 0.25 {
		t.Errorf("half-way: %+v, %v", half, err)
	}
	if err := d.store.count(t.Context(), c.ID, 1); err != nil {
		t.Fatal(err)
	}
	o, err := d.store.Outlook(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if o.State != "done" || o.Meant != 5000 || o.Share != 1 || o.Version != 1 || len(o.Samples) != samples {
		t.Errorf("got %+v", o)
	}
	if got := sprint(o.Reached); got != "[{email en 1334} {email zh-CN 1333} {sms zh-CN 334}]" {
		t.Errorf("reached %s", got)
	}
	var sum int64
	for _, r := range o.Reached {
		sum += r.Count
	}
	for _, r := range o.Refused {
		sum += r.Count
		if len(r.Members) != refusedMembers {
			t.Errorf("%s shows %v", r.Refusal, r.Members)
		}
	}
	if sum != o.Meant || o.Refused[0].Refusal != subscriptions.NoConsent {
		t.Errorf("%d of %d are accounted for: %v", sum, o.Meant, o.Refused)
	}
	if s := o.Samples[1]; s.Subject != "茶" || s.Text != "八折，Member "+s.Account[1:] || s.Locale != "zh" {
		t.Errorf("a sample reads %+v", s)
	}
	if d.told() != 0 {
		t.Errorf("%d were told", d.told())
	}
	if err := d.store.DryRun(t.Context(), c.ID, "operator:ann"); err != nil {
		t.Fatal(err)
	}
	if err := d.store.CancelDryRun(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if more, err := d.store.countBatch(t.Context(), c.ID, 2); more || err != nil {
		t.Errorf("a cancelled count goes on: %v, %v", more, err)
	}
}

func TestAnOutlookDecidesAsDispatchDoes(t *testing.T) {
	d := newDesk(t)
	d.members(60)
	d.exec(`INSERT INTO contact_points (member_id, channel, address, verified_at)
		SELECT id, unnest(ARRAY['email', 'sms']), account, CASE WHEN id % 2 = 0 THEN now() END FROM members WHERE id % 7 <> 0`)
	d.exec(`INSERT INTO consents (member_id, channel, purpose, granted) SELECT id, unnest(ARRAY['email', 'sms']), 'marketing', id % 3 <> 0 FROM members`)
	d.exec(`INSERT INTO suppressions (channel, address, reason) SELECT 'email', account, 'complained' FROM members WHERE id % 5 = 0`)
	// At nine in the morning it is four in New York and one in Los Angeles.
	d.exec(`UPDATE members SET time_zone = CASE id % 8 WHEN 0 THEN 'America/New_York' WHEN 2 THEN 'America/Los_Angeles' ELSE 'UTC' END`)
	d.exec(`INSERT INTO cap_counts (member_id, purpose, ids, taken)
		SELECT id, 'marketing', ARRAY[gen_random_uuid()], ARRAY[$1::timestamptz] FROM members WHERE id % 11 < 3`, monday.AddDate(0, 0, -1))
	deliveries, err := dispatch.NewStore(d.pool, subscriptions.NewConsents(d.pool, d.clock.now), d.clock.now, dispatch.StoreConfig{
		Channels: []subscriptions.Channel{subscriptions.Email, subscriptions.SMS},
		Quiet:    timing.Quiet{From: 22 * 60, Until: 8 * 60},
		Caps:     caps.Rules{subscriptions.Marketing: {{Max: 1, Within: 7 * 24 * time.Hour}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d.store.cfg.Enqueuer = deliveries
	ladder := []subscriptions.Channel{subscriptions.Email, subscriptions.SMS, subscriptions.Fax}
	c := d.create(func(p *Plan) {
		p.Channels, p.Expiry = ladder, "6h"
		p.Messages = append(p.Messages, Wording{Channel: subscriptions.SMS, Locale: "en", Body: "x"}, Wording{Channel: subscriptions.Fax, Locale: "en", Body: "x"})
	})
	if err := d.store.DryRun(t.Context(), c.ID, "operator:ann"); err != nil {
		t.Fatal(err)
	}
	if err := d.store.count(t.Context(), c.ID, 1); err != nil {
		t.Fatal(err)
	}
	o, err := d.store.Outlook(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	foretold := map[string]int64{"waiting": o.Waiting}
	for _, r := range o.Reached {
		foretold[string(r.Channel)] += r.Count
	}
	for _, r := range o.Refused {
		foretold[string(r.Refusal)] += r.Count
	}
	d.must(d.store.Start(t.Context(), c.ID, "operator:ann"))
	d.prepare()
	rows, err := d.pool.Query(t.Context(), `SELECT CASE WHEN state = 'suppressed' THEN reason ELSE channel END, count(*) FROM deliveries GROUP BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	came := map[string]int64{}
	for rows.Next() {
		var what string
		var n int64
		if err := rows.Scan(&what, &n); err != nil {
			t.Fatal(err)
		}
		came[what] = n
	}
	came["waiting"] = int64(d.number(`SELECT count(*) FROM deliveries WHERE state = 'deferred' AND reason = 'quiet_hours'`))
	if sprint(came) != sprint(foretold) || len(came) < 8 {
		t.Errorf("foretold %v, came %v", foretold, came)
	}
}

func TestAnOutlookIsOfTheNextFiring(t *testing.T) {
	at := monday.Add(12 * time.Hour)
	for name, test := range map[string]struct {
		when When
		want string // in UTC, of a member in Shanghai
	}{
		"as soon as it is started":  {When{}, "2026-03-02T09:00:00Z"},
		"its moment":                {When{At: &at}, "2026-03-02T21:00:00Z"},
		"by its own clock":          {When{Cron: "0 8 * * TUE", TimeZone: "Europe/Berlin"}, "2026-03-03T07:00:00Z"},
		"by the member's clock":     {When{Occasion: "03-05", Hour: "07:30"}, "2026-03-04T23:30:00Z"},
		"of birthdays the next day": {When{Occasion: "birthday", Hour: "07:30"}, "2026-03-02T23:30:00Z"},
		"of what comes no more now": {When{Occasion: "2026-01-01"}, "2026-03-02T09:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.members(1)
			d.exec(`UPDATE members SET time_zone = 'Asia/Shanghai', birthday = '1990-07-01'`)
			d.exec(`INSERT INTO contact_points (member_id, channel, address, verified_at) SELECT id, 'email', account, now() FROM members`)
			d.exec(`INSERT INTO consents (member_id, channel, purpose, granted) SELECT id, 'email', 'marketing', true FROM members`)
			var asked []dispatch.Prospect
			d.book.set(func(b *book) {
				b.foresight = func(p dispatch.Prospect) dispatch.Foreseen {
					asked = append(asked, p)
					return dispatch.Foreseen{State: dispatch.Deferred, Reason: "quiet_hours"}
				}
			})
			c := d.create(func(p *Plan) { p.When = test.when })
			if err := d.store.DryRun(t.Context(), c.ID, "operator:ann"); err != nil {
				t.Fatal(err)
			}
			if err := d.store.count(t.Context(), c.ID, 1); err != nil {
				t.Fatal(err)
			}
			o, err := d.store.Outlook(t.Context(), c.ID)
			if err != nil || o.Waiting != 1 || len(asked) != 1 {
				t.Fatalf("%+v, %v; asked %v", o, err, asked)
			}
			p := asked[0]
			if got := p.At.UTC().Format(time.RFC3339); got != test.want || !p.ExpiresAt.Equal(p.At.Add(24*time.Hour)) {
				t.Errorf("at %s until %s, want %s", got, p.ExpiresAt, test.want)
			}
			if p.Purpose != subscriptions.Marketing || p.Priority != 4 || p.Uncapped != (test.when.Occasion == Birthday) {
				t.Errorf("%+v", p)
			}
		})
	}
}
