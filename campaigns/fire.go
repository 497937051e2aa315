package campaigns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/calendar"
)

// How the members of a run are divided: parts of so many ids are read side by
// side; where there are very many members the parts are longer.
const (
	rangeSpan = 25_000
	maxRanges = 400
)

// fireTx makes a run of a campaign whose row is locked, with its ranges and
// their jobs. One that exists already is left alone: whoever was first fired it.
func (s *Store) fireTx(ctx context.Context, tx pgx.Tx, c Campaign, due time.Time, occasions []occasion) error {
	expiry, err := time.ParseDuration(c.Expiry)
	if err != nil {
		return fmt.Errorf("expiry of campaign %d: %w", c.ID, err)
	}
	at := s.instant()
	run := Run{CampaignID: c.ID, DueAt: due, CreatedAt: at}
	err = tx.QueryRow(ctx, `
INSERT INTO campaign_runs (campaign_id, due_at, state, occasions, expires_at, created_at)
VALUES ($1, $2, 'preparing', $3, $4, $5)
ON CONFLICT (campaign_id, due_at) DO NOTHING
RETURNING id`, c.ID, due, occasions, at.Add(expiry), at).Scan(&run.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("fire campaign %d: %w", c.ID, err)
	}
	if err := s.divide(ctx, tx, run.ID, c.When.personal()); err != nil {
		return err
	}
	if err := s.insertRangeJobs(ctx, tx, `run_id = $1`, run.ID); err != nil {
		return err
	}
	if err := record(ctx, tx, c.ID, "fired", actorHerald, map[string]any{"run": run.ID, "due_at": due}, at); err != nil {
		return err
	}
	return s.announce(ctx, tx, Preparing, c, &run, map[string]any{})
}

// divide makes the ranges of a run: those members who are registered now.
// Birthdays are looked up by their date and need only one.
func (s *Store) divide(ctx context.Context, tx pgx.Tx, runID int64, whole bool) error {
	_, err := tx.Exec(ctx, `
WITH ids AS (
    SELECT min(id) AS first, max(id) AS last FROM members
), spans AS (
    SELECT first, last, CASE WHEN $2 THEN last - first + 1 ELSE greatest($3::bigint, (last - first) / $4 + 1) END AS span
    FROM ids
    WHERE first IS NOT NULL
)
INSERT INTO campaign_ranges (run_id, first_id, last_id, next_id)
SELECT $1, i, least(i + span - 1, last), i
FROM spans, generate_series(first, last, span) AS i`, runID, whole, rangeSpan, maxRanges)
	if err != nil {
		return fmt.Errorf("divide run %d: %w", runID, err)
	}
	return nil
}

// fireDue fires what is due, a campaign at a time; one that fails does not
// hold up the others.
func (s *Store) fireDue(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, `
SELECT id FROM campaigns
WHERE due_at <= $1 AND state IN ('scheduled', 'preparing', 'sending')
ORDER BY due_at
LIMIT 100`, s.instant())
	if err != nil {
		return fmt.Errorf("look for campaigns that are due: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("look for campaigns that are due: %w", err)
	}
	var failed []error
	for _, id := range ids {
		if err := s.fireOne(ctx, id); err != nil {
			failed = append(failed, fmt.Errorf("campaign %d: %w", id, err))
		}
	}
	return errors.Join(failed...)
}

// fireOne fires what is due of a campaign. Its schedule is read before it is
// locked: its plan does not change any more, and those who wait for it have
// the connections.
func (s *Store) fireOne(ctx context.Context, id int64) error {
	c, err := s.Get(ctx, id)
	if err != nil {
		return err
	}
	var schedule calendar.Schedule
	if c.When.Occasion != "" {
		if schedule, err = s.scheduleOf(ctx, c.When); err != nil {
			return err
		}
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.fireOneTx(ctx, tx, id, schedule) })
}

