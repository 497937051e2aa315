package subscriptions

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/width"

	"herald/problem"
)

// How a contact point is verified.
const (
	codeDigits  = 6
	codeLasts   = 30 * time.Minute
	codeTries   = 5
	codeGap     = time.Minute    // between two codes to one address
	codePeriod  = 24 * time.Hour // over which the numbers below are counted
	codesPerDay = 10             // to one address, whoever asks
	// codesPerMember bounds what one member can have sent to addresses that
	// may not be theirs.
	codesPerMember = 30
)

// SendCode sends a new code to a contact point; the one before it is void.
//
// Errors: NotFound; Conflict when it is verified already, when its owner or an
// operator has stopped messages to it, or when nothing can be sent on its
// channel; Throttled when the last code is less than a minute old or too
// many went out in a day.
func (c *Contacts) SendCode(ctx context.Context, memberID, id int64) error {
	code, err := newCode()
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		point, err := lockContact(ctx, tx, memberID, id)
		if err != nil {
			return err
		}
		if point.VerifiedAt != nil {
			return problem.New(problem.Conflict, "this address is verified already")
		}
		if err := c.mayReceiveCode(ctx, tx, point); err != nil {
			return err
		}
		m, err := selectMember(ctx, tx, `id = $1`, memberID)
		if err != nil {
			return err
		}
		now := c.now()
		_, err = tx.Exec(ctx, `
			INSERT INTO verifications (contact_point_id, code_hash, tries, expires_at, created_at)
			VALUES ($1, $2, 0, $3, $4)
			ON CONFLICT (contact_point_id) DO UPDATE
			SET code_hash = excluded.code_hash, tries = 0, expires_at = excluded.expires_at, created_at = excluded.created_at`,
			id, codeHash(id, code), now.Add(codeLasts), now)
		if err != nil {
			return fmt.Errorf("keep the code of contact point %d: %w", id, err)
		}
		if err := c.confirmer.SendCodeTx(ctx, tx, m, point, code); err != nil {
			return fmt.Errorf("send the code of contact point %d: %w", id, err)
		}
		return nil
	})
}

func lockContact(ctx context.Context, tx pgx.Tx, memberID, id int64) (ContactPoint, error) {
	rows, err := tx.Query(ctx, `SELECT `+contactColumns+` FROM contact_points WHERE id = $1 AND member_id = $2 FOR UPDATE`, id, memberID)
	if err != nil {
		return ContactPoint{}, fmt.Errorf("contact point %d: %w", id, err)
	}
	point, err := pgx.CollectExactlyOneRow(rows, scanContact)
	if errors.Is(err, pgx.ErrNoRows) {
		return ContactPoint{}, noSuchContact()
	}
	if err != nil {
		return ContactPoint{}, fmt.Errorf("contact point %d: %w", id, err)
	}
	return point, nil
}

// mayReceiveCode applies the suppression list and the limits, and counts this
// code against them.
func (c *Contacts) mayReceiveCode(ctx context.Context, tx pgx.Tx, point ContactPoint) error {
	var silenced bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM suppressions WHERE channel = $1 AND address = $2 AND reason NOT IN ('unsubscribed', 'bounced'))`,
		point.Channel, suppressionKey(point.Channel, point.Address)).Scan(&silenced)
	if err != nil {
		return fmt.Errorf("look up the suppression of contact point %d: %w", point.ID, err)
	}
	if silenced {
		return problem.New(problem.Conflict, "this address does not take messages: ask for it to be allowed again, or use another")
	}
	address := fmt.Sprintf("address:%s:%s", point.Channel, suppressionKey(point.Channel, point.Address))
	if err := c.countCode(ctx, tx, address, codesPerDay, codeGap); err != nil {
		return err
	}
	return c.countCode(ctx, tx, fmt.Sprintf("member:%d", point.MemberID), codesPerMember, 0)
}

// countCode counts one code for subject, or says Throttled when there were
// limit since the period began, or one within gap.
func (c *Contacts) countCode(ctx context.Context, tx pgx.Tx, subject string, limit int, gap time.Duration) error {
	now := c.now()
	if err := forgetCodes(ctx, tx, now.Add(-codePeriod)); err != nil {
		return err
	}
	done, err := tx.Exec(ctx, `
		INSERT INTO code_sends AS known (subject, sends, since, last_at)
		VALUES ($1, 1, $2, $2)
		ON CONFLICT (subject) DO UPDATE
		SET sends = CASE WHEN known.since <= $3 THEN 1 ELSE known.sends + 1 END,
		    since = CASE WHEN known.since <= $3 THEN excluded.since ELSE known.since END,
		    last_at = excluded.last_at
		WHERE known.last_at <= $4 AND (known.sends < $5 OR known.since <= $3)`,
		subject, now, now.Add(-codePeriod), now.Add(-gap), limit)
	if err != nil {
		return fmt.Errorf("count a code: %w", err)
	}
	if done.RowsAffected() == 1 {
		return nil
	}
	var sends int
	var since, last time.Time
	if err := tx.QueryRow(ctx, `SELECT sends, since, last_at FROM code_sends WHERE subject = $1`, subject).Scan(&sends, &since, &last); err != nil {
		return fmt.Errorf("count a code: %w", err)
	}
	next := last.Add(gap)
	if sends >= limit {
		next = since.Add(codePeriod)
	}
	return &problem.Error{
		Code:    problem.Throttled,
		Message: "a code was sent a moment ago, or too many were: wait a little before asking for another",
		After:   next.Sub(now),
	}
}

// forgetCodes drops a few counts that no longer matter, so that the table
// stays as small as a day is.
func forgetCodes(ctx context.Context, tx pgx.Tx, before time.Time) error {
	_, err := tx.Exec(ctx, `
		DELETE FROM code_sends WHERE subject IN (
			SELECT subject FROM code_sends WHERE last_at < $1 LIMIT 10 FOR UPDATE SKIP LOCKED)`, before)
	if err != nil {
		return fmt.Errorf("forget old counts of codes: %w", err)
	}
	return nil
}

// Verify takes the code that a member received, with or without spaces. A
// verified address is in good standing and no longer suppressed as bounced,
// since a message has arrived there. It does nothing when the address is verified already.
//
// Errors: NotFound; Invalid on the field code: rule "wrong", "expired" when
// there is no code in force, "tries" when it was mistyped five times.
func (c *Contacts) Verify(ctx context.Context, memberID, id int64, code string) error {
	var verified bool
	var ch Channel
	var address string
	err := c.pool.QueryRow(ctx, `
		SELECT verified_at IS NOT NULL, channel, address FROM contact_points
		WHERE id = $1 AND member_id = $2`, id, memberID).Scan(&verified, &ch, &address)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return noSuchContact()
	case err != nil:
		return fmt.Errorf("contact point %d: %w", id, err)
	case verified:
		return nil
	}
	hash, err := c.countTry(ctx, id)
	if err != nil {
		return err
	}
	typed := codeHash(id, strings.Join(strings.Fields(width.Fold.String(code)), ""))
	if subtle.ConstantTimeCompare(hash, typed) != 1 {
		return codeProblem("wrong", "this is not the code that was sent: check its digits")
	}
	return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		if err := reviveAnd(ctx, tx, ch, address, id, new(c.now())); err != nil {
			return fmt.Errorf("verify contact point %d: %w", id, err)
		}
		_, err := tx.Exec(ctx, `
			DELETE FROM suppressions WHERE channel = $1 AND address = $2 AND reason = 'bounced'`, ch, suppressionKey(ch, address))
		if err != nil {
			return fmt.Errorf("allow the address of contact point %d: %w", id, err)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM verifications WHERE contact_point_id = $1`, id); err != nil {
			return fmt.Errorf("end the verification of contact point %d: %w", id, err)
		}
		return nil
	})
}

// countTry counts a try before it is looked at, so that no two requests can
// use the same one, and returns the hash of the code in force.
func (c *Contacts) countTry(ctx context.Context, id int64) ([]byte, error) {
	var hash []byte
	err := c.pool.QueryRow(ctx, `
		UPDATE verifications SET tries = tries + 1
		WHERE contact_point_id = $1 AND tries < $2 AND expires_at > $3
		RETURNING code_hash`, id, codeTries, c.now()).Scan(&hash)
	if err == nil {
		return hash, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("count a try at contact point %d: %w", id, err)
	}
	var usedUp bool
	err = c.pool.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM verifications WHERE contact_point_id = $1 AND expires_at > $2)`, id, c.now()).Scan(&usedUp)
	if err != nil {
		return nil, fmt.Errorf("look up the code of contact point %d: %w", id, err)
	}
	if usedUp {
		return nil, codeProblem("tries", "the code was mistyped too often: ask for a new one")
	}
	return nil, codeProblem("expired", "there is no code in force: ask for a new one")
}

func codeProblem(rule, message string) error {
	return problem.Fields{{Path: "code", Rule: rule, Message: message}}.Err("the address is not verified")
}

// newCode draws six digits, all equally likely.
func newCode() (string, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Exp(big.NewInt(10), big.NewInt(codeDigits), nil))
	if err != nil {
		return "", fmt.Errorf("draw a code: %w", err)
	}
	return fmt.Sprintf("%0*d", codeDigits, n), nil
}

// codeHash keeps a code from being read out of the table at a glance. It
// cannot keep it from being computed, six digits being few: its short life does.
func codeHash(contactPointID int64, code string) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s", contactPointID, code))
	return sum[:]
}
