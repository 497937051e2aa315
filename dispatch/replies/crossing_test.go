package replies

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"herald/dispatch"
	"herald/postgres/pgtest"
	"herald/subscriptions"
)

// takes is a transaction that takes messages once.
func (d *desk) takes(messages ...dispatch.Inbound) func() error {
	return func() error {
		var list []incoming
		for _, m := range messages {
			list = append(list, d.read(m))
		}
		return pgx.BeginFunc(d.t.Context(), d.pool, func(tx pgx.Tx) error {
			_, err := d.takeTx(d.t.Context(), tx, list)
			return err
		})
	}
}

func TestAddressesAreStoppedInOneOrder(t *testing.T) {
	d := newDesk(t)
	stops := func(number string) func(pgx.Tx) error {
		return func(tx pgx.Tx) error {
			_, err := d.consents.StopTx(t.Context(), tx, subscriptions.SMS, number, "STOP")
			return err
		}
	}
	pgtest.Cross(t, d.pool, stops(weis), stops(lins), d.takes(d.inbound(lins, "STOP"), d.inbound(weis, "STOP")))
	if d.reason(weis) != subscriptions.Stopped || d.reason(lins) != subscriptions.Stopped {
		t.Errorf("suppressed as %q and %q", d.reason(weis), d.reason(lins))
	}
}

// One stops and another starts, while messages to both come back.
func TestContactPointsAreLockedBeforeSuppressions(t *testing.T) {
	d := newDesk(t)
	lin := d.member("lin", lins, true)
	points, err := d.contacts.ForMember(t.Context(), lin.ID)
	must(t, err)
	d.writes(lins, "STOP")
	dies := func(tx pgx.Tx) error {
		return d.contacts.SetStandingTx(t.Context(), tx, points[0].ID, subscriptions.Dead, "1")
	}
	must(t, pgx.BeginFunc(t.Context(), d.pool, dies))
	again := func(tx pgx.Tx) error {
		return d.contacts.SetStandingTx(t.Context(), tx, points[0].ID, subscriptions.Dead, "2")
	}
	suppresses := func(tx pgx.Tx) error {
		return d.consents.SuppressTx(t.Context(), tx, subscriptions.Suppression{Channel: subscriptions.SMS, Address: weis, Reason: subscriptions.Bounced})
	}
	pgtest.Cross(t, d.pool, again, suppresses, d.takes(d.inbound(weis, "STOP"), d.inbound(lins, "START")))
	if d.reason(weis) != subscriptions.Stopped || d.reason(lins) != "" {
		t.Errorf("suppressed as %q and %q", d.reason(weis), d.reason(lins))
	}
}
