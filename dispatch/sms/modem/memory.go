package modem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Try notes that a PIN is about to be tried, and reports whether it may be. It
// makes Store a gsm.PINMemory.
func (s *Store) Try(ctx context.Context, key string) (bool, error) {
	tag, err := s.db.Exec(ctx, `INSERT INTO modem_pins (key, tried_at) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`, key, s.now())
	if err != nil {
		return false, fmt.Errorf("note that a PIN is tried: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// Right notes that a PIN was right.
func (s *Store) Right(ctx context.Context, key string) error {
	if _, err := s.db.Exec(ctx, `DELETE FROM modem_pins WHERE key = $1`, key); err != nil {
		return fmt.Errorf("note that a PIN was right: %w", err)
	}
	return nil
}

// learn notes whether a SIM's modem writes its own references over ours.
func (s *Store) learn(ctx context.Context, sim string, own bool) error {
	_, err := s.db.Exec(ctx, `UPDATE modem_references SET own = $2 WHERE sim = $1 AND own IS DISTINCT FROM $2`, sim, own)
	if err != nil {
		return fmt.Errorf("note whose references a modem has: %w", err)
	}
	return nil
}

// keeps reports whether a SIM's modem is known to send the references it is
// given.
func (s *Store) keeps(ctx context.Context, sim string) (bool, error) {
	var own *bool
	err := s.db.QueryRow(ctx, `SELECT own FROM modem_references WHERE sim = $1`, sim).Scan(&own)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, fmt.Errorf("read whose references a modem has: %w", err)
	}
	return own != nil && !*own, nil
}

// Balance is what the operator said of a SIM's money.
type Balance struct {
	// Amount is in the operator's currency; nil: the answer had none that the
	// pattern finds.
	Amount *float64  `json:"amount"`
	Answer string    `json:"answer"`
	At     time.Time `json:"at"`
}

// answerMax is the longest answer of an operator (USSD has 182 characters).
const answerMax = 500

func (s *Store) keepBalance(ctx context.Context, sim string, b Balance) error {
	_, err := s.db.Exec(ctx, `
INSERT INTO modem_balances (sim, amount, answer, at) VALUES ($1, $2, $3, $4)
ON CONFLICT (sim) DO UPDATE SET amount = excluded.amount, answer = excluded.answer, at = excluded.at`, sim, b.Amount, b.Answer, b.At)
	if err != nil {
		return fmt.Errorf("keep a balance: %w", err)
	}
	return nil
}

// balance is what the operator said last; false: nothing yet.
func (s *Store) balance(ctx context.Context, sim string) (b Balance, said bool, err error) {
	err = s.db.QueryRow(ctx, `SELECT amount, answer, at FROM modem_balances WHERE sim = $1`, sim).Scan(&b.Amount, &b.Answer, &b.At)
	if errors.Is(err, pgx.ErrNoRows) {
		return b, false, nil
	}
	if err != nil {
		return b, false, fmt.Errorf("read a balance: %w", err)
	}
	return b, true, nil
}

// lostAfter is how long a part can be about to be sent; after that its node
// died, or lost the database.
const lostAfter = time.Hour

// Sweep forgets what no report can be of any more, and what was to be sent by
// a node that died, and says how many rows that were. Any number of nodes may
// call it, now and then.
func (s *Store) Sweep(ctx context.Context) (int64, error) {
	now := s.now()
	lost, err := s.drop(ctx, `DELETE FROM modem_parts WHERE state = 'waiting' AND at < $1 RETURNING sim, day, month`, now.Add(-lostAfter))
	if err != nil {
		return 0, fmt.Errorf("give back what was not sent: %w", err)
	}
	parts, err := s.db.Exec(ctx, `DELETE FROM modem_parts WHERE at < $1`, now.Add(-keepParts))
	if err != nil {
		return lost, fmt.Errorf("forget old parts: %w", err)
	}
	// The periods sort by their names.
	quotas, err := s.db.Exec(ctx, `DELETE FROM modem_quotas WHERE period < $1`, now.AddDate(0, -14, 0).Format("2006-01"))
	if err != nil {
		return lost + parts.RowsAffected(), fmt.Errorf("forget old quotas: %w", err)
	}
	return lost + parts.RowsAffected() + quotas.RowsAffected(), nil
}
