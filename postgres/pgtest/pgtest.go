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
	"os/exec"
	"path/filepath"
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
	guard    *guard
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
		closing, cancel := context.WithTimeout(ctx, 10*time.Second)
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
	dir, err := os.MkdirTemp(fastDir(), "herald-data-")
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	g, err := newGuard(dir)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := g.release(); err != nil {
			t.Errorf("pgtest: remove %s: %v", dir, err)
		}
	})
	return dir
}

// start starts the server and makes the template.
func start(ctx context.Context) error {
	dir, err := os.MkdirTemp(fastDir(), "herald-test-")
	if err != nil {
		return err
	}
	if cluster.guard, err = newGuard(dir); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	// Volatile: what a test stores need not outlive the machine, and every
	// commit would wait for the disk.
	cluster.server, err = server.Start(ctx, server.Config{Dir: dir, Volatile: true})
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if cluster.admin != nil {
		cluster.admin.Close()
	}
	var err error
	if cluster.server != nil {
		err = cluster.server.Stop(ctx)
	}
	if cluster.guard != nil {
		err = errors.Join(err, cluster.guard.release())
	}
	return err
}

// guard is a process that outlives ours for a moment, to stop the server and
// remove its folder: also after a panic or SIGKILL.
type guard struct {
	cmd  *exec.Cmd
	held *os.File // the end of a pipe that the guard reads; the kernel closes it with our process
}

// guardScript waits for the end of its input, then stops what runs in the
// folder $1 ($2 is its postmaster.pid) and removes it.
const guardScript = `read -r _
if read -r pid 2>/dev/null <"$2"; then
	kill -QUIT "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
fi
rm -rf -- "$1"`

func newGuard(dir string) (*guard, error) {
	input, held, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("guard the test server: %w", err)
	}
	defer input.Close()
	cmd := exec.Command("/bin/sh", "-c", guardScript, "guard", dir, filepath.Join(dir, "data", "postmaster.pid"))
	cmd.Stdin, cmd.Stderr = input, os.Stderr             // whoever reads our errors waits for the guard too
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's Ctrl-C is not for it
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("guard the test server: %w", err), held.Close())
	}
	return &guard{cmd: cmd, held: held}, nil
}

// release lets the guard do its work, and waits for it.
func (g *guard) release() error {
	return errors.Join(g.held.Close(), g.cmd.Wait())
}
