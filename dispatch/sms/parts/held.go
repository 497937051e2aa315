package parts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/dispatch"
)

const (
	// heldFor is the longest that a report waits for the note of what it is
	// about: a driver notes it when it has the provider's answer.
	heldFor = time.Minute
	// lookLimit bounds one look.
	lookLimit = 500
	// clockApart is how far the clocks of two nodes may be apart.
	clockApart = 5 * time.Second
)

const keepSQL = `
INSERT INTO sms_held_reports (account, provider_id, key, report, taken_at)
SELECT account, provider_id, key, report::jsonb, $1
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS r (account, provider_id, key, report)
ON CONFLICT (provider_id, account, key) DO NOTHING`

// keep keeps reports that may be of parts which are in hand.
func (s *Store) keep(ctx context.Context, held []dispatch.Report) error {
	if len(held) == 0 {
		return nil
	}
	var accounts, ids, keys, texts []string
	for _, r := range held {
		r.ProviderID, r.Code, r.Detail, r.Key = storable(r.ProviderID), storable(r.Code), storable(r.Detail), storable(r.Key)
		raw, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("keep a report: %w", err)
		}
		sum := sha256.Sum256(raw)
		accounts, ids = append(accounts, r.Account), append(ids, r.ProviderID)
		keys, texts = append(keys, hex.EncodeToString(sum[:16])), append(texts, string(raw))
	}
	if _, err := s.db.Exec(ctx, keepSQL, s.now(), accounts, ids, keys, texts); err != nil {
		return fmt.Errorf("keep %d reports: %w", len(held), err)
	}
	return nil
}

// Run gives take the reports that were kept as soon as it can be told what
// they are about, until ctx ends. Any number of nodes may run it: what take is
// given twice it knows by its Key.
func (s *Store) Run(ctx context.Context, logger *slog.Logger, take func(context.Context, []dispatch.Report) error) {
	tick := time.NewTicker(s.lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for {
			n, err := s.look(ctx, take)
			if err != nil && ctx.Err() == nil {
				logger.WarnContext(ctx, "held reports of messages could not be looked at", "error", err)
			}
			if err != nil || n < lookLimit {
				break
			}
		}
	}
}

const (
	// A message that was begun after a report came is not what it is about.
	ripeSQL = `
WITH oldest AS MATERIALIZED (
    SELECT account, min(begun_at) AS begun_at
    FROM sms_messages
    WHERE missing > 0 AND begun_at > $2
    GROUP BY account
)
SELECT h.provider_id, h.account, h.key, h.report
FROM sms_held_reports h
LEFT JOIN oldest o ON o.account = h.account
WHERE o.account IS NULL
   OR h.taken_at < greatest($1, o.begun_at - $3::interval)
   OR EXISTS (SELECT FROM sms_parts p WHERE p.provider_id = h.provider_id AND p.account = h.account)
ORDER BY h.taken_at
LIMIT $4`

	dropSQL = `
DELETE FROM sms_held_reports
WHERE (provider_id, account, key) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))`
)

// look gives what can be told by now, at most lookLimit reports, and says how
// many.
func (s *Store) look(ctx context.Context, take func(context.Context, []dispatch.Report) error) (int, error) {
	now := s.now()
	rows, err := s.db.Query(ctx, ripeSQL, now.Add(-heldFor), now.Add(-inHandFor), clockApart, lookLimit)
	if err != nil {
		return 0, fmt.Errorf("read the held reports: %w", err)
	}
	var ids, accounts, keys []string
	var reports []dispatch.Report
	var id, account, key string
	var report dispatch.Report
	_, err = pgx.ForEachRow(rows, []any{&id, &account, &key, &report}, func() error {
		ids, accounts, keys, reports = append(ids, id), append(accounts, account), append(keys, key), append(reports, report)
		report = dispatch.Report{}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read the held reports: %w", err)
	}
	if len(reports) == 0 {
		return 0, nil
	}
	through, sums, err := s.take(ctx, reports, false)
	if err != nil {
		return 0, err
	}
	if all := append(through, sums...); len(all) > 0 {
		if err := take(ctx, all); err != nil {
			return 0, fmt.Errorf("pass the held reports on: %w", err)
		}
	}
	if _, err := s.db.Exec(ctx, dropSQL, ids, accounts, keys); err != nil {
		return 0, fmt.Errorf("drop the held reports: %w", err)
	}
	return len(reports), nil
}
