package pgtest

import (
	"context"
	"testing"
	"time"

	"herald/postgres"
	"herald/postgres/internal/server"
)

// Server is a PostgreSQL of one test's own with its durable settings, which
// the test may crash. Its methods fail the test and belong to its goroutine.
type Server struct {
	t      testing.TB
	dir    string
	server *server.Server // nil while it is down
}

// startWithin bounds a start with its recovery.
const startWithin = time.Minute

// NewServer starts a server with Herald's schema in a folder, such as one of
// DataDir. It is stopped when the test ends.
func NewServer(t testing.TB, dir string) *Server {
	t.Helper()
	s := &Server{t: t, dir: dir}
	t.Cleanup(func() {
		if s.server != nil {
			s.Crash()
		}
	})
	s.Start()
	ctx := context.Background()
	db, err := postgres.Open(ctx, postgres.Config{URL: s.URL()})
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	if err := postgres.Migrate(ctx, db.Pool()); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return s
}

// URL is the connection string of its database, the same after every start.
func (s *Server) URL() string { return s.server.URL("") }

// Crash ends the server at once, as `pg_ctl stop -m immediate` does: nobody
// is told, nothing is written, and the next start has to recover.
func (s *Server) Crash() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.server.Stop(ctx); err != nil {
		s.t.Errorf("pgtest: crash the server: %v", err)
	}
	s.server = nil
}

// Start starts it again and returns when it has recovered.
func (s *Server) Start() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	var err error
	if s.server, err = server.Start(ctx, server.Config{Dir: s.dir}); err != nil {
		s.t.Fatalf("pgtest: these tests need PostgreSQL: %v", err)
	}
}
