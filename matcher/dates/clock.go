package dates

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/calendar"
	"herald/problem"
	"herald/subscriptions"
)

// Config is how a Clock works. Zero fields take the default beside them.
type Config struct {
	Every  time.Duration // 1 min: between two looks, at whole ones of the clock
	Late   time.Duration // 5 min: what came longer ago was missed
	Batch  int           // 500: events in a transaction
	Now    func() time.Time
	Logger *slog.Logger // slog.Default()
}

// Clock tells the dates of all triggers. Any number of nodes may run one: they
// take turns, and would do no harm if they did not.
type Clock struct {
	pool      *pgxpool.Pool
	triggers  Triggers
	calendars Calendars
	consumer  Consumer
	cfg       Config

	locations map[string]*time.Location // of the goroutine of Run: those loaded before
}

// NewClock gives the dates of triggers to consumer.
func NewClock(pool *pgxpool.Pool, triggers Triggers, calendars Calendars, consumer Consumer, cfg Config) *Clock {
	if cfg.Every <= 0 {
		cfg.Every = time.Minute
	}
	if cfg.Late <= 0 {
		cfg.Late = 5 * time.Minute
	}
	if cfg.Batch <= 0 {
		cfg.Batch = 500
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Clock{pool: pool, triggers: triggers, calendars: calendars, consumer: consumer, cfg: cfg, locations: map[string]*time.Location{}}
}

// Run tells dates until ctx ends.
func (c *Clock) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		mine, err := c.turn(ctx)
		if err != nil && ctx.Err() == nil {
			c.cfg.Logger.WarnContext(ctx, "dates could not be told", "error", err)
		}
		now := c.cfg.Now()
		wait := now.Truncate(c.cfg.Every).Add(c.cfg.Every).Sub(now)
		if !mine || err != nil {
			wait = min(wait, again)
		}
		timer.Reset(wait)
	}
}

// again is when a node looks again after another one had its turn, which may
// not have come to its end, or when something failed.
const again = 5 * time.Second

// turnLock is the advisory lock of whoever tells: "Hera", "da". It spares the
// nodes from working out what another is about to tell.
const turnLock = 0x48657261_6461

// turn tells all that has come, unless another node is about it. A trigger
// that fails does not hold up the others.
func (c *Clock) turn(ctx context.Context) (mine bool, err error) {
	err = pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, int64(turnLock)).Scan(&mine); err != nil || !mine {
			return err
		}
		plans, err := c.plans(ctx)
		if err != nil || len(plans) == 0 {
			return err
		}
		zones, err := c.zones(ctx)
		if err != nil {
			return err
		}
		var failed []error
		for _, p := range plans {
			if err := c.tell(ctx, p, zones); err != nil && !errors.Is(err, errOvertaken) {
				failed = append(failed, fmt.Errorf("trigger %s: %w", p.trigger, err))
			}
		}
		return errors.Join(failed...)
	})
	return mine, err
}

// plans are those of the enabled triggers on dates; that one cannot be read
// does not hold up the others. What another trigger had told is forgotten.
func (c *Clock) plans(ctx context.Context) ([]plan, error) {
	list, err := c.triggers.List(ctx)
	if err != nil {
		return nil, err
	}
	var plans []plan
	names := []string{}
	for _, t := range list {
		if t.Dates == nil || !t.Enabled {
			continue
		}
		names = append(names, t.Name)
		p, err := c.plan(ctx, t)
		if err != nil {
			c.cfg.Logger.ErrorContext(ctx, "the dates of a trigger cannot be read, nothing is told of them", "trigger", t.Name, "error", err)
			if problem.CodeOf(err) != problem.NotFound {
				continue
			}
		}
		plans = append(plans, p)
	}
	if _, err := c.pool.Exec(ctx, `DELETE FROM trigger_clocks WHERE trigger <> ALL ($1)`, names); err != nil {
		return nil, fmt.Errorf("forget the dates of other triggers: %w", err)
	}
	return plans, nil
}

// plan is that of a trigger. Where its calendar is not there, NotFound, the
// occasion never comes.
func (c *Clock) plan(ctx context.Context, t subscriptions.Trigger) (plan, error) {
	p := plan{trigger: t.Name, missed: calendar.Missed(t.Dates.Missed)}
	if !p.missed.Known() {
		p.missed = calendar.Once
	}
	var err error
	if p.schedule, err = t.Dates.Schedule(); err != nil {
		return p, err
	}
	occasion, err := c.calendars.Using(ctx, p.schedule.Occasion)
	if err == nil {
		p.schedule.Occasion = occasion
	}
	return p, err
}

