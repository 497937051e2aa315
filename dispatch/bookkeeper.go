package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"herald/dispatch/limits"
)

// BookkeeperConfig is what a Bookkeeper needs beside its store.
type BookkeeperConfig struct {
	Node     string        // this node's name
	Logger   *slog.Logger  // must be given
	Accounts *Accounts     // of this node; nil: it sends nothing
	Every    time.Duration // between two folds; 2 seconds
	// CheckEvery is the time between two checks of the ledger, of all nodes
	// together; 10 minutes.
	CheckEvery time.Duration
	Announcer  Announcer // nil: a ledger that does not balance is only logged
}

// Bookkeeper keeps the counters small and true: it adds up what has moved in
// the ledger, merges the figures of past minutes, forgets limits that nobody
// uses, tells the other nodes how this node's accounts stand, and now and then
// holds the ledger against the rows it counts. Run one on every node; what is
// for one node at a time, one does.
//
// It is a prometheus.Collector of whether the ledger balances.
type Bookkeeper struct {
	store      *Store
	cfg        BookkeeperConfig
	rates      *limits.Rates
	unbalanced prometheus.Gauge
	folded     prometheus.Counter
	turns      atomic.Int64

	// Of whoever turns it: what was heard of this node's hardware, and the
	// traces of it that are on, by account.
	heard   map[string]heard
	watches map[string]watch
}

const (
	foldEvery  = 2 * time.Second
	checkEvery = 10 * time.Minute
	// foldBatch is how many rows one statement folds: a fraction of a second.
	foldBatch = 20_000
	// Every tidyTurns turns the figures are tidied, every sweepTurns limits.
	tidyTurns, sweepTurns = 15, 300
	// keepMinutes is how long figures of minutes are kept.
	keepMinutes = 48 * time.Hour
)

// NewBookkeeper makes a bookkeeper.
func NewBookkeeper(store *Store, cfg BookkeeperConfig) *Bookkeeper {
	if cfg.Every <= 0 {
		cfg.Every = foldEvery
	}
	if cfg.CheckEvery <= 0 {
		cfg.CheckEvery = checkEvery
	}
	return &Bookkeeper{
		store: store, cfg: cfg, rates: limits.NewRates(store.pool),
		heard: map[string]heard{}, watches: map[string]watch{},
		unbalanced: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "herald_dispatch_ledger_unbalanced",
			Help: "Differences that the latest check of the ledger found; 0: it balances.",
		}),
		folded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "herald_dispatch_ledger_moves_folded_total",
			Help: "Rows of ledger moves that this node added up.",
		}),
	}
}

// Describe implements prometheus.Collector.
func (b *Bookkeeper) Describe(ch chan<- *prometheus.Desc) {
	b.unbalanced.Describe(ch)
	b.folded.Describe(ch)
}

// Collect implements prometheus.Collector.
func (b *Bookkeeper) Collect(ch chan<- prometheus.Metric) {
	b.unbalanced.Collect(ch)
	b.folded.Collect(ch)
}

// Run keeps the books until ctx ends.
func (b *Bookkeeper) Run(ctx context.Context) {
	tick := time.NewTicker(b.cfg.Every)
	defer tick.Stop()
	for {
		b.turn(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.endTraces()
			b.forgetAccounts(context.WithoutCancel(ctx))
			return
		}
	}
}

// turn does what is due; a part that fails does not keep the others from their work.
func (b *Bookkeeper) turn(ctx context.Context) {
	n := b.turns.Add(1) - 1
	parts := []struct {
		what  string
		every int64
		do    func(context.Context) error
	}{
		{"tell how the accounts stand", 1, b.tellAccounts},
		{"follow traces", 1, b.followTraces},
		{"fold the ledger", 1, b.foldAll},
		{"tidy the figures", tidyTurns, b.tidy},
		{"sweep the limits", sweepTurns, b.sweep},
		{"check the ledger", tidyTurns, b.checkIfDue},
	}
	for _, part := range parts {
		if n%part.every != 0 {
			continue
		}
		if err := part.do(ctx); err != nil && ctx.Err() == nil {
			b.cfg.Logger.WarnContext(ctx, "the bookkeeper could not "+part.what, "error", err)
		}
	}
}

