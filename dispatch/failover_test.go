package dispatch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"herald/dispatch/limits"
)

// chunk enqueues n notifications that one job has, as of a large campaign.
// Nobody works meanwhile.
func (b *bench) chunk(n int, change ...func(*Notification)) []uuid.UUID {
	b.t.Helper()
	ns := make([]Notification, n)
	for i := range ns {
		ns[i] = b.note(change...)
	}
	ids := b.enqueue(ns...)
	b.exec(`DELETE FROM river_job WHERE id > (SELECT min(id) FROM river_job)`)
	b.exec(`UPDATE river_job SET args = jsonb_set(args, '{deliveries}', to_jsonb($1::uuid[]))`, ids)
	return ids
}

func TestMessagesTakeTheOtherAccountWhenOneFails(t *testing.T) {
	tests := map[string]func(s *scripted){
		"it cannot be signed in to": func(s *scripted) { s.opening = &SendError{Class: Configuration, Code: "535"} },
		"its sessions break":        func(s *scripted) { s.fails(&SendError{Class: SessionFatal}) },
		"it falls silent": func(s *scripted) {
			s.fragile = true
			s.fails(&SendError{Class: Transient})
		},
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			b := newIdleBench(t)
			first, second := named("first"), named("second")
			fail(first)
			second.does(takes)
			_, w := b.newWorkerOf("node-2", []AccountConfig{
				{Sender: first, MaxSessions: 1}, {Sender: second, MaxSessions: 1, Cost: 1},
			})
			ids := b.chunk(6)
			events := b.start("node-2", w)
			for b.balanced().Accepted < len64(ids) {
				waitFor(t, events, 1)
				b.due(0)
			}
			for _, id := range ids {
				if d := b.delivery(id); d.Account != "second" || d.Attempts != 1 || d.Repeated != 0 {
					t.Errorf("got %+v", d)
				}
			}
		})
	}
}

func len64[E any](list []E) int64 { return int64(len(list)) }

// A provider that finds the account too fast is left alone for a while, and
// what it has not been asked about waits in the same job.
func TestThrottledAccountRestsAndItsChunkStaysTogether(t *testing.T) {
	b := newIdleBench(t)
	ids := b.chunk(5)
	b.sender.fails(&SendError{Class: Throttled, Code: "421 4.7.0", After: time.Minute})
	_, w := b.newWorkerOf("node-2", []AccountConfig{{Sender: b.sender, MaxSessions: 1}})
	events, stop := b.startUntil("node-2", w)
	if e := waitFor(t, events, 1)[0]; e.Kind != river.EventKindJobSnoozed {
		t.Errorf("the job was %s", e.Kind)
	}
	stop()
	if n := len(b.sender.sent()); n != 1 {
		t.Errorf("%d messages were tried on an account that should rest", n)
	}
	if wait := scalar[float64](b, `SELECT extract(epoch FROM scheduled_at - now()) FROM river_job`); wait < 40 || wait > 60 {
		t.Errorf("the job comes again after %.0f s, want about the minute that the provider wishes", wait)
	}
	b.sender.does(nil)
	b.due(2 * time.Minute)
	b.events = b.start(b.node.Name(), b.worker)
	b.worked(1)
	if l := b.balanced(); l.Accepted != len64(ids) {
		t.Errorf("%+v", l)
	}
	attempts := 0
	for _, id := range ids {
		attempts += b.delivery(id).Attempts
	}
	if attempts != len(ids)+1 {
		t.Errorf("%d attempts at %d messages of which one was refused once", attempts, len(ids))
	}
	if jobs := scalar[int](b, `SELECT count(*) FROM river_job WHERE kind = $1`, handOver{}.Kind()); jobs != 1 {
		t.Errorf("%d jobs, want the one", jobs)
	}
}

// batching is a sender whose sessions take several messages at once. The first
// batch of several breaks its session after breakAfter answers.
type batching struct {
	*scripted
	breakAfter int

	mu      sync.Mutex
	opened  int
	batches []int
}

type batchingSession struct {
	*batching
	broken bool
}

func (s *batching) Open(context.Context) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	return &batchingSession{batching: s}, nil
}

