// Package app wires Herald together and owns its lifetimes.
//
// New builds every part from the configuration, Start sets them going, Stop
// ends them newest first within a limit. Nothing else in Herald starts at
// import or lives beyond Stop.
package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"

	"herald/access"
	"herald/app/config"
	"herald/collectors"
	"herald/dispatch"
	"herald/dispatch/bounces"
	"herald/dispatch/replies"
	"herald/dispatch/sms/parts"
	"herald/matcher"
	"herald/matcher/follower"
	"herald/matcher/history"
	"herald/webhooks"
)

// App is one node of Herald.
type App struct {
	*Stores

	cfg      config.Config
	log      *slog.Logger
	cleanups *cleanups

	node       *dispatch.Node
	jobs       *river.Client[pgx.Tx]
	accounts   accounts
	parts      *parts.Store // nil: nothing is sent in parts
	sending    *dispatch.Accounts
	worker     *dispatch.Worker
	books      *dispatch.Bookkeeper
	days       *history.Keeper
	receipts   *dispatch.Receipts
	replies    *replies.Store
	bounces    *bounces.Listener // nil: none on this node
	hooks      *webhooks.Store
	intake     *matcher.Intake    // nil: events are not taken on this node
	follower   *follower.Follower // likewise
	collectors *collectors.Runner // nil: there are none
	server     *http.Server
	listen     net.Listener

	metrics  *prometheus.Registry
	stopping chan struct{} // closed when the HTTP server stops: live pages end
	failed   chan error    // a part that ended by itself
}

// New builds a node: the database is open and migrated and the address is
// taken when it returns, nothing runs yet. When it fails, what it had begun is
// ended again.
func New(ctx context.Context, cfg config.Config, log *slog.Logger) (*App, error) {
	cfg.Node = nodeName(cfg.Node)
	a := &App{
		cfg: cfg, log: log, cleanups: &cleanups{log: log}, metrics: prometheus.NewRegistry(),
		stopping: make(chan struct{}), failed: make(chan error, 1),
	}
	if err := a.build(ctx); err != nil {
		return nil, errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
	}
	return a, nil
}

// build registers the end of each part the moment it exists.
func (a *App) build(ctx context.Context) (err error) {
	// The address is taken first: two nodes on one port is a mistake that
	// should not cost the start of a database.
	if a.listen, err = net.Listen("tcp", a.cfg.HTTP.Listen); err != nil {
		return fmt.Errorf("http.listen: %w", err)
	}
	a.cleanups.onStop("listener", func(context.Context) error { return ignoreClosed(a.listen.Close()) })
	if a.Stores, err = OpenStores(ctx, a.cfg, a.log); err != nil {
		return err
	}
	a.cleanups.onStop("database", a.Stores.Close)
	a.node = dispatch.NewNode(a.DB.Pool(), a.cfg.Node, time.Now, a.log)
	if err := a.buildWebhooks(); err != nil {
		return err
	}
	if err := a.buildAccounts(); err != nil {
		return err
	}
	if err := a.buildJobs(); err != nil {
		return err
	}
	if err := a.buildBooks(); err != nil {
		return err
	}
	a.buildDays()
	if err := a.buildReceipts(ctx); err != nil {
		return err
	}
	if err := a.buildReplies(); err != nil {
		return err
	}
	if err := a.buildWeb(); err != nil {
		return err
	}
	return a.buildCollectors()
}

// Start sets the node going. What it starts ends at Stop.
func (a *App) Start(ctx context.Context) error {
	// Its share of the accounts' sessions is given to a node that is known.
	if err := a.node.Beat(ctx); err != nil {
		return fmt.Errorf("cannot begin: %w", err)
	}
	a.begin("node", a.node.Run)
	if a.cfg.Has("web") {
		a.begin("session sweep", func(ctx context.Context) { access.SweepSessions(ctx, a.DB.Pool(), sweepSessions, a.log) })
	}
	if err := a.startJobs(ctx); err != nil {
		return err
	}
	a.startMatcher()
	if err := a.startCollectors(ctx); err != nil {
		return err
	}
	a.begin("bookkeeper", a.books.Run)
	if err := a.days.Turn(ctx); err != nil { // events come in without their day, too
		a.log.WarnContext(ctx, "the days of events could not be made", "error", err)
	}
	a.begin("days of events", a.days.Run)
	a.startReceipts()
	a.begin("old replies", a.replies.Run)
	go func() {
		if err := a.server.Serve(a.listen); !errors.Is(err, http.ErrServerClosed) {
			a.fail(fmt.Errorf("http server: %w", err))
		}
	}()
	a.cleanups.onStop("http server", a.stopServer)
	a.log.Info("herald is running", "node", a.cfg.Node, "roles", a.cfg.Roles, "url", a.URL())
	return nil
}

// Stop ends the node: no new requests, then no new jobs, and what is under
// way is finished until ctx ends, when it is cut off. It may be called at any
// time, also twice.
func (a *App) Stop(ctx context.Context) error { return a.cleanups.run(ctx) }

// Failed gives the error of a part that ended by itself.
func (a *App) Failed() <-chan error { return a.failed }

// URL is where this node's pages and API are, as configured for the world.
func (a *App) URL() string {
	if a.cfg.HTTP.PublicURL != "" {
		return a.cfg.HTTP.PublicURL
	}
	return "http://" + a.listen.Addr().String()
}

// Config is what the node was made from.
func (a *App) Config() config.Config { return a.cfg }

// begin runs a part in the background until Stop.
func (a *App) begin(name string, run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { run(ctx) })
	a.cleanups.onStop(name, func(context.Context) error {
		cancel()
		done.Wait()
		return nil
	})
}

func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default: // the first failure is the one to tell
	}
}

// stopServer lets requests under way finish; when ctx ends they are cut off.
func (a *App) stopServer(ctx context.Context) error {
	close(a.stopping)
	if err := a.server.Shutdown(ctx); err != nil {
		return errors.Join(err, a.server.Close())
	}
	return nil
}

// stopJobs lets hand-overs under way finish; when ctx ends their contexts are
// cancelled.
func (a *App) stopJobs(ctx context.Context) error {
	if a.worker != nil {
		a.worker.Drain()
	}
	if err := a.jobs.Stop(ctx); err != nil {
		hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceAfter)
		defer cancel()
		return errors.Join(err, a.jobs.StopAndCancel(hard))
	}
	return nil
}

// nodeName is the configured name, or the host's, with a random end: a node
// that is started again is another node, so that what its predecessor had in
// hand is taken up.
func nodeName(configured string) string {
	name := configured
	if name == "" {
		if host, err := os.Hostname(); err == nil {
			name = host
		}
	}
	return fmt.Sprintf("%.60s-%s", name, rand.Text()[:8])
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Serve runs a node until ctx ends, then stops it within http.stop_after.
func Serve(ctx context.Context, cfg config.Config) error {
	log := Logger(cfg.Log)
	a, err := New(ctx, cfg, log)
	if err != nil {
		return err
	}
	if err = a.Start(ctx); err == nil {
		select {
		case <-ctx.Done():
			log.Info("stopping", "limit", cfg.HTTP.StopAfter.String())
		case err = <-a.Failed():
		}
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.HTTP.StopAfter)
	defer cancel()
	return errors.Join(err, a.Stop(limit))
}

// Logger writes to standard error as configured.
func Logger(cfg config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo // the configuration's check lets no other word through
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, options))
}
