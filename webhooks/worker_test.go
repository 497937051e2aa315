package webhooks

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
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

func TestAnEncryptedEndpointIsPostedTo(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	r.Server = httptest.NewUnstartedServer(r)
	r.Server.EnableHTTP2 = true
	r.Server.StartTLS()
	t.Cleanup(r.Server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(r.Certificate())
	e := s.listen(r, "*")
	w, err := NewWorker(s.Store, WorkerConfig{RootCAs: roots})
	must(t, err)
	t.Cleanup(w.Close)
	s.announce(delivered(1), delivered(2))
	s.step(w)
	for _, m := range s.messages(e.ID) {
		if m.State != Delivered {
			t.Errorf("message %+v", m)
		}
	}
}

func TestAWorkersFiguresAreCounted(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	s.listen(r, "*")
	w := s.worker()
	s.announce(delivered(1), delivered(2))
	s.step(w)
	r.says(http.StatusNotFound)
	s.announce(delivered(3))
	s.step(w)
	want := `
# HELP herald_webhooks_attempts_total Webhook messages posted, by outcome (delivered or a class of failure).
# TYPE herald_webhooks_attempts_total counter
herald_webhooks_attempts_total{outcome="delivered"} 2
herald_webhooks_attempts_total{outcome="status"} 1
`
	if err := testutil.CollectAndCompare(w, strings.NewReader(want), "herald_webhooks_attempts_total"); err != nil {
		t.Error(err)
	}
}
