package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/timeid"
)

// books are both sides of some hours, as of one instant: what the ledger says,
// and what the rows come to.
type books struct {
	ledger, rows  moves
	notifications int64
	astray        []Difference // what is wrong with the rows themselves
}

const hoursSQL = `
SELECT hour FROM generate_series($1::timestamptz, $2::timestamptz, interval '1 hour') AS hour
UNION
SELECT DISTINCT hour FROM ledger WHERE hour >= $1
UNION
SELECT hour FROM ledger WHERE state IN ('pending', 'deferred', 'in_doubt') AND n <> 0
UNION
SELECT hour FROM ledger_moves
ORDER BY hour`

// hoursToCheck are all hours from one on, and older ones in which something is
// open or has just moved.
func hoursToCheck(ctx context.Context, tx pgx.Tx, since, at time.Time) ([]time.Time, error) {
	rows, err := tx.Query(ctx, hoursSQL, since, hourOf(at))
	if err != nil {
		return nil, err
	}
	hours, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		return nil, fmt.Errorf("read which hours to check: %w", err)
	}
	return hours, nil
}

// idMargin is how much earlier or later than its hour a notification's id may
// have been made, by another clock or by whoever decided.
const idMargin = time.Hour

// span is some hours in a row.
type span struct{ from, to time.Time }

func spansOf(hours []time.Time) []span {
	var list []span
	for _, h := range hours {
		if n := len(list); n > 0 && !h.After(list[n-1].to) {
			list[n-1].to = h.Add(time.Hour)
			continue
		}
		list = append(list, span{h, h.Add(time.Hour)})
	}
	return list
}

const (
	readLedgerSQL = `
SELECT hour, trigger, campaign_id, channel, state, reason, sum(n)::bigint
FROM (SELECT * FROM ledger WHERE hour = ANY($1)
      UNION ALL
      SELECT hour, trigger, campaign_id, channel, state, reason, n FROM ledger_moves WHERE hour = ANY($1)) AS counted
GROUP BY 1, 2, 3, 4, 5, 6`

	// The rows of a span are found by the time in their ids.
	countNotificationsSQL = `
SELECT date_trunc('hour', created_at, 'UTC'), trigger, coalesce(campaign_id, 0), '', 'targeted', '', count(*)
FROM notifications
WHERE id >= $1 AND id < $2 AND created_at >= $3 AND created_at < $4
GROUP BY 1, 2, 3`

	countDeliveriesSQL = `
SELECT d.hour, d.trigger, coalesce(d.campaign_id, 0), d.channel, d.state,
       CASE WHEN d.state IN ('failed', 'suppressed') THEN d.reason ELSE '' END, count(*)
FROM notifications n
JOIN deliveries d ON d.notification_id = n.id
WHERE n.id >= $1 AND n.id < $2 AND n.created_at >= $3 AND n.created_at < $4 AND d.counts
GROUP BY 1, 2, 3, 4, 5, 6`

	// Every notification is counted by exactly one of its deliveries.
	notOnceSQL = `
SELECT n.id
FROM notifications n
LEFT JOIN deliveries d ON d.notification_id = n.id
WHERE n.id >= $1 AND n.id < $2 AND n.created_at >= $3 AND n.created_at < $4
GROUP BY n.id
HAVING count(*) FILTER (WHERE d.counts) <> 1`
)

// readBooks reads both sides of the hours.
func readBooks(ctx context.Context, tx pgx.Tx, hours []time.Time) (books, error) {
	b := books{ledger: moves{}, rows: moves{}}
	if err := b.ledger.read(ctx, tx, readLedgerSQL, hours); err != nil {
		return b, fmt.Errorf("read the ledger: %w", err)
	}
	for _, s := range spansOf(hours) {
		args := []any{timeid.Floor(s.from.Add(-idMargin)), timeid.Floor(s.to.Add(idMargin)), s.from, s.to}
		for _, sql := range []string{countNotificationsSQL, countDeliveriesSQL} {
			if err := b.rows.read(ctx, tx, sql, args...); err != nil {
				return b, fmt.Errorf("count the rows: %w", err)
			}
		}
		rows, err := tx.Query(ctx, notOnceSQL, args...)
		if err != nil {
			return b, err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil {
			return b, fmt.Errorf("look for notifications that are not counted once: %w", err)
		}
		if len(ids) > 0 {
			b.astray = append(b.astray, Difference{Kind: NotOnce, Hour: s.from, Rows: int64(len(ids)), Examples: examples(ids)})
		}
	}
	for at, n := range b.rows {
		if at.state == targeted {
			b.notifications += n
		}
	}
	return b, b.lists(ctx, tx, hours)
}

func (m moves) read(ctx context.Context, tx pgx.Tx, sql string, args ...any) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	var (
		at place
		n  int64
	)
	_, err = pgx.ForEachRow(rows, []any{&at.hour, &at.trigger, &at.campaign, &at.channel, &at.state, &at.reason, &n}, func() error {
		at.hour = at.hour.UTC()
		m[at] += n
		return nil
	})
	return err
}

// corrections is what must be added to the ledger for it to say what the rows do.
func (b books) corrections() moves {
	missing := maps.Clone(b.rows)
	for at, n := range b.ledger {
		missing[at] -= n
	}
	maps.DeleteFunc(missing, func(_ place, n int64) bool { return n == 0 })
	return missing
}

