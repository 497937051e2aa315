package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations/*.sql
var embedded embed.FS

// Migration is one step of the schema.
type Migration struct {
	Part      string    // "herald" or "river": the two are numbered apart
	Version   int64     // from 1
	Name      string    // such as "00001_access.sql"
	AppliedAt time.Time // zero while pending
}

// MigrationStatus is what has been done to a database and what has not, each
// in the order it is done.
type MigrationStatus struct {
	Applied []Migration
	Pending []Migration
}

// ErrNewerSchema is wrapped when a database was migrated by a newer Herald.
var ErrNewerSchema = errors.New("the database is newer than this Herald")

// migrationLock is the advisory lock that lets one node migrate at a time;
// the number only has to be the same in all of them.
const migrationLock = 0x4865_7261_6c64 // "Herald"

// Migrate brings the schema up to date: River's tables, then Herald's. It does
// nothing when they are, and several nodes may call it together: one migrates,
// the others wait. A database that a newer Herald has migrated is left alone,
// with ErrNewerSchema. A step that fails leaves those before it applied.
func Migrate(ctx context.Context, pool *pgxpool.Pool) (err error) {
	unlock, err := lockMigrations(ctx, pool)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()

	status, err := Status(ctx, pool)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if len(status.Pending) == 0 {
		return nil
	}
	steps, err := newSteps(pool)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer steps.close()
	if _, err := steps.river.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate River's tables: %w", err)
	}
	if _, err := steps.herald.Up(ctx); err != nil {
		return fmt.Errorf("migrate Herald's tables: %w", err)
	}
	return nil
}

// Status tells which steps a database has had, and changes nothing. Its error
// wraps ErrNewerSchema when the database has some that this Herald does not know.
func Status(ctx context.Context, pool *pgxpool.Pool) (MigrationStatus, error) {
	steps, err := newSteps(pool)
	if err != nil {
		return MigrationStatus{}, err
	}
	defer steps.close()
	var status MigrationStatus
	riverTimes, err := appliedTimes(ctx, pool, "river_migration",
		`SELECT version, created_at FROM river_migration WHERE line = 'main'`)
	if err != nil {
		return MigrationStatus{}, err
	}
	var known []Migration
	for _, m := range steps.river.AllVersions() {
		known = append(known, Migration{Part: "river", Version: int64(m.Version), Name: m.Name})
	}
	if err := status.add(known, riverTimes); err != nil {
		return MigrationStatus{}, err
	}
	heraldTimes, err := appliedTimes(ctx, pool, goose.DefaultTablename,
		`SELECT version_id, tstamp AT TIME ZONE 'UTC' FROM goose_db_version WHERE is_applied AND version_id > 0`)
	if err != nil {
		return MigrationStatus{}, err
	}
	known = nil
	for _, source := range steps.herald.ListSources() {
		known = append(known, Migration{Part: "herald", Version: source.Version, Name: path.Base(source.Path)})
	}
	return status, status.add(known, heraldTimes)
}

// add sorts one part's steps into applied and pending.
func (s *MigrationStatus) add(known []Migration, applied map[int64]time.Time) error {
	for _, m := range known {
		if at, ok := applied[m.Version]; ok {
			m.AppliedAt = at
			s.Applied = append(s.Applied, m)
		} else {
			s.Pending = append(s.Pending, m)
		}
	}
	newest := known[len(known)-1]
	for version := range applied {
		if version > newest.Version {
			return fmt.Errorf("%w: its %s tables are at version %d, and this program knows them up to %d; run the Herald that migrated it, or restore a backup from before",
				ErrNewerSchema, newest.Part, version, newest.Version)
		}
	}
	return nil
}

// appliedTimes reads a table of applied versions; it is empty where the table
// is missing.
func appliedTimes(ctx context.Context, pool *pgxpool.Pool, table, query string) (map[int64]time.Time, error) {
	times := map[int64]time.Time{}
	var exists bool
	if err := pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&exists); err != nil {
		return nil, fmt.Errorf("look for %s: %w", table, err)
	}
	if !exists {
		return times, nil
	}
	rows, err := pool.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", table, err)
	}
	var version int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&version, &at}, func() error {
		times[version] = at
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", table, err)
	}
	return times, nil
}

// steps are the two sets of migrations over one pool.
type steps struct {
	db     *sql.DB
	herald *goose.Provider
	river  *rivermigrate.Migrator[pgx.Tx]
}

func newSteps(pool *pgxpool.Pool) (steps, error) {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return steps{}, fmt.Errorf("read the migrations: %w", err)
	}
	quiet := slog.New(slog.DiscardHandler)
	river, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return steps{}, fmt.Errorf("read River's migrations: %w", err)
	}
	db := stdlib.OpenDBFromPool(pool)
	herald, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(quiet))
	if err != nil {
		return steps{}, errors.Join(fmt.Errorf("read the migrations: %w", err), db.Close())
	}
	return steps{db: db, herald: herald, river: river}, nil
}

// close gives the connections back to the pool, which stays open.
func (s steps) close() { _ = s.db.Close() }

// lockMigrations waits for the lock, on a connection of its own: the pool may
// have a single one. It asks again and again instead of waiting inside
// PostgreSQL, where CREATE INDEX CONCURRENTLY would wait for it in turn.
func lockMigrations(ctx context.Context, pool *pgxpool.Pool) (unlock func() error, err error) {
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	closing := context.WithoutCancel(ctx)
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for doing := "lock"; ; doing = "another node is migrating" {
		var locked bool
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(migrationLock)).Scan(&locked)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", doing, err), conn.Close(closing))
		}
		if locked {
			return func() error { return conn.Close(closing) }, nil // which gives the lock back
		}
		select {
		case <-ctx.Done(): // the next question says so
		case <-again.C:
		}
	}
}

// String is a line for people, such as "herald 00001_access".
func (m Migration) String() string {
	return m.Part + " " + strings.TrimSuffix(m.Name, ".sql")
}
