package campaigns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/problem"
)

// actorHerald is who does what nobody asked for at that moment.
const actorHerald = "herald"

// Start lets a draft go: at once where its plan names no moment, and otherwise
// when that comes.
//
// Errors: NotFound; Conflict when it is no draft; Invalid "when.at" when its
// moment has passed, "when.cron" or "when.occasion" when that never comes.
func (s *Store) Start(ctx context.Context, id int64, actor string) (Campaign, error) {
	return s.verb(ctx, id, "started", actor, []State{Draft}, func(tx pgx.Tx, c Campaign, at time.Time) error {
		if c.When.At == nil && !c.When.Recurs() {
			if err := s.setState(ctx, tx, c.ID, Preparing, nil); err != nil {
				return err
			}
			return s.fireTx(ctx, tx, c, at, nil)
		}
		due, err := s.first(ctx, c.When, at)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE campaigns SET planned_until = $2 WHERE id = $1`, c.ID, at); err != nil {
			return fmt.Errorf("start campaign %d: %w", c.ID, err)
		}
		return s.setState(ctx, tx, c.ID, Scheduled, &due)
	})
}

// first is when a plan that is started at an instant fires, or looks for
// somebody, for the first time.
func (s *Store) first(ctx context.Context, w When, at time.Time) (time.Time, error) {
	var f problem.Fields
	switch {
	case w.At != nil:
		if w.At.Before(at) {
			f.Add("when.at", "future", "this moment has passed: choose another, or none to start at once")
		}
		return *w.At, f.Err("the campaign cannot be started")
	case w.Cron != "":
		next, err := w.nextFiring(at)
		if err == nil && next.IsZero() {
			f.Add(w.never("when.cron"), "never", "this never comes")
			err = f.Err("the campaign cannot be started")
		}
		return next, err
	}
	schedule, err := s.scheduleOf(ctx, w)
	if err != nil {
		return time.Time{}, err
	}
	next := nextLook(schedule, at)
	if next.IsZero() {
		f.Add(w.never("when.occasion"), "never", "this never comes")
	}
	return next, f.Err("the campaign cannot be started")
}

// never is the field to mend where a plan never comes: what recurs comes when
// it has no end.
func (w When) never(recurs string) string {
	if w.Until != "" {
		return "when.until"
	}
	return recurs
}

// Pause holds a campaign: nothing more is read, and what has not left waits.
// Errors: NotFound; Conflict unless it is scheduled, preparing or sending.
func (s *Store) Pause(ctx context.Context, id int64, actor string) (Campaign, error) {
	return s.verb(ctx, id, "paused", actor, []State{Scheduled, Preparing, Sending}, func(tx pgx.Tx, c Campaign, _ time.Time) error {
		return s.setState(ctx, tx, c.ID, Paused, c.DueAt)
	})
}

// Resume lets a paused campaign go on where it stood.
// Errors: NotFound; Conflict unless it is paused.
func (s *Store) Resume(ctx context.Context, id int64, actor string) (Campaign, error) {
	return s.verb(ctx, id, "resumed", actor, []State{Paused}, func(tx pgx.Tx, c Campaign, _ time.Time) error {
		if err := s.setState(ctx, tx, c.ID, Scheduled, c.DueAt); err != nil {
			return err
		}
		if err := s.settle(ctx, tx, c.ID); err != nil {
			return err
		}
		if err := s.insertRangeJobs(ctx, tx, `run_id IN (SELECT id FROM campaign_runs WHERE campaign_id = $1 AND state = 'preparing')`, c.ID); err != nil {
			return err
		}
		return s.wake(ctx, tx, c.ID)
	})
}

// Stop ends a campaign: what has not left is suppressed, with the reason
// "campaign_stopped", and nothing is planned any more.
// Errors: NotFound; Conflict when it is a draft or has ended.
func (s *Store) Stop(ctx context.Context, id int64, actor string) (Campaign, error) {
	return s.verb(ctx, id, "stopped", actor, []State{Scheduled, Preparing, Sending, Paused}, func(tx pgx.Tx, c Campaign, at time.Time) error {
		_, err := tx.Exec(ctx, `
UPDATE campaign_runs
SET state = 'stopped', ended_at = $2
WHERE campaign_id = $1 AND state IN ('preparing', 'sending')`, c.ID, at)
		if err != nil {
			return fmt.Errorf("stop campaign %d: %w", c.ID, err)
		}
		if err := s.setState(ctx, tx, c.ID, Stopped, nil); err != nil {
			return err
		}
		return s.wake(ctx, tx, c.ID)
	})
}

// wake lets what waits of a campaign's latest runs be looked at again.
func (s *Store) wake(ctx context.Context, tx pgx.Tx, id int64) error {
	rows, err := tx.Query(ctx, `SELECT id FROM campaign_runs WHERE campaign_id = $1 ORDER BY id DESC LIMIT 50`, id)
	if err != nil {
		return fmt.Errorf("look for the runs of campaign %d: %w", id, err)
	}
	runs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("look for the runs of campaign %d: %w", id, err)
	}
	return s.cfg.Enqueuer.WakeTx(ctx, tx, runs)
}

// verb moves a campaign on from one of some states, with its history and what
// is told of it.
func (s *Store) verb(ctx context.Context, id int64, name, actor string, from []State, do func(pgx.Tx, Campaign, time.Time) error) (Campaign, error) {
	var moved Campaign
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		c, err := s.locked(ctx, tx, id)
		if err != nil {
			return err
		}
		if !c.State.oneOf(from) {
			return problem.New(problem.Conflict, "this campaign is %s and cannot be %s", c.State, name)
		}
		at := s.instant()
		if err := record(ctx, tx, id, name, actor, map[string]any{"from": c.State}, at); err != nil {
			return err
		}
		if err := do(tx, c, at); err != nil {
			return err
		}
		if moved, err = s.get(ctx, tx, id); err != nil {
			return err
		}
		switch moved.State {
		case Paused:
			return s.announce(ctx, tx, Paused, moved, nil, map[string]any{"reason": actor})
		case Stopped:
			data := map[string]any{"reason": actor, "finished_at": at}
			if moved.Run != nil {
				data["targeted"] = moved.Run.Targeted
			}
			return s.announce(ctx, tx, Stopped, moved, moved.Run, data)
		}
		return nil
	})
	s.holds.forget()
	return moved, err
}

func (st State) oneOf(states []State) bool {
	for _, other := range states {
		if st == other {
			return true
		}
	}
	return false
}

func (s *Store) setState(ctx context.Context, tx pgx.Tx, id int64, to State, due *time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE campaigns SET state = $2, due_at = $3, updated_at = $4 WHERE id = $1`, id, to, due, s.instant())
	if err != nil {
		return fmt.Errorf("move campaign %d to %s: %w", id, to, err)
	}
	return nil
}

// settle gives a campaign whose row is locked the state that its runs call
// for; one that is a draft, paused or has ended stays as it is.
func (s *Store) settle(ctx context.Context, tx pgx.Tx, id int64) error {
	c, err := s.get(ctx, tx, id)
	if err != nil || !c.State.oneOf([]State{Scheduled, Preparing, Sending}) {
		return err
	}
	var preparing, sending bool
	err = tx.QueryRow(ctx, `
SELECT EXISTS (SELECT FROM campaign_runs WHERE campaign_id = $1 AND state = 'preparing'),
       EXISTS (SELECT FROM campaign_runs WHERE campaign_id = $1 AND state = 'sending')`, id).Scan(&preparing, &sending)
	if err != nil {
		return fmt.Errorf("settle campaign %d: %w", id, err)
	}
	to := Scheduled
	switch {
	case preparing:
		to = Preparing
	case sending:
		to = Sending
	case c.Run != nil && c.DueAt == nil:
		to = Finished
	}
	if to == c.State {
		return nil
	}
	return s.setState(ctx, tx, id, to, c.DueAt)
}

// announce tells other systems of a campaign, where somebody listens.
func (s *Store) announce(ctx context.Context, tx pgx.Tx, what State, c Campaign, r *Run, data map[string]any) error {
	if s.cfg.Announcer == nil {
		return nil
	}
	data["campaign"], data["state"] = c.ID, what
	if r != nil {
		data["run"], data["started_at"] = r.ID, r.CreatedAt
	}
	name := "campaign." + string(what)
	if what == Preparing {
		name = "campaign.started"
	}
	if err := s.cfg.Announcer.AnnounceTx(ctx, tx, name, data); err != nil {
		return fmt.Errorf("announce campaign %d: %w", c.ID, err)
	}
	return nil
}

// Hold says whether a run's messages may leave now: "" when they may, "paused"
// when they wait, "stopped" when they must not leave any more. The answer may
// be a second old. A run that does not exist is stopped.
func (s *Store) Hold(ctx context.Context, runID int64) (string, error) {
	h, err := s.hold(ctx, runID)
	return h.answer, err
}

// Rate is how many messages of a run may leave in a second, for all nodes
// together; 0: the campaign sets no limit. The answer may be a second old.
func (s *Store) Rate(ctx context.Context, runID int64) (int, error) {
	h, err := s.hold(ctx, runID)
	return h.rate, err
}

func (s *Store) hold(ctx context.Context, runID int64) (hold, error) {
	now := s.cfg.Now()
	if h, fresh := s.holds.get(runID, now); fresh {
		return h, nil
	}
	h := hold{at: now}
	var run, campaign State
	err := s.pool.QueryRow(ctx, `
SELECT r.state, c.state, coalesce((c.plan ->> 'rate')::integer, 0)
FROM campaign_runs r
JOIN campaigns c ON c.id = r.campaign_id
WHERE r.id = $1`, runID).Scan(&run, &campaign, &h.rate)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && run == Stopped:
		h.answer = string(Stopped)
	case err != nil:
		return hold{}, fmt.Errorf("ask whether run %d is held: %w", runID, err)
	case campaign == Paused:
		h.answer = string(Paused)
	}
	s.holds.set(runID, h)
	return h, nil
}
