package dispatch

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// plans is Campaigns of one mind for all.
type plans struct {
	mu   sync.Mutex
	hold string
	rate int
}

func (p *plans) Hold(context.Context, int64) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hold, nil
}

func (p *plans) Rate(context.Context, int64) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rate, nil
}

func (p *plans) set(hold string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold = hold
}

func ofCampaign(n *Notification) { n.CampaignID, n.Priority, n.SubscriptionID = 7, 4, 0 }

func TestCampaignThatIsPausedWaitsAndIsWoken(t *testing.T) {
	held := &plans{hold: "paused"}
	b := newBench(t, func(c *WorkerConfig) { c.Campaigns = held })
	id := b.enqueue(b.note(ofCampaign))[0]
	if e := b.worked(1)[0]; e.Kind != river.EventKindJobSnoozed || e.Job.ScheduledAt.Before(time.Now().Add(holdFor/2)) {
		t.Fatalf("the job was %s until %s", e.Kind, e.Job.ScheduledAt)
	}
	if d := b.delivery(id); d.State != Pending || d.Attempts != 0 {
		t.Errorf("got %+v", d)
	}
	held.set("")
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return b.store.WakeTx(t.Context(), tx, []int64{7}) })
	if err != nil {
		t.Fatal(err)
	}
	if at := scalar[time.Time](b, `SELECT scheduled_at FROM river_job WHERE finalized_at IS NULL`); at.After(time.Now()) {
		t.Errorf("woken, the job still waits until %s", at)
	}
	b.due(0)
	b.worked(1)
	if d := b.delivery(id); d.State != Accepted {
		t.Errorf("got %+v", d)
	}
}

func TestCampaignThatIsStoppedSendsNoMore(t *testing.T) {
	b := newBench(t, func(c *WorkerConfig) { c.Campaigns = &plans{hold: "stopped"} })
	id := b.enqueue(b.note(ofCampaign))[0]
	b.worked(1)
	if d := b.delivery(id); d.State != Suppressed || d.Reason != "campaign_stopped" || len(b.sender.sent()) != 0 {
		t.Errorf("got %+v", d)
	}
	l, err := b.store.Ledger(t.Context(), Filter{Campaign: 7})
	if err != nil || !l.Balanced || l.Suppressed != 1 {
		t.Errorf("%+v: %v", l, err)
	}
}

func TestCampaignKeepsToItsRate(t *testing.T) {
	b := newIdleBench(t, func(c *WorkerConfig) { c.Campaigns = &plans{rate: 50} })
	var mu sync.Mutex
	var times []time.Time
	b.sender.does(func(context.Context, Message) (Receipt, error) {
		mu.Lock()
		defer mu.Unlock()
		times = append(times, time.Now())
		return Receipt{}, nil
	})
	const n = 30
	ns := make([]Notification, n)
	for i := range ns {
		ns[i] = b.note(ofCampaign)
	}
	b.enqueue(ns...)
	b.events = b.start(b.node.Name(), b.worker)
	limit := time.Now().Add(2 * time.Minute)
	for b.waiting() > 0 && time.Now().Before(limit) {
		b.due(0)
		select {
		case <-b.events:
		case <-time.After(20 * time.Millisecond):
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(times) != n {
		t.Fatalf("%d of %d were sent", len(times), n)
	}
	if took := times[n-1].Sub(times[0]); took < (n-2)*time.Second/50 {
		t.Errorf("%d messages at 50 a second took %s", n, took)
	}
}
