package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/templates"
)

// resolver is the account with a name, and how it is asked about doubt; nil: it
// cannot be, or is not one of this node's.
func (a *Accounts) resolver(name string) (*account, Resolver) {
	for _, one := range a.list {
		if one.name == name {
			able, _ := one.Sender.(Resolver)
			return one, able
		}
	}
	return nil, nil
}

// rests reports whether a delivery in doubt is left alone until a receipt, an
// operator or its provider tells what became of it.
func (r *run) rests(t *task) bool {
	return t.doubtful() && t.Reason != reasonResent && r.cfg.Doubt.of(t.Channel, t.Purpose) != Resend
}

// reasonNotTaken is why a delivery that was in doubt is handed over again.
const reasonNotTaken = "not_taken"

// resolve asks the provider what became of a delivery that rests in doubt.
// asked is false when there is nobody to ask, or it is not time to.
func (r *run) resolve(ctx context.Context, t *task) (v verdict, asked bool) {
	now := r.store.now()
	assumes := r.cfg.Doubt.of(t.Channel, t.Purpose) == AssumeSent
	assumed := verdict{state: Accepted, reason: reasonAssumed, account: t.Account}
	account, provider := r.accounts.resolver(t.Account)
	if provider == nil || !now.Before(t.ExpiresAt) {
		return assumed, assumes
	}
	if next := t.NextAttemptAt; next != nil && next.After(now) {
		r.later(next.Sub(now))
		return verdict{}, false
	}
	receipt, err := r.ask(ctx, account, provider, t)
	if err == nil {
		return verdict{state: Accepted, reason: "", account: t.Account, providerID: receipt.ProviderID}, true
	}
	failure := asSendError(err)
	if assumes && failure.Class == Doubt {
		return assumed, true
	}
	switch failure.Class {
	case Permanent:
		return verdict{state: Failed, reason: "refused", account: t.Account, addressDead: failure.AddressDead, code: failure.Code}, true
	case Transient, SessionFatal:
		v = verdict{state: Deferred, reason: reasonNotTaken, account: t.Account, wait: max(failure.After, time.Millisecond), stays: true}
	case Throttled, Doubt, Configuration:
		v = verdict{state: InDoubt, reason: t.Reason, account: t.Account, wait: waitAfter(r.cfg.FirstRetry, 1, failure.After), stays: true}
	}
	r.later(v.wait)
	return v, true
}

func (r *run) ask(ctx context.Context, a *account, provider Resolver, t *task) (Receipt, error) {
	m := Message{
		DeliveryID: t.ID, Attempt: t.Attempts, WireID: r.wireID(t), Purpose: t.Purpose, Address: t.Address, ExpiresAt: t.ExpiresAt,
	}
	if r.job.Args.Together {
		if err := r.store.pool.QueryRow(ctx, carrierSQL, t.ID, a.name).Scan(&m.DeliveryID); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return Receipt{}, &SendError{Class: Doubt, Err: err}
		}
	} else {
		var err error
		if m.Content, err = r.contentAgain(ctx, t); err != nil {
			return Receipt{}, &SendError{Class: Doubt, Err: err}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, r.sendTimeout(a))
	defer cancel()
	return provider.Resolve(ctx, m)
}

// carrierSQL finds the delivery whose message carried one of a digest.
const carrierSQL = `
SELECT coalesce(carried_by, delivery_id) FROM attempts
WHERE delivery_id = $1 AND account = $2
ORDER BY number DESC
LIMIT 1`

// contentAgain is what t says, where it may be sent again now: a provider that
// tells repetitions finds out by that. It is empty where it may not.
func (r *run) contentAgain(ctx context.Context, t *task) (content templates.Content, err error) {
	if r.cfg.Doubt.of(t.Channel, t.Purpose) != WaitReceipt {
		return content, nil
	}
	again := *t
	members, refused, err := r.mayGo(ctx, []*task{&again})
	if err != nil || refused[&again] != "" || again.Address != t.Address {
		return content, err
	}
	if _, quiet := r.hushed(&again, members[&again]); quiet {
		return content, nil
	}
	m, err := r.message(ctx, &again, members[&again])
	if templateFault(err) {
		return content, nil
	}
	return m.Content, err
}

// wireID is what a delivery's message is known by at its provider.
func (r *run) wireID(t *task) string {
	if r.job.Args.Together {
		return digestWireID(r.job.Args.Wire, t.ContactID)
	}
	return t.ID.String()
}

// digestWireID is that of a digest, which may go to several addresses.
func digestWireID(wire uuid.UUID, contact int64) string { return fmt.Sprintf("%s-%d", wire, contact) }
