package dispatch

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"pgregory.net/rapid"

	"herald/problem"
)

// Whatever providers, members, crashes and operators do, in whatever order:
// no path leaves a final state except an operator's resend of a failed one,
// what was in doubt is never called suppressed or deferred, a repeated
// hand-over is marked, and the ledger balances after every step.
func TestStateMachine(t *testing.T) {
	b := newIdleBench(t)
	ctx := jobContext(b)
	rapid.Check(t, func(rt *rapid.T) {
		b.exec(`DELETE FROM river_job`)
		b.exec(`UPDATE consents SET granted = true`)
		b.exec(`UPDATE contact_points SET standing = 'good'`)
		b.exec(`DELETE FROM suppressions`)
		b.sender.does(nil)
		m := &machine{b: b, rt: rt, ctx: ctx, id: b.enqueue(b.note(func(n *Notification) { n.Private = rapid.Bool().Draw(rt, "private") }))[0]}
		m.runJobs()
		m.check()
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			m.act(rapid.SampledFrom([]string{"time", "consent", "crash", "resend", "discard", "assume", "provider", "provider"}).Draw(rt, "act"))
			m.check()
		}
	})
}

// jobContext is the context that River gives its jobs, kept beyond the end of one.
func jobContext(b *bench) context.Context {
	b.t.Helper()
	jobs := make(chan context.Context, 1)
	b.sender.does(func(ctx context.Context, _ Message) (Receipt, error) {
		jobs <- context.WithoutCancel(ctx)
		return Receipt{}, nil
	})
	var stop func()
	b.events, stop = b.startUntil(b.node.Name(), b.worker)
	b.enqueue(b.note())
	b.worked(1)
	stop()
	return <-jobs
}

type machine struct {
	b        *bench
	rt       *rapid.T
	ctx      context.Context // of a River job
	id       uuid.UUID
	last     Delivery
	resent   bool // the last act was an operator's resend
	doubtful bool
}

var faults = []error{
	nil, nil,
	&SendError{Class: Permanent},
	&SendError{Class: Permanent, AddressDead: true},
	&SendError{Class: Transient},
	&SendError{Class: Throttled, After: 2 * time.Hour},
	&SendError{Class: Doubt},
	&SendError{Class: SessionFatal},
	&SendError{Class: Configuration},
	errors.New("unmarked"),
}

func (m *machine) act(what string) {
	b, ctx := m.b, m.ctx
	m.resent = false
	switch what {
	case "time":
		hours := rapid.IntRange(0, 12).Draw(m.rt, "hours")
		b.due(time.Duration(hours) * time.Hour)
		m.runJobs()
	case "consent":
		b.exec(`UPDATE consents SET granted = NOT granted`)
	case "crash":
		if b.delivery(m.id).State.Final() {
			return
		}
		b.crash(m.id)
		m.doubtful = true
	case "resend":
		err := b.store.Rule(ctx, RulingRetry, m.id, "operator:ann")
		if err != nil && problem.CodeOf(err) != problem.Conflict {
			m.rt.Fatal(err)
		}
		m.resent = err == nil
		m.runJobs()
	case "discard", "assume":
		ruling := map[string]Ruling{"discard": RulingDiscard, "assume": RulingAssumeSent}[what]
		err := b.store.Rule(ctx, ruling, m.id, "operator:ann")
		if err != nil && problem.CodeOf(err) != problem.Conflict {
			m.rt.Fatal(err)
		}
		m.runJobs()
	case "provider":
		fault := rapid.SampledFrom(faults).Draw(m.rt, "fault")
		b.sender.does(func(context.Context, Message) (Receipt, error) { return Receipt{}, fault })
	}
}

// runJobs runs every available job, as River would but without its pauses.
func (m *machine) runJobs() {
	for {
		row, err := m.fetch()
		if errors.Is(err, pgx.ErrNoRows) {
			return
		}
		if err != nil {
			m.rt.Fatal(err)
		}
		after := "completed"
		switch err := m.b.worker.Work(m.ctx, row); {
		case errors.As(err, new(*river.JobSnoozeError)):
			after = "scheduled"
		case err != nil:
			m.rt.Fatalf("a job failed: %v", err)
		}
		m.b.exec(`
UPDATE river_job SET state = $2::text::river_job_state, finalized_at = CASE WHEN $2 = 'completed' THEN now() END
WHERE id = $1 AND state = 'running'`, row.ID, after)
	}
}

func (m *machine) fetch() (*river.Job[handOver], error) {
	job := &river.Job[handOver]{JobRow: &rivertype.JobRow{State: rivertype.JobStateRunning}}
	err := m.b.pool.QueryRow(m.ctx, `
UPDATE river_job SET state = 'running', attempted_at = now(), attempt = attempt + 1
WHERE id = (SELECT id FROM river_job WHERE state = 'available' ORDER BY id LIMIT 1)
RETURNING id, attempt, args`).Scan(&job.ID, &job.Attempt, &job.Args)
	return job, err
}

func (m *machine) check() {
	d := m.b.delivery(m.id)
	if m.last.State.Final() && d.State != m.last.State && !(m.resent && m.last.State == Failed) {
		m.rt.Fatalf("left %s for %s", m.last.State, d.State)
	}
	if m.doubtful && slices.Contains([]State{Suppressed, Deferred}, d.State) {
		m.rt.Fatalf("it may have arrived, and is called %s", d.State)
	}
	attempts := m.b.attemptsOf(m.id)
	if len(attempts) != d.Attempts {
		m.rt.Fatalf("%d attempts are recorded, %d counted", len(attempts), d.Attempts)
	}
	marked := 0
	for _, a := range attempts {
		if a.Repeats {
			marked++
		}
	}
	if marked != d.Repeated {
		m.rt.Fatalf("%d attempts are marked as repeated, %d counted", marked, d.Repeated)
	}
	if n := m.b.waiting(); n == 0 && (d.State == Pending || d.State == Deferred) {
		m.rt.Fatalf("it is %s and no job will move it", d.State)
	}
	m.b.balanced()
	m.last = d
	m.doubtful = (m.doubtful || d.State == InDoubt) && !d.State.Final()
}
