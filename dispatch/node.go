package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Node keeps this process known to the others, and takes up the jobs of those
// that died.
//
// It beats every two seconds in the table nodes. A node that was not heard of
// for 15 seconds is held for dead: whoever beats next makes its running jobs
// available again. River itself would wait an hour. The other half of that
// bargain is Alive: a node that could not beat for as long must start no
// hand-over, because others may be at its work.
type Node struct {
	pool   *pgxpool.Pool
	name   string
	now    func() time.Time
	logger *slog.Logger

	every  time.Duration // between two beats
	silent time.Duration // after which a node is held for dead

	beatAt atomic.Pointer[time.Time] // when the last beat that was written began
}

const (
	beatEvery   = 2 * time.Second
	silentAfter = 15 * time.Second
	// goneAfter is when the row of a dead node is dropped.
	goneAfter = time.Hour
	// takeUpLimit bounds one sweep's transaction.
	takeUpLimit = 5_000
)

// NewNode makes the node called name, which must be the ID of the River client
// beside it and differ at every start of the process.
func NewNode(pool *pgxpool.Pool, name string, now func() time.Time, logger *slog.Logger) *Node {
	return &Node{pool: pool, name: name, now: now, logger: logger, every: beatEvery, silent: silentAfter}
}

// Name is the node's name.
func (n *Node) Name() string { return n.name }

// Alive reports whether the others know that this node lives.
func (n *Node) Alive() bool {
	at := n.beatAt.Load()
	return at != nil && n.now().Sub(*at) < n.silent
}

// Run beats and takes up until ctx ends, and then signs off. Let it outlive
// the River client, whose jobs would be taken up otherwise.
func (n *Node) Run(ctx context.Context) {
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		if err := n.turn(ctx); err != nil && ctx.Err() == nil {
			n.logger.WarnContext(ctx, "node could not beat", "node", n.name, "alive", n.Alive(), "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			n.signOff(context.WithoutCancel(ctx))
			return
		}
	}
}

// turn is one beat and one sweep. It gives up in time for the next beats to
// keep the node alive.
func (n *Node) turn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, n.silent/3)
	defer cancel()
	if err := n.beat(ctx); err != nil {
		return err
	}
	taken, err := n.takeUp(ctx)
	if err != nil {
		return err
	}
	if taken > 0 {
		n.logger.WarnContext(ctx, "took up the jobs of dead nodes", "node", n.name, "jobs", taken)
	}
	return nil
}

// The database's clock is used throughout, so that the nodes' own need not agree.
const (
	beatSQL = `
INSERT INTO nodes (name) VALUES ($1)
ON CONFLICT (name) DO UPDATE SET beat_at = now()`

	// A job younger than the silence is left alone: its node may be so new
	// that it has not beaten yet. Rows that another sweep holds are skipped.
	takeUpSQL = `
UPDATE river_job
SET state = 'available', scheduled_at = now(), max_attempts = greatest(max_attempts, attempt + 1)
WHERE id IN (
    SELECT id
    FROM river_job j
    WHERE state = 'running'
      AND attempted_at < now() - $1::interval
      AND NOT EXISTS (
          SELECT FROM nodes
          WHERE name = j.attempted_by[array_upper(j.attempted_by, 1)] AND beat_at > now() - $1::interval)
    LIMIT $2
    FOR UPDATE SKIP LOCKED)`

	forgetSQL = `DELETE FROM nodes WHERE beat_at < now() - $1::interval`

	signOffSQL = `DELETE FROM nodes WHERE name = $1`
)

// Beat makes the node known to the others at once; Run goes on with it.
func (n *Node) Beat(ctx context.Context) error { return n.beat(ctx) }

func (n *Node) beat(ctx context.Context) error {
	began := n.now() // others count from when it is written, which is later
	if _, err := n.pool.Exec(ctx, beatSQL, n.name); err != nil {
		return fmt.Errorf("beat: %w", err)
	}
	n.beatAt.Store(&began)
	return nil
}

// takeUp makes the running jobs of dead nodes available, says how many, and
// forgets nodes that are long gone.
func (n *Node) takeUp(ctx context.Context) (int64, error) {
	tag, err := n.pool.Exec(ctx, takeUpSQL, n.silent, takeUpLimit)
	if err != nil {
		return 0, fmt.Errorf("take up jobs: %w", err)
	}
	if _, err := n.pool.Exec(ctx, forgetSQL, goneAfter); err != nil {
		return 0, fmt.Errorf("forget dead nodes: %w", err)
	}
	return tag.RowsAffected(), nil
}

func (n *Node) signOff(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, n.every)
	defer cancel()
	n.beatAt.Store(nil)
	if _, err := n.pool.Exec(ctx, signOffSQL, n.name); err != nil {
		n.logger.WarnContext(ctx, "node could not sign off", "node", n.name, "error", err)
	}
}
