package subscriptions

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
)

func (d *desk) expire(t testing.TB, limit int) (expired, renewed int) {
	t.Helper()
	expired, renewed, err := d.store.ExpireDue(t.Context(), limit)
	if err != nil {
		t.Fatal(err)
	}
	return expired, renewed
}

// inForce is the member's only subscription in force.
func (d *desk) inForce(t testing.TB) Subscription {
	t.Helper()
	list, err := d.store.ForMember(t.Context(), d.member.ID, false)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d subscriptions in force, %v, want one", len(list), err)
	}
	return list[0]
}

func TestExpireAtTheInstantItEnds(t *testing.T) {
	d := newDesk(t)
	o := d.order()
	o.ValidUntil = pointer(d.time.Add(time.Hour))
	s := d.create(t, o)
	d.time = o.ValidUntil.Add(-time.Microsecond)
	if expired, _ := d.expire(t, 10); expired != 0 {
		t.Error("it ended before its time")
	}
	d.time = *o.ValidUntil
	if expired, renewed := d.expire(t, 10); expired != 1 || renewed != 0 {
		t.Errorf("%d ended, %d renewed", expired, renewed)
	}
	got, err := d.store.Get(t.Context(), s.ID)
	if err != nil || got.State != Ended || got.EndedBy != "expired" || !got.EndedAt.Equal(d.time) {
		t.Errorf("ended %+v, %v", got, err)
	}
	if anchors := d.anchors(t, s.ID); len(anchors) != 0 {
		t.Errorf("anchors %v are left", anchors)
	}
	if diff := cmp.Diff([]string{"created by member", "ended by herald"}, d.history(t, s.ID)); diff != "" {
		t.Errorf("history:\n%s", diff)
	}
}

func TestExpireWhatIsUsedUp(t *testing.T) {
	d := newDesk(t)
	o := d.order()
	o.MaxNotifications = 2
	s := d.create(t, o)
	for sent := range 3 {
		if _, err := d.pool.Exec(t.Context(), `UPDATE subscriptions SET sent = $1`, sent); err != nil {
			t.Fatal(err)
		}
		expired, _ := d.expire(t, 10)
		if want := sent / 2; expired != want {
			t.Errorf("with %d of 2 sent %d ended", sent, expired)
		}
	}
	if got, err := d.store.Get(t.Context(), s.ID); err != nil || got.EndedBy != "exhausted" || got.Sent != 2 {
		t.Errorf("ended %+v, %v", got, err)
	}
}