// zonesSQL jumps from one zone to the next in the index.
const zonesSQL = `
WITH RECURSIVE zones AS (
    (SELECT time_zone FROM members ORDER BY time_zone LIMIT 1)
    UNION ALL
    SELECT (SELECT m.time_zone FROM members m WHERE m.time_zone > z.time_zone ORDER BY m.time_zone LIMIT 1)
    FROM zones z
    WHERE z.time_zone IS NOT NULL
)
SELECT time_zone FROM zones WHERE time_zone IS NOT NULL`

// zones are those that members live in; one that this machine does not know
// goes by UTC.
func (c *Clock) zones(ctx context.Context) ([]zone, error) {
	rows, err := c.pool.Query(ctx, zonesSQL)
	if err != nil {
		return nil, fmt.Errorf("list the members' time zones: %w", err)
	}
	zones, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (zone, error) {
		var z zone
		if err := row.Scan(&z.name); err != nil {
			return z, err
		}
		z.location = c.location(z.name)
		return z, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the members' time zones: %w", err)
	}
	return zones, nil
}

func (c *Clock) location(name string) *time.Location {
	location := c.locations[name]
	if location == nil {
		var err error
		if location, err = calendar.LoadZone(name); err != nil {
			location = time.UTC
		}
		c.locations[name] = location
	}
	return location
}

// errOvertaken says that another node has told what was about to be told.
var errOvertaken = errors.New("the dates were told meanwhile")

// setBack is by how much a clock is set back before its time is begun again
// rather than waited for.
const setBack = time.Hour

// step is what one transaction or a few tell after a long time.
func (p plan) step() time.Duration {
	if p.schedule.Occasion.BringsHours() {
		return time.Hour // it may come every minute
	}
	return 24 * time.Hour
}

// tell tells what has come of a trigger's dates.
func (c *Clock) tell(ctx context.Context, p plan, zones []zone) error {
	now := c.cfg.Now().UTC().Truncate(time.Microsecond)
	told, err := c.toldUntil(ctx, p.trigger, now)
	switch {
	case err != nil:
		return err
	case told.After(now.Add(setBack)):
		c.cfg.Logger.WarnContext(ctx, "the clock was set back, dates are told from now on", "trigger", p.trigger, "told_until", told)
		return c.give(ctx, p, nil, told, now)
	case !told.Before(now):
		return nil
	}
	from := p.begin(told, now, c.cfg.Late)
	if p.onlyLatest(from, now, c.cfg.Late) {
		return c.give(ctx, p, p.lastBetween(zones, from, now), told, now)
	}
	for from.Before(now) {
		until := from.Add(p.step())
		if until.After(now) {
			until = now
		}
		events := p.between(zones, from, until)
		if len(events) > 0 || until.Equal(now) {
			if err := c.give(ctx, p, events, told, until); err != nil {
				return err
			}
			told = until
		}
		from = until
	}
	return nil
}

// toldUntil is up to where a trigger's dates have been told; of a new one, or
// one that has been off, since it was saved or switched on.
func (c *Clock) toldUntil(ctx context.Context, trigger string, now time.Time) (time.Time, error) {
	var told time.Time
	err := c.pool.QueryRow(ctx, `SELECT told_until FROM trigger_clocks WHERE trigger = $1`, trigger).Scan(&told)
	if errors.Is(err, pgx.ErrNoRows) {
		err = c.pool.QueryRow(ctx, `
INSERT INTO trigger_clocks (trigger, told_until)
SELECT name, least($2, updated_at) FROM triggers WHERE name = $1
ON CONFLICT (trigger) DO UPDATE SET told_until = trigger_clocks.told_until
RETURNING told_until`, trigger, now).Scan(&told)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read how far dates are told: %w", err)
	}
	return told.UTC(), nil
}

// give hands events on, some at a time; the last take the trigger's place
// along, from one instant to another.
func (c *Clock) give(ctx context.Context, p plan, events []Event, from, to time.Time) error {
	move := func(to time.Time) func(context.Context, pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, `UPDATE trigger_clocks SET told_until = $3 WHERE trigger = $1 AND told_until = $2`, p.trigger, from, to)
			if err != nil {
				return fmt.Errorf("note how far dates are told: %w", err)
			}
			if tag.RowsAffected() == 0 {
				return errOvertaken
			}
			return nil
		}
	}
	for len(events) > c.cfg.Batch {
		if err := c.consumer.AcceptDates(ctx, events[:c.cfg.Batch], move(from)); err != nil {
			return fmt.Errorf("hand %d dates on: %w", c.cfg.Batch, err)
		}
		events = events[c.cfg.Batch:]
	}
	if len(events) == 0 {
		return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error { return move(to)(ctx, tx) })
	}
	if err := c.consumer.AcceptDates(ctx, events, move(to)); err != nil {
		return fmt.Errorf("hand %d dates on: %w", len(events), err)
	}
	return nil
}
