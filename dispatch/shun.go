package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"herald/problem"
	"herald/subscriptions"
)

// shunned is a delivery whose address must not be contacted any more.
type shunned struct {
	*task
	reason, code string
	dead         bool // there is no such address
}

// shunner notes whom nothing is sent to any more.
type shunner struct {
	contacts     Contacts
	suppressions Suppressions
	logger       *slog.Logger
}

// shunTx marks the dead addresses as such and suppresses all of them; done are
// those that were suppressed. Contact points are always locked before
// suppressions, and each in one order, so that what is learnt of the same
// addresses in many transactions at once never locks itself up.
func (s shunner) shunTx(ctx context.Context, tx pgx.Tx, list []shunned) (done []shunned, err error) {
	slices.SortStableFunc(list, func(a, b shunned) int { return cmp.Compare(a.ContactID, b.ContactID) })
	for _, one := range list {
		if !one.dead || one.ContactID == 0 {
			continue
		}
		if err := s.contacts.SetStandingTx(ctx, tx, one.ContactID, subscriptions.Dead, one.code); err != nil {
			return nil, fmt.Errorf("mark the address dead: %w", err)
		}
	}
	// Mail addresses are suppressed however they are capitalised.
	slices.SortStableFunc(list, func(a, b shunned) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(strings.ToLower(a.Address), strings.ToLower(b.Address)))
	})
	for _, one := range list {
		err := s.suppressions.SuppressTx(ctx, tx, subscriptions.Suppression{Channel: one.Channel, Address: one.Address, Reason: one.reason, Detail: one.code})
		if problem.CodeOf(err) == problem.Invalid {
			// What was learnt must not be lost for an address that is none.
			s.logger.ErrorContext(ctx, "an address could not be suppressed", "delivery", one.ID, "contact_point", one.ContactID)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("suppress the address: %w", err)
		}
		done = append(done, one)
	}
	return done, nil
}
