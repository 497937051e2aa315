package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"

	"herald/problem"
	"herald/subscriptions"
)

// shunned is an address that must not be contacted any more.
type shunned struct {
	*rung
	reason, code string
}

// shun suppresses addresses, and notes the dead ones as such. Contact points
// are always locked before suppressions, and each in the same order.
func (r *Receipts) shun(ctx context.Context, tx pgx.Tx, st *settlement, dead, unwelcome []shunned) error {
	slices.SortStableFunc(dead, func(a, b shunned) int { return cmp.Compare(a.ContactID, b.ContactID) })
	for _, d := range dead {
		if err := dieTx(ctx, tx, r.cfg.Contacts, &d.task, d.code); err != nil {
			return err
		}
	}
	all := slices.Concat(dead, unwelcome)
	slices.SortStableFunc(all, func(a, b shunned) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Address, b.Address))
	})
	for _, d := range all {
		done, err := suppressTx(ctx, tx, r.cfg.Suppressions, r.cfg.Logger, &d.task, d.reason, d.code)
		if err != nil {
			return err
		}
		if done {
			st.news.contact(&d.task, d.reason)
		}
	}
	return nil
}

// buryTx notes that a provider knows no such address.
func (w *Worker) buryTx(ctx context.Context, tx pgx.Tx, t *task, code string) error {
	if err := dieTx(ctx, tx, w.cfg.Contacts, t, code); err != nil {
		return err
	}
	_, err := suppressTx(ctx, tx, w.cfg.Suppressions, w.cfg.Logger, t, subscriptions.Bounced, code)
	return err
}

func dieTx(ctx context.Context, tx pgx.Tx, contacts Contacts, t *task, code string) error {
	if t.ContactID == 0 {
		return nil
	}
	if err := contacts.SetStandingTx(ctx, tx, t.ContactID, subscriptions.Dead, code); err != nil {
		return fmt.Errorf("mark the address dead: %w", err)
	}
	return nil
}

// suppressTx suppresses a delivery's address. What was learnt must not be lost
// for an address that is none: that is logged, and done is false.
func suppressTx(ctx context.Context, tx pgx.Tx, to Suppressions, logger *slog.Logger, t *task, reason, code string) (done bool, err error) {
	err = to.SuppressTx(ctx, tx, subscriptions.Suppression{Channel: t.Channel, Address: t.Address, Reason: reason, Detail: code})
	if problem.CodeOf(err) == problem.Invalid {
		logger.ErrorContext(ctx, "an address could not be suppressed", "delivery", t.ID, "contact_point", t.ContactID)
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("suppress the address: %w", err)
	}
	return true, nil
}
