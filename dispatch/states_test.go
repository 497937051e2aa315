package dispatch

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"herald/problem"
	"herald/subscriptions"
)

// Whatever providers, members, crashes, operators, receipts and impatience do,
// in whatever order: no path leaves a final state except a receipt's from
// accepted and an operator's resend of a failed one; what was in doubt is
// never called suppressed or deferred; a repeated hand-over is marked; exactly
// one rung of the ladder counts; and the ledger balances after every step.
func TestStateMachine(t *testing.T) {
	l := newLadder(t, true)
	rapid.Check(t, func(rt *rapid.T) {
		l.forget()
		l.exec(`UPDATE consents SET granted = true`)
		l.exec(`UPDATE contact_points SET standing = 'good'`)
		l.exec(`DELETE FROM suppressions`)
		l.sender.does(takes)
		l.texts.does(takes)
		m := &machine{ladder: l, rt: rt, last: map[uuid.UUID]Delivery{}, doubtful: map[uuid.UUID]bool{}}
		l.enqueue(l.note(func(n *Notification) {
			n.Private = rapid.Bool().Draw(rt, "private")
			n.Channels = rapid.SampledFrom([][]subscriptions.Channel{{"email"}, {"sms", "email"}, {"email", "sms"}}).Draw(rt, "ladder")
			n.Patience = rapid.SampledFrom([]time.Duration{0, patienceForTests}).Draw(rt, "patience")
		}))
		l.runJobs(l.ctx, rt)
		m.check()
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			m.act(rapid.SampledFrom([]string{"time", "patience", "consent", "crash", "resend", "discard", "assume", "provider", "provider", "report", "report"}).Draw(rt, "act"))
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
	*ladder
	rt       *rapid.T
	last     map[uuid.UUID]Delivery // by rung, as are the next
	doubtful map[uuid.UUID]bool
	resent   uuid.UUID // what the last act sent again as an operator
	reported uuid.UUID // what the last act reported of
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

// deliveries are the rungs, lowest first.
func (m *machine) deliveries() []Delivery {
	rows, err := m.pool.Query(m.ctx, `SELECT id FROM deliveries ORDER BY rung`)
	if err != nil {
		m.rt.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		m.rt.Fatal(err)
	}
	list := make([]Delivery, len(ids))
	for i, id := range ids {
		list[i] = m.delivery(id)
	}
	return list
}

func (m *machine) act(what string) {
	m.resent, m.reported = uuid.Nil, uuid.Nil
	one := rapid.SampledFrom(m.deliveries()).Draw(m.rt, "rung")
	switch what {
	case "time":
		hours := rapid.IntRange(0, 12).Draw(m.rt, "hours")
		m.due(time.Duration(hours) * time.Hour)
		m.runJobs(m.ctx, m.rt)
	case "patience":
		m.passes(patienceForTests)
	case "consent":
		m.exec(`UPDATE consents SET granted = NOT granted`)
	case "crash":
		m.dies(one)
	case "resend", "discard", "assume":
		ruling := map[string]Ruling{"resend": RulingRetry, "discard": RulingDiscard, "assume": RulingAssumeSent}[what]
		err := m.store.Rule(m.ctx, ruling, one.ID, "operator:ann")
		if err != nil && problem.CodeOf(err) != problem.Conflict {
			m.rt.Fatal(err)
		}
		if err == nil && ruling == RulingRetry {
			m.resent = one.ID
		}
		m.runJobs(m.ctx, m.rt)
	case "provider":
		fault := rapid.SampledFrom(faults).Draw(m.rt, "fault")
		for _, s := range []*scripted{m.sender, m.texts} {
			s.does(func(context.Context, Message) (Receipt, error) { return Receipt{}, fault })
		}
	case "report":
		event := rapid.SampledFrom([]ReportEvent{
			ReportDelivered, ReportBounced, ReportDelayed, ReportExpired, ReportRead, ReportComplained, ReportUnsubscribed,
		}).Draw(m.rt, "event")
		dead := event == ReportBounced && rapid.Bool().Draw(m.rt, "dead")
		m.receipts.must(m.t, Report{DeliveryID: one.ID, Event: event, AddressDead: dead, Key: rapid.SampledFrom([]string{"", "a", "b"}).Draw(m.rt, "key")})
		m.reported = one.ID
		m.runJobs(m.ctx, m.rt)
	}
}

// dies leaves a rung in the hands of a node that never comes back, if a job
// has it now.
func (m *machine) dies(d Delivery) {
	tag, err := m.pool.Exec(m.ctx, `
INSERT INTO hand_overs (job_id, node, account, deliveries)
SELECT j.id, 'dead', 'main', ARRAY[d.id]
FROM deliveries d JOIN river_job j ON j.args -> 'deliveries' ? d.id::text AND (j.args ->> 'turn')::int = d.turn
WHERE d.id = $1 AND d.state IN ('pending', 'deferred', 'in_doubt') AND j.finalized_at IS NULL AND j.kind = $2`, d.ID, handOver{}.Kind())
	if err != nil {
		m.rt.Fatal(err)
	}
	if tag.RowsAffected() > 0 {
		m.exec(`UPDATE river_job SET attempt = attempt + 1`)
		m.doubtful[d.ID] = true
	}
}

// check holds all rungs against the rules.
func (m *machine) check() {
	counting := 0
	for _, d := range m.deliveries() {
		m.checkRung(d)
		if scalar[bool](m.bench, `SELECT counts FROM deliveries WHERE id = $1`, d.ID) {
			counting++
		}
	}
	if counting != 1 {
		m.rt.Fatalf("%d rungs count", counting)
	}
	m.balanced()
}

// may reports whether a rung may have left a final state in the last act.
func (m *machine) may(last, now Delivery) bool {
	switch last.State {
	case Accepted:
		return m.reported == now.ID && (now.State == Delivered || now.State == Failed && now.Reason == reasonBounced)
	case Failed:
		return m.resent == now.ID
	default:
		return false
	}
}

func (m *machine) checkRung(d Delivery) {
	last := m.last[d.ID]
	if last.State.Final() && d.State != last.State && !m.may(last, d) {
		m.rt.Fatalf("left %s for %s", last.State, d.State)
	}
	// What a dead node had in hand is settled when its job is taken up.
	inHand := scalar[bool](m.bench, `SELECT EXISTS (SELECT FROM hand_overs WHERE $1 = ANY(deliveries))`, d.ID)
	if m.doubtful[d.ID] && (d.State == Suppressed || d.State == Deferred && !inHand) {
		m.rt.Fatalf("it may have arrived, and is called %s", d.State)
	}
	attempts, marked := 0, 0
	for _, a := range m.attemptsOf(d.ID) {
		if a.DeliveryID != d.ID || a.Outcome == "" {
			continue
		}
		if attempts++; a.Repeats {
			marked++
		}
	}
	if attempts != d.Attempts || marked != d.Repeated {
		m.rt.Fatalf("%d attempts are recorded, %d of them repeated; %d and %d are counted", attempts, marked, d.Attempts, d.Repeated)
	}
	waiting := scalar[int](m.bench, `SELECT count(*) FROM river_job WHERE finalized_at IS NULL AND kind = $1`, handOver{}.Kind())
	if waiting == 0 && (d.State == Pending || d.State == Deferred) {
		m.rt.Fatalf("it is %s and no job will move it", d.State)
	}
	m.last[d.ID] = d
	m.doubtful[d.ID] = (m.doubtful[d.ID] || d.State == InDoubt) && !d.State.Final()
}
