package campaigns

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// openRun is a run that is under way.
type openRun struct {
	ID, CampaignID int64
	State          State
}

// tend looks after the runs under way: ranges that have no job get one, and
// runs whose ledger says so are finished.
func (s *Store) tend(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, `
SELECT r.id, r.campaign_id, r.state
FROM campaign_runs r
JOIN campaigns c ON c.id = r.campaign_id
WHERE r.state IN ('preparing', 'sending') AND c.state <> 'paused'
ORDER BY r.id`)
	if err != nil {
		return fmt.Errorf("look for runs under way: %w", err)
	}
	open, err := pgx.CollectRows(rows, pgx.RowToStructByPos[openRun])
	if err != nil {
		return fmt.Errorf("look for runs under way: %w", err)
	}
	var failed []error
	for _, r := range open {
		if err := s.tendRun(ctx, r); err != nil {
			failed = append(failed, fmt.Errorf("run %d: %w", r.ID, err))
		}
	}
	return errors.Join(failed...)
}

func (s *Store) tendRun(ctx context.Context, r openRun) error {
	if r.State == Sending {
		return s.finishRun(ctx, r)
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.insertRangeJobs(ctx, tx, `run_id = $1`, r.ID) })
	if err != nil {
		return err
	}
	return s.endPreparation(ctx, r.ID)
}

// finishRun ends a run when every notification that it made is in its ledger,
// the ledger balances, and nothing of it is open.
func (s *Store) finishRun(ctx context.Context, r openRun) error {
	ledger, err := s.cfg.Ledgers.RunLedger(ctx, r.ID)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	var targeted int64
	err = s.pool.QueryRow(ctx, `SELECT coalesce(sum(targeted), 0) FROM campaign_ranges WHERE run_id = $1`, r.ID).Scan(&targeted)
	if err != nil {
		return fmt.Errorf("count whom it was meant for: %w", err)
	}
	if ledger.Open() > 0 || !ledger.Balanced || ledger.Targeted != targeted {
		return nil
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		c, err := s.locked(ctx, tx, r.CampaignID)
		if err != nil || c.State == Paused {
			return err
		}
		at := s.instant()
		run := Run{ID: r.ID, CampaignID: r.CampaignID}
		err = tx.QueryRow(ctx, `
UPDATE campaign_runs
SET state = 'finished', ended_at = $2
WHERE id = $1 AND state = 'sending'
RETURNING created_at`, r.ID, at).Scan(&run.CreatedAt)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // stopped, or finished by another node
		}
		if err != nil {
			return fmt.Errorf("finish: %w", err)
		}
		if err := record(ctx, tx, c.ID, "finished", actorHerald, map[string]any{"run": r.ID, "targeted": targeted}, at); err != nil {
			return err
		}
		if err := s.settle(ctx, tx, c.ID); err != nil {
			return err
		}
		return s.announce(ctx, tx, Finished, c, &run, map[string]any{
			"finished_at": at, "targeted": targeted, "accepted": ledger.Accepted, "delivered": ledger.Delivered,
			"suppressed": ledger.Suppressed, "failed": ledger.Failed, "in_doubt": ledger.InDoubt,
		})
	})
}
