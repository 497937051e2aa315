package history

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config is how long events are kept. Zero fields take the default given
// beside them.
type Config struct {
	Keep  time.Duration // 30 days, at least one: how long an event is kept, rounded up to whole days
	Every time.Duration // a minute: between two looks
	// Needs is the longest time for which something asks for events, such as
	// the triggers now in force: they are kept as long, even beyond Keep. nil:
	// nothing does.
	Needs  func(context.Context) (time.Duration, error)
	Now    func() time.Time
	Logger *slog.Logger // slog.Default()
}

func (c Config) withDefaults() Config {
	if c.Keep <= 0 {
		c.Keep = 30 * 24 * time.Hour
	}
	c.Keep = max(c.Keep, 24*time.Hour)
	if c.Every <= 0 {
		c.Every = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Keeper keeps the days. Run one on every node: one at a time does the work.
type Keeper struct {
	pool *pgxpool.Pool
	cfg  Config
}

// NewKeeper keeps the days of the database that pool leads to.
func NewKeeper(pool *pgxpool.Pool, cfg Config) *Keeper {
	return &Keeper{pool: pool, cfg: cfg.withDefaults()}
}

// Run keeps the days until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(k.cfg.Every)
	defer tick.Stop()
	for {
		if err := k.Turn(ctx); err != nil && ctx.Err() == nil {
			k.cfg.Logger.WarnContext(ctx, "the days of events could not be kept; it is tried again", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

const (
	// lockDays is the advisory lock of whoever keeps the days.
	lockDays int64 = 0x6865_7261_6c64_03 // "herald" and a number
	// lockWithin bounds how long a change of the tables waits for those who
	// use them, because whoever comes after it waits behind it.
	lockWithin = time.Second
	// settled is how long after its end a day is taken to be over: what was
	// accepted in its last moment has been committed.
	settled = 5 * time.Minute
	// keysAtOnce is how many senders' names one statement forgets.
	keysAtOnce = 5000
)

// Turn makes the days that are missing and drops those that are too old. It
// does nothing while another node is at it. Call it once before events are
// taken, so that the first ones find their day.
func (k *Keeper) Turn(ctx context.Context) error {
	conn, err := k.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("keep the days: %w", err)
	}
	defer conn.Release()
	var mine bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockDays).Scan(&mine); err != nil || !mine {
		return err
	}
	t := &turn{conn: conn.Conn(), cfg: k.cfg}
	defer t.unlock(context.WithoutCancel(ctx))
	if err := t.makeDays(ctx); err != nil {
		return err
	}
	if err := t.dropDays(ctx); err != nil {
		return err
	}
	return t.indexDays(ctx)
}

// turn is the work of the one node that holds the lock.
type turn struct {
	conn *pgx.Conn
	cfg  Config
}

// unlock gives the lock back, in the worst case with the connection.
func (t *turn) unlock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := t.conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, lockDays); err != nil {
		_ = t.conn.Close(ctx) // the pool sees that it is closed
	}
}

// makeDays makes what is missing from today on, and the days of what came
// without one.
func (t *turn) makeDays(ctx context.Context) error {
	today := dayOf(t.cfg.Now())
	for _, table := range tables {
		list, err := partitions(ctx, t.conn, table)
		if err != nil {
			return err
		}
		days, err := astray(ctx, t.conn, table)
		if err != nil {
			return err
		}
		if days = append(days, missing(list, today, today.add(Ahead))...); len(days) == 0 {
			continue
		}
		if err := t.change(ctx, creation(table, days)...); err != nil {
			return fmt.Errorf("make days of %s: %w", table.name, err)
		}
	}
	return nil
}

// creation attaches tables that are made beside the others: so those who write
// to other days need not wait. What lies in the default partition moves along.
func creation(table table, days []day) []string {
	parent, rest, key := ident(table.name), ident(table.name+"_default"), ident(table.key)
	statements := []string{`LOCK TABLE ` + rest + ` IN ACCESS EXCLUSIVE MODE`}
	made := map[day]bool{}
	for _, d := range days {
		if made[d] {
			continue
		}
		made[d] = true
		name := ident(d.of(table))
		from, to := d.ids()
		statements = append(statements,
			`CREATE TABLE IF NOT EXISTS `+name+` (LIKE `+parent+` INCLUDING ALL)`,
			fmt.Sprintf(`WITH moved AS (DELETE FROM %[1]s WHERE %[2]s >= '%[3]s' AND %[2]s < '%[4]s' RETURNING *) INSERT INTO %[5]s SELECT * FROM moved`, rest, key, from, to, name),
			fmt.Sprintf(`ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')`, parent, name, from, to),
		)
	}
	return statements
}

// dropDays takes the days out that nobody needs, and then, when no reader can
// be in their way any more, drops them.
func (t *turn) dropDays(ctx context.Context) error {
	keep := t.cfg.Keep
	if t.cfg.Needs != nil {
		needs, err := t.cfg.Needs(ctx)
		if err != nil {
			return fmt.Errorf("ask how long events are needed: %w", err)
		}
		keep = max(keep, needs)
	}
	first := dayOf(t.cfg.Now().Add(-keep)) // the oldest day that stays
	for _, table := range tables {
		list, err := partitions(ctx, t.conn, table)
		if err != nil {
			return err
		}
		for _, p := range list {
			if p.attached && !p.day.before(first) {
				continue
			}
			if err := t.dropDay(ctx, p); err != nil {
				return fmt.Errorf("drop the day %s of %s: %w", p.day, table.name, err)
			}
		}
	}
	return nil
}

func (t *turn) dropDay(ctx context.Context, p partition) error {
	if p.attached {
		detach := `ALTER TABLE ` + ident(p.table.name) + ` DETACH PARTITION ` + ident(p.name())
		if err := t.change(ctx, detach); err != nil {
			return err
		}
	}
	if p.table.name == "events" {
		if err := t.forgetKeys(ctx, ident(p.name())); err != nil {
			return err
		}
	}
	if err := t.change(ctx, `DROP TABLE `+ident(p.name())); err != nil {
		return err
	}
	t.cfg.Logger.InfoContext(ctx, "a day was dropped", "table", p.table.name, "day", p.day.String())
	return nil
}

// forgetKeys forgets how the senders called a day's events. A name may have
// been given to a newer event since; that one stays.
func (t *turn) forgetKeys(ctx context.Context, name string) error {
	sql := `
WITH chunk AS (
    SELECT id, source, source_id FROM ` + name + ` WHERE id > $1 ORDER BY id LIMIT $2
), gone AS (
    DELETE FROM event_keys k USING chunk c
    WHERE k.digest = encode(substr(sha256(convert_to(c.source, 'UTF8') || '\x00'::bytea || convert_to(c.source_id, 'UTF8')), 1, 16), 'hex')::uuid
      AND k.event_id = c.id
)
SELECT id FROM chunk ORDER BY id DESC LIMIT 1`
	var after uuid.UUID
	for {
		rows, err := t.conn.Query(ctx, sql, after, keysAtOnce)
		if err != nil {
			return fmt.Errorf("forget the events' names: %w", err)
		}
		last, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil {
			return fmt.Errorf("forget the events' names: %w", err)
		}
		if len(last) == 0 {
			return nil
		}
		after = last[0]
	}
}

// indexDays gives the days that are over their index. Nobody writes to them
// any more, so nobody waits.
func (t *turn) indexDays(ctx context.Context) error {
	list, err := partitions(ctx, t.conn, tables[0])
	if err != nil {
		return err
	}
	have, err := Indexed(ctx, t.conn)
	if err != nil {
		return err
	}
	over := dayOf(t.cfg.Now().Add(-settled))
	for _, p := range list {
		if !p.attached || !p.day.before(over) || have[time.Time(p.day)] {
			continue
		}
		// The lock is had at once or not at all; what is built under it may take long.
		sql := `CREATE INDEX IF NOT EXISTS ` + ident(p.day.indexOf()) + ` ON ` + ident(p.name()) + ` USING gin (data jsonb_path_ops)`
		if err := t.change(ctx, sql); err != nil {
			return fmt.Errorf("index the day %s: %w", p.day, err)
		}
	}
	return nil
}

// change runs statements that lock tables in one transaction.
func (t *turn) change(ctx context.Context, statements ...string) error {
	return pgx.BeginFunc(ctx, t.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf(`SET LOCAL lock_timeout = %d`, lockWithin.Milliseconds())); err != nil {
			return err
		}
		for _, sql := range statements {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }
