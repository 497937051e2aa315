package subscriptions

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/problem"
)

// suppressionReasons are the values of Suppression.Reason.
var suppressionReasons = []string{Unsubscribed, Bounced, Complained, Stopped, ByOperator}

// SuppressionFilter asks for suppressions, in the order of channel and address.
type SuppressionFilter struct {
	Channel Channel     // empty: all
	Address string      // as somebody wrote it; empty: all
	After   Suppression // the last one seen, to go on after it
	Limit   int         // 0: 50, at most 500
}

// Suppress makes an address one that is not contacted. An address that is
// suppressed already keeps its first reason, except that unsubscribed, which
// lets transactional messages pass, gives way to the stricter ones.
//
// Errors: Invalid with the fields channel, address and reason. A number must
// be written with + and its country code.
func (c *Consents) Suppress(ctx context.Context, s Suppression) error {
	return c.suppress(ctx, c.pool, s)
}

// SuppressTx is Suppress inside the caller's transaction.
func (c *Consents) SuppressTx(ctx context.Context, tx pgx.Tx, s Suppression) error {
	return c.suppress(ctx, tx, s)
}

func (c *Consents) suppress(ctx context.Context, q Querier, s Suppression) error {
	var fields problem.Fields
	address := checkAddress("", s.Channel, s.Address, "", &fields)
	checkOption("reason", s.Reason, suppressionReasons, &fields)
	if err := fields.Err("this suppression cannot be recorded"); err != nil {
		return err
	}
	// What is suppressed already is only read: many hand-overs at once find the
	// same address dead, and would wait for each other's lock on it in turn.
	_, err := q.Exec(ctx, `
		INSERT INTO suppressions AS known (channel, address, reason, detail, created_at)
		SELECT $1, $2, $3, $4, $5
		WHERE NOT EXISTS (
			SELECT FROM suppressions
			WHERE channel = $1 AND address = $2 AND (reason <> 'unsubscribed' OR $3 = 'unsubscribed'))
		ON CONFLICT (channel, address) DO UPDATE
		SET reason = excluded.reason, detail = excluded.detail, created_at = excluded.created_at
		WHERE known.reason = 'unsubscribed' AND excluded.reason <> 'unsubscribed'`,
		s.Channel, suppressionKey(s.Channel, address), s.Reason, storable(s.Detail, maxEvidence), c.now())
	if err != nil {
		return fmt.Errorf("suppress an address on %s: %w", s.Channel, err)
	}
	return nil
}

// Lift allows an address to be contacted again; contact points there that were
// dead or failing start afresh. Errors: Invalid for what is no address,
// NotFound when it is not suppressed.
func (c *Consents) Lift(ctx context.Context, ch Channel, address string) error {
	var fields problem.Fields
	address = checkAddress("", ch, address, "", &fields)
	if err := fields.Err("this suppression cannot be lifted"); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		if err := revive(ctx, tx, ch, address); err != nil {
			return err
		}
		done, err := tx.Exec(ctx, `DELETE FROM suppressions WHERE channel = $1 AND address = $2`, ch, suppressionKey(ch, address))
		if err != nil {
			return fmt.Errorf("lift a suppression on %s: %w", ch, err)
		}
		if done.RowsAffected() == 0 {
			return problem.New(problem.NotFound, "this address is not suppressed")
		}
		return nil
	})
}

// revive gives the contact points at an address, whoever has them, a good
// standing again. Contact points are always locked before suppressions, and in
// the order of their ids.
func revive(ctx context.Context, tx pgx.Tx, ch Channel, address string) error {
	return reviveAnd(ctx, tx, ch, address, 0, nil)
}

// reviveAnd verifies one of the contact points as well, unless its id is 0.
func reviveAnd(ctx context.Context, tx pgx.Tx, ch Channel, address string, verified int64, at *time.Time) error {
	_, err := tx.Exec(ctx, `
		UPDATE contact_points
		SET standing = 'good', standing_reason = '', verified_at = CASE WHEN id = $3 THEN $4 ELSE verified_at END
		WHERE id IN (
			SELECT id FROM contact_points
			WHERE standing <> 'good' AND channel = $1 AND lower(address COLLATE "C") = $2 OR id = $3
			ORDER BY id FOR NO KEY UPDATE)`, ch, suppressionKey(ch, address), verified, at)
	if err != nil {
		return fmt.Errorf("revive an address on %s: %w", ch, err)
	}
	return nil
}

// Suppressions is a page of the list.
func (c *Consents) Suppressions(ctx context.Context, f SuppressionFilter) ([]Suppression, error) {
	channels := Channels
	if f.Channel != "" {
		channels = []Channel{f.Channel}
	}
	where, address := `(channel, address) > ($2, $3)`, f.After.Address
	if f.Address != "" {
		where, address = `(channel, address) > ($2, '') AND address = $3`, suppressionKey(Email, sought(f.Address))
	}
	rows, err := c.pool.Query(ctx, `
		SELECT channel, address, reason, detail, created_at
		FROM suppressions
		WHERE channel = ANY($1) AND `+where+`
		ORDER BY channel, address
		LIMIT $4`,
		channels, f.After.Channel, address, pageSize(f.Limit))
	if err != nil {
		return nil, fmt.Errorf("list suppressions: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanSuppression)
	if err != nil {
		return nil, fmt.Errorf("list suppressions: %w", err)
	}
	return list, nil
}

func scanSuppression(row pgx.CollectableRow) (Suppression, error) {
	var s Suppression
	var at time.Time
	err := row.Scan(&s.Channel, &s.Address, &s.Reason, &s.Detail, &at)
	s.CreatedAt = at.UTC()
	return s, err
}

// pageSize bounds what a caller asks for.
func pageSize(limit int) int {
	if limit <= 0 {
		return 50
	}
	return min(limit, 500)
}
