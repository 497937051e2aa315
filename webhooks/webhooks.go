// Package webhooks tells the company's systems what became of their messages,
// by the Standard Webhooks specification, version 1.0.0
// (https://www.standardwebhooks.com).
//
// Whoever changes something calls AnnounceTx with what happened, inside the
// transaction that makes it so. Each event becomes a message for every
// endpoint that listens to its type, and a River job for its first attempt.
// A Worker posts it: signed, to nowhere but where the guard lets it, one
// attempt a job, on a schedule over three days. Each attempt is put on record
// together with the job of the next, so that an event announced to an enabled
// endpoint ends delivered or failed, whatever breaks in between; a receiver
// may get a message twice, with the same webhook-id.
//
// A message holds ids, states and times: no address, no name, no text that a
// member was sent.
package webhooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// Config is what a Store is made of. Networks may be empty; the rest is
// required.
type Config struct {
	// Secret is the installation's secret key, at least 32 bytes: endpoints'
	// secrets are kept under a key that is derived from it. All nodes need the
	// same one.
	Secret []byte
	// Networks are those of the company itself, such as 10.2.0.0/16: endpoints
	// there are let through the guard, also by plain HTTP.
	Networks []netip.Prefix
	Now      func() time.Time
	Logger   *slog.Logger
}

// Store keeps endpoints, their messages and the attempts. It is safe for many
// goroutines.
type Store struct {
	pool  *pgxpool.Pool
	river *river.Client[pgx.Tx] // inserts only
	vault vault
	guard guard
	now   func() time.Time
	log   *slog.Logger

	heard   atomic.Pointer[listeners]
	reading sync.Mutex // held by whoever reads the listeners anew
}

// NewStore keeps them in the database that pool leads to.
func NewStore(pool *pgxpool.Pool, cfg Config) (*Store, error) {
	if cfg.Now == nil || cfg.Logger == nil {
		return nil, errors.New("webhooks: a clock and a logger are required")
	}
	vault, err := newVault(cfg.Secret)
	if err != nil {
		return nil, err
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		// Its own log would say nothing that the error does not.
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("make the inserting River client: %w", err)
	}
	return &Store{
		pool: pool, river: client, vault: vault, guard: guard{slices.Clone(cfg.Networks)},
		now: cfg.Now, log: cfg.Logger,
	}, nil
}

// post is a job: one attempt to post one message. It counts only while that
// attempt is the message's next, so that a job that ran twice acts once.
type post struct {
	Endpoint int64     `json:"endpoint"`
	Message  uuid.UUID `json:"message"`
	Attempt  int       `json:"attempt"`
}

// Kind is the job's name in River.
func (post) Kind() string { return "webhook_post" }

const (
	// queue is the River queue of all posts.
	queue = "webhooks"
	// jobTries is how often River runs a job that could not be recorded,
	// because the database was away.
	jobTries = 10_000
)

// jobFor is the job of an attempt, due at an instant; the zero one is now.
func jobFor(p post, due time.Time) river.InsertManyParams {
	return river.InsertManyParams{
		Args:       p,
		InsertOpts: &river.InsertOpts{Queue: queue, MaxAttempts: jobTries, ScheduledAt: due},
	}
}

// insertJobsTx writes jobs in one statement; none at all is no work.
func (s *Store) insertJobsTx(ctx context.Context, tx pgx.Tx, jobs []river.InsertManyParams) error {
	if len(jobs) == 0 {
		return nil
	}
	if _, err := s.river.InsertManyFastTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("insert %d webhook jobs: %w", len(jobs), err)
	}
	return nil
}
