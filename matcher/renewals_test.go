package matcher_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"herald/dispatch"
	"herald/matcher"
	"herald/problem"
	"herald/subscriptions"
)

func (s *shop) renewals(enqueue matcher.Enqueuer) *matcher.Renewals {
	return matcher.NewRenewals(s.pool, s.triggers, enqueue, matcher.RenewalsConfig{
		Days: 7, Batch: 3, Now: s.clock.now, Logger: slog.New(slog.DiscardHandler),
	})
}

// offers expects so many offers to be made at an instant.
func (s *shop) offers(at time.Time, want int) {
	s.Helper()
	s.clock.set(at)
	made, err := s.renewals(s.deliveries).Offer(s.ctx)
	if err != nil || made != want {
		s.Errorf("at %s: %d offers, %v, want %d", at, made, err, want)
	}
}

func (s *shop) zone(name string) *time.Location {
	s.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		s.Fatal(err)
	}
	return zone
}

func (s *shop) memberIn(account, zone string) int64 {
	s.Helper()
	id := s.member(account)
	if _, err := s.pool.Exec(s.ctx, `UPDATE members SET time_zone = $2 WHERE id = $1`, id, zone); err != nil {
		s.Fatal(err)
	}
	return id
}

func until(at time.Time) func(*subscriptions.Order) {
	return func(o *subscriptions.Order) { o.ValidUntil = &at }
}

// What is valid to the end of 30 April is offered on 23 April at 09:00, by each
// member's own clock, even where it is already or still another day.
func TestAnEndIsOfferedAtNineOnItsDay(t *testing.T) {
	for _, name := range []string{"UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Shanghai", "America/New_York"} {
		t.Run(name, func(t *testing.T) {
			s := openShop(t)
			s.save(priceDrop())
			zone := s.zone(name)
			wei := s.memberIn("wei", name)
			s.subscribe(wei, "kettle", 50, until(time.Date(2026, 5, 1, 0, 0, 0, 0, zone)))
			s.subscribe(wei, "teapot", 50, until(time.Date(2026, 5, 1, 0, 0, 0, 1000, zone))) // a day later
			nine := time.Date(2026, 4, 23, 9, 0, 0, 0, zone)
			s.offers(nine.AddDate(0, 0, -1).Add(14*time.Hour), 0)
			s.offers(nine.Add(-time.Microsecond), 0)
			s.offers(nine, 1)
			s.offers(nine, 0)
			s.offers(nine.AddDate(0, 0, 1).Add(-time.Microsecond), 0)
			s.offers(nine.AddDate(0, 0, 1), 1)
		})
	}
}

// What was missed is made up for, but not at night and not after the end.
func TestAMissedOfferIsMadeByDay(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	end := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	s.subscribe(s.member("wei"), "kettle", 50, until(end))
	s.subscribe(s.member("ann"), "kettle", 50, until(end.AddDate(0, 0, -1)))
	s.offers(time.Date(2026, 4, 30, 3, 0, 0, 0, time.UTC), 0)
	s.offers(time.Date(2026, 4, 30, 22, 0, 0, 0, time.UTC), 1)
	s.expect(map[string]int{"subscriptions WHERE renewal_offered_at IS NULL": 1})
}