// The locks of which one node has each at a time.
const (
	lockFold  int64 = 0x6865_7261_6c64_01 // "herald" and a number
	lockCheck int64 = 0x6865_7261_6c64_02
)

// foldSQL adds the oldest moves to the ledger. It is one statement, so that a
// reader of both tables sees every move once: before it or after it.
const foldSQL = `
WITH gone AS (
    DELETE FROM ledger_moves
    WHERE id IN (SELECT id FROM ledger_moves ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING hour, trigger, campaign_id, channel, state, reason, n
), added AS (
    INSERT INTO ledger AS l (hour, trigger, campaign_id, channel, state, reason, n)
    SELECT hour, trigger, campaign_id, channel, state, reason, sum(n)
    FROM gone
    GROUP BY 1, 2, 3, 4, 5, 6
    HAVING sum(n) <> 0
    ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (hour, trigger, campaign_id, channel, state, reason) DO UPDATE SET n = l.n + excluded.n
)
SELECT count(*) FROM gone`

// foldAll folds until little is left; another node may be at it, which does.
func (b *Bookkeeper) foldAll(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := b.fold(ctx, foldBatch)
		if err != nil || n < foldBatch/2 {
			return err
		}
	}
	return ctx.Err()
}

// fold adds up some moves and says how many.
func (b *Bookkeeper) fold(ctx context.Context, limit int) (folded int64, err error) {
	err = b.alone(ctx, lockFold, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, foldSQL, limit).Scan(&folded)
	})
	b.folded.Add(float64(folded))
	if err != nil {
		return 0, fmt.Errorf("fold the ledger: %w", err)
	}
	return folded, nil
}

// alone runs do in a transaction, unless another node is at it.
func (b *Bookkeeper) alone(ctx context.Context, lock int64, do func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, b.store.pool, func(tx pgx.Tx) error {
		var mine bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, lock).Scan(&mine); err != nil || !mine {
			return err
		}
		return do(tx)
	})
}

const (
	// mergeSQL adds the rows of past minutes up.
	mergeSQL = `
WITH gone AS (
    DELETE FROM minutes
    WHERE id IN (SELECT id FROM minutes WHERE NOT merged AND minute < $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING minute, channel, account, outcome, n
), ` + addDaysSQL + `
INSERT INTO minutes (minute, channel, account, outcome, n, merged)
SELECT minute, channel, account, outcome, sum(n), true
FROM gone
WHERE outcome <> 'parts'
GROUP BY 1, 2, 3, 4`

	// Parts leave the minutes for their days.
	forgetMinutesSQL = `DELETE FROM minutes WHERE minute < $1 AND outcome <> 'parts'`

	// What is open now and then comes to nothing. Nobody needs to read that.
	forgetZerosSQL = `DELETE FROM ledger WHERE state IN ('pending', 'deferred', 'in_doubt') AND n = 0`

	forgetStatesSQL = `DELETE FROM account_states WHERE at < $1`
)

// tidy merges past minutes and drops what is of no use any more.
func (b *Bookkeeper) tidy(ctx context.Context) error {
	now := b.store.now()
	return b.alone(ctx, lockFold, func(tx pgx.Tx) error {
		var batch pgx.Batch
		batch.Queue(mergeSQL, now.Add(-time.Minute).Truncate(time.Minute), foldBatch, b.store.volume.Zone.String())
		batch.Queue(forgetMinutesSQL, now.Add(-keepMinutes))
		batch.Queue(forgetZerosSQL)
		batch.Queue(forgetStatesSQL, now.Add(-time.Hour))
		batch.Queue(forgetDaysSQL, now.Add(-keepDays))
		batch.Queue(eraseTracesSQL, now.Add(-keepTrace))
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
			return fmt.Errorf("tidy the figures: %w", err)
		}
		return nil
	})
}

func (b *Bookkeeper) sweep(ctx context.Context) error {
	_, err := b.rates.Sweep(ctx)
	return err
}
