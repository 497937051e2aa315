package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/problem"
)

// How long an answer is kept, how long a request may be under way before it is
// held for lost, and how many old answers each new request clears away.
const (
	replayKept  = 24 * time.Hour
	replayLease = time.Minute
	replaySweep = 20
)

// Attempt names a request that its sender may repeat.
type Attempt struct {
	KeyID     int64  // the API key that makes it
	Operation string // "POST /api/v1/members"
	Key       string // the sender's name for it, in the header Idempotency-Key
	// Fingerprint tells two requests apart. It must depend on a secret that
	// the database does not hold: requests carry passwords.
	Fingerprint []byte
}

// Answer is what a request was answered.
type Answer struct {
	Status      int // HTTP
	ContentType string
	Location    string // the header, may be empty
	Body        []byte
}

// Replays keeps the answers to requests that create something, for a day, so
// that a request sent twice acts once.
type Replays struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// NewReplays keeps them in the database that pool leads to.
func NewReplays(pool *pgxpool.Pool, now func() time.Time) *Replays {
	return &Replays{pool: pool, now: now}
}

// Begin claims an attempt, or returns the answer that it had: nil means that
// it is the caller's to do, who must end it by Finish or Abandon.
//
// Errors: Invalid when the key was used for another request; Conflict, with
// After, while the first request is under way. One that has been so for a
// minute was cut off and is claimed anew.
func (r *Replays) Begin(ctx context.Context, a Attempt) (*Answer, error) {
	now := r.now()
	if err := r.sweep(ctx, now); err != nil {
		return nil, err
	}
	// A row whose time is over is taken as if it were not there.
	tag, err := r.pool.Exec(ctx, `
		INSERT INTO replays AS r (api_key_id, operation, key, fingerprint, created_at)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (api_key_id, operation, key) DO UPDATE
		SET fingerprint = excluded.fingerprint, status = NULL, content_type = '', location = '', body = '',
		    created_at = excluded.created_at
		WHERE r.created_at < $6 OR (r.status IS NULL AND r.created_at < $7 AND r.fingerprint = excluded.fingerprint)`,
		a.KeyID, a.Operation, a.Key, a.Fingerprint, now, now.Add(-replayKept), now.Add(-replayLease))
	if err != nil {
		return nil, fmt.Errorf("claim a request: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return nil, nil //nolint:nilnil // documented: the caller's to do
	}
	return r.earlier(ctx, a)
}

// earlier is the answer to an attempt that somebody claimed before.
func (r *Replays) earlier(ctx context.Context, a Attempt) (*Answer, error) {
	var (
		fingerprint []byte
		status      *int
		answer      Answer
	)
	err := r.pool.QueryRow(ctx, `
		SELECT fingerprint, status, content_type, location, body
		FROM replays
		WHERE api_key_id = $1 AND operation = $2 AND key = $3`,
		a.KeyID, a.Operation, a.Key).Scan(&fingerprint, &status, &answer.ContentType, &answer.Location, &answer.Body)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		// It was abandoned between the two statements.
		return nil, underWay()
	case err != nil:
		return nil, fmt.Errorf("read an earlier answer: %w", err)
	case !bytes.Equal(fingerprint, a.Fingerprint):
		var f problem.Fields
		f.Add("header.Idempotency-Key", "reused", "was used for another request: take a new one")
		return nil, f.Err("the key of this request belongs to another")
	case status == nil:
		return nil, underWay()
	}
	answer.Status = *status
	return &answer, nil
}

func underWay() error {
	p := problem.New(problem.Conflict, "the first request with this Idempotency-Key is under way")
	p.After = time.Second
	return p
}

// Finish keeps the answer to an attempt.
func (r *Replays) Finish(ctx context.Context, a Attempt, with Answer) error {
	_, err := r.pool.Exec(ctx, `
		UPDATE replays
		SET status = $5, content_type = $6, location = $7, body = $8
		WHERE api_key_id = $1 AND operation = $2 AND key = $3 AND fingerprint = $4`,
		a.KeyID, a.Operation, a.Key, a.Fingerprint, with.Status, with.ContentType, with.Location, with.Body)
	if err != nil {
		return fmt.Errorf("keep an answer: %w", err)
	}
	return nil
}

// Abandon gives an attempt up that changed nothing, so that it may be made again.
func (r *Replays) Abandon(ctx context.Context, a Attempt) error {
	_, err := r.pool.Exec(ctx, `
		DELETE FROM replays
		WHERE api_key_id = $1 AND operation = $2 AND key = $3 AND fingerprint = $4 AND status IS NULL`,
		a.KeyID, a.Operation, a.Key, a.Fingerprint)
	if err != nil {
		return fmt.Errorf("abandon a request: %w", err)
	}
	return nil
}

// sweep takes some answers away whose time is over: each request makes at most
// one, so that what is kept stays bounded by what a day brings.
func (r *Replays) sweep(ctx context.Context, now time.Time) error {
	_, err := r.pool.Exec(ctx, `
		DELETE FROM replays
		WHERE (api_key_id, operation, key) IN (
			SELECT api_key_id, operation, key FROM replays WHERE created_at < $1
			ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
		now.Add(-replayKept), replaySweep)
	if err != nil {
		return fmt.Errorf("clear old answers: %w", err)
	}
	return nil
}
