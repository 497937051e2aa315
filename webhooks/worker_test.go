package webhooks

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestAnEventReachesItsEndpointSigned(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "delivery.*")
	at := time.Date(2026, 3, 3, 9, 12, 4, 0, time.FixedZone("", 8*3600))
	s.announce(Event{Type: "delivery.failed", At: at, Data: map[string]any{"member_id": 7, "reason": "permanent", "address": "wei@example.com"}})
	if n := s.step(s.worker()); n != 1 {
		t.Fatalf("%d jobs, want 1", n)
	}
	m := s.only(e.ID)
	if m.State != Delivered || m.Attempts != 1 || m.Status != http.StatusNoContent || m.Error != "" {
		t.Errorf("message %+v", m)
	}
	want := `{"type":"delivery.failed","timestamp":"2026-03-03T01:12:04Z","data":{"member_id":7,"reason":"permanent"}}`
	if got := r.bodies[m.ID.String()]; len(got) != 1 || got[0] != want {
		t.Errorf("posted %q, want %q", got, want)
	}
	attempts, err := s.Attempts(t.Context(), Filter{Endpoint: e.ID, Limit: 10})
	must(t, err)
	if len(attempts) != 1 || attempts[0].MessageID != m.ID || attempts[0].Status != 204 || attempts[0].Seconds <= 0 || attempts[0].Number != 1 {
		t.Errorf("attempts %+v", attempts)
	}
}

func TestWhatAReceiverAnswersIsUnderstood(t *testing.T) {
	t.Parallel()
	status := func(code int, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
		}
	}
	tests := map[string]struct {
		answer   http.HandlerFunc
		state    State
		class    Class
		status   int
		min, max time.Duration // until the next attempt
		held     bool
	}{
		"200":           {status(200), Delivered, "", 200, 0, 0, false},
		"299":           {status(299), Delivered, "", 299, 0, 0, false},
		"404":           {status(404), Pending, Refused, 404, 4 * time.Second, 6 * time.Second, false},
		"500":           {status(500), Pending, Refused, 500, 4 * time.Second, 6 * time.Second, false},
		"502 strained":  {status(502), Pending, Refused, 502, 4 * time.Second, 6 * time.Second, true},
		"429 and wish":  {status(429, "Retry-After", "120"), Pending, Throttled, 429, 119 * time.Second, 121 * time.Second, true},
		"503 and wish":  {status(503, "Retry-After", "90"), Pending, Refused, 503, 89 * time.Second, 91 * time.Second, true},
		"429 without":   {status(429), Pending, Throttled, 429, 4 * time.Second, 6 * time.Second, true},
		"a redirection": {status(302, "Location", "http://169.254.169.254/"), Pending, Redirected, 302, 4 * time.Second, 6 * time.Second, false},
		"410":           {status(410), Failed, SaidGone, 410, 0, 0, false},
		"no end": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			for {
				if _, err := io.WriteString(w, strings.Repeat("x", 1<<16)); err != nil {
					return
				}
			}
		}, Delivered, "", 200, 0, 0, false},
		"nothing, and hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Pending, Broken, 0, 4 * time.Second, 6 * time.Second, true},
		"huge headers":         {status(200, "X-Long", strings.Repeat("x", maxHeaders+4096)), Pending, Broken, 0, 4 * time.Second, 6 * time.Second, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			r := newReceiver(t)
			r.answers(tt.answer)
			e := s.listen(r, "*")
			s.announce(delivered(1))
			began := s.now()
			s.step(s.worker())
			m := s.only(e.ID)
			if m.State != tt.state || m.Error != tt.class || m.Status != tt.status {
				t.Fatalf("message %+v", m)
			}
			if tt.state == Pending {
				if wait := m.NextAttemptAt.Sub(began); wait < tt.min || wait > tt.max+5*time.Second {
					t.Errorf("next in %v, want %v to %v", wait, tt.min, tt.max)
				}
			}
			e = s.get(e.ID)
			if (e.HoldUntil != nil) != tt.held || e.Enabled != (tt.class != SaidGone) {
				t.Errorf("endpoint %+v", e)
			}
			if got := len(r.got()); got != 1 {
				t.Errorf("%d messages came", got)
			}
		})
	}
}

func TestAReceiverThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	r.answers(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	e := s.listen(r, "*")
	s.announce(delivered(1))
	w := s.worker()
	w.poster.timeout = 50 * time.Millisecond
	s.step(w)
	if m := s.only(e.ID); m.State != Pending || m.Error != TimedOut {
		t.Errorf("message %+v", m)
	}
}

