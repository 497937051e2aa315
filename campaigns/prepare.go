package campaigns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/calendar"
	"herald/dispatch"
)

// batchMembers is how many members one transaction of preparation reads at most.
const batchMembers = 1_000

// part is a range of a run, with what its batches need.
type part struct {
	id, runID, campaignID int64
	next, last            int64
	done                  bool
	runState, state       State
	at, expires           time.Time
	occasions             []occasion
	plan                  Plan // without its messages
	template              string
	patience              time.Duration
}

// lockPartSQL takes the range and then the campaign, in this order, once it is
// the batch's turn.
const lockPartSQL = `
SELECT p.id, p.run_id, r.campaign_id, p.next_id, p.last_id, p.done, r.state, c.state, r.created_at, r.expires_at,
       r.occasions, c.plan - 'messages', c.template
FROM campaign_ranges p
JOIN campaign_runs r ON r.id = p.run_id
JOIN campaigns c ON c.id = r.campaign_id
WHERE p.id = $1
FOR UPDATE OF p
FOR SHARE OF c`

// prepareRange reads a range to its end, a batch at a time, unless its
// campaign is held.
func (s *Store) prepareRange(ctx context.Context, id int64) error {
	for {
		more, err := s.prepareBatch(ctx, id)
		if err != nil {
			return fmt.Errorf("prepare range %d: %w", id, err)
		}
		if !more {
			break
		}
	}
	var runID int64
	if err := s.pool.QueryRow(ctx, `SELECT run_id FROM campaign_ranges WHERE id = $1`, id).Scan(&runID); err != nil {
		return fmt.Errorf("prepare range %d: %w", id, err)
	}
	return s.endPreparation(ctx, runID)
}

// prepareBatch does the next batch of a range: whom the segment names, their
// notifications, and how far it has come, in one transaction. It reports
// whether there may be more to do.
func (s *Store) prepareBatch(ctx context.Context, id int64) (more bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		p, err := lockPart(ctx, tx, id)
		if err != nil {
			return err
		}
		if p.done || p.runState != Preparing || p.state == Paused {
			return nil
		}
		found, next, err := s.members(ctx, tx, p)
		if err != nil {
			return err
		}
		if len(p.occasions) > 0 {
			if found, err = untold(ctx, tx, p.campaignID, found); err != nil {
				return err
			}
		}
		if err := s.cfg.Enqueuer.EnqueueTx(ctx, tx, p.notifications(found)); err != nil {
			return fmt.Errorf("make %d notifications: %w", len(found), err)
		}
		more = next <= p.last
		_, err = tx.Exec(ctx, `UPDATE campaign_ranges SET next_id = $2, targeted = targeted + $3, done = $4 WHERE id = $1`, id, next, len(found), !more)
		return err
	})
	return more, err
}

func lockPart(ctx context.Context, tx pgx.Tx, id int64) (part, error) {
	var p part
	if _, err := tx.Exec(ctx, batchTurnSQL, id); err != nil {
		return part{}, fmt.Errorf("wait for the campaign: %w", err)
	}
	err := tx.QueryRow(ctx, lockPartSQL, id).Scan(&p.id, &p.runID, &p.campaignID, &p.next, &p.last, &p.done, &p.runState, &p.state,
		&p.at, &p.expires, &p.occasions, &p.plan, &p.template)
	if errors.Is(err, pgx.ErrNoRows) {
		return part{done: true}, nil // its draft was never started, or is gone
	}
	if err != nil {
		return part{}, fmt.Errorf("lock the range: %w", err)
	}
	if p.patience, err = p.plan.patience(); err != nil {
		return part{}, fmt.Errorf("patience of campaign %d: %w", p.campaignID, err)
	}
	return p, nil
}

// meant is a member whom a run is meant for.
type meant struct {
	id   int64
	date string // of the occasion; empty: none
}

// members are the next of a range whom the segment names, at most a batch, and
// the id to go on with.
func (s *Store) members(ctx context.Context, tx pgx.Tx, p part) (found []meant, next int64, err error) {
	seg, err := p.plan.Segment.compile()
	if err != nil {
		return nil, 0, err
	}
	zone, err := calendar.LoadZone(p.plan.When.TimeZone)
	if err != nil {
		return nil, 0, fmt.Errorf("time zone: %w", err)
	}
	where, args := seg.SQL(p.at, zone)
	n := len(args)
	args = append(args, p.next, p.last, batchMembers)
	sql := fmt.Sprintf(`
SELECT m.id, ''
FROM members m
WHERE m.id >= $%d AND m.id <= $%d AND %s
ORDER BY m.id
LIMIT $%d`, n+1, n+2, where, n+3)
	if len(p.occasions) > 0 {
		zones, days, dates, err := p.comes()
		if err != nil {
			return nil, 0, err
		}
		args = append(args, zones, days, dates)
		sql = fmt.Sprintf(`
SELECT m.id, o.date
FROM unnest($%d::text[], $%d::integer[], $%d::text[]) AS o (zone, day, date)
JOIN members m ON m.time_zone = o.zone`+onTheDay(p.plan.When)+`
WHERE m.id >= $%d AND m.id <= $%d AND %s
ORDER BY m.id
LIMIT $%d`, n+4, n+5, n+6, n+1, n+2, where, n+3)
	}
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("ask whom the segment names: %w", err)
	}
	found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m meant, err error) {
		err = row.Scan(&m.id, &m.date)
		return m, err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("ask whom the segment names: %w", err)
	}
	if len(found) == batchMembers {
		return found, found[len(found)-1].id + 1, nil
	}
	return found, p.last + 1, nil
}

