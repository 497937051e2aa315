package absence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Sweep fires the watches that are due. Any number of nodes may run one: they
// take turns, and would do no harm if they did not.
type Sweep struct {
	pool     *pgxpool.Pool
	consumer Consumer
	cfg      SweepConfig
	lasts    time.Duration // how long a turn goes on firing
}

// turnLasts is well below idle_in_transaction_session_timeout, which would end
// the transaction that says whose turn it is.
const turnLasts = 30 * time.Second

// SweepConfig is how a Sweep works. Zero fields take the default beside them.
type SweepConfig struct {
	Every  time.Duration // 1 s: how often to look for what is due, at least
	Batch  int           // 1,000: watches in a transaction
	Now    func() time.Time
	Logger *slog.Logger // slog.Default()
}

// NewSweep gives what is due to consumer.
func NewSweep(pool *pgxpool.Pool, consumer Consumer, cfg SweepConfig) *Sweep {
	if cfg.Every <= 0 {
		cfg.Every = time.Second
	}
	if cfg.Batch <= 0 {
		cfg.Batch = 1000
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Sweep{pool: pool, consumer: consumer, cfg: cfg, lasts: turnLasts}
}

// Run sweeps until ctx ends.
func (s *Sweep) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		wait, err := s.Turn(ctx)
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.WarnContext(ctx, "absences could not be swept", "error", err)
		}
		timer.Reset(wait)
	}
}

// sweepLock is the advisory lock of whoever sweeps: "Hera", "ab". It spares
// the nodes from reading what another is about to take.
const sweepLock = 0x48657261_6162

// Turn fires what is due, forgets what is not needed any more, and says how long
// to wait for the next turn: hardly at all when more is due than can be fired in
// one. It does nothing while another node is at it.
func (s *Sweep) Turn(ctx context.Context) (wait time.Duration, err error) {
	wait = s.cfg.Every
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var mine bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, int64(sweepLock)).Scan(&mine); err != nil || !mine {
			return err
		}
		if err := s.fireAll(ctx); err != nil {
			return err
		}
		if err := s.forget(ctx); err != nil {
			return err
		}
		wait, err = s.untilNext(ctx)
		return err
	})
	return wait, err
}

// contested is how often in a row something may fail before a turn gives way.
const contested = 3

// fireAll fires until nothing is due, or the turn is over.
func (s *Sweep) fireAll(ctx context.Context) error {
	over := time.Now().Add(s.lasts)
	for lost := 0; ; {
		found, err := s.fireSome(ctx)
		if errors.Is(err, errOvertaken) && lost < contested {
			lost++
			continue
		}
		if err != nil || found < s.cfg.Batch || !time.Now().Before(over) {
			return err
		}
		lost = 0
	}
}

// errOvertaken says that a watch was ended after it was read.
var errOvertaken = errors.New("a watch was ended meanwhile")

// fireSome decides of a batch of watches that are due. Found is how many there
// were, or none when it could decide of none.
func (s *Sweep) fireSome(ctx context.Context) (found int, err error) {
	due, err := s.read(ctx)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	since, err := s.histories(ctx, due)
	if err != nil {
		return 0, err
	}
	fire, drop := decide(due, since)
	if len(fire)+len(drop) == 0 {
		return 0, nil // all are held: the next turn sees to them
	}
	if len(fire) == 0 {
		return len(due), pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return dropTx(ctx, tx, drop) })
	}
	err = s.hand(ctx, fire, drop)
	if err == nil || errors.Is(err, errOvertaken) || len(fire) == 1 || ctx.Err() != nil {
		return len(due), err
	}
	return len(due), s.handSingly(ctx, fire, err)
}

// hand gives watches to the consumer and deletes them, and others beside, in
// its transaction.
func (s *Sweep) hand(ctx context.Context, fire, drop []watch) error {
	list := make([]Absence, len(fire))
	for i, w := range fire {
		list[i] = w.absence
	}
	now := s.cfg.Now()
	err := s.consumer.AcceptAbsences(ctx, list, func(ctx context.Context, tx pgx.Tx) error {
		if err := fireTx(ctx, tx, fire, now); err != nil {
			return err
		}
		return dropTx(ctx, tx, drop)
	})
	if err != nil {
		return fmt.Errorf("hand %d absences on: %w", len(fire), err)
	}
	return nil
}

// handSingly tries again one by one what failed together, so that one cannot
// hold up the others, but those that come after it on its line: whether they
// fire depends on it. After some failures in a row it is not the absences that
// are the trouble.
func (s *Sweep) handSingly(ctx context.Context, fire []watch, failed error) error {
	left := map[line]bool{}
	for inARow, i := 0, 0; i < len(fire) && inARow < contested; i++ {
		w := fire[i]
		if left[w.line()] {
			continue
		}
		err := s.hand(ctx, fire[i:i+1], nil)
		left[w.line()] = err != nil
		switch {
		case err == nil:
			inARow = 0
		case errors.Is(err, errOvertaken):
		default:
			inARow++
			s.cfg.Logger.ErrorContext(ctx, "an absence could not be handed on", "absence", w.absence.ID(), "error", err)
		}
	}
	return failed
}

// decide says which watches fire, and which are dropped because they have
// ended or their trigger is not what it was. They come in the order in which
// they were due: the first of a key that fires ends those that were opened
// before it was due. One that is held is left, and with it those after it on
// its line: it may yet fire, and end them.
func decide(due []watch, since map[string]int) (fire, drop []watch) {
	fired, held := map[line][]Closing{}, map[line]bool{}
	for _, w := range due {
		from, known := since[w.absence.Trigger]
		switch {
		case w.held || held[w.line()]:
			held[w.line()] = true
		case w.ended || !known || w.version < from:
			drop = append(drop, w)
		case endedByOneOf(fired[w.line()], w):
			drop = append(drop, w)
		default:
			fire = append(fire, w)
			fired[w.line()] = append(fired[w.line()], Closing{endedAt: w.absence.DueAt, event: w.absence.Opener})
		}
	}
	return fire, drop
}

func endedByOneOf(ends []Closing, w watch) bool {
	return slices.ContainsFunc(ends, func(e Closing) bool {
		return e.ends(w.absence.Opener, w.absence.OpenedAt, w.absence.DueAt)
	})
}

const nextSQL = `SELECT due_at FROM watches ORDER BY due_at LIMIT 1`

// untilNext is how long to wait: until the next watch is due, if that is soon.
func (s *Sweep) untilNext(ctx context.Context) (time.Duration, error) {
	var due time.Time
	err := s.pool.QueryRow(ctx, nextSQL).Scan(&due)
	if errors.Is(err, pgx.ErrNoRows) {
		return s.cfg.Every, nil
	}
	if err != nil {
		return s.cfg.Every, fmt.Errorf("find what is due next: %w", err)
	}
	wait := due.Sub(s.cfg.Now()) + tick
	return min(max(wait, time.Millisecond), s.cfg.Every), nil
}
