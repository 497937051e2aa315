package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	socketPort = "5432" // only a part of the socket's name: there is no TCP
	socketName = ".s.PGSQL." + socketPort
)

// process is a running postmaster: our child, or one that an earlier owner
// left. A nil process has ended.
type process struct {
	pid    int
	data   string
	exited chan struct{} // closed when our child has ended; nil when it is not our child
}

// findProcess is the postmaster that runs in a data directory, or nil. When the
// number in postmaster.pid has become another program's, as happens after a
// restart of the machine, the file is removed, for PostgreSQL would refuse to
// start. It deals itself with a number that nobody has.
func findProcess(data string) *process {
	path := filepath.Join(data, "postmaster.pid")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 0 {
		return nil
	}
	p := &process{pid: pid, data: data}
	if p.alive() {
		return p
	}
	if p.exists() {
		_ = os.Remove(path) // failing, the start says why it cannot be
	}
	return nil
}

// gone is closed when the process has ended; it stays silent for one that is
// not our child, whose end shows in alive.
func (p *process) gone() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.exited
}

func (p *process) alive() bool {
	if p == nil {
		return false
	}
	if p.exited != nil {
		select {
		case <-p.exited:
			return false
		default:
			return true
		}
	}
	return p.exists() && p.worksIn(p.data)
}

// exists reports whether any process has the number.
func (p *process) exists() bool {
	err := syscall.Kill(p.pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// worksIn reports whether the process's working folder is the data directory,
// as a postmaster's is. Where the system does not tell, the number alone counts.
func (p *process) worksIn(data string) bool {
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		return true
	}
	cwd, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", p.pid))
	if err != nil {
		return false
	}
	own, err := os.Stat(data)
	return err == nil && os.SameFile(cwd, own)
}

// initialise creates the data directory where there is none. It is made aside
// and renamed, so that an interrupted initdb leaves nothing that looks whole.
func (s *Server) initialise(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(s.layout.data, "PG_VERSION")); err == nil {
		return nil
	}
	aside := s.layout.data + ".new"
	var out []byte
	var err error
	for _, locale := range []string{"C.UTF-8", "C"} { // the first is not known everywhere
		if err := os.RemoveAll(aside); err != nil {
			return fmt.Errorf("clear an unfinished data directory: %w", err)
		}
		out, err = s.initdb(ctx, aside, locale)
		if err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("create the database's data directory: %w\n%s", err, bytes.TrimSpace(out))
	}
	if err := suit(filepath.Join(aside, "postgresql.conf")); err != nil {
		return fmt.Errorf("create the database's data directory: %w", err)
	}
	if err := os.Rename(aside, s.layout.data); err != nil {
		return fmt.Errorf("create the database's data directory: %w", err)
	}
	return nil
}

// suited are settings for one application that writes much, on disks that need
// not turn. They touch nothing that durability rests on.
const suited = `
# Herald's own suggestions; what stands here is yours to change.
shared_buffers = 256MB
max_wal_size = 2GB
random_page_cost = 1.1
`

// suit appends to a new postgresql.conf.
func suit(path string) error {
	conf, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(suited)
	return errors.Join(err, conf.Close())
}

func (s *Server) initdb(ctx context.Context, data, locale string) ([]byte, error) {
	// Who can open the socket in its closed folder is the account or root, and
	// needs no password; over TCP nobody is let in at all.
	args := []string{
		"-D", data, "--username=" + superuser, "--encoding=UTF8", "--locale=" + locale,
		"--auth-local=trust", "--auth-host=reject", "--data-checksums",
	}
	if s.cfg.Volatile {
		args = append(args, "--no-sync")
	}
	return s.command(ctx, "initdb", args...).CombinedOutput()
}

// launch starts the server. It is left to run when ctx ends.
func (s *Server) launch(ctx context.Context) (*process, error) {
	log, err := os.OpenFile(s.layout.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database server's log: %w", err)
	}
	defer log.Close()
	args := []string{"-D", s.layout.data}
	for _, setting := range s.settings() {
		args = append(args, "-c", setting)
	}
	cmd := s.command(context.WithoutCancel(ctx), "postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the database server: %w", err)
	}
	p := &process{pid: cmd.Process.Pid, data: s.layout.data, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended stands in its log
		close(p.exited)
	}()
	return p, nil
}

