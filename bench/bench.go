// Package bench measures Herald on this machine, each figure with its
// baseline from the same run.
//
// Email sends a whole campaign to a mail server, SMS one to a message centre
// and by a modem, Alert times one event from its POST to the server's DATA,
// with a campaign beside it and without, Match times how events find
// subscriptions. Each starts a node of Herald with a private PostgreSQL of its
// own, durable as it is in earnest, unless it is given a database. Voice makes
// calls that speak at once, and Pool holds the growing pool of sessions against
// a fixed one. What they print are figures as JSON.
package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"herald/app"
	"herald/app/config"
	"herald/postgres"
	"herald/subscriptions"
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
	herald  *app.App
	scratch *postgres.Scratch
	log     *slog.Logger
}

// accountName is the one account of a stage.
const accountName = "bench"

// newStage starts a node on a database, or on a private one without its URL;
// channels gives it its accounts. Whoever has a stage closes it.
func newStage(ctx context.Context, databaseURL string, log *slog.Logger, channels func(*config.Config)) (_ *stage, err error) {
	s := &stage{log: log}
	cfg := config.Default()
	cfg.Database.URL = databaseURL
	cfg.SecretKey = rand.Text() + rand.Text() // what it signs is thrown away
	cfg.HTTP.Listen = "127.0.0.1:0"
	cfg.API.RequestsPerSecond, cfg.API.Burst = 10_000, 10_000
	channels(&cfg)
	if s.scratch, err = postgres.NewScratch(""); err != nil {
		return nil, err
	}
	cfg.DataDir = s.scratch.Dir
	if s.herald, err = app.New(ctx, cfg, log); err != nil {
		return nil, errors.Join(err, s.scratch.Remove())
	}
	return s, nil
}

// close stops the node and removes what it left.
func (s *stage) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(s.herald.Stop(ctx), s.scratch.Remove())
}

// mailStage is a stage with one account, at the mail server.
func mailStage(ctx context.Context, w Where) (*stage, error) {
	host, port, err := splitAddress("the mail server", w.SMTP)
	if err != nil {
		return nil, err
	}
	return newStage(ctx, w.DatabaseURL, w.Log, func(cfg *config.Config) {
		cfg.Email.Accounts = []config.EmailAccount{{
			Name: accountName, Host: host, Port: port, TLS: "none", From: "shop@shop.example", FromName: "The Shop",
			Timeout: 30 * time.Second, Use: config.Use{MinSessions: 1, MaxSessions: w.Sessions},
		}}
	})
}

// crowd is members who may be written to for every purpose.
type crowd struct {
	accounts string // what their accounts begin with
	channel  subscriptions.Channel
	address  string // SQL of the address of number i
	number   int
}

// mail is members with e-mail.
func mail(number int) crowd {
	return crowd{accounts: "bench", channel: subscriptions.Email, address: `'bench' || i || '@members.example'`, number: number}
}

// seed makes members.
func (s *stage) seed(ctx context.Context, c crowd) error {
	s.log.Info("making members", "members", c.number)
	_, err := s.herald.DB.Pool().Exec(ctx, `
WITH crowd AS (
    INSERT INTO members (account, display_name, locale, time_zone)
    SELECT $1 || i, 'Member ' || i, 'en', 'UTC' FROM generate_series(1, $2::int) AS i
    RETURNING id, substr(account, length($1) + 1)::int AS i
), reached AS (
    INSERT INTO contact_points (member_id, channel, address, verified_at)
    SELECT id, $3, `+c.address+`, now() FROM crowd ORDER BY id
)
INSERT INTO consents (member_id, channel, purpose, granted)
SELECT id, $3, purpose, true FROM crowd, unnest(ARRAY['marketing', 'service', 'transactional']) AS purpose ORDER BY id`,
		c.accounts, c.number, c.channel)
	if err != nil {
		return fmt.Errorf("make members: %w", err)
	}
	for _, sql := range []string{`VACUUM ANALYZE members`, `VACUUM ANALYZE contact_points`, `VACUUM ANALYZE consents`, `CHECKPOINT`} {
		if _, err := s.herald.DB.Pool().Exec(ctx, sql); err != nil {
			return fmt.Errorf("settle the database: %w", err)
		}
	}
	return nil
}
