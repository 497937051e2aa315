package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/problem"
	"herald/subscriptions"
)

// LedgerCheck is what came of holding the ledger against the rows it counts.
type LedgerCheck struct {
	ID    int64     `json:"id"`
	At    time.Time `json:"at"`
	Actor string    `json:"actor"` // who asked for it; "herald" on its schedule
	Since time.Time `json:"since"` // the first hour of which all were counted
	// Hours is how many were counted: those since Since, and older ones in
	// which something was still open or had just moved.
	Hours   int           `json:"hours"`
	Counted int64         `json:"counted"` // notifications in them
	Took    time.Duration `json:"took_ns"`
	OK      bool          `json:"ok"`
	Found   int           `json:"found"` // differences
	// Differences are the first of them.
	Differences []Difference `json:"differences" nullable:"false"`
	RepairedBy  string       `json:"repaired_by,omitempty"`
	RepairedAt  *time.Time   `json:"repaired_at,omitempty"`
}

// DifferenceKind is what is wrong.
type DifferenceKind string

// The kinds of differences.
const (
	// WrongCount: the ledger says another number than there are rows. Recount mends it.
	WrongCount DifferenceKind = "wrong_count"
	// NotOnce: notifications that none of their deliveries counts, or several do.
	NotOnce DifferenceKind = "not_once"
	// Forgotten: deliveries that wait, and no job will ever take them. Retry sends them.
	Forgotten DifferenceKind = "forgotten"
	// LostHandOver: messages in the hands of a node that died, and no job asks for them.
	LostHandOver DifferenceKind = "lost_hand_over"
	// Mislisted: deliveries that the list of troubles has wrongly, or lacks. Recount mends it.
	Mislisted DifferenceKind = "mislisted"
)

// Difference is one thing that is not as it should be.
type Difference struct {
	Kind     DifferenceKind        `json:"kind"`
	Hour     time.Time             `json:"hour,omitzero"`
	Trigger  string                `json:"trigger,omitempty"`
	Campaign int64                 `json:"campaign,omitempty"`
	Channel  subscriptions.Channel `json:"channel,omitempty"`
	State    State                 `json:"state,omitempty"` // or "targeted"
	Reason   string                `json:"reason,omitempty"`
	Ledger   int64                 `json:"ledger"` // what the ledger says
	Rows     int64                 `json:"rows"`   // what there is; of the other kinds, how many are wrong
	// Examples are some of the notifications (NotOnce) or deliveries.
	Examples []uuid.UUID `json:"examples,omitempty"`
}

const (
	// recently is how far back a check counts every hour.
	recently = 48 * time.Hour
	// differencesMax is how many differences a check keeps.
	differencesMax = 50
	// keepChecks is how many checks are kept.
	keepChecks = 2000
	// lostAfter is how long a node must be silent before what it had in hand
	// is held for forgotten.
	lostAfter = 10 * time.Minute
)

// CheckLedger holds the ledger against the rows it counts, as of one instant,
// and keeps the outcome. A zero since looks two days back, and at older hours
// in which something is open. It is problem.Conflict while another check is
// under way; it takes seconds for each million notifications.
func (s *Store) CheckLedger(ctx context.Context, since time.Time, actor string) (LedgerCheck, error) {
	var check LedgerCheck
	err := s.exclusively(ctx, func(conn *pgxpool.Conn) (err error) {
		if check, err = s.check(ctx, conn, since, actor); err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return saveCheck(ctx, tx, &check) })
	})
	return check, err
}

// exclusively runs do while no other check or repair runs anywhere. All of it
// is done on the connection that has the lock, outside of any transaction: a
// check of very many rows takes longer than one may stand still.
func (s *Store) exclusively(ctx context.Context, do func(*pgxpool.Conn) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("check the ledger: %w", err)
	}
	defer conn.Release()
	var mine bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockCheck).Scan(&mine); err != nil {
		return fmt.Errorf("check the ledger: %w", err)
	}
	if !mine {
		return problem.New(problem.Conflict, "the ledger is being checked already; ask for the outcome in a moment")
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockWithin)
		defer cancel()
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, lockCheck); err != nil {
			_ = conn.Conn().Close(ctx) // which gives the lock back, too
		}
	}()
	return do(conn)
}

