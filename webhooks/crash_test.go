package webhooks

import (
	"net/http"
	"testing"
)

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