// monthly is a subscription in Shanghai that repeats and has fired, until
// 09:00 there on 31 March.
func (d *desk) monthly(t testing.TB) Subscription {
	t.Helper()
	o := d.order()
	o.ValidUntil = pointer(time.Date(2026, 3, 31, 1, 0, 0, 0, time.UTC))
	o.Repeats, o.MaxNotifications, o.CoolDown, o.Digest = "monthly", 5, pointer(Duration(time.Hour)), "daily"
	s := d.create(t, o)
	if _, err := d.pool.Exec(t.Context(), `UPDATE subscriptions SET sent = 4, last_fired_at = $1 WHERE id = $2`, d.time, s.ID); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExpireAddsTheFollowUp(t *testing.T) {
	d := newDesk(t)
	s := d.monthly(t)
	anchors := d.anchors(t, s.ID)
	fired := d.time
	d.time = s.ValidUntil.Add(time.Minute)
	if expired, renewed := d.expire(t, 10); expired != 1 || renewed != 1 {
		t.Fatalf("%d ended, %d renewed", expired, renewed)
	}
	next := d.inForce(t)
	want := s
	want.ID, want.Follows, want.LastFiredAt = next.ID, s.ID, &fired
	want.ValidFrom, want.ValidUntil = *s.ValidUntil, pointer(time.Date(2026, 4, 30, 1, 0, 0, 0, time.UTC))
	want.CreatedAt, want.UpdatedAt = d.time, d.time
	if diff := cmp.Diff(want, next); diff != "" {
		t.Errorf("follow-up, want -, got +:\n%s", diff)
	}
	if diff := cmp.Diff(anchors, d.anchors(t, next.ID)); diff != "" {
		t.Errorf("its anchors:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"renewed by herald"}, d.history(t, next.ID)); diff != "" {
		t.Errorf("its history:\n%s", diff)
	}

	d.time = *next.ValidUntil // the 31st comes back
	d.expire(t, 10)
	if until := d.inForce(t).ValidUntil; !until.Equal(time.Date(2026, 5, 31, 1, 0, 0, 0, time.UTC)) {
		t.Errorf("the third period lasts until %s", until)
	}
	d.time = time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC) // nobody looked for months
	if expired, renewed := d.expire(t, 10); expired != 1 || renewed != 1 {
		t.Errorf("after the standstill %d ended, %d renewed", expired, renewed)
	}
	last := d.inForce(t)
	if !last.ValidFrom.Equal(time.Date(2026, 11, 30, 1, 0, 0, 0, time.UTC)) || !last.ValidUntil.Equal(time.Date(2026, 12, 31, 1, 0, 0, 0, time.UTC)) {
		t.Errorf("after the standstill from %s until %s", last.ValidFrom, last.ValidUntil)
	}
}

func TestExpireKeepsTheHourWhenClocksChange(t *testing.T) {
	d := newDesk(t)
	d.member = d.register(t, Registration{Account: "bert", TimeZone: "Europe/Berlin"})
	berlin := zone(t, "Europe/Berlin")
	o := d.order()
	o.ValidUntil, o.Repeats = pointer(time.Date(2026, 3, 28, 2, 30, 0, 0, berlin)), "daily"
	d.create(t, o)
	for _, want := range []string{"2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00"} {
		d.time = *d.inForce(t).ValidUntil
		d.expire(t, 10)
		if got := d.inForce(t).ValidUntil.In(berlin).Format(time.RFC3339); got != want {
			t.Errorf("until %s, want %s", got, want)
		}
	}
}

func TestUsedUpEarlyTheFollowUpWaitsForItsTime(t *testing.T) {
	d := newDesk(t)
	s := d.monthly(t)
	if _, err := d.store.Change(t.Context(), s.ID, Change{Paused: pointer(true), Actor: "member"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.pool.Exec(t.Context(), `UPDATE subscriptions SET sent = 5`); err != nil {
		t.Fatal(err)
	}
	if expired, renewed := d.expire(t, 10); expired != 1 || renewed != 1 {
		t.Fatalf("%d ended, %d renewed", expired, renewed)
	}
	next := d.inForce(t)
	if !next.ValidFrom.Equal(*s.ValidUntil) || next.State != Paused || next.Sent != 0 {
		t.Errorf("follow-up %+v", next)
	}
	if expired, _ := d.expire(t, 10); expired != 0 {
		t.Error("it ended before it began")
	}
}

func TestUnsubscribingByAnOldMessageEndsTheFollowUp(t *testing.T) {
	d := newDesk(t)
	s := d.monthly(t)
	for range 2 {
		d.time = *d.inForce(t).ValidUntil
		d.expire(t, 10)
	}
	next := d.inForce(t)
	if latest, err := d.store.Latest(t.Context(), s.ID); latest.ID != next.ID || latest.State != Active || err != nil {
		t.Errorf("the latest is %d, %s, want %d; %v", latest.ID, latest.State, next.ID, err)
	}
	if err := d.store.End(t.Context(), s.ID, "unsubscribed", "member"); err != nil {
		t.Fatal(err)
	}
	// What the first one had queued is stopped too.
	if latest, err := d.store.Latest(t.Context(), s.ID); latest.EndedBy != "unsubscribed" || err != nil {
		t.Errorf("the latest ended by %q, %v", latest.EndedBy, err)
	}
	if got, err := d.store.Get(t.Context(), next.ID); err != nil || got.EndedBy != "unsubscribed" {
		t.Errorf("the follow-up is %s by %q, %v", got.State, got.EndedBy, err)
	}
	if n, err := d.store.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("%d in force, %v", n, err)
	}
}

func TestManyNodesExpireOnce(t *testing.T) {
	d := newDesk(t)
	const many = 60
	_, err := d.pool.Exec(t.Context(), `
		INSERT INTO subscriptions (member_id, trigger, params, channels, origin, valid_from, valid_until, repeats)
		SELECT $1, 'price_drop', jsonb_build_object('product', 'p' || n, 'target', n), '{email}', 'import', $3, $4, 'daily'
		FROM generate_series(1, $2::int) n`, d.member.ID, many, d.time.Add(-2*time.Hour), d.time.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var expired, renewed int
	for range 4 {
		group.Go(func() {
			for {
				e, r, err := d.store.ExpireDue(t.Context(), 7)
				mu.Lock()
				expired, renewed = expired+e, renewed+r
				mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if err != nil || e == 0 {
					return
				}
			}
		})
	}
	group.Wait()
	e, r := d.expire(t, many) // what was locked when the last node looked
	if expired+e != many || renewed+r != many {
		t.Errorf("%d ended, %d renewed, want %d each", expired+e, renewed+r, many)
	}
	var follows int
	err = d.pool.QueryRow(t.Context(), `SELECT count(DISTINCT follows) FROM subscriptions`).Scan(&follows)
	if n, _ := d.store.Count(t.Context()); follows != many || n != many || err != nil {
		t.Errorf("%d follow-ups of %d subscriptions, %v", n, follows, err)
	}
}

func TestWhatSomebodyHoldsIsPassedOver(t *testing.T) {
	d := newDesk(t)
	s := d.monthly(t)
	d.time = *s.ValidUntil
	tx, err := d.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM triggers FOR NO KEY UPDATE`); err != nil {
		t.Fatal(err)
	}
	if expired, _ := d.expire(t, 10); expired != 0 {
		t.Errorf("%d ended while the trigger is being saved", expired)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if expired, _ := d.expire(t, 10); expired != 1 {
		t.Errorf("%d ended after that", expired)
	}
}

func TestOneThatCannotBeFollowedHoldsUpNoOther(t *testing.T) {
	d := newDesk(t)
	broken := d.monthly(t)
	if _, err := d.pool.Exec(t.Context(), `UPDATE subscriptions SET params = '{"product": 1}' WHERE id = $1`, broken.ID); err != nil {
		t.Fatal(err)
	}
	sound := d.monthly(t)
	d.time = *sound.ValidUntil
	expired, renewed, err := d.store.ExpireDue(t.Context(), 1000)
	if expired != 1 || renewed != 1 || err == nil {
		t.Errorf("%d ended, %d renewed, error %v", expired, renewed, err)
	}
	if got, err := d.store.Get(t.Context(), broken.ID); err != nil || got.State != Active {
		t.Errorf("the broken one is %s, %v", got.State, err)
	}
}

func TestExpiryWorkerInRiver(t *testing.T) {
	d := newDesk(t)
	s := d.monthly(t)
	d.time = *s.ValidUntil
	job, err := ExpiryPeriodicJob("* * * * *")
	if err != nil {
		t.Fatal(err)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, NewExpiryWorker(d.store, slog.New(slog.DiscardHandler)))
	client, err := river.NewClient(riverpgxv5.New(d.pool), &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}}, Workers: workers,
		PeriodicJobs: []*river.PeriodicJob{job}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	done, unsubscribe := client.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed)
	defer unsubscribe()
	if err := client.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	event := <-done
	if err := client.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if event.Job.Kind != "expire_subscriptions" || event.Job.State != rivertype.JobStateCompleted {
		t.Errorf("job %s is %s", event.Job.Kind, event.Job.State)
	}
	if next := d.inForce(t); next.Follows != s.ID {
		t.Errorf("in force is %d, which follows %d", next.ID, next.Follows)
	}
}

func TestExpiryPeriodicJobRefusesAScheduleItCannotRead(t *testing.T) {
	if _, err := ExpiryPeriodicJob("now and then"); err == nil {
		t.Error("taken")
	}
}