// onTheDay narrows the members of a zone to those whose day it is.
func onTheDay(w When) string {
	if !w.personal() {
		return ""
	}
	return ` AND m.birthday IS NOT NULL AND (extract(month FROM m.birthday) * 100 + extract(day FROM m.birthday))::integer = o.day`
}

// comes is where the run's dates come, and of birthdays whose: zones, days of
// the year and dates side by side.
func (p part) comes() (zones []string, days []int, dates []string, err error) {
	for _, o := range p.occasions {
		date, err := calendar.ParseDate(o.Date)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("date of the occasion: %w", err)
		}
		kept := daysOf(p.plan.When.LeapDay, date)
		if !p.plan.When.personal() {
			kept = kept[:1]
		}
		for _, day := range kept {
			for _, zone := range o.Zones {
				zones, dates, days = append(zones, zone), append(dates, o.Date), append(days, day)
			}
		}
	}
	return zones, days, dates, nil
}

// untold keeps those who were not told of the date before, and notes that
// they are now.
func untold(ctx context.Context, tx pgx.Tx, campaignID int64, found []meant) ([]meant, error) {
	ids, dates := make([]int64, len(found)), make([]string, len(found))
	for i, m := range found {
		ids[i], dates[i] = m.id, m.date
	}
	rows, err := tx.Query(ctx, `
INSERT INTO campaign_occasions (campaign_id, member_id, date)
SELECT $1, m.id, m.date::date
FROM unnest($2::bigint[], $3::text[]) AS m (id, date)
JOIN members ON members.id = m.id
ORDER BY m.id
ON CONFLICT DO NOTHING
RETURNING member_id, to_char(date, 'YYYY-MM-DD')`, campaignID, ids, dates)
	if err != nil {
		return nil, fmt.Errorf("note whose day it is: %w", err)
	}
	fresh, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m meant, err error) {
		err = row.Scan(&m.id, &m.date)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("note whose day it is: %w", err)
	}
	return fresh, nil
}

// notifications are the decisions to tell members. Their CampaignID is the
// run's id. The reasons:
//
//	campaign       campaign, name, run
//	segment_met    all, trigger, condition
//	occasion_came  occasion, date
func (p part) notifications(found []meant) []dispatch.Notification {
	data := map[string]any{"campaign": map[string]any{"id": p.campaignID, "name": p.plan.Name}}
	reasons := dispatch.Decision{
		{At: p.at, Code: "campaign", OK: true, Args: map[string]any{"campaign": p.campaignID, "name": p.plan.Name, "run": p.runID}},
		{At: p.at, Code: "segment_met", OK: true, Args: map[string]any{"all": p.plan.Segment.All, "trigger": p.plan.Segment.Trigger, "condition": p.plan.Segment.Condition}},
	}
	ns := make([]dispatch.Notification, len(found))
	for i, m := range found {
		why := reasons
		if m.date != "" {
			why = append(why[:len(why):len(why)], dispatch.Step{
				At: p.at, Code: "occasion_came", OK: true, Args: map[string]any{"occasion": p.plan.When.Occasion, "date": m.date},
			})
		}
		ns[i] = dispatch.Notification{
			MemberID: m.id, CampaignID: p.runID, Purpose: p.plan.Purpose, Priority: p.plan.Priority, Template: p.template,
			Data: data, Channels: p.plan.Channels, Decision: why, Patience: p.patience, ExpiresAt: p.expires,
		}
	}
	return ns
}

// endPreparation moves a run on once all its ranges are read.
func (s *Store) endPreparation(ctx context.Context, runID int64) error {
	var open bool
	var campaignID int64
	err := s.pool.QueryRow(ctx, `
SELECT campaign_id, EXISTS (SELECT FROM campaign_ranges WHERE run_id = $1 AND NOT done)
FROM campaign_runs
WHERE id = $1`, runID).Scan(&campaignID, &open)
	if err != nil {
		return fmt.Errorf("ask how far run %d is prepared: %w", runID, err)
	}
	if open {
		return nil
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := s.locked(ctx, tx, campaignID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE campaign_runs SET state = 'sending', prepared_at = $2 WHERE id = $1 AND state = 'preparing'`, runID, s.instant())
		if err != nil {
			return fmt.Errorf("end the preparation of run %d: %w", runID, err)
		}
		return s.settle(ctx, tx, campaignID)
	})
}