func (s *batchingSession) Send(ctx context.Context, m Message) (Receipt, error) {
	return s.scripted.send(ctx, m)
}

func (s *batchingSession) SendBatch(ctx context.Context, ms []Message, done func(int, Receipt, error)) {
	s.mu.Lock()
	s.batches = append(s.batches, len(ms))
	breaks := s.breakAfter > 0 && len(s.batches) == 1
	s.mu.Unlock()
	for i, m := range ms {
		if breaks && i == s.breakAfter {
			s.broken = true
		}
		if s.broken {
			done(i, Receipt{}, &SendError{Class: SessionFatal, Err: errors.New("the connection closed")})
			continue
		}
		r, err := s.scripted.send(ctx, m)
		done(i, r, err)
	}
}

func (s *batchingSession) Broken() bool                { return s.broken }
func (s *batchingSession) Close(context.Context) error { return nil }

func TestWhatABrokenSessionDidNotHearGoesOnAnotherAtOnce(t *testing.T) {
	b := newIdleBench(t)
	sender := &batching{scripted: b.sender, breakAfter: 4}
	_, w := b.newWorkerOf("node-2", []AccountConfig{{Sender: sender, MaxSessions: 1, tune: patient}})
	ids := b.chunk(10)
	b.events = b.start("node-2", w)
	if e := b.worked(1)[0]; e.Kind != river.EventKindJobCompleted {
		t.Errorf("the job was %s", e.Kind)
	}
	for _, id := range ids {
		if d := b.delivery(id); d.State != Accepted || d.Attempts != 1 || d.Repeated != 0 {
			t.Errorf("got %+v", d)
		}
	}
	if len(sender.sent()) != len(ids) {
		t.Errorf("%d messages went, want %d", len(sender.sent()), len(ids))
	}
	// The first goes alone, to find out how fast the account is.
	if !slices.Equal(sender.batches, []int{9, 5}) || sender.opened != 2 {
		t.Errorf("batches of %v on %d sessions", sender.batches, sender.opened)
	}
}

func TestADomainsRateSpacesItsMessages(t *testing.T) {
	const each = 50 * time.Millisecond
	b := newIdleBench(t)
	var mu sync.Mutex
	went := map[string][]time.Time{}
	b.sender.does(func(_ context.Context, m Message) (Receipt, error) {
		mu.Lock()
		defer mu.Unlock()
		went[m.Address] = append(went[m.Address], time.Now())
		return Receipt{}, nil
	})
	rules := limits.Rules{Domains: map[string]limits.Rate{"example.com": {Max: 20}}}
	_, w := b.newWorkerOf("node-2", []AccountConfig{{Sender: b.sender, MaxSessions: 4, Rules: rules, tune: patient}})
	other, _ := b.newMember("lin", "lin@else.net")
	began := time.Now()
	var ns []Notification
	for range 8 {
		ns = append(ns, b.note(), b.note(func(n *Notification) { n.MemberID = other }))
	}
	ids := b.enqueue(ns...)
	events := b.start("node-2", w)
	for b.balanced().Accepted < len64(ids) {
		waitFor(t, events, 1)
		b.due(0)
	}
	for i, at := range went["wei@example.com"] {
		if early := began.Add(time.Duration(i)*each - paceStep).Sub(at); early > 0 {
			t.Errorf("message %d of the limited domain went %v too early", i+1, early)
		}
	}
}

func TestADomainThatIsLimitedHoldsUpNoOther(t *testing.T) {
	b := newIdleBench(t)
	rules := limits.Rules{Domains: map[string]limits.Rate{"example.com": {Max: 1, Per: "day"}}}
	_, w := b.newWorkerOf("node-2", []AccountConfig{{Sender: b.sender, MaxSessions: 4, Rules: rules, tune: patient}})
	other, _ := b.newMember("lin", "lin@else.net")
	var ns []Notification
	for range 8 {
		ns = append(ns, b.note(), b.note(func(n *Notification) { n.MemberID = other }))
	}
	b.enqueue(ns...)
	events := b.start("node-2", w)
	for b.balanced().Accepted < 9 { // the one that may go, and the others
		waitFor(t, events, 1)
		b.due(0)
	}
	limited := 0
	for _, m := range b.sender.sent() {
		if m.Address == "wei@example.com" {
			limited++
		}
	}
	if limited != 1 {
		t.Errorf("%d messages of the limited domain went", limited)
	}
}