func (s *Store) fireOneTx(ctx context.Context, tx pgx.Tx, id int64, schedule calendar.Schedule) error {
	c, err := s.locked(ctx, tx, id)
	if err != nil {
		return err
	}
	at := s.instant()
	if c.DueAt == nil || c.DueAt.After(at) || !c.State.oneOf([]State{Scheduled, Preparing, Sending}) {
		return nil // another node was faster
	}
	var next *time.Time
	switch {
	case c.When.Cron != "":
		next, err = s.fireCron(ctx, tx, c, at)
	case c.When.Occasion != "":
		next, err = s.fireOccasion(ctx, tx, c, schedule, at)
	default:
		err = s.fireTx(ctx, tx, c, *c.DueAt, nil)
	}
	if err != nil {
		return err
	}
	if err := s.setState(ctx, tx, id, c.State, next); err != nil {
		return err
	}
	return s.settle(ctx, tx, id)
}

// fireCron fires what is due, as the plan makes up for what was missed; the
// rest is noted as missed.
func (s *Store) fireCron(ctx context.Context, tx pgx.Tx, c Campaign, at time.Time) (*time.Time, error) {
	due := *c.DueAt
	for {
		next, err := c.When.nextFiring(due)
		if err != nil {
			return nil, err
		}
		latest := next.IsZero() || next.After(at)
		if c.When.Missed == calendar.All || latest && (c.When.Missed != calendar.Skip || at.Sub(due) <= late) {
			err = s.fireOrMiss(ctx, tx, c, due, at)
		} else {
			err = s.miss(ctx, tx, c, due, at)
		}
		switch {
		case err != nil, next.IsZero():
			return nil, err
		case latest:
			return &next, nil
		}
		due = next
	}
}

// fireOrMiss fires what is not older than a message is worth sending for.
func (s *Store) fireOrMiss(ctx context.Context, tx pgx.Tx, c Campaign, due, at time.Time) error {
	expiry, err := time.ParseDuration(c.Expiry)
	if err != nil {
		return fmt.Errorf("expiry of campaign %d: %w", c.ID, err)
	}
	if at.Sub(due) >= expiry {
		return s.miss(ctx, tx, c, due, at)
	}
	return s.fireTx(ctx, tx, c, due, nil)
}

func (s *Store) miss(ctx context.Context, tx pgx.Tx, c Campaign, due, at time.Time) error {
	return record(ctx, tx, c.ID, "missed", actorHerald, map[string]any{"due_at": due}, at)
}

// fireOccasion fires a run for each instant since the last look at which
// somebody's hour came. What is older than a message is worth is passed over.
func (s *Store) fireOccasion(ctx context.Context, tx pgx.Tx, c Campaign, schedule calendar.Schedule, at time.Time) (*time.Time, error) {
	expiry, err := time.ParseDuration(c.Expiry)
	if err != nil {
		return nil, fmt.Errorf("expiry of campaign %d: %w", c.ID, err)
	}
	if c.When.Missed == calendar.Skip {
		expiry = min(expiry, late+occasionEvery)
	}
	var from time.Time
	if err := tx.QueryRow(ctx, `SELECT planned_until FROM campaigns WHERE id = $1`, c.ID).Scan(&from); err != nil {
		return nil, fmt.Errorf("read how far campaign %d is planned: %w", c.ID, err)
	}
	if oldest := at.Add(-expiry); from.Before(oldest) {
		from = oldest
	}
	look := s.datesBetween
	if c.When.personal() {
		look = s.birthdaysBetween
	}
	came, err := look(ctx, tx, c.When, schedule, from, at)
	if err != nil {
		return nil, err
	}
	for _, hour := range came {
		if err := s.fireTx(ctx, tx, c, hour.at, hour.occasions); err != nil {
			return nil, err
		}
	}
	if _, err := tx.Exec(ctx, `UPDATE campaigns SET planned_until = $2 WHERE id = $1`, c.ID, at); err != nil {
		return nil, fmt.Errorf("plan campaign %d: %w", c.ID, err)
	}
	next := nextLook(schedule, at)
	if next.IsZero() {
		return nil, nil
	}
	return &next, nil
}
