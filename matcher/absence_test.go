package matcher_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/dispatch"
	"herald/matcher"
	"herald/matcher/absence"
	"herald/problem"
	"herald/subscriptions"
)

// sweep runs a sweep on a node until the test ends or stop is called.
func (s *shop) sweep(node *matcher.Intake) (stop func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	sweep := absence.NewSweep(s.pool, node, absence.SweepConfig{
		Every: 5 * time.Millisecond, Batch: 20, Now: s.clock.now, Logger: slog.New(slog.DiscardHandler),
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		sweep.Run(ctx)
	}()
	stop = func() { cancel(); <-ended }
	s.Cleanup(stop)
	return stop
}

// unpaidShop is a shop with the starter triggers where wei wants to hear of
// unpaid orders.
func unpaidShop(t testing.TB) (s *shop, subscription int64) {
	s = openShop(t)
	if err := s.triggers.LoadStarter(s.ctx); err != nil {
		t.Fatal(err)
	}
	return s, s.order(s.member("wei"), "order_unpaid", nil)
}

func orderEvent(id, kind, account, order string, after time.Duration) matcher.Event {
	return matcher.Event{
		ID: id, Source: "/shop/orders", Type: "order." + kind, Time: opening.Add(after), Subject: order,
		Data: map[string]any{"account": account, "order": order, "total": 12.5, "currency": "EUR"},
	}
}

func TestAnUnpaidOrderIsToldOnceItsTimeIsUp(t *testing.T) {
	s, subscription := unpaidShop(t)
	s.order(s.member("ann"), "order_unpaid", nil)
	node := s.intake(s.deliveries, matcher.IntakeConfig{})
	for _, r := range s.accept(node,
		orderEvent("1", "created", "wei", "A", 0), orderEvent("2", "created", "wei", "B", time.Minute),
		orderEvent("3", "paid", "wei", "B", time.Hour), orderEvent("4", "created", "nobody", "C", 0),
	) {
		if r.Matches != 0 {
			t.Errorf("%+v: met at once", r)
		}
	}
	s.sweep(node)
	s.clock.set(opening.Add(24 * time.Hour)) // the instant in which it could still be paid
	s.await("watches", 2)
	s.clock.set(opening.Add(24*time.Hour + time.Microsecond))
	s.await("watches", 0)
	s.expect(map[string]int{"matches": 1, "notifications": 1, "watches": 0, "events WHERE source = 'herald:absence'": 2})

	_, told := s.openerAndAbsence("1")
	if told.Subject != "A" || told.Type != "order.created" || !told.Time.Equal(opening.Add(24*time.Hour)) || told.Data["order"] != "A" {
		t.Errorf("%+v", told)
	}
	if got := s.outcomes(absence.Source, told.ID); got[subscription] != matcher.Notified || len(got) != 1 {
		t.Errorf("outcomes %v", got)
	}
}

// openerAndAbsence are the order that was created with an event, and what was
// told of it when it had not been paid.
func (s *shop) openerAndAbsence(event string) (opener, told matcher.Record) {
	s.Helper()
	opener, err := s.events.BySource(s.ctx, "/shop/orders", event)
	if err == nil {
		told, err = s.events.BySource(s.ctx, absence.Source, "order_unpaid/"+opener.UUID.String())
	}
	if err != nil {
		s.Fatal(err)
	}
	return opener, told
}

func TestAnAbsenceIsComparedWithItsOwnTriggerAlone(t *testing.T) {
	s, weis := unpaidShop(t)
	anns := s.order(s.member("ann"), "order_unpaid", nil)
	other, err := s.triggers.Get(s.ctx, "order_unpaid")
	if err != nil {
		t.Fatal(err)
	}
	other.Name, other.Version, other.Absence = "order_created", 0, nil
	s.save(other)
	others := s.order(s.member("eve"), other.Name, nil)
	node := s.intake(nobody, matcher.IntakeConfig{})
	s.accept(node, orderEvent("1", "created", "wei", "A", 0))
	s.clock.set(opening.Add(25 * time.Hour))
	s.sweep(node)
	s.await("watches", 0)
	opener, told := s.openerAndAbsence("1")
	for name, tt := range map[string]struct {
		event        matcher.Record
		subscription int64
		outcome      matcher.Outcome
		first        matcher.Obstacle
	}{
		"the opener":                          {opener, weis, "", matcher.IsWatched},
		"the absence":                         {told, weis, matcher.Notified, ""},
		"the absence of another's":            {told, anns, "", matcher.Unmet},
		"the absence with one on the openers": {told, others, "", matcher.OtherType},
		"the opener with one on the openers":  {opener, others, "", matcher.Unmet},
	} {
		got, err := s.previews(matcher.PreviewConfig{}).Compare(s.ctx, tt.event, tt.subscription)
		if err != nil {
			t.Fatal(err)
		}
		var first matcher.Obstacle
		if len(got.Obstacles) > 0 {
			first = got.Obstacles[0]
		}
		if got.Outcome != tt.outcome || first != tt.first {
			t.Errorf("%s: %q and %v, want %q and first %q", name, got.Outcome, got.Obstacles, tt.outcome, tt.first)
		}
	}
}

func TestAnEventThatCouldCloseNothingIsRefused(t *testing.T) {
	s, _ := unpaidShop(t)
	node := s.intake(nobody, matcher.IntakeConfig{})
	wrong := orderEvent("1", "paid", "wei", "A", 0)
	wrong.Data["order"] = 17.0
	without := orderEvent("2", "paid", "wei", "A", 0)
	delete(without.Data, "order")
	opener := orderEvent("3", "created", "wei", "A", 0)
	delete(opener.Data, "account")
	results, err := node.Accept(s.ctx, []matcher.Event{wrong, without, opener})
	if err != nil {
		t.Fatal(err)
	}
	if results[0].Status != matcher.Refused || problem.CodeOf(results[0].Err) != problem.Invalid {
		t.Errorf("a number for the order: %+v", results[0])
	}
	if results[1].Status != matcher.Accepted {
		t.Errorf("without an order: %+v", results[1])
	}
	if results[2].Status != matcher.Refused {
		t.Errorf("an opener without its account: %+v", results[2])
	}
	s.expect(map[string]int{"watches": 0, "watch_ends": 0})
}

func TestAnAbsenceThatCannotBeEnqueuedWaits(t *testing.T) {
	s, _ := unpaidShop(t)
	var broken atomic.Int64
	broken.Store(3)
	node := s.intake(enqueuer(func(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error {
		if broken.Add(-1) >= 0 {
			return errors.New("no room")
		}
		return s.deliveries.EnqueueTx(ctx, tx, ns)
	}), matcher.IntakeConfig{Logger: slog.New(slog.DiscardHandler)})
	s.accept(node, orderEvent("1", "created", "wei", "A", 0))
	s.clock.set(opening.Add(25 * time.Hour))
	s.sweep(node)
	s.await("watches", 0)
	s.expect(map[string]int{"matches": 1, "notifications": 1, "deliveries": 1})
	if broken.Load() >= 0 {
		t.Error("nothing was broken")
	}
}

func TestASwitchedOffTriggerTellsNothing(t *testing.T) {
	s, _ := unpaidShop(t)
	node := s.intake(nobody, matcher.IntakeConfig{})
	s.accept(node, orderEvent("1", "created", "wei", "A", 0))
	for _, on := range []bool{false, true} {
		if err := s.triggers.SetEnabled(s.ctx, "order_unpaid", on, "test"); err != nil {
			t.Fatal(err)
		}
	}
	s.accept(node, orderEvent("2", "created", "wei", "B", 0))
	s.clock.set(opening.Add(25 * time.Hour))
	s.sweep(node)
	s.await("watches", 0)
	s.expect(map[string]int{"matches": 1, "events WHERE source = 'herald:absence' AND subject = 'B'": 1})
}

func TestSilenceIsWatched(t *testing.T) {
	s := openShop(t)
	trigger := priceDrop()
	trigger.Name, trigger.EventType = "silent", "member.seen"
	trigger.Attributes, trigger.Params = []subscriptions.Attribute{attribute("account", "string")}, nil
	trigger.Condition, trigger.Summary = "event.account == member.account", words("silent")
	trigger.Absence = &subscriptions.Absence{Key: []string{"account"}, ClosedBy: []string{"member.seen"}, Within: "24h"}
	s.save(trigger)
	s.order(s.member("wei"), "silent", nil)
	node := s.intake(nobody, matcher.IntakeConfig{})
	s.clock.set(opening.Add(40 * time.Hour))
	var seen []matcher.Event
	for hour := range 40 {
		e := orderEvent(fmt.Sprint(hour), "", "wei", "", time.Duration(hour)*time.Hour)
		e.Type = "member.seen"
		seen = append(seen, e)
	}
	for piece := range slices.Chunk(seen, 7) {
		s.accept(node, piece...)
	}
	s.expect(map[string]int{"watches": 1})
	s.sweep(node)
	s.clock.set(opening.Add(63*time.Hour + time.Microsecond))
	s.await("watches", 0)
	s.expect(map[string]int{"matches": 1, "events WHERE source = 'herald:absence'": 1})
}

// TestNodesThatReplayAndReorderTellEachAbsenceOnce sends the histories of many
// orders to several nodes, each event to more than one and in any order, while
// connections are killed, lets the time pass, and compares what was told with
// the histories gone through one by one.
func TestNodesThatReplayAndReorderTellEachAbsenceOnce(t *testing.T) {
	s, subscription := unpaidShop(t)
	random := rand.New(rand.NewPCG(5, 5))
	var events []matcher.Event
	var want []string
	for n := range 120 {
		history := orderHistory(random, fmt.Sprintf("o%03d", n))
		for _, id := range unpaidIn(history) {
			want = append(want, fmt.Sprintf("%d %s", subscription, id))
		}
		events = append(events, history...)
	}
	nodes := s.nodes(3)
	s.clock.set(opening.Add(48 * time.Hour)) // all of it has happened
	var group sync.WaitGroup
	for _, node := range nodes {
		mine := slices.Clone(events)
		random.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
		group.Go(func() {
			for piece := range slices.Chunk(mine, 37) {
				s.untilTaken(node, piece)
				s.killSome()
			}
		})
	}
	group.Wait()
	for _, node := range nodes {
		s.sweep(node)
	}
	s.clock.set(opening.Add(100 * 24 * time.Hour))
	for range 10 {
		s.killSome()
	}
	s.pool.Reset() // it may have connections that are cut
	s.await("watches", 0)
	s.untilTaken(nodes[0], events) // all over again
	slices.Sort(want)
	if got := s.told(); !slices.Equal(got, want) {
		t.Errorf("told %v\nwant %v", got, want)
	}
}

// orderHistory is what happened to an order, at instants that all differ.
func orderHistory(random *rand.Rand, order string) []matcher.Event {
	kinds := []string{"created", "created", "paid", "cancelled"}
	var events []matcher.Event
	for i := range 1 + random.IntN(6) {
		after := time.Duration(random.IntN(4))*12*time.Hour + time.Duration(i)*time.Microsecond
		events = append(events, orderEvent(fmt.Sprint(order, "-", i), kinds[random.IntN(len(kinds))], "wei", order, after))
	}
	return events
}

// unpaidIn are the orders' creations that nothing followed in time, of which an
// earlier one did not tell already.
func unpaidIn(history []matcher.Event) (ids []string) {
	history = slices.SortedFunc(slices.Values(history), func(a, b matcher.Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
	})
	var open *matcher.Event
	for _, e := range history {
		if open != nil && e.Time.Sub(open.Time) > 24*time.Hour {
			ids, open = append(ids, open.ID), nil
		}
		switch {
		case e.Type != "order.created":
			open = nil
		case open == nil:
			open = &e
		}
	}
	if open != nil {
		ids = append(ids, open.ID)
	}
	return ids
}

// untilTaken sends events again until they are taken, as senders do.
func (s *shop) untilTaken(node *matcher.Intake, events []matcher.Event) {
	s.Helper()
	for {
		results, err := node.Accept(s.ctx, events)
		if err == nil && !slices.ContainsFunc(results, func(r matcher.Result) bool { return r.Status == matcher.Refused }) {
			return
		}
		if err != nil && problem.CodeOf(err) != problem.Unavailable {
			s.Errorf("Accept: %v", err)
			return
		}
	}
}

// killSome kills a connection that is in a transaction, and waits for its end.
func (s *shop) killSome() {
	_, _ = s.pool.Exec(s.ctx, `
		SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
		ORDER BY random() LIMIT 1`)
}

// told are "subscription event" lines of the absences that met, by the sender's
// id of the opener.
func (s *shop) told() []string {
	s.Helper()
	rows, err := s.pool.Query(s.ctx, `
		SELECT m.subscription_id || ' ' || opener.source_id
		FROM matches m
		JOIN events e ON e.id = m.event_id
		JOIN events opener ON opener.id = split_part(e.source_id, '/', 2)::uuid
		WHERE e.source = $1`, absence.Source)
	if err != nil {
		s.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}