// shared is a sender that knows how many of its sessions are open.
type shared struct {
	*scripted
	mu         sync.Mutex
	open, peak int
}

type sharedSession struct {
	Session
	sender *shared
}

func (s *shared) Open(ctx context.Context) (Session, error) {
	one, err := s.scripted.Open(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	s.peak = max(s.peak, s.open)
	return sharedSession{one, s}, err
}

func (s sharedSession) Close(ctx context.Context) error {
	s.sender.mu.Lock()
	defer s.sender.mu.Unlock()
	s.sender.open--
	return s.Session.Close(ctx)
}

func TestTwoNodesShareAnAccountsConnections(t *testing.T) {
	const most = 3
	b := newIdleBench(t)
	sender := &shared{scripted: b.sender}
	var ids []uuid.UUID
	for range 60 {
		ids = append(ids, b.enqueue(b.note())...)
	}
	var events []<-chan *river.Event
	for _, name := range []string{"node-2", "node-3"} {
		_, w := b.newWorkerOf(name, []AccountConfig{{Sender: sender, MaxSessions: most, tune: patient}})
		events = append(events, b.start(name, w))
	}
	for done := 0; done < len(ids); {
		var e *river.Event
		select {
		case e = <-events[0]:
		case e = <-events[1]:
		case <-time.After(2 * time.Minute):
			t.Fatalf("%d of %d are done", done, len(ids))
		}
		if e.Kind == river.EventKindJobCompleted {
			done++
		}
		b.due(0)
	}
	if l := b.balanced(); l.Accepted != len64(ids) {
		t.Errorf("%+v", l)
	}
	sender.mu.Lock()
	defer sender.mu.Unlock()
	if sender.peak > most || sender.peak == 0 {
		t.Errorf("%d sessions were open at once, and %d may be", sender.peak, most)
	}
}

func TestDrainLeavesTheRestOfAChunkToOthers(t *testing.T) {
	b := newIdleBench(t)
	ids := b.chunk(sliceMax + 20)
	var once sync.Once
	b.sender.does(func(context.Context, Message) (Receipt, error) {
		once.Do(b.worker.Drain)
		return Receipt{}, nil
	})
	events, stop := b.startUntil(b.node.Name(), b.worker)
	if e := waitFor(t, events, 1)[0]; e.Kind != river.EventKindJobSnoozed {
		t.Errorf("the job was %s", e.Kind)
	}
	stop()
	if l := b.balanced(); l.Accepted == 0 || l.Accepted == len64(ids) {
		t.Errorf("%d of %d went after the drain", l.Accepted, len(ids))
	}
	b.due(0)
	_, w := b.newWorker("node-2", b.sender)
	waitFor(t, b.start("node-2", w), 1)
	if l := b.balanced(); l.Accepted != len64(ids) || len(b.sender.sent()) != len(ids) {
		t.Errorf("%d of %d are accepted, by %d messages", l.Accepted, len(ids), len(b.sender.sent()))
	}
}

func TestAJobMakesRoomForOthersAfterAWhile(t *testing.T) {
	b := newIdleBench(t)
	ids := b.chunk(3)
	var args handOver
	if err := b.pool.QueryRow(t.Context(), `SELECT args FROM river_job`).Scan(&args); err != nil {
		t.Fatal(err)
	}
	tasks, err := b.store.load(t.Context(), args)
	if err != nil || len(tasks) != len(ids) {
		t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	r := &run{Worker: b.worker, job: &river.Job[handOver]{Args: args}, began: time.Now().Add(-runFor - time.Second)}
	var snooze *river.JobSnoozeError
	if err := r.through(t.Context(), tasks); !errors.As(err, &snooze) || snooze.Duration != 0 {
		t.Errorf("got %v, want the job back in the queue at once", err)
	}
	if len(b.sender.sent()) != 0 {
		t.Error("it went on all the same")
	}
}
