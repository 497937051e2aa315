package matcher_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"herald/dispatch"
	"herald/matcher"
	"herald/problem"
)

// gate is an Enqueuer that lets transactions wait.
type gate struct {
	deliveries *dispatch.Store
	entered    chan struct{} // one for each transaction that has come
	open       chan struct{} // closed to let them go on
}

func (s *shop) gate() *gate {
	return &gate{s.deliveries, make(chan struct{}, 100), make(chan struct{})}
}

func (g *gate) EnqueueTx(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error {
	g.entered <- struct{}{}
	select {
	case <-g.open:
		return g.deliveries.EnqueueTx(ctx, tx, ns)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer is what a call of Accept returned.
type answer struct {
	results []matcher.Result
	err     error
}

func (s *shop) send(ctx context.Context, i *matcher.Intake, events ...matcher.Event) <-chan answer {
	out := make(chan answer, 1)
	go func() {
		results, err := i.Accept(ctx, events)
		out <- answer{results, err}
	}()
	return out
}

// waiting returns once so many events wait in the queue.
func (s *shop) waiting(i *matcher.Intake, n int64) {
	s.Helper()
	for deadline := time.Now().Add(time.Minute); i.Stats().Waiting != n; {
		if time.Now().After(deadline) {
			s.Fatalf("%d events wait, want %d", i.Stats().Waiting, n)
		}
		s.count("triggers") // gives way
	}
}

func taken(t *testing.T, what string, a answer) {
	t.Helper()
	if a.err != nil || len(a.results) != 1 || a.results[0].Status != matcher.Accepted {
		t.Errorf("%s: %+v, %v, want it accepted", what, a.results, a.err)
	}
}

func turnedAway(t *testing.T, what string, err error, code problem.Code) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != code || p.After <= 0 {
		t.Errorf("%s: %v, want a problem of code %s that says how long to wait", what, err, code)
	}
}

func TestAFailingEnqueuerLeavesNothing(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	sub := s.subscribe(s.member("wei"), "kettle", 49)
	var broken atomic.Bool
	broken.Store(true)
	i := s.intake(enqueuer(func(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error {
		if err := s.deliveries.EnqueueTx(ctx, tx, ns); err != nil || !broken.Load() {
			return err
		}
		return errors.New("no room")
	}), matcher.IntakeConfig{})
	_, err := i.Accept(s.ctx, []matcher.Event{priceEvent("1", "kettle", 1), priceEvent("2", "pan", 1)})
	turnedAway(t, "while it fails", err, problem.Unavailable)
	s.expect(map[string]int{"events": 0, "matches": 0, "notifications": 0, "deliveries": 0, "river_job": 0})
	if after, err := s.subscriptions.Get(s.ctx, sub.ID); err != nil || after.Sent != 0 || after.LastFiredAt != nil {
		t.Errorf("afterwards: %+v, %v", after, err)
	}
	broken.Store(false)
	if r := s.accept(i, priceEvent("1", "kettle", 1)); r[0].Status != matcher.Accepted || r[0].Notifications != 1 {
		t.Errorf("sent again: %+v", r)
	}
}

func TestOneCallersTroubleDoesNotKeepOthersOut(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	wei, ann := s.member("wei"), s.member("ann")
	s.subscribe(wei, "kettle", 49)
	s.subscribe(ann, "pan", 49)
	s.subscribe(ann, "cup", 49)
	g := s.gate()
	i := s.intake(enqueuer(func(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error {
		for _, n := range ns {
			if n.MemberID == wei {
				return errors.New("a notification that cannot be enqueued")
			}
		}
		return g.EnqueueTx(ctx, tx, ns)
	}), matcher.IntakeConfig{Committers: 1})
	first := s.send(s.ctx, i, priceEvent("0", "cup", 1))
	<-g.entered
	bad, good := s.send(s.ctx, i, priceEvent("1", "kettle", 1)), s.send(s.ctx, i, priceEvent("2", "pan", 1))
	s.waiting(i, 2) // they will share a transaction
	close(g.open)
	taken(t, "the first", <-first)
	taken(t, "the good one", <-good)
	turnedAway(t, "the bad one", (<-bad).err, problem.Unavailable)
	s.expect(map[string]int{"events": 2, "notifications": 2})
}

func TestAFullQueueTurnsEventsAway(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 49)
	g := s.gate()
	i := s.intake(g, matcher.IntakeConfig{Committers: 1, BatchEvents: 1, QueueEvents: 2})
	first := s.send(s.ctx, i, priceEvent("1", "kettle", 1))
	<-g.entered
	second := s.send(s.ctx, i, priceEvent("2", "kettle", 1))
	s.waiting(i, 1)
	third := s.send(s.ctx, i, priceEvent("3", "kettle", 1))
	s.waiting(i, 2)
	_, err := i.Accept(s.ctx, []matcher.Event{priceEvent("4", "kettle", 1)})
	turnedAway(t, "the fourth", err, problem.Throttled)
	if st := i.Stats(); st.Throttled != 1 {
		t.Errorf("%+v", st)
	}
	close(g.open)
	for n, a := range []<-chan answer{first, second, third} {
		taken(t, fmt.Sprintf("number %d", n+1), <-a)
	}
	s.expect(map[string]int{"events": 3})
}

func TestEventsThatAreTooHeavyTogetherAreTurnedAway(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 49)
	g := s.gate()
	i := s.intake(g, matcher.IntakeConfig{Committers: 1, QueueBytes: 1000})
	heavy := func(id string) matcher.Event {
		e := priceEvent(id, "kettle", 1)
		e.Data["note"] = strings.Repeat("x", 1500)
		return e
	}
	first := s.send(s.ctx, i, priceEvent("1", "kettle", 1))
	<-g.entered
	second := s.send(s.ctx, i, heavy("2")) // alone it may always wait
	s.waiting(i, 1)
	_, err := i.Accept(s.ctx, []matcher.Event{priceEvent("3", "kettle", 1)})
	turnedAway(t, "the third", err, problem.Throttled)
	close(g.open)
	taken(t, "the first", <-first)
	taken(t, "the heavy one", <-second)
	if r := s.accept(i, priceEvent("3", "kettle", 1)); r[0].Status != matcher.Accepted {
		t.Errorf("sent again: %+v", r)
	}
}

func TestACallerWhoLeavesWithdrawsWhatWaits(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 49)
	g := s.gate()
	i := s.intake(g, matcher.IntakeConfig{Committers: 1})
	inHand, leave := context.WithCancel(s.ctx)
	first := s.send(inHand, i, priceEvent("1", "kettle", 1))
	<-g.entered
	waits, leaveQueue := context.WithCancel(s.ctx)
	second := s.send(waits, i, priceEvent("2", "kettle", 1))
	s.waiting(i, 1)
	third := s.send(s.ctx, i, priceEvent("3", "kettle", 1))
	s.waiting(i, 2)
	leaveQueue()
	if a := <-second; !errors.Is(a.err, context.Canceled) {
		t.Errorf("withdrawn: %+v", a)
	} else {
		turnedAway(t, "withdrawn", a.err, problem.Unavailable)
	}
	leave() // its event is in a transaction: the outcome is still told
	close(g.open)
	taken(t, "in hand", <-first)
	taken(t, "behind the withdrawn one", <-third)
	if a := <-s.send(inHand, i, priceEvent("4", "kettle", 1)); a.err == nil {
		t.Errorf("sent after leaving: %+v", a)
	}
	s.expect(map[string]int{"events": 2, "events WHERE source_id = '2'": 0})
}

func TestCloseCommitsWhatWaits(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 49)
	g := s.gate()
	i := s.intake(g, matcher.IntakeConfig{Committers: 1, BatchEvents: 1})
	var answers []<-chan answer
	for n := range 4 {
		answers = append(answers, s.send(s.ctx, i, priceEvent(fmt.Sprint(n), "kettle", 1)))
	}
	<-g.entered
	s.waiting(i, 3)
	closed := make(chan error)
	go func() { closed <- i.Close(s.ctx) }()
	close(g.open)
	for _, a := range answers {
		taken(t, "before Close", <-a)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	_, err := i.Accept(s.ctx, []matcher.Event{priceEvent("late", "kettle", 1)})
	turnedAway(t, "after Close", err, problem.Unavailable)
	if err := i.Close(s.ctx); err != nil {
		t.Errorf("Close again: %v", err)
	}
	s.expect(map[string]int{"events": 4})
}

func TestCloseGivesUpWhenItsTimeIsOver(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 49)
	g := s.gate() // stays shut
	i := matcher.NewIntake(s.pool, s.triggers, g, matcher.IntakeConfig{Committers: 1, BatchEvents: 1, Now: s.clock.now})
	first := s.send(s.ctx, i, priceEvent("1", "kettle", 1))
	<-g.entered
	second := s.send(s.ctx, i, priceEvent("2", "kettle", 1))
	s.waiting(i, 1)
	over, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := i.Close(over); !errors.Is(err, context.Canceled) {
		t.Errorf("Close: %v", err)
	}
	turnedAway(t, "in hand", (<-first).err, problem.Unavailable)
	turnedAway(t, "waiting", (<-second).err, problem.Unavailable)
	s.expect(map[string]int{"events": 0})
}

