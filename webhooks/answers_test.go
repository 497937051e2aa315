package webhooks

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

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
				if wait := m.NextAttemptAt.Sub(began); wait < tt.min || wait > tt.max+20*time.Second {
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
	e, _, err := s.Create(t.Context(), NewEndpoint{URL: "http://127.0.0.1:1", Types: []string{"*"}, By: "operator:ann"})
	must(t, err)
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
