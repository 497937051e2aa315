// Package postgres opens Herald's database and brings its schema up to date.
// The database is one that a URL names, or a private server that Herald runs in
// its data directory. Out comes a pgx pool; the stores bring their own SQL.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"

	"herald/postgres/internal/server"
)

// Config says which database to open: one of URL and DataDir is required.
type Config struct {
	// URL is a PostgreSQL connection string, such as
	// "postgres://herald:secret@db.example/herald?sslmode=verify-full". It may
	// carry pgxpool's settings, such as pool_max_conns.
	URL string
	// DataDir is a folder for a private server, used when URL is empty. It
	// belongs to that server alone and is made when missing. A server run by
	// root is given to user postgres, or nobody, who must be able to pass
	// through the folders above it.
	DataDir string
	// BinDir holds the programs initdb and postgres of the private server.
	// Empty: the first in PATH, else the newest in /usr/lib/postgresql; a
	// DataDir that exists gets the version that made it.
	BinDir string
	// MaxConns bounds the connections of the pool. 0: what URL says, else
	// pgxpool's default, 4 or the number of processors if that is more. The
	// private server takes 200 in all.
	MaxConns int32
	// Logger hears of the private server's starts, crashes and stops. Nil:
	// nothing is said.
	Logger *slog.Logger
}

// ErrNotInstalled is wrapped by Open when the private server is wanted and no
// PostgreSQL is installed; the error's text says what to install.
var ErrNotInstalled = server.ErrNotInstalled

// DB is an open database.
type DB struct {
	pool   *pgxpool.Pool
	url    string
	server *server.Server // nil when somebody else runs it
}

// connectWithin bounds the first connection to a database that a URL names.
const connectWithin = 10 * time.Second

// Open opens the database and returns once it answers. For a private server it
// waits until that has started, or recovered from a crash, for as long as ctx
// allows; the server is then kept running until Close.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.URL != "" {
		return open(ctx, cfg)
	}
	if cfg.DataDir == "" {
		return nil, errors.New("open database: neither a URL nor a data directory is given")
	}
	s, err := server.Start(ctx, server.Config{Dir: cfg.DataDir, BinDir: cfg.BinDir, Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("open the private database: %w", err)
	}
	cfg.URL = s.URL("")
	db, err := open(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	db.server = s
	return db, nil
}

// open connects a pool to cfg.URL.
func open(ctx context.Context, cfg Config) (*DB, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err) // pgx hides its password
	}
	if cfg.MaxConns > 0 {
		pc.MaxConns = cfg.MaxConns
	}
	if pc.ConnConfig.RuntimeParams["application_name"] == "" {
		pc.ConnConfig.RuntimeParams["application_name"] = "herald"
	}
	pc.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pc.AfterConnect = prepare
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	pinging, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	if err := pool.Ping(pinging); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return &DB{pool: pool, url: cfg.URL}, nil
}

// frozenAfter is how long a transaction may stand still between two commands:
// a process that is frozen in one, with its machine perhaps, holds up no others.
const frozenAfter = 2 * time.Minute

// prepare makes a new connection ready.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	registerTypes(conn)
	_, err := conn.Exec(ctx, fmt.Sprintf(`SET idle_in_transaction_session_timeout = %d`, frozenAfter.Milliseconds()))
	return err
}

// registerTypes makes a timestamptz come back in UTC rather than in the time
// zone of the machine, and a UUID travel as its 16 bytes rather than as text.
func registerTypes(conn *pgx.Conn) {
	types := conn.TypeMap()
	pgxuuid.Register(types)
	utc := &pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID,
		Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	}
	types.RegisterType(utc)
	for name, array := range map[string]struct {
		oid     uint32
		element uint32
	}{"_timestamptz": {pgtype.TimestamptzArrayOID, pgtype.TimestamptzOID}, "_uuid": {pgtype.UUIDArrayOID, pgtype.UUIDOID}} {
		element, _ := types.TypeForOID(array.element) // both are registered
		types.RegisterType(&pgtype.Type{Name: name, OID: array.oid, Codec: &pgtype.ArrayCodec{ElementType: element}})
	}
}

// Pool is the pool of connections. It stays usable across a crash of the
// server: what was running fails, and the next use connects again.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// URL is the connection string of the database, password included.
func (db *DB) URL() string { return db.url }

// Close closes the pool, waiting until ctx ends for its connections to be given
// back, and then stops the private server if this process owns it.
func (db *DB) Close(ctx context.Context) error {
	closed := make(chan struct{})
	go func() {
		db.pool.Close()
		close(closed)
	}()
	var err error
	select {
	case <-closed:
	case <-ctx.Done():
		err = fmt.Errorf("close database: connections are still in use: %w", ctx.Err())
	}
	if db.server != nil {
		err = errors.Join(err, db.server.Stop(ctx))
	}
	return err
}
