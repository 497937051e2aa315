package subscriptions

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"herald/problem"
)

// Authenticate is the member with an account and its query password. remote is
// the IP address that asks, without its port.
//
// Errors: Unauthorized, the same and after the same work whether the account
// is unknown, has no password or has another one; Throttled after too many
// failures of the account or from the address.
func (s *Members) Authenticate(ctx context.Context, account, password, remote string) (Member, error) {
	account = storable(normaliseAccount(account), maxAccount+1)
	own := "member:" + account
	if err := s.throttle.SignIn(ctx, own, remote); err != nil {
		return Member{}, err
	}
	id, hash, err := s.passwordOf(ctx, `account = $1`, account)
	if err != nil && problem.CodeOf(err) != problem.NotFound {
		return Member{}, err
	}
	right, err := s.passwords.Verify(ctx, hash, password) // hash is empty for an account nobody has
	if err != nil {
		return Member{}, fmt.Errorf("verify a member's password: %w", err)
	}
	if !right {
		return Member{}, problem.New(problem.Unauthorized, "the account or the password is wrong")
	}
	if err := s.throttle.SignedIn(ctx, own, remote); err != nil {
		return Member{}, err
	}
	return s.Get(ctx, id)
}

// passwordOf finds a member's ID and password hash, which is "" when they have
// no password.
func (s *Members) passwordOf(ctx context.Context, where string, args ...any) (id int64, hash string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT id, coalesce(password_hash, '') FROM members WHERE `+where, args...).Scan(&id, &hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, "", noSuchMember()
	}
	if err != nil {
		return 0, "", fmt.Errorf("find a member's password: %w", err)
	}
	return id, hash, nil
}

// SetPassword changes a member's query password from old, which is empty when
// they have none yet.
//
// Errors: Invalid on the fields old_password (rule "wrong") and password;
// Throttled after too many wrong old ones; NotFound.
func (s *Members) SetPassword(ctx context.Context, id int64, old, password string) error {
	m, err := s.Get(ctx, id)
	if err != nil {
		return err
	}
	var fields problem.Fields
	checkPassword("password", password, m.Account, &fields)
	if err := fields.Err("this password cannot be used"); err != nil {
		return err
	}
	_, was, err := s.passwordOf(ctx, `id = $1`, id)
	if err != nil {
		return err
	}
	if err := s.checkOld(ctx, m, was, old); err != nil {
		return err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return err
	}
	// Only over the password that was checked: of two changes at once one wins
	// and the other learns of it.
	done, err := s.pool.Exec(ctx, `
		UPDATE members SET password_hash = $2, updated_at = $4
		WHERE id = $1 AND coalesce(password_hash, '') = $3`, id, hash, was, s.now())
	if err != nil {
		return fmt.Errorf("set the password of member %d: %w", id, err)
	}
	if done.RowsAffected() == 0 {
		return problem.New(problem.Conflict, "the password has just been changed: sign in again")
	}
	return nil
}

// checkOld asks for the password in force before it is replaced.
func (s *Members) checkOld(ctx context.Context, m Member, hash, old string) error {
	if hash == "" && old == "" {
		return nil
	}
	subject := "member:" + m.Account
	if err := s.throttle.Try(ctx, subject); err != nil {
		return err
	}
	right, err := s.passwords.Verify(ctx, hash, old)
	if err != nil {
		return fmt.Errorf("verify the password of member %d: %w", m.ID, err)
	}
	if right {
		return s.throttle.Clear(ctx, subject)
	}
	return problem.Fields{{Path: "old_password", Rule: "wrong", Message: "is not the password in force"}}.Err("the password is not changed")
}
