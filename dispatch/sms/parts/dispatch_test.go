package parts

import (
	"context"
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/dispatch"
	"herald/subscriptions"
)

// nobody is Contacts and Suppressions without anybody.
type nobody struct{}

func (nobody) SetStandingTx(context.Context, pgx.Tx, int64, subscriptions.Standing, string) error {
	return nil
}
func (nobody) SuppressTx(context.Context, pgx.Tx, subscriptions.Suppression) error { return nil }

// receipts are dispatch's, on the node's database.
func (n *node) receipts() *dispatch.Receipts {
	n.t.Helper()
	store, err := dispatch.NewStore(n.db, nil, n.now, dispatch.StoreConfig{})
	if err != nil {
		n.t.Fatal(err)
	}
	r, err := dispatch.NewReceipts(store, dispatch.ReceiptsConfig{Contacts: nobody{}, Suppressions: nobody{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

// attempted writes a delivery with one attempt; carrier is the delivery in
// whose message it went.
func (n *node) attempted(delivery, carrier uuid.UUID, state dispatch.State, outcome, providerID string) {
	n.t.Helper()
	notification := uuid.Must(uuid.NewV7())
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO notifications (id, member_id, purpose, priority, template, data, ladder, decision, expires_at)
		  VALUES ($1, 1, 'service', 2, 'a', '{}', '{sms}', '[]', now() + interval '1 day')`, []any{notification}},
		{`INSERT INTO deliveries (id, notification_id, member_id, trigger, rung, channel, address, state, attempts, account)
		  VALUES ($1, $2, 1, '', 0, 'sms', '+1', $3, 1, $4)`, []any{delivery, notification, state, account}},
		{`INSERT INTO attempts (delivery_id, number, node, account, ended_at, outcome, provider_id, carried_by)
		  VALUES ($1::uuid, 1, 'n', $2, now(), $3, $4, nullif($5::uuid, $1))`, []any{delivery, account, outcome, providerID, carrier}},
	} {
		if _, err := n.db.Exec(n.t.Context(), statement.sql, statement.args...); err != nil {
			n.t.Fatal(err)
		}
	}
}

func (n *node) state(delivery uuid.UUID) (state dispatch.State) {
	n.t.Helper()
	if err := n.db.QueryRow(n.t.Context(), `SELECT state FROM deliveries WHERE id = $1`, delivery).Scan(&state); err != nil {
		n.t.Fatal(err)
	}
	return state
}

func TestDeliveriesMoveByTheSumOfTheirParts(t *testing.T) {
	for _, c := range []struct {
		name     string
		was      dispatch.State
		outcome  string
		provider string
		events   [2]dispatch.ReportEvent
		want     dispatch.State
	}{
		{"all parts arrive", dispatch.Accepted, "accepted", "a", [2]dispatch.ReportEvent{dispatch.ReportDelivered, dispatch.ReportDelivered}, dispatch.Delivered},
		{"the second comes back", dispatch.Accepted, "accepted", "a", [2]dispatch.ReportEvent{dispatch.ReportDelivered, dispatch.ReportBounced}, dispatch.Failed},
		{"the first is given up", dispatch.Accepted, "accepted", "a", [2]dispatch.ReportEvent{dispatch.ReportExpired, dispatch.ReportDelivered}, dispatch.Failed},
		{"one is late", dispatch.Accepted, "accepted", "a", [2]dispatch.ReportEvent{dispatch.ReportDelivered, dispatch.ReportDelayed}, dispatch.Accepted},
		{"what was in doubt arrives", dispatch.InDoubt, "in_doubt", "", [2]dispatch.ReportEvent{dispatch.ReportDelivered, dispatch.ReportDelivered}, dispatch.Delivered},
		{"what was in doubt comes back", dispatch.InDoubt, "in_doubt", "", [2]dispatch.ReportEvent{dispatch.ReportDelivered, dispatch.ReportBounced}, dispatch.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t)
			receipts := n.receipts()
			carrier := n.sent("a", "b")
			carried := uuid.Must(uuid.NewV7()) // another item of the same digest
			n.attempted(carrier, carrier, c.was, c.outcome, c.provider)
			n.attempted(carried, carrier, c.was, c.outcome, c.provider)
			for i, id := range []string{"a", "b"} {
				for range 2 { // the provider tells it twice
					if err := receipts.Report(t.Context(), n.report(says(c.events[i], id))); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := [2]dispatch.State{n.state(carrier), n.state(carried)}; got != [2]dispatch.State{c.want, c.want} {
				t.Errorf("they are %s, want %s", got, c.want)
			}
		})
	}
}

// The provider may be faster than the note of its answer, and that faster than
// the record of the attempt.
func TestDeliveryMovesThoughItsReportsCameBeforeTheRecord(t *testing.T) {
	n := newNode(t)
	receipts := n.receipts()
	delivery := uuid.Must(uuid.NewV7())
	n.begin(Start{DeliveryID: delivery, Address: "+1", Of: 2})
	if got := n.report(says(dispatch.ReportDelivered, "a"), says(dispatch.ReportDelivered, "b")); len(got) != 0 {
		t.Fatalf("got %+v", got)
	}
	n.accept(delivery, "a", "b")
	n.attempted(delivery, delivery, dispatch.Accepted, "accepted", "a")
	if _, err := n.look(t.Context(), receipts.Report); err != nil {
		t.Fatal(err)
	}
	if got := n.state(delivery); got != dispatch.Delivered {
		t.Errorf("it is %s", got)
	}
}

// Only what comes before its record may be of a part in hand.
func TestReportOfAnAttemptThatIsRecordedIsNotHeld(t *testing.T) {
	n := newNode(t)
	single := uuid.Must(uuid.NewV7())
	n.attempted(single, single, dispatch.Accepted, "accepted", "single")
	n.begin(Start{DeliveryID: uuid.New(), Address: "+1", Of: 2})
	if got := n.report(says(dispatch.ReportDelivered, "single"), says(dispatch.ReportDelivered, "other")); len(got) != 1 || got[0].ProviderID != "single" {
		t.Errorf("got %+v", got)
	}
}