func TestNobodyListeningThereIsRetried(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "*")
	r.Close()
	s.announce(delivered(1))
	s.step(s.worker())
	if m := s.only(e.ID); m.State != Pending || m.Error != NoConnect {
		t.Errorf("message %+v", m)
	}
}

func TestTheWholeScheduleIsWalkedThenItHasFailed(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	r.says(http.StatusInternalServerError)
	e := s.listen(r, "*")
	s.announce(delivered(1))
	w := s.worker()
	began := s.now()
	s.step(w)
	for _, wait := range waits() {
		if m := s.only(e.ID); m.State != Pending {
			t.Fatalf("after %v: %+v", s.now().Sub(began), m)
		}
		s.pass(wait + time.Second)
		if n := s.step(w); n != 1 {
			t.Fatalf("%d jobs due after %v", n, wait)
		}
	}
	m := s.only(e.ID)
	if m.State != Failed || m.Attempts != 10 || m.NextAttemptAt != nil || r.got()[m.ID.String()] != 10 {
		t.Errorf("message %+v, came %d times", m, r.got()[m.ID.String()])
	}
	if after := s.now().Sub(began); after < 75*time.Hour || after > 77*time.Hour {
		t.Errorf("given up after %v, want about three days", after)
	}
	if e = s.get(e.ID); !e.Enabled || e.FailingSince == nil {
		t.Errorf("after three days: %+v", e)
	}
}

func TestAnEndpointThatFailsForDaysIsSwitchedOffAndSaysSo(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	r.says(http.StatusInternalServerError)
	e := s.listen(r, "*")
	w := s.worker()
	s.announce(delivered(1))
	s.step(w)
	s.pass(48 * time.Hour) // a second one, that fails for good when the endpoint has for five days
	s.announce(delivered(2))
	for range 20 {
		s.step(w)
		s.pass(25 * time.Hour)
	}
	e = s.get(e.ID)
	if e.Enabled || e.DisabledFor != Failing || e.FailingSince == nil {
		t.Errorf("endpoint %+v", e)
	}
	for _, m := range s.messages(e.ID) {
		if m.State != Failed {
			t.Errorf("message %+v", m)
		}
	}
	s.announce(delivered(3)) // heard by nobody
	if n := len(s.messages(e.ID)); n != 2 {
		t.Errorf("%d messages", n)
	}
	on := true
	e, err := s.Change(t.Context(), e.ID, Change{Enabled: &on, By: "operator:ann"})
	must(t, err)
	if !e.Enabled || e.DisabledFor != "" || e.FailingSince != nil || e.HoldUntil != nil {
		t.Errorf("switched on: %+v", e)
	}
}

func TestASuccessEndsAFailure(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	r.says(http.StatusBadGateway)
	e := s.listen(r, "*")
	w := s.worker()
	s.announce(delivered(1))
	s.step(w)
	if e := s.get(e.ID); e.FailingSince == nil || e.HoldUntil == nil {
		t.Fatalf("endpoint %+v", e)
	}
	r.says(http.StatusOK)
	s.pass(10 * time.Second)
	s.step(w)
	if e := s.get(e.ID); e.FailingSince != nil || e.HoldUntil != nil || s.only(e.ID).State != Delivered {
		t.Errorf("endpoint %+v", e)
	}
}

func TestAHeldEndpointIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	r.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	s.listen(r, "*")
	w := s.worker()
	s.announce(delivered(1))
	s.step(w)
	s.announce(delivered(2), delivered(3))
	s.step(w)
	if got := r.got(); len(got) != 1 {
		t.Errorf("%d messages were posted to an endpoint that asked for an hour", len(got))
	}
}

