package collectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/problem"
)

// Store keeps the collectors' states and dead letters.
type Store struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// NewStore keeps them in the database that pool leads to.
func NewStore(pool *pgxpool.Pool, now func() time.Time) *Store { return &Store{pool, now} }

// selectStates reads states in the order of State's fields.
const selectStates = `
	SELECT name, kind, CASE WHEN held_until > clock_timestamp() THEN holder ELSE '' END,
		accepted, duplicates, refused,
		(SELECT count(*) FROM collector_dead_letters d WHERE d.collector = c.name),
		waiting, lag, taken_at, began_at, ended_at, next_at, failing_since, error
	FROM collectors c `

// List is every collector that has ever been configured, by name.
func (s *Store) List(ctx context.Context) ([]State, error) {
	rows, err := s.pool.Query(ctx, selectStates+`ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list collectors: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanState)
	if err != nil {
		return nil, fmt.Errorf("list collectors: %w", err)
	}
	return list, nil
}

// Get finds a collector. Errors: NotFound.
func (s *Store) Get(ctx context.Context, name string) (State, error) {
	rows, err := s.pool.Query(ctx, selectStates+`WHERE name = $1`, name)
	if err != nil {
		return State{}, fmt.Errorf("find collector: %w", err)
	}
	state, err := pgx.CollectExactlyOneRow(rows, scanState)
	if errors.Is(err, pgx.ErrNoRows) {
		return State{}, missing(name)
	}
	if err != nil {
		return State{}, fmt.Errorf("find collector: %w", err)
	}
	return state, nil
}

func scanState(row pgx.CollectableRow) (State, error) {
	var s State
	var lag *float64
	err := row.Scan(&s.Name, &s.Kind, &s.Holder, &s.Accepted, &s.Duplicates, &s.Refused, &s.DeadLetters,
		&s.Waiting, &lag, &s.TakenAt, &s.BeganAt, &s.EndedAt, &s.NextAt, &s.FailingSince, &s.Error)
	if lag != nil {
		d := time.Duration(*lag * float64(time.Second))
		s.Lag = &d
	}
	return s, err
}

// Forget removes a collector that nobody runs, with its position and its dead
// letters: under the same name it would begin anew. Errors: NotFound, and
// Conflict while a node runs it.
func (s *Store) Forget(ctx context.Context, name string) error {
	tag, err := s.pool.Exec(ctx, `
		DELETE FROM collectors
		WHERE name = $1 AND (held_until IS NULL OR held_until <= clock_timestamp())`, name)
	if err != nil {
		return fmt.Errorf("forget collector: %w", err)
	}
	if tag.RowsAffected() > 0 {
		return nil
	}
	if _, err := s.Get(ctx, name); err != nil {
		return err
	}
	return problem.New(problem.Conflict, "the collector runs: take it out of the configuration first")
}

// register makes sure that a collector has a row. Another kind under its name
// is a Conflict: its position would mean something else.
func (s *Store) register(ctx context.Context, name string, kind Kind) error {
	var was Kind
	err := s.pool.QueryRow(ctx, `
		INSERT INTO collectors (name, kind) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET name = excluded.name
		RETURNING kind`, name, kind).Scan(&was)
	if err != nil {
		return fmt.Errorf("register collector %s: %w", name, err)
	}
	if was != kind {
		return problem.New(problem.Conflict, "the collector %q was a %s and cannot become a %s: choose another name, or forget the old one on the console", name, was, kind)
	}
	return nil
}

// errHeld says that another node has the lease, errLost that ours has ended.
var (
	errHeld = errors.New("another node runs this collector")
	errLost = errors.New("another node runs this collector now")
)

// lease is a collector in the hands of one node.
type lease struct {
	until   time.Time  // by this machine's clock it holds as long, unless it is renewed
	beganAt *time.Time // when the last run began, on whichever node; nil: never
}

// acquire takes the lease when nobody has it. A transaction of the last holder
// that is about to move the position has locked the row: acquire waits for it.
func (s *Store) acquire(ctx context.Context, name, holder string, lasts time.Duration) (l lease, err error) {
	l.until = time.Now().Add(lasts) // the database counts from later
	err = s.pool.QueryRow(ctx, `
		UPDATE collectors SET holder = $2, held_until = clock_timestamp() + $3::interval
		WHERE name = $1 AND (held_until IS NULL OR held_until <= clock_timestamp() OR holder = $2)
		RETURNING began_at`, name, holder, lasts).Scan(&l.beganAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return lease{}, errHeld
	}
	if err != nil {
		return lease{}, fmt.Errorf("lease collector: %w", err)
	}
	return l, nil
}

// renew keeps the lease; errLost when it has ended.
func (s *Store) renew(ctx context.Context, name, holder string, lease time.Duration) error {
	return s.update(ctx, `
		UPDATE collectors SET held_until = clock_timestamp() + $3::interval
		WHERE name = $1 AND holder = $2 AND held_until > clock_timestamp()`, name, holder, lease)
}

// release gives the lease back; it may have ended already.
func (s *Store) release(ctx context.Context, name, holder string) error {
	err := s.update(ctx, `UPDATE collectors SET held_until = NULL WHERE name = $1 AND holder = $2`, name, holder)
	if errors.Is(err, errLost) {
		return nil
	}
	return err
}

// begin notes that a run begins, and gives the position as it was committed:
// the run before may have ended without knowing.
func (s *Store) begin(ctx context.Context, name, holder string) (json.RawMessage, error) {
	var position json.RawMessage
	err := s.pool.QueryRow(ctx, `
		UPDATE collectors SET began_at = $3, next_at = NULL
		WHERE name = $1 AND holder = $2
		RETURNING position`, name, holder, s.now()).Scan(&position)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errLost
	}
	if err != nil {
		return nil, fmt.Errorf("begin a collector's run: %w", err)
	}
	return position, nil
}

// end notes that a run has ended, with what went wrong, and when the next is
// planned.
func (s *Store) end(ctx context.Context, name, holder string, next time.Time, wrong string) error {
	return s.update(ctx, `
		UPDATE collectors
		SET ended_at = $3, next_at = $4, error = $5,
			failing_since = CASE WHEN $5 <> '' THEN coalesce(failing_since, $3) END
		WHERE name = $1 AND holder = $2`, name, holder, s.now(), next, wrong)
}

// plan notes when the next run is planned.
func (s *Store) plan(ctx context.Context, name, holder string, next time.Time) error {
	return s.update(ctx, `UPDATE collectors SET next_at = $3 WHERE name = $1 AND holder = $2`, name, holder, next)
}

func (s *Store) update(ctx context.Context, sql string, args ...any) error {
	tag, err := s.pool.Exec(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("update collector: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return errLost
	}
	return nil
}

// step is how far a page takes a collector.
type step struct {
	position                      json.RawMessage
	accepted, duplicates, refused int
	waiting                       *int64
	lag                           *float64 // seconds
}

// advanceTx moves a collector on, in the transaction of the events; errLost
// when the lease has ended, and then nothing may be committed.
func (s *Store) advanceTx(ctx context.Context, tx pgx.Tx, name, holder string, by step) error {
	tag, err := tx.Exec(ctx, `
		UPDATE collectors
		SET position = $3, accepted = accepted + $4, duplicates = duplicates + $5, refused = refused + $6,
			waiting = $7, lag = coalesce($8, lag),
			taken_at = CASE WHEN $4 + $5 > 0 THEN $9 ELSE taken_at END,
			failing_since = NULL, error = ''
		WHERE name = $1 AND holder = $2 AND held_until > clock_timestamp()`,
		name, holder, by.position, by.accepted, by.duplicates, by.refused, by.waiting, by.lag, s.now())
	if err != nil {
		return fmt.Errorf("move collector: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return errLost
	}
	return nil
}

// countTx counts what was taken besides, where the lease still holds.
func (s *Store) countTx(ctx context.Context, tx pgx.Tx, name, holder string, by step) error {
	tag, err := tx.Exec(ctx, `
		UPDATE collectors SET accepted = accepted + $3, duplicates = duplicates + $4
		WHERE name = $1 AND holder = $2 AND held_until > clock_timestamp()`, name, holder, by.accepted, by.duplicates)
	if err != nil {
		return fmt.Errorf("count what a collector took: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return errLost
	}
	return nil
}
