package collectors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"herald/collectors"
	"herald/collectors/collectortest"
	"herald/matcher"
	"herald/postgres/pgtest"
	"herald/problem"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// list is a source of events that are numbered from 1; its position is how many
// it gave. A price below zero is no event.
type list struct {
	mu     sync.Mutex
	prices []float64
	fails  error
	page   int
	active int // runs at this moment
	most   int // and at most
}

func (l *list) add(prices ...float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prices = append(l.prices, prices...)
}

func (l *list) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails = err
}

func (l *list) rest(from, n int) ([]float64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.prices[from:min(from+n, len(l.prices))], l.fails
}

func (l *list) count(by int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active += by
	l.most = max(l.most, l.active)
}

type priceAt struct {
	N     int
	Price float64
}

func item(p priceAt) collectors.Item {
	original, _ := json.Marshal(p)
	i := collectors.Item{
		Event: collectortest.Price(fmt.Sprint(p.N), "kettle", p.Price), Original: original, Key: fmt.Sprint(p.N), Batch: "list", Place: fmt.Sprintf("number %d", p.N),
	}
	if p.Price < 0 {
		i.Err = errors.New("a price is above zero")
	}
	if p.Price == 0 { // the trigger wants one
		delete(i.Event.Data, "price")
	}
	return i
}

func (l *list) Collect(ctx context.Context, turn *collectors.Turn) error {
	l.count(1)
	defer l.count(-1)
	at := 0
	if err := turn.Position(&at); err != nil {
		return err
	}
	for {
		prices, err := l.rest(at, max(l.page, 1))
		if err != nil || len(prices) == 0 {
			return err
		}
		var items []collectors.Item
		for _, p := range prices {
			at++
			items = append(items, item(priceAt{at, p}))
		}
		turn.Waiting(7)
		if err := turn.Take(ctx, items, at); err != nil {
			return err
		}
	}
}

func (l *list) Reread(_ context.Context, _ string, original []byte) (collectors.Item, error) {
	var p priceAt
	err := json.Unmarshal(original, &p)
	return item(p), err
}

func (l *list) Check(context.Context) error { return nil }

func collector(l *list) collectors.Collector {
	return collectors.Collector{Name: "list", Kind: collectors.Query, Schedule: collectortest.Soon, AtOnce: true, Source: l}
}

func TestWhatCannotBeTakenBecomesADeadLetterAndHoldsUpNothing(t *testing.T) {
	t.Parallel()
	h := collectortest.New(t)
	l := &list{page: 3}
	l.add(1, -1, 2, 0, 3)
	h.Start(collector(l))
	h.UntilTaken(3)
	h.Until("two dead letters", func() bool { return len(h.Letters("list")) == 2 })
	letters := h.Letters("list")
	if got := letters[1]; got.Place != "number 2" || got.Reason != "a price is above zero" || !strings.Contains(string(got.Original), `"N":2`) {
		t.Errorf("the first letter: %+v", got)
	}
	if !strings.Contains(letters[0].Reason, "data.price") {
		t.Errorf("the intake's reason: %q", letters[0].Reason)
	}
	h.Until("it is known who runs it", func() bool { return h.State("list").Holder == "node-1" })
	s := h.State("list")
	if s.Accepted != 3 || s.Refused != 2 || s.DeadLetters != 2 || *s.Waiting != 7 || s.BeganAt == nil || s.TakenAt == nil || s.Error != "" {
		t.Errorf("state %+v", s)
	}
}

func TestDeadLettersAreTriedAgainOrThrownAway(t *testing.T) {
	t.Parallel()
	h := collectortest.New(t)
	l := &list{}
	l.add(0, -1, 0)
	h.Start(collector(l))
	h.Until("three dead letters", func() bool { return len(h.Letters("list")) == 3 })
	letters := h.Letters("list")
	// One of them has been mended: so a mapping that was corrected would have it.
	_, err := h.Pool.Exec(t.Context(), `UPDATE collector_dead_letters SET original = '{"N":3,"Price":5}' WHERE id = $1`, letters[0].ID)
	h.Must(err)
	n, err := h.Store.Again(t.Context(), "list", 0, "operator:anna")
	if err != nil || n != 3 {
		t.Fatalf("asked for %d, %v", n, err)
	}
	h.UntilTaken(1)
	h.Until("the others have failed again", func() bool {
		left := h.Letters("list")
		return len(left) == 2 && left[0].Tries == 1 && left[1].Tries == 1 && left[0].AgainAt == nil
	})
	if n, err := h.Store.Discard(t.Context(), "list", letters[1].ID, 0); err != nil || n != 1 {
		t.Errorf("discarded %d, %v", n, err)
	}
	if n, err := h.Store.Discard(t.Context(), "list", 0, letters[2].ID); err != nil || n != 1 {
		t.Errorf("discarded %d, %v", n, err)
	}
	if _, err := h.Store.Discard(t.Context(), "list", letters[1].ID, 0); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("once more: %v", err)
	}
	if _, err := h.Store.Again(t.Context(), "nobody", 0, "operator:anna"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("of nobody: %v", err)
	}
	if s := h.State("list"); s.Accepted != 1 || s.DeadLetters != 0 {
		t.Errorf("state %+v", s)
	}
}

func TestACrashLosesNothingAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	crash := errors.New("crash")
	for name, fault := range map[string][2]func() error{
		"before the commit":            {collectortest.Once(crash), nil},
		"after it, before it is known": {nil, collectortest.Once(crash)},
		"while the intake has no room": {collectortest.Once(&problem.Error{Code: problem.Throttled, Message: "full", After: time.Millisecond}), nil},
		"while the database is away":   {collectortest.Once(&problem.Error{Code: problem.Unavailable, Message: "away", After: time.Millisecond}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := collectortest.New(t)
			h.Intake.Fail(fault[0], fault[1])
			l := &list{page: 2}
			l.add(1, 2, -1, 4, 5)
			h.Start(collector(l))
			h.UntilTaken(4)
			h.Until("it is counted", func() bool { return h.State("list").Accepted == 4 })
			if s := h.State("list"); s.Duplicates != 0 || s.Refused != 1 || s.DeadLetters != 1 {
				t.Errorf("state %+v", s)
			}
		})
	}
}

func TestAnItemThatKeepsItsPageOutIsFound(t *testing.T) {
	t.Parallel()
	h := collectortest.New(t)
	// The second item of each page that holds one cannot be stored, whatever
	// is tried.
	poison := &poisoned{Intake: h.Intake, id: "2"}
	l := &list{page: 4}
	l.add(1, 2, 3, 4)
	r := collectors.NewRunner(collectors.Config{
		Store: h.Store, Intake: poison, Collectors: []collectors.Collector{collector(l)}, Node: "a", Now: time.Now, Logger: h.Logger,
	})
	h.Must(r.Register(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { r.Run(ctx) })
	defer done.Wait()
	defer cancel()
	h.UntilTaken(3)
	h.Until("a dead letter", func() bool { return len(h.Letters("list")) == 1 })
	if letters := h.Letters("list"); letters[0].Place != "number 2" {
		t.Errorf("letters %+v", letters)
	}
	if got := testutil.CollectAndCount(r, "herald_collectors_events_total"); got != 3 {
		t.Errorf("%d series of events, want one for each status", got)
	}
}

func TestASourceThatIsAwayIsTriedLater(t *testing.T) {
	t.Parallel()
	h := collectortest.New(t)
	l := &list{}
	l.fail(errors.New("connection refused"))
	h.Start(collector(l))
	h.Until("it fails", func() bool { return h.State("list").Error == "connection refused" })
	if h.State("list").FailingSince == nil {
		t.Error("since when is not known")
	}
	l.add(1)
	l.fail(nil)
	h.UntilTaken(1)
	h.Until("it works", func() bool { s := h.State("list"); return s.Error == "" && s.FailingSince == nil })
}

func TestOneNodeAtATime(t *testing.T) {
	t.Parallel()
	h := collectortest.New(t)
	l := &list{}
	first := h.Start(collector(l))
	h.Until("a node runs it", func() bool { return h.State("list").Holder == "node-1" })
	h.Start(collector(l))
	l.add(1, 2, 3)
	h.UntilTaken(3)
	first()
	h.Until("the other runs it", func() bool { return h.State("list").Holder == "node-2" })
	l.add(4)
	h.UntilTaken(4)
	if s, most := h.State("list"), l.mostAtOnce(); s.Duplicates != 0 || most != 1 {
		t.Errorf("%d duplicates, %d runs at once", s.Duplicates, most)
	}
}

func TestANodeThatLostItsLeaseCommitsNothing(t *testing.T) {
	t.Parallel()
	h := collectortest.New(t)
	l := &list{}
	stalled, resume := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h.Intake.Fail(func() error {
		once.Do(func() {
			close(stalled)
			<-resume
		})
		return nil
	}, nil)
	h.Start(collector(l))
	l.add(1)
	<-stalled
	_, err := h.Pool.Exec(t.Context(), `UPDATE collectors SET holder = 'other', held_until = clock_timestamp() + interval '1 hour'`)
	h.Must(err)
	close(resume)
	h.Until("it has noticed", func() bool { return h.Intake.Pages.Load() > 0 && l.idle() })
	if n := h.Count(); n != 0 {
		t.Errorf("%d events were taken without the lease", n)
	}
	_, err = h.Pool.Exec(t.Context(), `UPDATE collectors SET held_until = NULL`)
	h.Must(err)
	h.UntilTaken(1)
}

func (l *list) mostAtOnce() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most
}

func (l *list) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active == 0
}

func TestANameKeepsItsKindUntilItIsForgotten(t *testing.T) {
	t.Parallel()
	h := collectortest.New(t)
	stop := h.Start(collector(&list{}))
	other := collector(&list{})
	other.Kind = collectors.Folder
	r := collectors.NewRunner(collectors.Config{Store: h.Store, Collectors: []collectors.Collector{other}, Logger: h.Logger})
	if err := r.Register(t.Context()); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("another kind: %v", err)
	}
	h.Until("it runs", func() bool { return h.State("list").Holder != "" })
	if err := h.Store.Forget(t.Context(), "list"); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("while it runs: %v", err)
	}
	stop()
	h.Must(h.Store.Forget(t.Context(), "list"))
	h.Must(r.Register(t.Context()))
	if err := h.Store.Forget(t.Context(), "nobody"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("of nobody: %v", err)
	}
}

// poisoned cannot take an event with an id.
type poisoned struct {
	*collectortest.Intake
	id string
}

func (p *poisoned) AcceptWith(ctx context.Context, events []matcher.Event, also func(context.Context, pgx.Tx, []matcher.Result) error) ([]matcher.Result, error) {
	for _, e := range events {
		if e.ID == p.id {
			return nil, &problem.Error{Code: problem.Unavailable, Message: "the events cannot be taken now", After: time.Millisecond}
		}
	}
	return p.Intake.AcceptWith(ctx, events, also)
}
