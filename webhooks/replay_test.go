package webhooks

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"herald/problem"
	"herald/timeid"
)

func TestReplaysBringBackWhatFailedOrWasLost(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "*")
	w := s.worker()
	for n := range 3 {
		s.announce(delivered(n))
	}
	s.step(w) // three that were delivered
	s.pass(time.Hour)
	since := s.now()
	r.says(http.StatusInternalServerError)
	for n := range 2 {
		s.announce(delivered(10 + n))
	}
	s.step(w)
	for _, wait := range waits() { // and two that failed
		s.pass(wait + time.Second)
		s.step(w)
	}
	list := s.messages(e.ID)
	failed, err := s.Messages(t.Context(), Filter{Endpoint: e.ID, Failed: true, Limit: 10})
	must(t, err)
	if len(list) != 5 || len(failed) != 2 {
		t.Fatalf("%d messages, %d failed", len(list), len(failed))
	}
	r.says(http.StatusOK)

	must(t, s.Replay(t.Context(), e.ID, failed[0].ID))
	must(t, s.Replay(t.Context(), e.ID, failed[0].ID)) // it waits by now, and has a second job that does nothing
	is(t, s.Replay(t.Context(), e.ID, timeid.New(s.now())), problem.NotFound)
	s.step(w)
	if m := s.messages(e.ID)[0]; m.State != Delivered || m.Attempts != 11 || r.got()[m.ID.String()] != 11 {
		t.Errorf("replayed %+v, came %d times", m, r.got()[m.ID.String()])
	}
	n, err := s.ReplayAll(t.Context(), e.ID, time.Time{}, false)
	must(t, err)
	if worked := s.step(w); n != 1 || worked != 1 {
		t.Errorf("%d failed ones replayed, %d worked", n, worked)
	}
	n, err = s.ReplayAll(t.Context(), e.ID, since, true)
	must(t, err)
	if worked := s.step(w); n != 2 || worked != 2 {
		t.Errorf("%d replayed since, %d worked", n, worked)
	}
	for id, times := range r.got() {
		if times != 1 && times != 12 {
			t.Errorf("%s came %d times", id, times)
		}
	}
	off := false
	_, err = s.Change(t.Context(), e.ID, Change{Enabled: &off})
	must(t, err)
	_, err = s.ReplayAll(t.Context(), e.ID, time.Time{}, true)
	is(t, err, problem.Conflict)
	is(t, s.Replay(t.Context(), e.ID, failed[0].ID), problem.Conflict)
}

func TestAReplayOfManyGoesByChunks(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "*")
	events := make([]Event, 2*replayChunk+7)
	for i := range events {
		events[i] = delivered(i)
	}
	s.announce(events...)
	_, err := s.pool.Exec(t.Context(), `UPDATE webhook_messages SET state = 'failed', attempts = 1, error = 'status'; DELETE FROM river_job`)
	must(t, err)
	n, err := s.ReplayAll(t.Context(), e.ID, time.Time{}, false)
	must(t, err)
	var jobs int
	must(t, s.pool.QueryRow(t.Context(), `SELECT count(DISTINCT args ->> 'message') FROM river_job WHERE args ->> 'attempt' = '2'`).Scan(&jobs))
	if n != len(events) || jobs != n {
		t.Errorf("%d replayed, %d jobs, want %d", n, jobs, len(events))
	}
}

