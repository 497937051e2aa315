// Package server runs a PostgreSQL server of Herald's own in a folder: it is
// created there on first use, listens on a unix socket only, and is kept
// running until its owner stops it.
//
// One process owns the server: the one that holds the lock on the folder's
// lock file, which the kernel releases when that process ends, however it
// ends. Other processes attach to the running server, and the next of them
// becomes the owner when the first is gone. A server that outlived its owner
// is adopted as it runs.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// superuser is the database role, and the database, that Herald uses.
const superuser = "herald"

// Config says where the server lives. Dir is required.
type Config struct {
	// Dir is a folder that only this server uses. It is created when missing.
	Dir string
	// BinDir holds the programs initdb and postgres. Empty: they are looked for.
	BinDir string
	// Volatile gives up durability for speed: a crash of the machine may lose
	// everything. Tests only.
	Volatile bool
	// Logger hears of starts, crashes and stops. Nil: nothing is said.
	Logger *slog.Logger
}

// Server is a running private server, or our part in one that another process
// owns.
type Server struct {
	cfg     Config
	layout  layout
	install installation
	account account
	log     *slog.Logger

	// Owned by Start until it returns, then by keep until done is closed, then
	// by Stop.
	lock    *os.File // nil while another process owns the server
	process *process // nil while none runs, or another process owns it

	cancel context.CancelFunc // ends keep
	done   chan struct{}      // closed when keep has ended
}

// layout is what lies where in the server's folder.
type layout struct {
	dir     string // all of it
	data    string // PostgreSQL's data directory
	lock    string // the owner's lock file
	log     string // the server's log; log+".old" is the one before
	sockets string // folder of the unix socket
}

// maxSocketPath is the longest path of a unix socket: sun_path of sockaddr_un
// has 108 bytes on Linux and 104 on the BSDs, one of them for the final zero.
const maxSocketPath = 103

func newLayout(dir string) (layout, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return layout{}, fmt.Errorf("find data directory: %w", err)
	}
	l := layout{
		dir:     dir,
		data:    filepath.Join(dir, "data"),
		lock:    filepath.Join(dir, "owner.lock"),
		log:     filepath.Join(dir, "server.log"),
		sockets: filepath.Join(dir, "run"),
	}
	if len(filepath.Join(l.sockets, socketName)) > maxSocketPath {
		l.sockets = shortSocketDir(dir)
	}
	return l, nil
}

// Start makes sure that the server in cfg.Dir runs, and returns when it takes
// connections: it creates it, starts it, waits while it recovers, adopts it
// from a dead owner, or attaches to that of a living one. It gives up when ctx
// ends. The caller must Stop what it got.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := newLayout(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, layout: l, log: cfg.Logger.With("dir", l.dir), done: make(chan struct{})}
	if s.account, err = serverAccount(l); err != nil {
		return nil, err
	}
	if s.install, err = findInstallation(cfg.BinDir, l.data, defaultPlaces()); err != nil {
		return nil, err
	}
	if err := s.account.prepare(l, s.install); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, errors.Join(err, s.leave(context.WithoutCancel(ctx)))
	}
	if err := createDatabase(ctx, s.URL("postgres")); err != nil {
		return nil, errors.Join(err, s.leave(context.WithoutCancel(ctx)))
	}
	keeping, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	go s.keep(keeping)
	return s, nil
}

// enter becomes the owner of a running server, or attaches to another owner's.
func (s *Server) enter(ctx context.Context) error {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		lock, err := tryLock(s.layout.lock)
		if err != nil {
			return err
		}
		if lock != nil {
			s.lock = lock
			return s.run(ctx)
		}
		if ready(ctx, s.URL("postgres")) == nil {
			s.log.InfoContext(ctx, "attached to the database server of another process")
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the database server that another process runs in %s: %w", s.layout.dir, ctx.Err())
		case <-poll.C:
		}
	}
}

// run makes the server run: adopts the one that does, or starts one. The
// caller owns the lock.
func (s *Server) run(ctx context.Context) error {
	if p := findProcess(s.layout.data); p != nil {
		s.process = p
		if err := p.waitReady(ctx, s.URL("postgres"), s.layout.log); err != nil {
			return err
		}
		s.log.InfoContext(ctx, "adopted the running database server", "pid", p.pid)
		return nil
	}
	if err := s.initialise(ctx); err != nil {
		return err
	}
	began := time.Now()
	for {
		err := s.try(ctx)
		if err == nil {
			s.log.InfoContext(ctx, "database server started", "pid", s.process.pid, "took", time.Since(began))
			return nil
		}
		if !errors.Is(err, errBackendsLeft) || time.Since(began) > backendsEndWithin || !wait(ctx, firstBackoff) {
			return err
		}
	}
}

// backendsEndWithin is how long the processes of a crashed server may take to
// notice that it is gone.
const backendsEndWithin = 10 * time.Second

func (s *Server) try(ctx context.Context) error {
	// Another owner may have removed the socket's folder since we started.
	if err := s.account.prepare(s.layout, s.install); err != nil {
		return err
	}
	p, err := s.launch(ctx)
	if err != nil {
		return err
	}
	s.process = p
	return p.waitReady(ctx, s.URL("postgres"), s.layout.log)
}

// URL is the connection string of one of the server's databases, and of
// Herald's own when the name is empty.
func (s *Server) URL(database string) string {
	if database == "" {
		database = superuser
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(superuser),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {s.layout.sockets}, "port": {socketPort}}.Encode(),
	}
	return u.String()
}

// Stop ends our part: an owner shuts the server down, disconnecting everyone,
// and who is only attached leaves it as it is. When ctx ends first the server
// is stopped at once, and recovers at its next start. It may be called again.
func (s *Server) Stop(ctx context.Context) error {
	s.cancel()
	<-s.done
	return s.leave(ctx)
}

func (s *Server) leave(ctx context.Context) error {
	if s.lock == nil {
		return nil
	}
	var err error
	if s.process != nil {
		err = s.process.stop(ctx)
		s.log.InfoContext(ctx, "database server stopped", "pid", s.process.pid)
	}
	if filepath.Dir(s.layout.sockets) != s.layout.dir {
		err = errors.Join(err, os.RemoveAll(s.layout.sockets))
	}
	err = errors.Join(err, s.lock.Close())
	s.lock, s.process = nil, nil
	return err
}
