package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"herald/access"
	"herald/app/config"
	"herald/calendars"
	"herald/campaigns"
	"herald/collectors"
	"herald/dispatch"
	"herald/dispatch/fax"
	"herald/dispatch/sms/modem"
	"herald/dispatch/voice"
	"herald/matcher"
	"herald/matcher/dates"
	"herald/postgres"
	"herald/subscriptions"
	"herald/templates"
)

// Stores are the concepts that Herald keeps, all on one database that is open
// and migrated. Commands that only read or write use them without an App.
type Stores struct {
	DB *postgres.DB

	Operators *access.Operators
	Keys      *access.Keys
	Replays   *access.Replays

	Members       *subscriptions.Members
	Contacts      *subscriptions.Contacts
	Consents      *subscriptions.Consents
	Triggers      *subscriptions.Triggers
	Subscriptions *subscriptions.Store

	Templates  *templates.Store
	Deliveries *dispatch.Store
	Events     *matcher.Events
	Previews   *matcher.Previews
	Campaigns  *campaigns.Store
	Calendars  *calendars.Store
	Dates      *dates.Ahead
	Modems     *modem.Store
	Calls      *voice.Store
	Faxes      *fax.Store
	Collectors *collectors.Store

	news *announcer
}

// OpenStores opens the database, migrates it, and loads the starter triggers
// and templates into an empty one. Close ends what it opened.
func OpenStores(ctx context.Context, cfg config.Config, log *slog.Logger) (*Stores, error) {
	db, err := openDatabase(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	s, err := buildStores(ctx, db, cfg, log)
	if err != nil {
		if closing := db.Close(context.WithoutCancel(ctx)); closing != nil {
			log.Error("database did not close", "error", closing)
		}
		return nil, err
	}
	return s, nil
}

// openDatabase opens the database that the configuration names, or the private one.
func openDatabase(ctx context.Context, cfg config.Config, log *slog.Logger) (*postgres.DB, error) {
	if cfg.Database.URL == "" {
		// Others must be able to pass through: root's server runs as another user.
		if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil { //nolint:gosec // its contents are guarded one by one
			return nil, fmt.Errorf("data_dir: %w", err)
		}
	}
	return postgres.Open(ctx, postgres.Config{
		URL:      cfg.Database.URL,
		DataDir:  filepath.Join(cfg.DataDir, "postgres"),
		BinDir:   cfg.Database.BinDir,
		MaxConns: int32(cfg.Database.MaxConnections), //nolint:gosec // at most 500, says the configuration's check
		Logger:   log,
	})
}

func buildStores(ctx context.Context, db *postgres.DB, cfg config.Config, log *slog.Logger) (*Stores, error) {
	pool, now := db.Pool(), time.Now
	if err := postgres.Migrate(ctx, pool); err != nil {
		return nil, fmt.Errorf("cannot migrate the database: %w", err)
	}
	passwords := access.NewPasswords(runtime.NumCPU())
	throttle := access.NewThrottle(pool, now)
	consents := subscriptions.NewConsents(pool, now)
	triggers := subscriptions.NewTriggers(pool, now)
	settings, err := decidesBy(cfg)
	if err != nil {
		return nil, err
	}
	made, sent := voice.NewStore(pool), fax.NewStore(pool)
	settings.Chronicles = []dispatch.Chronicle{made, sent}
	deliveries, err := dispatch.NewStore(pool, consents, now, settings)
	if err != nil {
		return nil, err
	}
	s := &Stores{
		DB:            db,
		Operators:     access.NewOperators(pool, passwords, throttle, now),
		Keys:          access.NewKeys(pool, now),
		Replays:       access.NewReplays(pool, now),
		Members:       subscriptions.NewMembers(pool, passwords, throttle, now),
		Contacts:      subscriptions.NewContacts(pool, deliveries, now),
		Consents:      consents,
		Triggers:      triggers,
		Subscriptions: subscriptions.NewStore(pool, triggers, consents, now),
		Templates:     templates.NewStore(pool, cfg.Company.In, now),
		Deliveries:    deliveries,
		Events:        matcher.NewEvents(pool),
		Modems:        modem.NewStore(pool),
		Calls:         made,
		Faxes:         sent,
		Collectors:    collectors.NewStore(pool, now),
		Calendars:     calendars.NewStore(pool, now),
		news:          &announcer{},
	}
	s.Dates = dates.NewAhead(s.Calendars, s.Members, now)
	s.Previews = matcher.NewPreviews(pool, matcher.PreviewConfig{
		Triggers: s.Triggers, Subscriptions: s.Subscriptions, Consents: s.Consents, Keep: cfg.Matcher.KeepEvents, Now: now,
	})
	s.Campaigns, err = campaigns.NewStore(pool, campaigns.Config{
		Templates: s.Templates, Triggers: s.Triggers, Calendars: s.Calendars, Consents: s.Consents, Enqueuer: s.Deliveries,
		Ledgers:   campaigns.LedgerFunc(s.runLedger),
		Announcer: campaigns.AnnounceFunc(s.news.campaignTx),
		Channels:  channels(cfg), Now: now, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	if err := s.Triggers.Replan(ctx); err != nil {
		return nil, fmt.Errorf("cannot prepare the triggers: %w", err)
	}
	if err := s.Triggers.LoadStarter(ctx); err != nil {
		return nil, fmt.Errorf("cannot load the starter triggers: %w", err)
	}
	if err := s.Templates.LoadStarter(ctx); err != nil {
		return nil, fmt.Errorf("cannot load the starter templates: %w", err)
	}
	return s, nil
}

// runLedger is what became of a campaign's run.
func (s *Stores) runLedger(ctx context.Context, runID int64) (dispatch.Ledger, error) {
	return s.Deliveries.Ledger(ctx, dispatch.Filter{Campaign: runID})
}

// Close closes the database and, where this process started it, stops the
// private server.
func (s *Stores) Close(ctx context.Context) error { return s.DB.Close(ctx) }
