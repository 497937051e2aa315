package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"herald/postgres"
	"herald/postgres/pgtest"
)

// ownerDir names the data directory that a run of this test program owns until
// it is killed, instead of running the tests.
const ownerDir = "HERALD_TEST_OWNER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerDir); dir != "" {
		if err := own(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	pgtest.Main(m)
}

// own opens a private database, commits a row, says so, and waits for its end.
func own(dir string) error {
	ctx := context.Background()
	db, err := postgres.Open(ctx, postgres.Config{DataDir: dir})
	if err != nil {
		return err
	}
	if _, err := db.Pool().Exec(ctx, `CREATE TABLE kept AS SELECT 'committed' AS word`); err != nil {
		return err
	}
	fmt.Println("committed")
	_, err = bufio.NewReader(os.Stdin).ReadString('\n') // never comes
	return err
}

// heard passes on the messages that are logged: the tests wait for them.
type heard chan string

func (heard) Enabled(context.Context, slog.Level) bool { return true }
func (h heard) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h heard) WithGroup(string) slog.Handler          { return h }

func (h heard) Handle(_ context.Context, r slog.Record) error {
	h <- r.Message
	return nil
}

// await returns when a message has been logged.
func (h heard) await(t *testing.T, message string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		select {
		case got := <-h:
			if got == message {
				return
			}
		case <-ctx.Done():
			t.Fatalf("never heard %q", message)
		}
	}
}

const (
	started  = "database server started"
	adopted  = "adopted the running database server"
	attached = "attached to the database server of another process"
)

func postmaster(dir string) (pid int, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first)
}