// settings are those that must hold, whatever postgresql.conf says; the rest
// is the operator's to change there.
func (s *Server) settings() []string {
	settings := []string{
		"listen_addresses=", // no TCP
		"port=" + socketPort,
		"unix_socket_directories=" + s.layout.sockets,
		"unix_socket_permissions=0700",
		"logging_collector=off", // the log is our file
		"log_destination=stderr",
		"lc_messages=C",
		// Failed statements are reported to Herald, which logs them; their
		// text and details, which hold personal data, stay out of this log.
		"log_min_messages=log",
		"log_min_error_statement=panic",
		"log_checkpoints=off",
		// Who waits for a lock for a second, and who was in a deadlock.
		"log_lock_waits=on",
	}
	if s.cfg.Volatile {
		return append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off",
			"autovacuum=off", "wal_level=minimal", "max_wal_senders=0", "max_wal_size=128MB", "max_connections=400")
	}
	return append(settings, "fsync=on", "synchronous_commit=on", "full_page_writes=on", "max_connections=200")
}

// command prepares one of PostgreSQL's programs: as the account, apart from
// our terminal's signals, and without the settings of a client.
func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.install.bin, program), args...)
	cmd.Dir = s.layout.dir
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PG") && !strings.HasPrefix(variable, "LC_") && !strings.HasPrefix(variable, "LANG") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.account.credential}
	return cmd
}

// waitReady returns when the server takes connections, which is after its
// recovery, or with the end of its log when it has ended instead.
func (p *process) waitReady(ctx context.Context, url, log string) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := ready(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the database server: %w (%w)", ctx.Err(), err)
		case <-p.gone():
		case <-poll.C:
		}
		if !p.alive() {
			return startError(log)
		}
	}
}

// errBackendsLeft means that the processes of a crashed server have not all
// ended yet: the next start succeeds when they have.
var errBackendsLeft = errors.New("processes of the crashed server are still ending")

func startError(log string) error {
	tail := logTail(log)
	if strings.Contains(tail, "pre-existing shared memory block") {
		return fmt.Errorf("%w; the log %s ends:\n%s", errBackendsLeft, log, tail)
	}
	return fmt.Errorf("the database server does not start; its log %s ends:\n%s", log, tail)
}

// stop ends the server: it disconnects everyone and shuts down; when ctx ends
// before that is done it drops everything, and recovers at its next start.
func (p *process) stop(ctx context.Context) error {
	// The signals are PostgreSQL's: SIGINT fast, SIGQUIT immediate shutdown.
	if p.signal(syscall.SIGINT) && p.ended(ctx) {
		return nil
	}
	atOnce, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if p.signal(syscall.SIGQUIT) && !p.ended(atOnce) {
		p.signal(syscall.SIGKILL)
		return fmt.Errorf("the database server (process %d) did not stop and was killed", p.pid)
	}
	return nil
}

// signal reports whether there was a process to receive it.
func (p *process) signal(s syscall.Signal) bool {
	return p.alive() && syscall.Kill(p.pid, s) == nil
}

// ended waits for the end of the process; it reports false when ctx ends first.
func (p *process) ended(ctx context.Context) bool {
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for p.alive() {
		select {
		case <-ctx.Done():
			return false
		case <-p.gone():
		case <-poll.C:
		}
	}
	return true
}

// ready reports whether a database takes connections.
func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// createDatabase makes Herald's database where it is missing.
func createDatabase(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to the database server: %w", err)
	}
	defer conn.Close(ctx)
	var exists bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, superuser).Scan(&exists)
	if err == nil && !exists {
		_, err = conn.Exec(ctx, `CREATE DATABASE `+superuser)
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && (pgErr.Code == "42P04" || pgErr.Code == "23505") { // another process was faster
		return nil
	}
	if err != nil {
		return fmt.Errorf("create Herald's database: %w", err)
	}
	return nil
}