func TestWhatIsNotOffered(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	off := s.save(func() subscriptions.Trigger { t := priceDrop(); t.Name = "off"; return t }())
	wei := s.member("wei")
	from := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	for name, change := range map[string]func(*subscriptions.Order){
		"repeats":      func(o *subscriptions.Order) { o.Repeats = "monthly" },
		"endless":      func(o *subscriptions.Order) { o.ValidUntil = nil },
		"paused":       func(*subscriptions.Order) {},
		"exhausted":    func(o *subscriptions.Order) { o.MaxNotifications = 2 },
		"some left":    func(o *subscriptions.Order) { o.MaxNotifications = 3 },
		"switched off": func(o *subscriptions.Order) { o.Trigger = "off" },
		"just enough": func(o *subscriptions.Order) {
			at := o.ValidFrom.AddDate(0, 0, 14)
			o.ValidUntil = &at
		},
		"too short": func(o *subscriptions.Order) {
			at := o.ValidFrom.AddDate(0, 0, 14).Add(-time.Microsecond)
			o.ValidUntil = &at
		},
	} {
		s.subscribe(wei, name, 50, func(o *subscriptions.Order) {
			o.ValidFrom = &from
			at := from.AddDate(0, 0, 14)
			o.ValidUntil = &at
			change(o)
		})
	}
	for _, sql := range []string{
		`UPDATE subscriptions SET sent = 2`,
		`UPDATE subscriptions SET paused = true WHERE params->>'product' = 'paused'`,
	} {
		if _, err := s.pool.Exec(s.ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.triggers.SetEnabled(s.ctx, off.Name, false, "test"); err != nil {
		t.Fatal(err)
	}
	s.offers(time.Date(2026, 4, 10, 12, 0, 0, 0, time.UTC), 2)
	s.expect(map[string]int{"subscriptions WHERE renewal_offered_at IS NOT NULL AND params->>'product' IN ('some left', 'just enough')": 2})
}

// Another end is offered in its turn, and what has ended keeps the mark.
func TestAMovedEndIsOfferedAgain(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	end := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	sub := s.subscribe(s.member("wei"), "kettle", 50, until(end))
	nine := time.Date(2026, 4, 23, 9, 0, 0, 0, time.UTC)
	s.offers(nine, 1)
	change := func(c subscriptions.Change) {
		t.Helper()
		c.Actor = "member"
		if _, err := s.subscriptions.Change(s.ctx, sub.ID, c); err != nil {
			t.Fatal(err)
		}
	}
	change(subscriptions.Change{Channels: []subscriptions.Channel{subscriptions.Email, subscriptions.SMS}})
	s.offers(nine, 0)
	later := end.AddDate(0, 0, 30)
	moved := &later
	change(subscriptions.Change{ValidUntil: &moved})
	s.offers(nine, 0)
	s.offers(nine.AddDate(0, 0, 30), 1)
	var none *time.Time
	change(subscriptions.Change{ValidUntil: &none})
	s.offers(nine.AddDate(0, 0, 30), 0)
	change(subscriptions.Change{ValidUntil: &moved})
	s.offers(nine.AddDate(0, 0, 30), 1)
	if err := s.subscriptions.End(s.ctx, sub.ID, "cancelled", "member"); err != nil {
		t.Fatal(err)
	}
	s.expect(map[string]int{"ended_subscriptions WHERE renewal_offered_at IS NOT NULL": 1, "notifications WHERE template = 'renewal'": 3})
}

func TestAnOfferIsANotificationLikeOthers(t *testing.T) {
	s := openShop(t)
	marketing := priceDrop()
	marketing.Purpose = subscriptions.Marketing
	s.save(marketing)
	shanghai := s.zone("Asia/Shanghai")
	end := time.Date(2026, 5, 1, 0, 0, 0, 0, shanghai)
	sub := s.subscribe(s.memberIn("wei", "Asia/Shanghai"), "kettle", 50, until(end))
	var made []dispatch.Notification
	at := time.Date(2026, 4, 23, 9, 0, 0, 0, shanghai)
	s.clock.set(at)
	_, err := s.renewals(enqueuer(func(_ context.Context, _ pgx.Tx, ns []dispatch.Notification) error {
		made = append(made, ns...)
		return nil
	})).Offer(s.ctx)
	if err != nil || len(made) != 1 {
		t.Fatalf("%d offers, %v", len(made), err)
	}
	want := dispatch.Notification{
		ID: made[0].ID, MemberID: sub.MemberID, Trigger: "price_drop", SubscriptionID: sub.ID,
		Purpose: subscriptions.Marketing, Priority: 3, Template: "renewal",
		Data: map[string]any{
			"param":   map[string]any{"product": "kettle", "target": 50.0},
			"member":  map[string]any{"account": "wei", "name": "Wei", "locale": "zh-CN"},
			"trigger": map[string]any{"name": "price_drop", "title": "Price drop。"},
			"summary": "kettle at 50。", "until": "2026-04-30",
		},
		Channels: []subscriptions.Channel{subscriptions.Email},
		Decision: dispatch.Decision{{At: at.UTC(), Code: "ends_soon", OK: true, Args: map[string]any{
			"until": end.UTC(), "days": 7, "summary": "kettle at 50。",
		}}},
		ExpiresAt: made[0].ExpiresAt,
	}
	if diff := cmp.Diff(want, made[0]); diff != "" || !made[0].ExpiresAt.Equal(end) {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Whoever cannot be reached is not written to; the offer is kept as suppressed.
func TestAnOfferThatReachesNobodyIsSuppressed(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	wei := s.member("wei")
	s.subscribe(wei, "kettle", 50, until(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)))
	if _, err := s.pool.Exec(s.ctx, `UPDATE contact_points SET verified_at = NULL`); err != nil {
		t.Fatal(err)
	}
	s.offers(time.Date(2026, 4, 23, 9, 0, 0, 0, time.UTC), 1)
	s.expect(map[string]int{"deliveries WHERE state = 'suppressed'": 1})
}

// Two nodes at once, with more than fits in a transaction: each offer once.
func TestManyNodesOfferOnce(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	wei := s.member("wei")
	const many = 40
	for i := range many {
		s.subscribe(wei, "kettle", 50+float64(i), until(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)))
	}
	s.clock.set(time.Date(2026, 4, 23, 9, 0, 0, 0, time.UTC))
	var nodes sync.WaitGroup
	for range 2 {
		nodes.Go(func() {
			if _, err := s.renewals(s.deliveries).Offer(s.ctx); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
	s.offers(s.clock.now(), 0)
	s.expect(map[string]int{"notifications WHERE template = 'renewal'": many, "(SELECT DISTINCT subscription_id FROM notifications) AS d": many})
}

// A node that dies before its transaction commits has offered nothing; the next
// does, once.
func TestAKilledOfferIsMadeOnce(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 50, until(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)))
	nine := time.Date(2026, 4, 23, 9, 0, 0, 0, time.UTC)
	s.clock.set(nine)
	killed := enqueuer(func(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error {
		if err := s.deliveries.EnqueueTx(ctx, tx, ns); err != nil {
			return err
		}
		var pid int
		if err := tx.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			return err
		}
		_, err := s.pool.Exec(ctx, `SELECT pg_terminate_backend($1, 10000)`, pid) // which waits until it is gone, with its locks
		return err
	})
	if made, err := s.renewals(killed).Offer(s.ctx); err == nil || made != 0 {
		t.Fatalf("%d offers, %v, of a connection that was cut", made, err)
	}
	s.expect(map[string]int{"notifications": 0, "subscriptions WHERE renewal_offered_at IS NOT NULL": 0})
	refused := enqueuer(func(context.Context, pgx.Tx, []dispatch.Notification) error { return errors.New("no") })
	if _, err := s.renewals(refused).Offer(s.ctx); err == nil {
		t.Error("an offer that could not be enqueued was no error")
	}
	s.offers(nine, 1)
	s.offers(nine, 0)
	s.expect(map[string]int{"notifications": 1})
}

// Run looks at once, and ends with its context; without days it offers nothing.
func TestRenewalsRun(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 50, until(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)))
	s.clock.set(time.Date(2026, 4, 23, 9, 0, 0, 0, time.UTC))
	never := matcher.NewRenewals(s.pool, s.triggers, s.deliveries, matcher.RenewalsConfig{Now: s.clock.now})
	if made, err := never.Offer(s.ctx); made != 0 || err != nil {
		t.Errorf("%d offers, %v, where none shall be made", made, err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.renewals(s.deliveries).Run(ctx)
	}()
	s.await("notifications WHERE template = 'renewal'", 1)
	cancel()
	<-ended
	s.pool.Close()
	if _, err := s.renewals(s.deliveries).Offer(s.ctx); err == nil || problem.CodeOf(err) != "" {
		t.Errorf("without a database: %v", err)
	}
}