func open(t *testing.T, dir string) (*postgres.DB, heard) {
	t.Helper()
	log := make(heard, 100)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	db, err := postgres.Open(ctx, postgres.Config{DataDir: dir, Logger: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	return db, log
}

func closeDB(t *testing.T, db *postgres.DB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := db.Close(ctx); err != nil {
		t.Error(err)
	}
}

func kept(t *testing.T, db *postgres.DB) string {
	t.Helper()
	var word string
	if err := db.Pool().QueryRow(t.Context(), `SELECT word FROM kept`).Scan(&word); err != nil {
		t.Fatal(err)
	}
	return word
}

func TestPrivateServerKeepsDataAcrossRestarts(t *testing.T) {
	dir := pgtest.DataDir(t)
	db, log := open(t, dir)
	log.await(t, started)
	if _, err := db.Pool().Exec(t.Context(), `CREATE TABLE kept AS SELECT 'committed' AS word`); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	if _, err := postmaster(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close there is still a postmaster.pid: %v", err)
	}
	db, log = open(t, dir)
	defer closeDB(t, db)
	log.await(t, started)
	if word := kept(t, db); word != "committed" {
		t.Errorf("read %q", word)
	}
}

func TestPrivateServerIsDurableAndListensOnItsSocketOnly(t *testing.T) {
	db, _ := open(t, pgtest.DataDir(t))
	defer closeDB(t, db)
	want := map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on",
		"listen_addresses": "", "unix_socket_permissions": "0700", "server_encoding": "UTF8", "TimeZone": "UTC",
		"idle_in_transaction_session_timeout": "2min",
	}
	for name, value := range want {
		var got string
		if err := db.Pool().QueryRow(t.Context(), `SELECT current_setting($1)`, name).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	var trusted int
	err := db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM pg_hba_file_rules WHERE type <> 'local' AND auth_method <> 'reject'`).Scan(&trusted)
	if err != nil || trusted != 0 {
		t.Errorf("%d rules let somebody in over TCP (%v)", trusted, err)
	}
}

func TestServerOfAKilledOwnerIsAdopted(t *testing.T) {
	dir := pgtest.DataDir(t)
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), ownerDir+"="+dir)
	owner.Stderr = os.Stderr
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.StdinPipe(); err != nil { // held open: the owner waits on it
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "committed\n" {
		t.Fatalf("the owner said %q (%v)", line, err)
	}
	before, err := postmaster(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // "signal: killed"

	db, log := open(t, dir)
	log.await(t, adopted)
	if word := kept(t, db); word != "committed" {
		t.Errorf("read %q", word)
	}
	if after, err := postmaster(dir); after != before {
		t.Errorf("process %d runs, want that of the killed owner, %d (%v)", after, before, err)
	}
	closeDB(t, db)
	if _, err := postmaster(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the adopted server was not stopped: %v", err)
	}
}

func TestCrashedServerIsStartedAgain(t *testing.T) {
	dir := pgtest.DataDir(t)
	db, log := open(t, dir)
	defer closeDB(t, db)
	log.await(t, started)
	if _, err := db.Pool().Exec(t.Context(), `CREATE TABLE kept AS SELECT 'committed' AS word`); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		pid, err := postmaster(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		log.await(t, started)
		db.Pool().Reset() // it has connections to the old one
		if word := kept(t, db); word != "committed" {
			t.Errorf("read %q", word)
		}
	}
}

func TestServerKilledWithItsOwnerRecovers(t *testing.T) {
	dir := pgtest.DataDir(t)
	db, _ := open(t, dir)
	if _, err := db.Pool().Exec(t.Context(), `CREATE TABLE kept AS SELECT 'committed' AS word`); err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel() // no time for a shutdown: it is cut off, as by a power failure
	if err := db.Close(stopped); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// What a crash of the machine leaves: a postmaster.pid whose number is
	// another program's by now.
	stale := fmt.Sprintf("%d\n%s/data\n0\n5432\n%s/run\n\n", os.Getpid(), dir, dir)
	if err := os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	db, log := open(t, dir)
	defer closeDB(t, db)
	log.await(t, started)
	if word := kept(t, db); word != "committed" {
		t.Errorf("read %q", word)
	}
}

func TestSecondOpenAttachesAndTakesOver(t *testing.T) {
	dir := pgtest.DataDir(t)
	first, log := open(t, dir)
	log.await(t, started)
	second, log := open(t, dir)
	log.await(t, attached)

	closeDB(t, second)
	if err := first.Pool().Ping(t.Context()); err != nil {
		t.Fatalf("closing the attached one stopped the owner's server: %v", err)
	}

	third, log := open(t, dir)
	defer closeDB(t, third)
	log.await(t, attached)
	closeDB(t, first)
	log.await(t, started)
	third.Pool().Reset() // it has connections to the old one
	if err := third.Pool().Ping(t.Context()); err != nil {
		t.Errorf("the server was not taken over: %v", err)
	}
}

func TestOpensAtTheSameTimeShareOneServer(t *testing.T) {
	dir := pgtest.DataDir(t)
	var all sync.WaitGroup
	dbs := make([]*postgres.DB, 4)
	errs := make([]error, len(dbs))
	for i := range dbs {
		all.Go(func() { dbs[i], errs[i] = postgres.Open(t.Context(), postgres.Config{DataDir: dir}) })
	}
	all.Wait()
	servers := map[string]bool{}
	for i, db := range dbs {
		if errs[i] != nil {
			t.Error(errs[i])
			continue
		}
		var since time.Time
		if err := db.Pool().QueryRow(t.Context(), `SELECT pg_postmaster_start_time()`).Scan(&since); err != nil {
			t.Error(err)
		}
		servers[since.String()] = true
	}
	if len(servers) != 1 {
		t.Errorf("found %d servers, want 1", len(servers))
	}
	for _, db := range dbs { // each that is left may have to take over
		if db != nil {
			closeDB(t, db)
		}
	}
	if _, err := postmaster(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a server was left behind: %v", err)
	}
}

func TestLongDataDirectoryGetsAShortSocket(t *testing.T) {
	dir := filepath.Join(pgtest.DataDir(t), strings.Repeat("long", 40))
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	db, _ := open(t, dir)
	var sockets string
	if err := db.Pool().QueryRow(t.Context(), `SHOW unix_socket_directories`).Scan(&sockets); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	if _, err := os.Stat(sockets); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's folder %s was left behind: %v", sockets, err)
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	other := pgtest.DataDir(t)
	if err := os.Mkdir(filepath.Join(other, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "data", "PG_VERSION"), []byte("13\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := pgtest.DataDir(t)
	db, _ := open(t, wrong)
	closeDB(t, db)
	if err := os.WriteFile(filepath.Join(wrong, "data", "postgresql.conf"), []byte("work_mem = lots\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		cfg  postgres.Config
		want []string
	}{
		"nothing is given":           {postgres.Config{}, []string{"neither a URL nor a data directory"}},
		"no programs":                {postgres.Config{DataDir: pgtest.DataDir(t), BinDir: t.TempDir()}, []string{"not installed", "apt-get install postgresql"}},
		"data of another version":    {postgres.Config{DataDir: other}, []string{"PostgreSQL 13", "apt-get install postgresql-13", "pg_upgrade"}},
		"a server that cannot start": {postgres.Config{DataDir: wrong}, []string{"server.log ends", "work_mem"}},
		"a URL that is none":         {postgres.Config{URL: "postgres://ann:secret@host:port/db"}, []string{"read the database URL"}},
		"nobody answers":             {postgres.Config{URL: "postgres://ann:secret@127.0.0.1:1/db"}, []string{"open database", "refused"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			db, err := postgres.Open(t.Context(), test.cfg)
			if err == nil {
				closeDB(t, db)
				t.Fatal("it was opened")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestFoldersAboveTheDataAreMadeToBePassed(t *testing.T) {
	above := pgtest.DataDir(t)
	if err := os.Chmod(above, 0o711); err != nil {
		t.Fatal(err)
	}
	db, _ := open(t, filepath.Join(above, "herald", "postgres"))
	defer closeDB(t, db)
	info, err := os.Stat(filepath.Join(above, "herald", "postgres"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the server's folder is %v (%v), want it closed to others", info.Mode(), err)
	}
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := pgtest.DataDir(t)
	if _, err := postgres.Open(ctx, postgres.Config{DataDir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if _, err := postmaster(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a server was left behind: %v", err)
	}
}
