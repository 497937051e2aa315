package webhooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"herald/problem"
)

// oldSecretFor is how long the secret before a rotation signs beside the new
// one, so that the receiver can change over in its own time.
const oldSecretFor = 24 * time.Hour

const endpointColumns = `
	id, url, description, types, enabled, disabled_for, failing_since, hold_until, old_secret_until, version,
	created_by, changed_by, created_at, changed_at, failures, secret, old_secret`

func scanEndpoint(row pgx.CollectableRow) (Endpoint, error) {
	var e Endpoint
	err := row.Scan(&e.ID, &e.URL, &e.Description, &e.Types, &e.Enabled, &e.DisabledFor, &e.FailingSince, &e.HoldUntil,
		&e.OldSecretUntil, &e.Version, &e.CreatedBy, &e.ChangedBy, &e.CreatedAt, &e.ChangedAt, &e.failures, &e.secret, &e.oldSecret)
	return e, err
}

const (
	endpointSQL  = `SELECT ` + endpointColumns + ` FROM webhook_endpoints WHERE id = $1`
	endpointsSQL = `SELECT ` + endpointColumns + ` FROM webhook_endpoints ORDER BY id`

	insertEndpointSQL = `
INSERT INTO webhook_endpoints (id, url, description, types, secret, created_by, changed_by, created_at, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $7)
RETURNING ` + endpointColumns

	updateEndpointSQL = `
UPDATE webhook_endpoints
SET url = $2, description = $3, types = $4, enabled = $5, disabled_for = $6, failures = $7, failing_since = $8,
    hold_until = $9, secret = $10, old_secret = $11, old_secret_until = $12, version = version + 1,
    changed_by = $13, changed_at = $14
WHERE id = $1
RETURNING ` + endpointColumns
)

func missing() error { return problem.New(problem.NotFound, "there is no such webhook endpoint") }

// Create makes an endpoint and the secret that its messages will be signed
// with ("whsec_…"), which is not shown again. The error is Invalid, with
// fields url, description and types, or Conflict when there is one at this
// address already, or fifty.
func (s *Store) Create(ctx context.Context, n NewEndpoint) (made Endpoint, secret string, err error) {
	e := Endpoint{URL: n.URL, Description: n.Description, Types: n.Types}
	if err := s.guard.tidy(&e); err != nil {
		return Endpoint{}, "", err
	}
	key := newSigningSecret()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var others int
		err := tx.QueryRow(ctx, `SELECT nextval('webhook_endpoint_ids'), (SELECT count(*) FROM webhook_endpoints)`).Scan(&e.ID, &others)
		if err != nil {
			return err
		}
		if others >= maxEndpoints {
			return problem.New(problem.Conflict, "there are %d webhook endpoints already: remove one first", others)
		}
		made, err = writeEndpoint(ctx, tx, insertEndpointSQL,
			e.ID, e.URL, e.Description, e.Types, s.vault.seal(e.ID, key), n.By, s.now())
		return err
	})
	if err != nil {
		return Endpoint{}, "", fmt.Errorf("make a webhook endpoint: %w", err)
	}
	s.forget()
	return made, key.text(), nil
}

// writeEndpoint runs a statement that returns the endpoint it wrote.
func writeEndpoint(ctx context.Context, tx pgx.Tx, sql string, args ...any) (Endpoint, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return Endpoint{}, err
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanEndpoint)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.ConstraintName == "webhook_endpoints_url_key" {
		return Endpoint{}, &problem.Error{
			Code: problem.Conflict, Message: "there is an endpoint at this address already",
			Fields: []problem.Field{{Path: "url", Rule: "taken", Message: "is another endpoint's: change what that one listens to"}},
		}
	}
	return e, err
}

// List is all endpoints, the oldest first.
func (s *Store) List(ctx context.Context) ([]Endpoint, error) {
	rows, err := s.pool.Query(ctx, endpointsSQL)
	if err != nil {
		return nil, fmt.Errorf("list webhook endpoints: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanEndpoint)
	if err != nil {
		return nil, fmt.Errorf("list webhook endpoints: %w", err)
	}
	return all, nil
}

// Get is one endpoint. NotFound when there is none.
func (s *Store) Get(ctx context.Context, id int64) (Endpoint, error) {
	e, err := readEndpoint(ctx, s.pool, endpointSQL, id)
	if err != nil {
		return Endpoint{}, fmt.Errorf("read webhook endpoint %d: %w", id, err)
	}
	return e, nil
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func readEndpoint(ctx context.Context, q querier, sql string, id int64) (Endpoint, error) {
	rows, err := q.Query(ctx, sql, id)
	if err != nil {
		return Endpoint{}, err
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanEndpoint)
	if errors.Is(err, pgx.ErrNoRows) {
		return Endpoint{}, missing()
	}
	return e, err
}

// Change changes an endpoint. Messages that wait go by the new state: to the
// new address, or nowhere when it was switched off, which fails them. The
// error is Invalid with fields, NotFound, or Conflict when it has changed since
// version, or another endpoint has the address.
func (s *Store) Change(ctx context.Context, id int64, c Change) (Endpoint, error) {
	e, err := s.edit(ctx, id, c.Version, func(e *Endpoint) error {
		c.apply(e)
		return s.guard.tidy(e)
	})
	if err != nil {
		return Endpoint{}, fmt.Errorf("change webhook endpoint %d: %w", id, err)
	}
	return e, nil
}

// Rotate gives an endpoint a new secret, which is not shown again. The one
// before signs beside it for a day. The version is as in Change.
func (s *Store) Rotate(ctx context.Context, id int64, version int, by string) (changed Endpoint, secret string, err error) {
	key := newSigningSecret()
	changed, err = s.edit(ctx, id, version, func(e *Endpoint) error {
		until := s.now().Add(oldSecretFor)
		e.oldSecret, e.OldSecretUntil = e.secret, &until
		if _, err := s.vault.open(id, e.secret); err != nil { // it signs nothing
			e.oldSecret, e.OldSecretUntil = nil, nil
		}
		e.secret, e.ChangedBy = s.vault.seal(id, key), by
		return nil
	})
	if err != nil {
		return Endpoint{}, "", fmt.Errorf("rotate the secret of webhook endpoint %d: %w", id, err)
	}
	return changed, key.text(), nil
}

// edit changes a locked endpoint.
func (s *Store) edit(ctx context.Context, id int64, version int, change func(*Endpoint) error) (changed Endpoint, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		e, err := readEndpoint(ctx, tx, endpointSQL+` FOR UPDATE`, id)
		if err != nil {
			return err
		}
		if version != 0 && version != e.Version {
			return problem.New(problem.Conflict, "the endpoint has changed since version %d", version)
		}
		if err := change(&e); err != nil {
			return err
		}
		changed, err = writeEndpoint(ctx, tx, updateEndpointSQL, id, e.URL, e.Description, e.Types, e.Enabled, e.DisabledFor,
			e.failures, e.FailingSince, e.HoldUntil, e.secret, e.oldSecret, e.OldSecretUntil, e.ChangedBy, s.now())
		return err
	})
	s.forget()
	return changed, err
}

// Delete removes an endpoint. What waits for it is not sent any more, and is
// swept with its history. NotFound when there is none.
func (s *Store) Delete(ctx context.Context, id int64) error {
	done, err := s.pool.Exec(ctx, `DELETE FROM webhook_endpoints WHERE id = $1`, id)
	if err != nil {
		return fmt.Errorf("remove webhook endpoint %d: %w", id, err)
	}
	if done.RowsAffected() == 0 {
		return missing()
	}
	s.forget()
	return nil
}
