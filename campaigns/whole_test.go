package campaigns

import (
	"context"
	"testing"

	"herald/dispatch"
	"herald/subscriptions"
)

// TestWithDispatchItself is a campaign whose deliveries and ledger are real.
func TestWithDispatchItself(t *testing.T) {
	d := newDesk(t)
	d.members(2500)
	d.exec(`INSERT INTO contact_points (member_id, channel, address, verified_at) SELECT id, 'email', account || '@example.com', now() FROM members WHERE id % 2 = 0`)
	d.exec(`INSERT INTO consents (member_id, channel, purpose, granted) SELECT id, 'email', 'marketing', true FROM members`)
	deliveries, err := dispatch.NewStore(d.pool, subscriptions.NewConsents(d.pool, d.clock.now), d.clock.now, dispatch.StoreConfig{Channels: []subscriptions.Channel{subscriptions.Email}})
	if err != nil {
		t.Fatal(err)
	}
	d.store.cfg.Enqueuer = deliveries
	d.store.cfg.Ledgers = LedgerFunc(func(ctx context.Context, run int64) (dispatch.Ledger, error) {
		return deliveries.Ledger(ctx, dispatch.Filter{Campaign: run})
	})
	ledger := func(c Campaign) dispatch.Ledger {
		t.Helper()
		l, err := d.store.RunLedger(t.Context(), c.Run.ID)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}

	c := d.started()
	d.prepare()
	d.look()
	if l := ledger(c); l.Targeted != 2500 || l.Pending != 1250 || l.Suppressed != 1250 || !l.Balanced {
		t.Errorf("the ledger is %+v", l)
	}
	d.inState(c.ID, Sending)

	unreachable := d.started(func(p *Plan) { p.Purpose = subscriptions.Service })
	d.prepare()
	d.look()
	if l := ledger(unreachable); l.Targeted != 2500 || l.Suppressed != 2500 {
		t.Errorf("the other's ledger is %+v", l)
	}
	d.inState(unreachable.ID, Finished)
}
