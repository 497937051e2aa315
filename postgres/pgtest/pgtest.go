// Package pgtest gives each test a PostgreSQL database of its own, with
// Herald's schema, in some tens of milliseconds. The first test that asks
// starts a private server for the test process; it is gone when the process
// is, however that ends.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestStore(t *testing.T) {
//		pool := pgtest.New(t)
//		…
//	}
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/postgres"
	"herald/postgres/internal/server"
)

// cluster is the server of this test process. There is one, because go test
// offers nothing that could carry it from Main to the tests.
var cluster struct {
	start    sync.Once
	err      error
	server   *server.Server
	scratch  *postgres.Scratch
	admin    *pgxpool.Pool // creates and drops databases
	database atomic.Int64  // number of the last one
}

const template = "herald_template"

// Main runs the tests, stops the server if one of them used it, and exits.
func Main(m *testing.M) {
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// New is a pool on a database that only this test uses, with Herald's schema
// and nothing in it. It is dropped when the test ends.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	ctx := context.Background()
	db, err := postgres.Open(ctx, postgres.Config{URL: URL(t), MaxConns: 16})
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		closing, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := db.Close(closing); err != nil {
			t.Errorf("pgtest: the test did not give its connections back: %v", err)
		}
	})
	return db.Pool()
}

// URL is the connection string of a database like New's, for tests of programs
// that connect by themselves.
func URL(t testing.TB) string {
	t.Helper()
	cluster.start.Do(func() { cluster.err = start(context.Background()) })
	if cluster.err != nil {
		t.Fatalf("pgtest: these tests need PostgreSQL: %v", cluster.err)
	}
	ctx := context.Background()
	name := fmt.Sprintf("test_%d", cluster.database.Add(1))
	if _, err := cluster.admin.Exec(ctx, `CREATE DATABASE `+name+` TEMPLATE `+template+``); err != nil {
		t.Fatalf("pgtest: create a database: %v", err)
	}
	t.Cleanup(func() {
		if _, err := cluster.admin.Exec(ctx, `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Errorf("pgtest: drop a database: %v", err)
		}
	})
	return cluster.server.URL(name)
}

// DataDir is an empty folder for a private server, for tests of what starts
// one: its user can reach it, which it cannot a folder of t.TempDir when the
// tests run as root. It is removed when the test ends, with what still runs there.
func DataDir(t testing.TB) string {
	t.Helper()
	s, err := postgres.NewScratch(fastDir())
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Remove(); err != nil {
			t.Errorf("pgtest: remove %s: %v", s.Dir, err)
		}
	})
	return s.Dir
}

// start starts the server and makes the template.
func start(ctx context.Context) (err error) {
	if cluster.scratch, err = postgres.NewScratch(fastDir()); err != nil {
		return err
	}
	// Volatile: what a test stores need not outlive the machine, and every
	// commit would wait for the disk.
	cluster.server, err = server.Start(ctx, server.Config{Dir: cluster.scratch.Dir, Volatile: true})
	if err != nil {
		return err
	}
	cluster.admin, err = pgxpool.New(ctx, cluster.server.URL(""))
	if err != nil {
		return err
	}
	if _, err := cluster.admin.Exec(ctx, `CREATE DATABASE `+template); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, postgres.Config{URL: cluster.server.URL(template)})
	if err != nil {
		return err
	}
	// Databases are copied only from one that nobody is connected to.
	return errors.Join(postgres.Migrate(ctx, db.Pool()), db.Close(ctx))
}

// fastDir is where the data goes: memory, where there is plenty, for on a busy
// disk a database takes seconds to make; else the usual folder.
func fastDir() string {
	const memory, plenty = "/dev/shm", 2 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err == nil && fs.Bavail*uint64(fs.Bsize) > plenty {
		return memory
	}
	return ""
}

// stop undoes what start got done.
func stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if cluster.admin != nil {
		cluster.admin.Close()
	}
	var err error
	if cluster.server != nil {
		err = cluster.server.Stop(ctx)
	}
	if cluster.scratch != nil {
		err = errors.Join(err, cluster.scratch.Remove())
	}
	return err
}