func TestAJobThatRanTwiceActsOnce(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	r.says(http.StatusInternalServerError)
	e := s.listen(r, "*")
	s.announce(delivered(1))
	w := s.worker()
	jobs := s.take()
	for range 3 { // the worker died before or after it wrote, others took the job up
		must(t, w.Work(t.Context(), jobs[0]))
	}
	m := s.only(e.ID)
	if m.Attempts != 1 || r.got()[m.ID.String()] != 1 {
		t.Errorf("message %+v, came %v", m, r.got())
	}
	var waiting int
	must(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'webhook_post' AND state = 'scheduled'`).Scan(&waiting))
	if waiting != 1 {
		t.Errorf("%d jobs wait, want one", waiting)
	}
}

func TestACrashBetweenPostAndRecordRepeatsUnderTheSameID(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "*")
	s.announce(delivered(1))
	w := s.worker()
	job := s.take()[0]
	loaded, err := s.load(t.Context(), job.Args)
	must(t, err)
	if o := w.attempt(t.Context(), loaded, s.now()); o.class != "" { // and the process dies
		t.Fatalf("outcome %+v", o)
	}
	must(t, w.Work(t.Context(), job))
	m := s.only(e.ID)
	if got := r.got(); len(got) != 1 || got[m.ID.String()] != 2 || m.State != Delivered || m.Attempts != 1 {
		t.Errorf("came %v, message %+v", got, m)
	}
}

func TestTwoWhoHaveTheSameJobRecordOneAttempt(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	both := make(chan struct{})
	entered := make(chan struct{}, 2)
	r.answers(func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-both
		w.WriteHeader(http.StatusInternalServerError)
	})
	e := s.listen(r, "*")
	s.announce(delivered(1))
	job := s.take()[0]
	failed := make(chan error, 2)
	for range 2 {
		w := s.worker() // of a node of its own
		go func() { failed <- w.Work(t.Context(), job) }()
	}
	<-entered
	<-entered
	close(both)
	for range 2 {
		must(t, <-failed)
	}
	attempts, err := s.Attempts(t.Context(), Filter{Endpoint: e.ID, Limit: 10})
	must(t, err)
	if m := s.only(e.ID); len(attempts) != 1 || m.Attempts != 1 || s.get(e.ID).failures != 1 {
		t.Errorf("%d attempts on record, message %+v", len(attempts), m)
	}
}

func TestAStopDoesNotCountAsAnAttempt(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	r.answers(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	e := s.listen(r, "*")
	w := s.worker()
	client := s.start(w)
	s.announce(delivered(1))
	<-r.arrived
	must(t, client.StopAndCancel(t.Context()))
	if m := s.only(e.ID); m.State != Pending || m.Attempts != 0 {
		t.Errorf("message %+v", m)
	}
	r.says(http.StatusOK)
	s.start(s.worker())
	s.eventually(r, "the message, by the next node", func() bool { return s.only(e.ID).State == Delivered })
}

func TestOneHangingEndpointDoesNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	slow, quick := newReceiver(t), newReceiver(t)
	release := make(chan struct{})
	slow.answers(func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	s.listen(slow, "*")
	e := s.listen(quick, "*")
	w := s.worker()
	s.start(w)
	events := make([]Event, 200)
	for i := range events {
		events[i] = delivered(i)
	}
	s.announce(events...)
	s.eventually(quick, "200 messages beside an endpoint that hangs", func() bool { return len(quick.got()) == 200 })
	s.eventually(quick, "their record", func() bool {
		for _, m := range s.messages(e.ID) {
			if m.State != Delivered {
				return false
			}
		}
		return true
	})
}

func TestAnEndpointThatWentAwayLeavesNothingToDo(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "*")
	s.announce(delivered(1))
	must(t, s.Delete(t.Context(), e.ID))
	s.step(s.worker())
	var left int
	must(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM webhook_messages`).Scan(&left))
	if left != 0 || len(r.got()) != 0 {
		t.Errorf("%d messages left, came %v", left, r.got())
	}
	must(t, s.drop(t.Context(), post{e.ID, uuid.New(), 1}))
}

func TestASecretKeyThatChangedIsSaidSo(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "*")
	other, err := newVault([]byte(strings.Repeat("x", 32)))
	must(t, err)
	s.vault = other
	s.announce(delivered(1))
	s.step(s.worker())
	if m := s.only(e.ID); m.Error != NoSecret || m.State != Pending || len(r.got()) != 0 {
		t.Errorf("message %+v", m)
	}
	// A new secret mends it; the old one cannot be read, so it does not sign.
	e, secret, err := s.Rotate(t.Context(), e.ID, e.Version, "operator:ann")
	must(t, err)
	r.secrets = nil
	r.trust(t, secret)
	s.pass(time.Minute)
	s.step(s.worker())
	if m := s.only(e.ID); m.State != Delivered || e.OldSecretUntil != nil {
		t.Errorf("message %+v, endpoint %+v", m, e)
	}
}

func TestBodiesAreWhatTheSpecificationAsks(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "*")
	for _, kind := range Types() {
		if kind.Name != Ping {
			s.announce(Event{Type: kind.Name})
		}
	}
	for _, m := range s.messages(e.ID) {
		var p struct {
			Type      string
			Timestamp time.Time
			Data      map[string]any
		}
		must(t, json.Unmarshal(m.Body, &p))
		if p.Type != m.Type || p.Timestamp.IsZero() || p.Data == nil || len(m.Body) > 20_000 {
			t.Errorf("body %s", m.Body)
		}
	}
}
