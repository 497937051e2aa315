package dispatch

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

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
	one, other := []result{of(first), of(second)}, []result{of(second), of(first)}
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if err := record(tx, one[0]); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- pgx.BeginFunc(context.WithoutCancel(t.Context()), b.pool, func(tx pgx.Tx) error { return record(tx, other...) })
	}()
	b.untilLocked()
	if err := record(tx, one[1]); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the second: %v", err)
	}
	if n := scalar[int](b, `SELECT count(*) FROM suppressions WHERE reason = 'bounced'`); n != 2 {
		t.Errorf("%d addresses are suppressed", n)
	}
}

// What is suppressed but not dead has no contact point to lock first. Two
// spellings of an address are one suppression.
func TestAddressesAreSuppressedInOneOrder(t *testing.T) {
	b := newIdleBench(t)
	s := shunner{b.worker.cfg.Contacts, b.consents, b.worker.cfg.Logger}
	list := func(addresses ...string) (l []shunned) {
		for _, a := range addresses {
			var one task
			one.Channel, one.Address = subscriptions.Email, a
			l = append(l, shunned{task: &one, reason: subscriptions.Complained})
		}
		return l
	}
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := s.shunTx(t.Context(), tx, list("ada@example.com")); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- pgx.BeginFunc(context.WithoutCancel(t.Context()), b.pool, func(tx pgx.Tx) error {
			_, err := s.shunTx(t.Context(), tx, list("Wei@example.com", "ada@example.com"))
			return err
		})
	}()
	b.untilLocked()
	if _, err := s.shunTx(t.Context(), tx, list("wei@example.com")); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the second: %v", err)
	}
}
