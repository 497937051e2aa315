package replies

import (
	"context"
	"fmt"
	"time"
)

const (
	sweepEvery = time.Hour
	sweepBatch = 5000 // rows of one transaction
)

// Run forgets what was kept for long enough, at once and then every hour,
// until ctx ends. Any number of nodes may run it.
func (s *Store) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Logger.WarnContext(ctx, "old replies could not be forgotten", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// What another node forgets just now is passed over.
const (
	sweepRepliesSQL = `
DELETE FROM replies
WHERE id IN (SELECT id FROM replies WHERE taken_at < $1 ORDER BY taken_at LIMIT $2 FOR UPDATE SKIP LOCKED)`

	sweepTakenSQL = `
DELETE FROM inbound_taken
WHERE (account, key) IN (SELECT account, key FROM inbound_taken WHERE taken_at < $1 ORDER BY taken_at LIMIT $2 FOR UPDATE SKIP LOCKED)`

	sweepAnswersSQL = `
DELETE FROM reply_answers
WHERE (channel, address, kind) IN (
    SELECT channel, address, kind FROM reply_answers WHERE answered_at < $1 ORDER BY answered_at LIMIT $2 FOR UPDATE SKIP LOCKED)`
)

func (s *Store) sweep(ctx context.Context) error {
	now := s.cfg.Now()
	for _, old := range []struct {
		sql    string
		before time.Time
	}{
		{sweepRepliesSQL, now.Add(-s.cfg.Keep)},
		{sweepTakenSQL, now.Add(-s.cfg.Remember)},
		{sweepAnswersSQL, now.Add(-answerEvery)},
	} {
		for {
			tag, err := s.pool.Exec(ctx, old.sql, old.before, sweepBatch)
			if err != nil {
				return fmt.Errorf("forget old replies: %w", err)
			}
			if tag.RowsAffected() < sweepBatch {
				break
			}
		}
	}
	return nil
}
