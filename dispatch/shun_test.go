package dispatch

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/postgres/pgtest"
	"herald/subscriptions"
)

// Two hand-overs that find the same addresses dead, in whatever order, record
// it one after the other. When each took them in its own, they locked each
// other up again and again, until what they had to record was in doubt.
func TestDeadAddressesAreLockedInOneOrder(t *testing.T) {
	b := newIdleBench(t)
	first := b.member
	second, _ := b.newMember("an", "Ada@example.com")
	of := func(member int64) result {
		id := b.enqueue(b.note(func(n *Notification) { n.MemberID = member }))[0]
		tasks, err := b.store.load(t.Context(), handOver{Deliveries: []uuid.UUID{id}})
		if err != nil || len(tasks) != 1 {
			t.Fatalf("loaded %d: %v", len(tasks), err)
		}
		return result{&tasks[0], verdict{state: Failed, reason: "address_dead", outcome: string(Permanent), addressDead: true}}
	}
	record := func(tx pgx.Tx, results ...result) error {
		_, err := b.worker.recordTx(t.Context(), tx, outcomes{node: "node-1", account: "main", results: results})
		return err
	}
	a, z := of(first), of(second)
	other := []result{of(second), of(first)}
	pgtest.Cross(t, b.pool,
		func(tx pgx.Tx) error { return record(tx, a) },
		func(tx pgx.Tx) error { return record(tx, z) },
		func() error {
			return pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return record(tx, other...) })
		})
	if n := scalar[int](b, `SELECT count(*) FROM suppressions WHERE reason = 'bounced'`); n != 2 {
		t.Errorf("%d addresses are suppressed", n)
	}
}

// What is suppressed but not dead has no contact point to lock first. Two
// spellings of an address are one suppression.
func TestAddressesAreSuppressedInOneOrder(t *testing.T) {
	b := newIdleBench(t)
	s := shunner{b.worker.cfg.Contacts, b.consents, b.worker.cfg.Logger}
	shun := func(tx pgx.Tx, addresses ...string) error {
		var list []shunned
		for _, a := range addresses {
			var one task
			one.Channel, one.Address = subscriptions.Email, a
			list = append(list, shunned{task: &one, reason: subscriptions.Complained})
		}
		_, err := s.shunTx(t.Context(), tx, list)
		return err
	}
	pgtest.Cross(t, b.pool,
		func(tx pgx.Tx) error { return shun(tx, "ada@example.com") },
		func(tx pgx.Tx) error { return shun(tx, "wei@example.com") },
		func() error {
			return pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return shun(tx, "Wei@example.com", "ada@example.com") })
		})
}
