package webhooks

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"herald/postgres/pgtest"
	"herald/problem"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// secretKey is an installation's.
var secretKey = []byte("0123456789abcdef0123456789abcdef")

// stand is a store on a database of its own that lets endpoints on this
// machine through, and a clock that only moves when it is told to.
type stand struct {
	*Store
	t     testing.TB
	ahead atomic.Int64 // of the real clock
}

func newStand(t testing.TB) *stand {
	t.Helper()
	s := &stand{t: t}
	s.Store = s.another(pgtest.New(t))
	return s
}

// another is a further node's store on the same database and clock.
func (s *stand) another(pool *pgxpool.Pool) *Store {
	s.t.Helper()
	store, err := NewStore(pool, Config{
		Secret: secretKey, Networks: prefixes("127.0.0.0/8"),
		Now:    func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
		Logger: slog.New(slog.NewTextHandler(s.t.Output(), nil)),
	})
	must(s.t, err)
	return store
}

// pass moves the clock.
func (s *stand) pass(d time.Duration) { s.ahead.Add(int64(d)) }

// listen makes an endpoint for a receiver.
func (s *stand) listen(r *receiver, types ...string) Endpoint {
	s.t.Helper()
	e, secret, err := s.Create(s.t.Context(), NewEndpoint{URL: r.URL, Types: types, By: "operator:ann"})
	must(s.t, err)
	r.trust(s.t, secret)
	return e
}

// announce announces events in a transaction of their own.
func (s *stand) announce(events ...Event) {
	s.t.Helper()
	must(s.t, pgx.BeginFunc(s.t.Context(), s.pool, func(tx pgx.Tx) error { return s.AnnounceTx(s.t.Context(), tx, events) }))
}

// delivered is an event of the commonest type.
func delivered(n int) Event {
	return Event{Type: "delivery.delivered", Data: map[string]any{"delivery_id": uuid.New(), "member_id": n, "channel": "sms", "state": "delivered"}}
}

// worker is one that is run by hand, by step.
func (s *stand) worker() *Worker {
	s.t.Helper()
	w, err := NewWorker(s.Store, WorkerConfig{Timeout: time.Minute})
	must(s.t, err)
	w.chance = func() float64 { return 0 }
	s.t.Cleanup(w.Close)
	return w
}

// start runs workers as a River client does.
func (s *stand) start(w *Worker) *river.Client[pgx.Tx] {
	s.t.Helper()
	workers := river.NewWorkers()
	w.AddTo(workers)
	queues := w.Queues()
	queues[river.QueueDefault] = river.QueueConfig{MaxWorkers: 1}
	client, err := river.NewClient(riverpgxv5.New(s.pool), &river.Config{
		ID: uuid.NewString(), Workers: workers, Queues: queues, Logger: slog.New(slog.DiscardHandler),
		PeriodicJobs: []*river.PeriodicJob{w.PeriodicJob()}, FetchCooldown: 10 * time.Millisecond, FetchPollInterval: 50 * time.Millisecond, TestOnly: true,
	})
	must(s.t, err)
	must(s.t, client.Start(context.Background()))
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		must(s.t, client.StopAndCancel(ctx))
	})
	return client
}

// step runs every job that is due once, as a node that has it in hand.
func (s *stand) step(w *Worker) (worked int) {
	s.t.Helper()
	for _, job := range s.take() {
		state := "completed"
		if err := w.Work(s.t.Context(), job); err != nil {
			s.t.Logf("job %d: %v", job.ID, err)
			state = "available"
		}
		_, err := s.pool.Exec(s.t.Context(), `
			UPDATE river_job SET state = $2::river_job_state, scheduled_at = $3, finalized_at = CASE $2::text WHEN 'completed' THEN now() END WHERE id = $1`, job.ID, state, s.now().Add(time.Second))
		must(s.t, err)
		worked++
	}
	return worked
}

// take marks the jobs that are due as running, as River does.
func (s *stand) take() []*river.Job[post] {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `
		UPDATE river_job SET state = 'running', attempt = attempt + 1, attempted_at = now()
		WHERE kind = 'webhook_post' AND state IN ('available', 'scheduled') AND scheduled_at <= $1
		RETURNING id, attempt, (args ->> 'endpoint')::bigint, (args ->> 'message')::uuid, (args ->> 'attempt')::int`, s.now())
	must(s.t, err)
	jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*river.Job[post], error) {
		job := &river.Job[post]{JobRow: &rivertype.JobRow{State: rivertype.JobStateRunning}}
		return job, row.Scan(&job.ID, &job.Attempt, &job.Args.Endpoint, &job.Args.Message, &job.Args.Attempt)
	})
	must(s.t, err)
	return jobs
}

// messages are an endpoint's, newest first.
func (s *stand) messages(endpoint int64) []Message {
	s.t.Helper()
	list, err := s.Messages(s.t.Context(), Filter{Endpoint: endpoint, Limit: 10_000})
	must(s.t, err)
	return list
}

// only is the one message of an endpoint.
func (s *stand) only(endpoint int64) Message {
	s.t.Helper()
	list := s.messages(endpoint)
	if len(list) != 1 {
		s.t.Fatalf("%d messages, want one", len(list))
	}
	return list[0]
}

func (s *stand) get(endpoint int64) Endpoint {
	s.t.Helper()
	e, err := s.Get(s.t.Context(), endpoint)
	must(s.t, err)
	return e
}

// is fails the test unless an error has a code.
func is(t testing.TB, err error, code problem.Code) {
	t.Helper()
	if problem.CodeOf(err) != code {
		t.Errorf("error %v, want %s", err, code)
	}
}

// receiver is a system of the company that takes webhooks and holds their
// signatures against those of the specification's own library.
type receiver struct {
	*httptest.Server
	t       testing.TB
	answer  atomic.Pointer[http.HandlerFunc] // nil: 204
	arrived chan string                      // the ids of what came, if somebody waits for them

	mu      sync.Mutex
	secrets []*standardwebhooks.Webhook
	bodies  map[string][]string // by id, in the order they came
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	r := &receiver{t: t, bodies: map[string][]string{}, arrived: make(chan string, 10_000)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// trust makes the receiver want a valid signature by this secret, and each
// that it was told before.
func (r *receiver) trust(t testing.TB, secret string) {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(secret)
	must(t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, hook)
}

func (r *receiver) answers(h http.HandlerFunc) { r.answer.Store(&h) }

func (r *receiver) says(status int) {
	r.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Errorf("read a webhook: %v", err)
	}
	id := req.Header.Get("webhook-id")
	r.mu.Lock()
	for _, hook := range r.secrets {
		if err := hook.VerifyIgnoringTimestamp(body, req.Header); err != nil {
			r.t.Errorf("%s: %v", id, err)
		}
	}
	if req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("%s %v", req.Method, req.Header)
	}
	r.bodies[id] = append(r.bodies[id], string(body))
	r.mu.Unlock()
	r.arrived <- id
	if h := r.answer.Load(); h != nil {
		(*h)(w, req)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// got is how often each message came.
func (r *receiver) got() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := map[string]int{}
	for id, list := range r.bodies {
		got[id] = len(list)
	}
	return got
}

// eventually waits until something is so, looking again whenever a message came.
func (s *stand) eventually(r *receiver, what string, so func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !so() {
		select {
		case <-r.arrived:
		case <-look.C:
		case <-ctx.Done():
			s.t.Fatalf("never came: %s", what)
		}
	}
}