func (b books) differences() []Difference {
	var list []Difference
	for at := range b.corrections() {
		list = append(list, Difference{
			Kind: WrongCount, Hour: at.hour, Trigger: at.trigger, Campaign: at.campaign, Channel: at.channel,
			State: at.state, Reason: at.reason, Ledger: b.ledger[at], Rows: b.rows[at],
		})
	}
	slices.SortFunc(list, func(x, y Difference) int {
		return cmp.Or(
			-x.Hour.Compare(y.Hour), strings.Compare(x.Trigger, y.Trigger), cmp.Compare(x.Campaign, y.Campaign),
			cmp.Compare(x.Channel, y.Channel), cmp.Compare(x.State, y.State), strings.Compare(x.Reason, y.Reason),
		)
	})
	return list
}

const (
	// What the list of troubles has wrongly, and what it lacks since an id.
	mislistedSQL = `
SELECT t.delivery_id
FROM troubles t
JOIN deliveries d ON d.id = t.delivery_id
WHERE d.state <> t.state
UNION ALL
SELECT d.id
FROM deliveries d
LEFT JOIN troubles t ON t.delivery_id = d.id
WHERE d.id >= $1 AND d.state IN ('failed', 'in_doubt', 'deferred') AND t.delivery_id IS NULL`

	relistSQL = `
INSERT INTO troubles (delivery_id, state, reason, account)
SELECT id, state, reason, account
FROM deliveries
WHERE id >= $1 AND state IN ('failed', 'in_doubt', 'deferred')
ON CONFLICT (delivery_id) DO UPDATE SET state = excluded.state, reason = excluded.reason, account = excluded.account
WHERE troubles.state <> excluded.state`

	unlistSQL = `
DELETE FROM troubles t USING deliveries d
WHERE d.id = t.delivery_id AND d.state NOT IN ('failed', 'in_doubt', 'deferred')`
)

// lists holds the list of troubles against the deliveries.
func (b *books) lists(ctx context.Context, tx pgx.Tx, hours []time.Time) error {
	found, err := wrongIDs(ctx, tx, Mislisted, mislistedSQL, listedFrom(hours))
	b.astray = append(b.astray, found...)
	return err
}

// listedFrom is the first delivery that is looked for in the list: those of
// the newest hours in a row. From the older ones on would be everything.
func listedFrom(hours []time.Time) uuid.UUID {
	spans := spansOf(hours)
	return timeid.Floor(spans[len(spans)-1].from)
}

func wrongIDs(ctx context.Context, tx pgx.Tx, kind DifferenceKind, sql string, args ...any) ([]Difference, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", kind, err)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return []Difference{{Kind: kind, Rows: int64(len(ids)), Examples: examples(ids)}}, nil
}

// examples are some of the ids.
func examples(ids []uuid.UUID) []uuid.UUID { return ids[:min(len(ids), 10)] }

// forgottenSQL finds the deliveries that wait for a job of their turn that
// there is not. What is pending is found by the hours that the ledger names,
// the others by the list of troubles.
const forgottenSQL = `
WITH listed AS MATERIALIZED (
    SELECT delivery::uuid AS id, (j.args ->> 'turn')::int AS turn
    FROM river_job j
    CROSS JOIN LATERAL jsonb_array_elements_text(j.args -> 'deliveries') AS delivery
    WHERE j.kind = $1 AND j.state IN ('available', 'scheduled', 'retryable', 'running', 'pending')
), waiting AS (
    SELECT d.id, d.turn
    FROM troubles t
    JOIN deliveries d ON d.id = t.delivery_id
    WHERE t.state IN ('deferred', 'in_doubt') AND (d.state = 'deferred' OR d.state = 'in_doubt' AND d.next_attempt_at IS NOT NULL)
    UNION
    SELECT d.id, d.turn
    FROM unnest($2::uuid[], $3::uuid[]) AS span (low, high)
    JOIN notifications n ON n.id >= span.low AND n.id < span.high
    JOIN deliveries d ON d.notification_id = n.id
    WHERE d.state = 'pending'
)
SELECT w.id
FROM waiting w
WHERE NOT EXISTS (SELECT FROM listed l WHERE l.id = w.id AND l.turn = w.turn)`

const pendingHoursSQL = `
SELECT hour
FROM (SELECT hour, n FROM ledger WHERE state = 'pending'
      UNION ALL
      SELECT hour, n FROM ledger_moves WHERE state = 'pending') AS counted
GROUP BY hour
HAVING sum(n) > 0
ORDER BY hour`

func forgotten(ctx context.Context, tx pgx.Tx, _ time.Time) ([]Difference, error) {
	rows, err := tx.Query(ctx, pendingHoursSQL)
	if err != nil {
		return nil, err
	}
	hours, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		return nil, err
	}
	var low, high []uuid.UUID
	for _, s := range spansOf(hours) {
		low, high = append(low, timeid.Floor(s.from.Add(-idMargin))), append(high, timeid.Floor(s.to.Add(idMargin)))
	}
	return wrongIDs(ctx, tx, Forgotten, forgottenSQL, handOver{}.Kind(), low, high)
}

// lostHandOversSQL finds what nodes that died had in hand and whose job is
// gone: the run after it would have settled it.
const lostHandOversSQL = `
SELECT unnest(h.deliveries)
FROM hand_overs h
WHERE h.started_at < $1
  AND NOT EXISTS (SELECT FROM nodes n WHERE n.name = h.node AND n.beat_at > now() - $2::interval)
  AND NOT EXISTS (SELECT FROM river_job j WHERE j.id = h.job_id AND j.finalized_at IS NULL)`

func lostHandOvers(ctx context.Context, tx pgx.Tx, at time.Time) ([]Difference, error) {
	return wrongIDs(ctx, tx, LostHandOver, lostHandOversSQL, at.Add(-lostAfter), lostAfter)
}