func TestTransactionsThatCrossAreTriedAgain(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 49)
	var crossings atomic.Int64
	i := s.intake(enqueuer(func(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error {
		if n := crossings.Add(-1); n >= 0 {
			codes := []string{"40001", "40P01", "23514"} // the last: the partition of a day was made meanwhile
			return &pgconn.PgError{Code: codes[n%3], Message: "another transaction was in the way"}
		}
		return s.deliveries.EnqueueTx(ctx, tx, ns)
	}), matcher.IntakeConfig{})
	crossings.Store(3)
	if r := s.accept(i, priceEvent("1", "kettle", 1)); r[0].Notifications != 1 || i.Stats().Retries != 3 {
		t.Errorf("%+v, %+v", r, i.Stats())
	}
	crossings.Store(1000)
	_, err := i.Accept(s.ctx, []matcher.Event{priceEvent("2", "kettle", 1)})
	turnedAway(t, "when they never stop", err, problem.Unavailable)
	s.expect(map[string]int{"events": 1, "matches": 1})
}

func TestWithoutADatabaseEventsAreTurnedAway(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	s.accept(i, priceEvent("1", "kettle", 1))
	s.pool.Close()
	var callers sync.WaitGroup
	for n := range 10 {
		callers.Go(func() {
			_, err := i.Accept(s.ctx, []matcher.Event{priceEvent(fmt.Sprint("x", n), "kettle", 1)})
			turnedAway(t, "without a database", err, problem.Unavailable)
		})
	}
	callers.Wait()
}

func TestATransactionTakesNoLongerThanItMay(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 49)
	g := s.gate() // stays shut
	i := s.intake(g, matcher.IntakeConfig{CommitTimeout: 50 * time.Millisecond})
	_, err := i.Accept(s.ctx, []matcher.Event{priceEvent("1", "kettle", 1)})
	turnedAway(t, "too slow", err, problem.Unavailable)
	s.expect(map[string]int{"events": 0})
}
