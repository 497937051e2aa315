package subscriptions

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"herald/problem"
)

// StopTx suppresses an address because whoever reads there asked for silence,
// for everybody who has it as a contact point. It reports whether that changed
// anything: what is suppressed already stays so for its first reason, but what
// only came back or was unsubscribed gives way, since the wish is newer and
// stricter. detail says how it was asked. The error is Invalid for what is no
// address.
func (c *Consents) StopTx(ctx context.Context, tx pgx.Tx, ch Channel, address, detail string) (changed bool, err error) {
	if address, err = stoppable(ch, address); err != nil {
		return false, err
	}
	done, err := tx.Exec(ctx, `
		INSERT INTO suppressions AS known (channel, address, reason, detail, created_at)
		VALUES ($1, $2, 'stopped', $3, $4)
		ON CONFLICT (channel, address) DO UPDATE
		SET reason = excluded.reason, detail = excluded.detail, created_at = excluded.created_at
		WHERE known.reason IN ('unsubscribed', 'bounced')`,
		ch, suppressionKey(ch, address), storable(detail, maxEvidence), c.now())
	if err != nil {
		return false, fmt.Errorf("stop an address on %s: %w", ch, err)
	}
	return done.RowsAffected() > 0, nil
}

// RestartTx lifts what StopTx did, and nothing else, and reports whether there
// was anything to lift; contact points there that were dead or failing start
// afresh. The error is Invalid for what is no address.
func (c *Consents) RestartTx(ctx context.Context, tx pgx.Tx, ch Channel, address string) (lifted bool, err error) {
	if address, err = stoppable(ch, address); err != nil {
		return false, err
	}
	var reason string
	err = tx.QueryRow(ctx, `SELECT reason FROM suppressions WHERE channel = $1 AND address = $2`, ch, suppressionKey(ch, address)).Scan(&reason)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && reason != Stopped {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("restart an address on %s: %w", ch, err)
	}
	if err := revive(ctx, tx, ch, address); err != nil {
		return false, err
	}
	done, err := tx.Exec(ctx, `DELETE FROM suppressions WHERE channel = $1 AND address = $2 AND reason = 'stopped'`, ch, suppressionKey(ch, address))
	if err != nil {
		return false, fmt.Errorf("restart an address on %s: %w", ch, err)
	}
	return done.RowsAffected() > 0, nil
}

// BeforeRestartTx locks the contact points that RestartTx may change at
// addresses of a channel. It is for a transaction that stops or starts several
// addresses, before all of that: contact points are locked before suppressions.
func (c *Consents) BeforeRestartTx(ctx context.Context, tx pgx.Tx, ch Channel, addresses []string) error {
	keys := make([]string, len(addresses))
	for i, address := range addresses {
		keys[i] = suppressionKey(ch, address)
	}
	_, err := tx.Exec(ctx, `
		SELECT FROM contact_points
		WHERE standing <> 'good' AND channel = $1 AND lower(address COLLATE "C") = ANY($2)
		ORDER BY id FOR NO KEY UPDATE`, ch, keys)
	if err != nil {
		return fmt.Errorf("lock contact points on %s: %w", ch, err)
	}
	return nil
}

func stoppable(ch Channel, address string) (string, error) {
	var fields problem.Fields
	address = checkAddress("", ch, address, "", &fields)
	return address, fields.Err("this address cannot be stopped or started")
}

// Owners are the contact points at addresses of a channel, by address, whoever
// has them: those that are verified first, then in the order they were added.
// The addresses are as contact points have them; one that nobody has is not in
// it.
func (c *Contacts) Owners(ctx context.Context, q Querier, ch Channel, addresses []string) (map[string][]ContactPoint, error) {
	rows, err := q.Query(ctx, `
		SELECT `+contactColumns+`
		FROM contact_points
		WHERE channel = $1 AND address = ANY($2)
		ORDER BY verified_at IS NULL, id`, ch, addresses)
	if err != nil {
		return nil, fmt.Errorf("find the owners of %d addresses: %w", len(addresses), err)
	}
	found, err := pgx.CollectRows(rows, scanContact)
	if err != nil {
		return nil, fmt.Errorf("find the owners of %d addresses: %w", len(addresses), err)
	}
	owners := make(map[string][]ContactPoint, len(addresses))
	for _, point := range found {
		owners[point.Address] = append(owners[point.Address], point)
	}
	return owners, nil
}
