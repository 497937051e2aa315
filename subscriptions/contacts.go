package subscriptions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/problem"
)

// Confirmer sends a verification code to the contact point that it verifies,
// as part of tx: the message goes out if and only if tx commits.
type Confirmer interface {
	SendCodeTx(ctx context.Context, tx pgx.Tx, m Member, c ContactPoint, code string) error
}

// Contacts keeps the addresses of members and has them verified.
type Contacts struct {
	pool      *pgxpool.Pool
	confirmer Confirmer
	now       func() time.Time
}

// NewContacts keeps them in the database that pool leads to; codes go out by
// confirmer.
func NewContacts(pool *pgxpool.Pool, confirmer Confirmer, now func() time.Time) *Contacts {
	return &Contacts{pool: pool, confirmer: confirmer, now: now}
}

// contactColumns are what scanContact reads.
const contactColumns = `id, member_id, channel, address, verified_at, standing, standing_reason, created_at`

func scanContact(row pgx.CollectableRow) (ContactPoint, error) {
	var c ContactPoint
	err := row.Scan(&c.ID, &c.MemberID, &c.Channel, &c.Address, &c.VerifiedAt, &c.Standing, &c.StandingReason, &c.CreatedAt)
	c.CreatedAt = c.CreatedAt.UTC()
	if c.VerifiedAt != nil {
		*c.VerifiedAt = c.VerifiedAt.UTC()
	}
	return c, err
}

// Add gives a member a further address. It can be used once it is verified.
//
// Errors: Invalid with the fields channel and address; Conflict when the
// member has it already, or has as many as a member may; NotFound for an
// unknown member.
func (c *Contacts) Add(ctx context.Context, memberID int64, n NewContact) (ContactPoint, error) {
	var added ContactPoint
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		// The lock keeps two requests from passing the limit together.
		m, err := selectMember(ctx, tx, `id = $1 FOR NO KEY UPDATE`, memberID)
		if err != nil {
			return err
		}
		if n.Region == "" {
			n.Region = regionOf(m.Locale)
		}
		var fields problem.Fields
		n.Address = checkAddress("", n.Channel, n.Address, n.Region, &fields)
		if err := fields.Err("this address cannot be used"); err != nil {
			return err
		}
		var have int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM contact_points WHERE member_id = $1`, memberID).Scan(&have); err != nil {
			return fmt.Errorf("count contact points of member %d: %w", memberID, err)
		}
		if have >= maxContacts {
			return problem.New(problem.Conflict, "there are %d addresses already: remove one first", have)
		}
		added, err = insertContact(ctx, tx, c.now(), memberID, n)
		return err
	})
	return added, err
}

// insertContact writes a contact whose address is normalised.
func insertContact(ctx context.Context, q Querier, at time.Time, memberID int64, n NewContact) (ContactPoint, error) {
	var verified *time.Time
	if n.Verified {
		verified = &at
	}
	rows, err := q.Query(ctx, `
		INSERT INTO contact_points (member_id, channel, address, verified_at, created_at)
		VALUES ($1, $2, $3, $4, $5)
		RETURNING `+contactColumns, memberID, n.Channel, n.Address, verified, at)
	if err == nil {
		var added ContactPoint
		if added, err = pgx.CollectExactlyOneRow(rows, scanContact); err == nil {
			return added, nil
		}
	}
	if violates(err, uniqueViolation) {
		return ContactPoint{}, problem.New(problem.Conflict, "this address is on the list already")
	}
	return ContactPoint{}, fmt.Errorf("add a contact point to member %d: %w", memberID, err)
}

// Classes of errors of PostgreSQL (its manual, appendix A).
const (
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
)

func violates(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}

// memberMissing turns a broken reference to a member into NotFound.
func memberMissing(err error) error {
	if violates(err, foreignKeyViolation) {
		return noSuchMember()
	}
	return err
}

// ForMember are the member's contact points in the order they were added.
func (c *Contacts) ForMember(ctx context.Context, memberID int64) ([]ContactPoint, error) {
	rows, err := c.pool.Query(ctx, `SELECT `+contactColumns+` FROM contact_points WHERE member_id = $1 ORDER BY id`, memberID)
	if err != nil {
		return nil, fmt.Errorf("contact points of member %d: %w", memberID, err)
	}
	contacts, err := pgx.CollectRows(rows, scanContact)
	if err != nil {
		return nil, fmt.Errorf("contact points of member %d: %w", memberID, err)
	}
	return contacts, nil
}

// Remove takes an address from a member; NotFound when it is not theirs.
func (c *Contacts) Remove(ctx context.Context, memberID, id int64) error {
	done, err := c.pool.Exec(ctx, `DELETE FROM contact_points WHERE id = $1 AND member_id = $2`, id, memberID)
	if err != nil {
		return fmt.Errorf("remove contact point %d: %w", id, err)
	}
	if done.RowsAffected() == 0 {
		return noSuchContact()
	}
	return nil
}

func noSuchContact() error { return problem.New(problem.NotFound, "there is no such address") }

// SetStandingTx notes how an address behaves, with the reason as a provider
// gave it. A contact point that was removed in the meantime is left alone.
func (c *Contacts) SetStandingTx(ctx context.Context, tx pgx.Tx, id int64, s Standing, reason string) error {
	_, err := tx.Exec(ctx, `
		UPDATE contact_points SET standing = $2, standing_reason = $3
		WHERE id = $1 AND (standing, standing_reason) IS DISTINCT FROM ($2, $3)`,
		id, s, storable(reason, maxEvidence))
	if err != nil {
		return fmt.Errorf("set the standing of contact point %d: %w", id, err)
	}
	return nil
}
