package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// resolver is how the account with a name is asked about doubt; nil: it
// cannot be, or is not one of this node's.
func (a *Accounts) resolver(name string) Resolver {
	for _, one := range a.list {
		if one.name == name {
			able, _ := one.Sender.(Resolver)
			return able
		}
	}
	return nil
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
	provider := r.accounts.resolver(t.Account)
	if provider == nil || !now.Before(t.ExpiresAt) {
		return verdict{}, false
	}
	if next := t.NextAttemptAt; next != nil && next.After(now) {
		r.later(next.Sub(now))
		return verdict{}, false
	}
	receipt, err := r.ask(ctx, provider, t)
	if err == nil {
		return verdict{state: Accepted, reason: "", account: t.Account, providerID: receipt.ProviderID}, true
	}
	switch failure := asSendError(err); failure.Class {
	case Permanent:
		return verdict{state: Failed, reason: "refused", account: t.Account, addressDead: failure.AddressDead, code: failure.Code}, true
	case Transient, SessionFatal:
		v = verdict{state: Deferred, reason: reasonNotTaken, account: t.Account, wait: time.Millisecond, stays: true}
	case Throttled, Doubt, Configuration:
		v = verdict{state: InDoubt, reason: t.Reason, account: t.Account, wait: waitAfter(r.cfg.FirstRetry, 1, failure.After), stays: true}
	}
	r.later(v.wait)
	return v, true
}

func (r *run) ask(ctx context.Context, provider Resolver, t *task) (Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.SendTimeout)
	defer cancel()
	return provider.Resolve(ctx, Message{
		DeliveryID: t.ID, Attempt: t.Attempts, WireID: r.wireID(t), Purpose: t.Purpose, Address: t.Address, ExpiresAt: t.ExpiresAt,
	})
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