func TestAPingIsTriedOnceAndBlamesNobody(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "campaign.*")
	off := false
	_, err := s.Change(t.Context(), e.ID, Change{Enabled: &off})
	must(t, err)
	w := s.worker()
	sent, err := s.Ping(t.Context(), e.ID)
	must(t, err)
	if sent.Type != Ping || sent.State != Pending || !strings.Contains(string(sent.Body), fmt.Sprintf(`{"endpoint_id": %d}`, e.ID)) && !strings.Contains(string(sent.Body), fmt.Sprintf(`{"endpoint_id":%d}`, e.ID)) {
		t.Errorf("sent %+v", sent)
	}
	s.step(w)
	if m := s.only(e.ID); m.State != Delivered {
		t.Errorf("an endpoint that is off is pinged all the same: %+v", m)
	}
	r.says(http.StatusServiceUnavailable)
	_, err = s.Ping(t.Context(), e.ID)
	must(t, err)
	s.step(w)
	if m := s.messages(e.ID)[0]; m.State != Failed || m.Status != 503 || s.get(e.ID).FailingSince != nil {
		t.Errorf("message %+v", m)
	}
	r.says(http.StatusGone)
	on := true
	_, err = s.Change(t.Context(), e.ID, Change{Enabled: &on})
	must(t, err)
	_, err = s.Ping(t.Context(), e.ID)
	must(t, err)
	s.step(w)
	if !s.get(e.ID).Enabled {
		t.Error("a ping switched the endpoint off")
	}
}

func TestListsComeInPages(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "*")
	for n := range 5 {
		s.announce(delivered(n))
		s.pass(time.Second)
	}
	s.step(s.worker())
	f := Filter{Endpoint: e.ID, Limit: 2}
	var seen []string
	for {
		page, err := s.Messages(t.Context(), f)
		must(t, err)
		attempts, err := s.Attempts(t.Context(), Filter{Endpoint: e.ID, Limit: 100})
		must(t, err)
		if len(attempts) != 5 {
			t.Fatalf("%d attempts", len(attempts))
		}
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			seen = append(seen, m.ID.String())
		}
		f.Before = page[len(page)-1].ID
	}
	for i := 1; i < len(seen); i++ {
		if seen[i] >= seen[i-1] {
			t.Errorf("%v is not newest first", seen)
		}
	}
	if len(seen) != 5 {
		t.Errorf("seen %v", seen)
	}
}

func TestOldMessagesAreSwept(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r, bad := newReceiver(t), newReceiver(t)
	bad.says(http.StatusGone)
	good, failing := s.listen(r, "*"), s.listen(bad, "*")
	w := s.worker()
	s.announce(delivered(1))
	s.step(w)
	count := func() (n int) {
		must(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM webhook_messages`).Scan(&n))
		return n
	}
	sweeps := &sweeper{store: s.Store}
	for _, step := range []struct {
		after time.Duration
		left  int
	}{{keepDelivered - time.Hour, 2}, {2 * time.Hour, 1}, {keepFailed - keepDelivered, 0}} {
		s.pass(step.after)
		must(t, sweeps.Work(t.Context(), nil))
		if n := count(); n != step.left {
			t.Errorf("%d messages are left after another %v, want %d", n, step.after, step.left)
		}
	}
	attempts, err := s.Attempts(t.Context(), Filter{Endpoint: good.ID, Limit: 10})
	must(t, err)
	if len(attempts) != 0 {
		t.Errorf("attempts %+v", attempts)
	}
	// Those of an endpoint that was removed go when delivered ones would.
	_, err = s.Ping(t.Context(), failing.ID)
	must(t, err)
	s.step(w)
	must(t, s.Delete(t.Context(), failing.ID))
	s.pass(keepDelivered + time.Hour)
	must(t, sweeps.Work(t.Context(), nil))
	if n := count(); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

func TestAReplayDoesNotWaitForTheSchedule(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	r.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7200")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	e := s.listen(r, "*")
	w := s.worker()
	s.announce(delivered(1))
	s.step(w)
	r.says(http.StatusOK) // it is mended
	n, err := s.ReplayAll(t.Context(), e.ID, time.Time{}, false)
	must(t, err)
	s.step(w)
	if m := s.only(e.ID); n != 1 || m.State != Delivered || m.Attempts != 2 {
		t.Errorf("%d replayed, message %+v", n, m)
	}
	s.pass(3 * time.Hour)
	if worked := s.step(w); worked != 1 || r.got()[s.only(e.ID).ID.String()] != 2 {
		t.Errorf("%d jobs worked, came %v: the job of the old schedule must do nothing", worked, r.got())
	}
}
