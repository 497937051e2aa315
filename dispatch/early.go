package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// earlyFor is how long a report of an unknown provider's id is kept: as
	// long as a hand-over can be in hand, and its record be tried, with room.
	earlyFor = 15 * time.Minute
	// lookEvery is the time between two looks for attempts that have the ids.
	lookEvery = 2 * time.Second
	// lookLimit bounds one look's transaction.
	lookLimit = 500
)

const keepEarlySQL = `
INSERT INTO early_reports (account, provider_id, key, report, taken_at)
SELECT account, provider_id, key, report::jsonb, $1
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS r (account, provider_id, key, report)
ORDER BY provider_id, account, key
ON CONFLICT (provider_id, account, key) DO NOTHING`

// keepEarly keeps reports whose attempt may not be recorded yet.
func (r *Receipts) keepEarly(ctx context.Context, tx pgx.Tx, early []Report, seen tally) error {
	if len(early) == 0 {
		return nil
	}
	var accounts, ids, keys, texts []string
	for _, p := range early {
		seen.add(p.Event, "early")
		p.Account, p.ProviderID, p.Code, p.Detail = storable(p.Account), storable(p.ProviderID), storable(p.Code), storable(p.Detail)
		key := keyOf(p)
		p.Key, p.At = p.said(), r.happened(p)
		raw, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("keep an early report: %w", err)
		}
		accounts, ids, keys, texts = append(accounts, p.Account), append(ids, p.ProviderID), append(keys, key), append(texts, string(raw))
	}
	if _, err := tx.Exec(ctx, keepEarlySQL, r.store.now(), accounts, ids, keys, texts); err != nil {
		return fmt.Errorf("keep %d early reports: %w", len(early), err)
	}
	return nil
}

func (r *Receipts) happened(p Report) time.Time {
	if p.At.IsZero() {
		return r.store.now()
	}
	return p.At
}

// Run takes early reports when their attempts are recorded, and forgets those
// that stay unknown, until ctx ends. Any number of nodes may run it.
func (r *Receipts) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for {
			n, err := r.look(ctx)
			if err != nil && ctx.Err() == nil {
				r.cfg.Logger.WarnContext(ctx, "early reports could not be looked at", "error", err)
			}
			if err != nil || n < lookLimit {
				break
			}
		}
	}
}

const (
	// Nobody's attempt has had the id yet, or it would not be here; what
	// another node takes just now is passed over.
	takeEarlySQL = `
DELETE FROM early_reports
WHERE (provider_id, account, key) IN (
    SELECT e.provider_id, e.account, e.key
    FROM early_reports e
    WHERE EXISTS (SELECT FROM attempts a WHERE a.provider_id = e.provider_id AND a.account = e.account AND a.provider_id <> '' OFFSET 0)
    ORDER BY e.taken_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED)
RETURNING report`

	forgetEarlySQL = `DELETE FROM early_reports WHERE taken_at < $1`
)

// look takes the early reports whose attempts are there by now, at most
// lookLimit of them, and says how many.
func (r *Receipts) look(ctx context.Context) (int, error) {
	var reports []Report
	var seen tally
	err := pgx.BeginFunc(ctx, r.store.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, takeEarlySQL, lookLimit)
		if err != nil {
			return err
		}
		if reports, err = pgx.CollectRows(rows, pgx.RowTo[Report]); err != nil || len(reports) == 0 {
			return err
		}
		seen, err = r.takeTx(ctx, tx, reports)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("take early reports: %w", err)
	}
	r.count(seen)
	if _, err := r.store.pool.Exec(ctx, forgetEarlySQL, r.store.now().Add(-earlyFor)); err != nil {
		return 0, fmt.Errorf("forget early reports: %w", err)
	}
	return len(reports), nil
}