// unlockWithin is how long the lock is given back before the connection is.
const unlockWithin = 5 * time.Second

// oneInstant is a transaction that sees the database as of one instant.
var oneInstant = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

func (s *Store) check(ctx context.Context, conn *pgxpool.Conn, since time.Time, actor string) (LedgerCheck, error) {
	began := time.Now()
	c := LedgerCheck{At: s.now(), Actor: actor, Since: hourOf(since)}
	if since.IsZero() {
		c.Since = hourOf(c.At.Add(-recently))
	}
	var found []Difference
	err := pgx.BeginTxFunc(ctx, conn, oneInstant, func(tx pgx.Tx) error {
		hours, err := hoursToCheck(ctx, tx, c.Since, c.At)
		if err != nil {
			return err
		}
		c.Hours = len(hours)
		books, err := readBooks(ctx, tx, hours)
		if err != nil {
			return err
		}
		c.Counted = books.notifications
		found = append(books.differences(), books.astray...)
		for _, look := range []func(context.Context, pgx.Tx, time.Time) ([]Difference, error){forgotten, lostHandOvers} {
			more, err := look(ctx, tx, c.At)
			if err != nil {
				return err
			}
			found = append(found, more...)
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("check the ledger: %w", err)
	}
	c.Took, c.Found, c.OK = time.Since(began), len(found), len(found) == 0
	c.Differences = found[:min(len(found), differencesMax)]
	return c, nil
}

func saveCheck(ctx context.Context, tx pgx.Tx, c *LedgerCheck) error {
	if c.Differences == nil {
		c.Differences = []Difference{}
	}
	raw, err := json.Marshal(c.Differences)
	if err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	err = tx.QueryRow(ctx, `
INSERT INTO ledger_checks (at, actor, since, hours, counted, took, found, differences)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id`,
		c.At, c.Actor, c.Since, c.Hours, c.Counted, c.Took, c.Found, string(raw)).Scan(&c.ID)
	if err == nil {
		_, err = tx.Exec(ctx, `DELETE FROM ledger_checks WHERE id <= $1`, c.ID-keepChecks)
	}
	if err != nil {
		return fmt.Errorf("keep the check: %w", err)
	}
	return nil
}

// LedgerChecks are the latest checks before one (0: the newest), newest first.
func (s *Store) LedgerChecks(ctx context.Context, before int64, limit int) ([]LedgerCheck, error) {
	return ledgerChecks(ctx, s.pool, before, limit)
}

func ledgerChecks(ctx context.Context, q subscriptions.Querier, before int64, limit int) ([]LedgerCheck, error) {
	rows, err := q.Query(ctx, `
SELECT id, at, actor, since, hours, counted, took, found = 0, found, differences, repaired_by, repaired_at
FROM ledger_checks WHERE id < coalesce(nullif($1, 0), 9223372036854775807) ORDER BY id DESC LIMIT $2`, before, min(max(limit, 1), pageSizeMax))
	if err != nil {
		return nil, fmt.Errorf("read the checks: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LedgerCheck])
	if err != nil {
		return nil, fmt.Errorf("read the checks: %w", err)
	}
	return list, nil
}

// Recount mends the differences that the latest check found and that counting
// mends: what the rows say is true. It counts anew, so that only what is still
// wrong is changed, and notes who wanted it. Messages move meanwhile as ever.
// It is problem.Conflict when the latest check found nothing, or one is under way.
func (s *Store) Recount(ctx context.Context, actor string) (LedgerCheck, error) {
	var check LedgerCheck
	err := s.exclusively(ctx, func(conn *pgxpool.Conn) error {
		latest, err := ledgerChecks(ctx, conn, 0, 1)
		if err != nil {
			return err
		}
		if len(latest) == 0 || latest[0].OK {
			return problem.New(problem.Conflict, "the latest check found nothing to mend")
		}
		at := s.now()
		err = despiteCollisions(ctx, func() error { return recount(ctx, conn, latest[0].Since, at) })
		if err != nil {
			return fmt.Errorf("recount the ledger: %w", err)
		}
		if check, err = s.check(ctx, conn, latest[0].Since, actor); err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE ledger_checks SET repaired_by = $2, repaired_at = $3 WHERE id = $1`, latest[0].ID, actor, at); err != nil {
				return fmt.Errorf("note who mended the ledger: %w", err)
			}
			return saveCheck(ctx, tx, &check)
		})
	})
	return check, err
}

// recount adds what is missing as moves: whatever else moves at the same time
// adds to that, and neither is lost. It collides with those who list or unlist
// the same troubles meanwhile.
func recount(ctx context.Context, conn *pgxpool.Conn, since, at time.Time) error {
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		hours, err := hoursToCheck(ctx, tx, since, at)
		if err != nil {
			return err
		}
		books, err := readBooks(ctx, tx, hours)
		if err != nil {
			return err
		}
		var batch pgx.Batch
		books.corrections().queue(&batch)
		batch.Queue(relistSQL, listedFrom(hours))
		batch.Queue(unlistSQL)
		return tx.SendBatch(ctx, &batch).Close()
	})
}

// checkIfDue checks when nobody has for a while, and says loudly what it finds.
func (b *Bookkeeper) checkIfDue(ctx context.Context) error {
	latest, err := b.store.LedgerChecks(ctx, 0, 1)
	if err != nil {
		return err
	}
	if len(latest) > 0 && b.store.now().Sub(latest[0].At) < b.cfg.CheckEvery {
		b.unbalanced.Set(float64(latest[0].Found))
		return nil
	}
	check, err := b.store.CheckLedger(ctx, time.Time{}, "herald")
	if problem.CodeOf(err) == problem.Conflict {
		return nil // another node is at it
	}
	if err != nil {
		return err
	}
	b.unbalanced.Set(float64(check.Found))
	if check.OK {
		return nil
	}
	for _, d := range check.Differences {
		b.cfg.Logger.ErrorContext(ctx, "the ledger does not balance", "check", check.ID, "kind", d.Kind, "hour", d.Hour, "trigger", d.Trigger,
			"campaign", d.Campaign, "channel", d.Channel, "state", d.State, "reason", d.Reason, "ledger", d.Ledger, "rows", d.Rows)
	}
	known := len(latest) > 0 && latest[0].Found == check.Found
	return b.announce(ctx, check, known)
}

const (
	saysUnbalanced = "ledger.unbalanced"
	// announcedMax is how many differences of a check are announced.
	announcedMax = 10
)

// announce tells of a ledger that does not balance, once until it changes.
func (b *Bookkeeper) announce(ctx context.Context, check LedgerCheck, known bool) error {
	if known || b.cfg.Announcer == nil || !b.cfg.Announcer.Listening(saysUnbalanced) {
		return nil
	}
	var news []Announcement
	for _, d := range check.Differences[:min(len(check.Differences), announcedMax)] {
		news = append(news, Announcement{Type: saysUnbalanced, At: check.At, Data: map[string]any{
			"day": d.Hour.Format(time.DateOnly), "trigger": d.Trigger, "campaign": d.Campaign, "channel": d.Channel, "difference": d.Rows - d.Ledger,
		}})
	}
	return pgx.BeginFunc(ctx, b.store.pool, func(tx pgx.Tx) error { return b.cfg.Announcer.AnnounceTx(ctx, tx, news) })
}
