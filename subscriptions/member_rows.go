package subscriptions

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"herald/problem"
)

// memberColumns are what a member is read from.
const memberColumns = `id, account, customer_type, display_name, locale, time_zone,
	coalesce(to_char(birthday, 'YYYY-MM-DD'), ''), quiet_from, quiet_until, digest_hour, attributes, created_at, updated_at,
	encode(sha256(convert_to(coalesce(password_hash, ''), 'UTF8')), 'hex')`

// destinations are where memberColumns are scanned to.
func (m *Member) destinations() []any {
	return []any{
		&m.ID, &m.Account, &m.CustomerType, &m.DisplayName, &m.Locale, &m.TimeZone,
		&m.Birthday, &m.QuietFrom, &m.QuietUntil, &m.DigestHour, &m.Attributes, &m.CreatedAt, &m.UpdatedAt, &m.PasswordMark,
	}
}

func scanMember(row pgx.CollectableRow) (Member, error) {
	var m Member
	err := row.Scan(m.destinations()...)
	m.CreatedAt, m.UpdatedAt = m.CreatedAt.UTC(), m.UpdatedAt.UTC()
	return m, err
}

// selectMember finds the one member that a condition names, or NotFound.
func selectMember(ctx context.Context, q Querier, where string, args ...any) (Member, error) {
	rows, err := q.Query(ctx, `SELECT `+memberColumns+` FROM members WHERE `+where, args...)
	if err != nil {
		return Member{}, fmt.Errorf("find a member: %w", err)
	}
	m, err := pgx.CollectExactlyOneRow(rows, scanMember)
	if errors.Is(err, pgx.ErrNoRows) {
		return Member{}, noSuchMember()
	}
	if err != nil {
		return Member{}, fmt.Errorf("find a member: %w", err)
	}
	return m, nil
}

func noSuchMember() error { return problem.New(problem.NotFound, "there is no such member") }
