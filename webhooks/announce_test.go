package webhooks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestOnlyWhoListensHears(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	all, some, one := newReceiver(t), newReceiver(t), newReceiver(t)
	everything, deliveries, failures := s.listen(all, "*"), s.listen(some, "delivery.*"), s.listen(one, "delivery.failed", "campaign.finished")
	s.announce(delivered(1), Event{Type: "delivery.failed"}, Event{Type: "campaign.finished"}, Event{Type: "campaign.paused"},
		Event{Type: "delivery.lost"}, Event{}) // of which the last two do not exist
	for e, want := range map[int64]int{everything.ID: 4, deliveries.ID: 2, failures.ID: 2} {
		if got := len(s.messages(e)); got != want {
			t.Errorf("endpoint %d hears %d, want %d", e, got, want)
		}
	}
	s.step(s.worker())
	for id, n := range all.got() {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	for id := range some.got() {
		if all.got()[id] == 0 {
			t.Errorf("%s: one event has two ids", id)
		}
	}
}

func TestWhatIsRolledBackWasNeverAnnounced(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "*")
	back := errors.New("no")
	err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		must(t, s.AnnounceTx(t.Context(), tx, []Event{delivered(1)}))
		return back
	})
	if !errors.Is(err, back) || len(s.messages(e.ID)) != 0 || s.step(s.worker()) != 0 {
		t.Errorf("%v", err)
	}
}

func TestListeningIsKnownWithinASecondOnEveryNode(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	other := s.another(s.pool)
	announce := func(store *Store) {
		must(t, pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error { return store.AnnounceTx(t.Context(), tx, []Event{delivered(1)}) }))
	}
	if !other.Listening("delivery.delivered") {
		t.Error("nothing is known yet, so somebody might listen")
	}
	announce(other)
	if other.Listening("delivery.delivered") {
		t.Error("nobody listens")
	}
	r := newReceiver(t)
	e := s.listen(r, "delivery.delivered")
	announce(s.Store) // this node knows at once
	if n := len(s.messages(e.ID)); n != 1 || !s.Listening("delivery.delivered") || s.Listening("delivery.failed") {
		t.Errorf("%d messages", n)
	}
	announce(other) // the other does not yet
	s.pass(listenFor)
	if !other.Listening("delivery.failed") {
		t.Error("what was known is old")
	}
	announce(other)
	if n := len(s.messages(e.ID)); n != 2 || other.Listening("delivery.failed") || !other.Listening("delivery.delivered") {
		t.Errorf("%d messages", n)
	}
}

func TestManyAnnounceAtOnceWhileEndpointsComeAndGo(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "*")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 20 {
				err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error { return s.AnnounceTx(t.Context(), tx, []Event{delivered(i*20 + n)}) })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		made, _, err := s.Create(t.Context(), NewEndpoint{URL: fmt.Sprintf("http://127.0.0.1:1/%d", i), Types: []string{"*"}})
		must(t, err)
		must(t, s.Delete(t.Context(), made.ID))
	}
	all.Wait()
	if n := len(s.messages(e.ID)); n != 160 {
		t.Errorf("%d messages, want 160", n)
	}
}

// Whatever an endpoint does and however often a worker dies, each event that
// was announced to it ends delivered or failed, and no job is left.
func TestEveryEventEnds(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	dice := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	roll := func(n int) int { mu.Lock(); defer mu.Unlock(); return dice.IntN(n) }
	r.answers(func(w http.ResponseWriter, _ *http.Request) {
		switch roll(6) {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.WriteHeader(http.StatusInternalServerError)
		case 3:
			http.Redirect(w, &http.Request{}, "http://127.0.0.1:1/", http.StatusFound)
		}
	})
	e := s.listen(r, "*")
	w := s.worker()
	announced := 0
	for round := range 400 {
		if round < 60 {
			s.announce(delivered(round), delivered(-round))
			announced += 2
		}
		for _, job := range s.take() {
			ctx, cancel := context.WithCancel(t.Context())
			if roll(10) == 0 {
				cancel() // the process is told to go
			}
			state := "completed"
			if err := w.Work(ctx, job); err != nil || roll(10) == 0 { // or dies before the job has ended
				state = "available"
			}
			cancel()
			_, err := s.pool.Exec(t.Context(), `
				UPDATE river_job SET state = $2::river_job_state, scheduled_at = $3, finalized_at = CASE $2::text WHEN 'completed' THEN now() END
				WHERE id = $1`, job.ID, state, s.now())
			must(t, err)
		}
		s.pass(time.Hour)
	}
	states := map[State]int{}
	for _, m := range s.messages(e.ID) {
		states[m.State]++
	}
	var left int
	must(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'webhook_post' AND state <> 'completed'`).Scan(&left))
	if states[Delivered]+states[Failed] != announced || left != 0 || states[Delivered] == 0 {
		t.Errorf("%v of %d, %d jobs left", states, announced, left)
	}
}

func TestTwoNodesShareTheWork(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "*")
	s.start(s.worker())
	s.start(s.worker())
	const events = 300
	for n := range events / 10 {
		list := make([]Event, 10)
		for i := range list {
			list[i] = delivered(n*10 + i)
		}
		s.announce(list...)
	}
	s.eventually(r, "every message", func() bool {
		list := s.messages(e.ID)
		for _, m := range list {
			if m.State != Delivered {
				return false
			}
		}
		return len(list) == events
	})
	for id, n := range r.got() {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}
