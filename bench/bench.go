// Package bench measures Herald on this machine, each figure with its
// baseline from the same run.
//
// Email sends a whole campaign to a mail server, Alert times one event from
// its POST to the server's DATA, with a campaign beside it and without, and
// Pool holds the growing pool of sessions against a fixed one. Each starts a
// node of Herald with a private PostgreSQL of its own, durable as it is in
// earnest, unless it is given a database; what they print are figures as JSON.
package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"herald/app"
	"herald/app/config"
)

// Where says where a measurement runs.
type Where struct {
	DatabaseURL string // empty: a private server in a temporary directory
	SMTP        string // host:port of the mail server
	Sessions    int    // connections to it, at most
	Log         *slog.Logger
}

// stage is a node of Herald with everything it needs.
type stage struct {
	herald *app.App
	remove func() error
	log    *slog.Logger
}

// accountName is the one account of a stage.
const accountName = "bench"

// newStage starts a node. Whoever has a stage closes it.
func newStage(ctx context.Context, w Where) (_ *stage, err error) {
	s := &stage{log: w.Log, remove: func() error { return nil }}
	cfg := config.Default()
	cfg.Database.URL = w.DatabaseURL
	cfg.SecretKey = rand.Text() + rand.Text() // what it signs is thrown away
	cfg.HTTP.Listen = "127.0.0.1:0"
	cfg.API.RequestsPerSecond, cfg.API.Burst = 10_000, 10_000
	host, port, err := net.SplitHostPort(w.SMTP)
	if err != nil {
		return nil, fmt.Errorf("the mail server's address: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("the mail server's port: %w", err)
	}
	cfg.Email.Accounts = []config.EmailAccount{{
		Name: accountName, Host: host, Port: number, TLS: "none", From: "shop@shop.example", FromName: "The Shop",
		Timeout: 30 * time.Second, Use: config.Use{MinSessions: 1, MaxSessions: w.Sessions},
	}}
	if cfg.DataDir, err = os.MkdirTemp("", "herald-bench-"); err != nil {
		return nil, err
	}
	s.remove = func() error { return os.RemoveAll(cfg.DataDir) }
	if err := os.Chmod(cfg.DataDir, 0o755); err != nil { //nolint:gosec // root's server runs as another user
		return nil, errors.Join(err, s.remove())
	}
	if s.herald, err = app.New(ctx, cfg, w.Log); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// close stops the node and removes what it left.
func (s *stage) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(s.herald.Stop(ctx), s.remove())
}

// seedSQL makes members who may be written to for every purpose.
var seedSQL = []string{
	`INSERT INTO members (account, display_name, locale, time_zone)
	 SELECT 'bench' || i, 'Member ' || i, 'en', 'UTC' FROM generate_series(1, $1::int) AS i`,
	`INSERT INTO contact_points (member_id, channel, address, verified_at)
	 SELECT id, 'email', account || '@members.example', now() FROM members WHERE account LIKE 'bench%' ORDER BY id`,
	`INSERT INTO consents (member_id, channel, purpose, granted)
	 SELECT id, 'email', purpose, true
	 FROM members, unnest(ARRAY['marketing', 'service', 'transactional']) AS purpose WHERE account LIKE 'bench%' ORDER BY id`,
}

// seed makes n members.
func (s *stage) seed(ctx context.Context, n int) error {
	s.log.Info("making members", "members", n)
	for i, sql := range seedSQL {
		var args []any
		if i == 0 {
			args = []any{n}
		}
		if _, err := s.herald.DB.Pool().Exec(ctx, sql, args...); err != nil {
			return fmt.Errorf("make members: %w", err)
		}
	}
	for _, sql := range []string{`VACUUM ANALYZE members`, `VACUUM ANALYZE contact_points`, `VACUUM ANALYZE consents`, `CHECKPOINT`} {
		if _, err := s.herald.DB.Pool().Exec(ctx, sql); err != nil {
			return fmt.Errorf("settle the database: %w", err)
		}
	}
	return nil
}
