package app

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"herald/app/config"
	"herald/dispatch"
	"herald/subscriptions"
	"herald/web/portal"
)

// A finished job is kept this long, for whoever looks at River's tables; what
// became of a delivery is kept with the delivery.
const keepJobs = time.Hour

// Jobs are fetched at most every fetchEvery when River says that there are
// some, and every pollEvery in case it did not say.
const (
	fetchEvery = 20 * time.Millisecond
	pollEvery  = time.Second
)

// buildJobs makes the River client: its workers where this node dispatches,
// otherwise one that takes part in nothing.
func (a *App) buildJobs() error {
	settings := &river.Config{
		ID:                          a.cfg.Node,
		Logger:                      slog.New(atLeastWarn{a.log.Handler()}),
		FetchCooldown:               fetchEvery,
		FetchPollInterval:           pollEvery,
		CompletedJobRetentionPeriod: keepJobs,
	}
	if a.cfg.Has("dispatch") {
		if err := a.addWorkers(settings); err != nil {
			return err
		}
	}
	var err error
	a.jobs, err = river.NewClient(riverpgxv5.New(a.DB.Pool()), settings)
	if err != nil {
		return fmt.Errorf("cannot make the job client: %w", err)
	}
	return nil
}

// atLeastWarn passes over what River says of its daily work every few seconds,
// unless everything is asked for.
type atLeastWarn struct{ slog.Handler }

func (h atLeastWarn) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Handler.Enabled(ctx, level) && (level >= slog.LevelWarn || h.Handler.Enabled(ctx, slog.LevelDebug))
}

func (h atLeastWarn) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeastWarn{h.Handler.WithAttrs(attrs)}
}

func (h atLeastWarn) WithGroup(name string) slog.Handler {
	return atLeastWarn{h.Handler.WithGroup(name)}
}

// addWorkers gives the River client its queues, workers and schedules.
func (a *App) addWorkers(settings *river.Config) error {
	accounts, err := dispatch.NewAccounts(a.DB.Pool(), a.node, a.accounts.list, a.log)
	if err != nil {
		return err
	}
	links, err := a.links()
	if err != nil {
		return err
	}
	worker, err := dispatch.NewWorker(a.Deliveries, accounts, dispatch.WorkerConfig{
		Templates: a.Templates, Links: links, Contacts: a.Contacts, Suppressions: a.Consents,
		Subscriptions: a.Subscriptions, Campaigns: a.Campaigns, Announcer: a.news, Node: a.node, Logger: a.log,
		Workers: a.cfg.Dispatch.Workers, FirstRetry: a.cfg.Dispatch.FirstRetry, SendTimeout: a.cfg.Dispatch.SendTimeout,
		Doubt: doubt(a.cfg),
	})
	if err != nil {
		return err
	}
	a.sending, a.worker = accounts, worker
	if err := a.metrics.Register(worker); err != nil {
		return err
	}
	expiry, err := subscriptions.ExpiryPeriodicJob(a.cfg.Subscriptions.ExpirySchedule)
	if err != nil {
		return fmt.Errorf("subscriptions.expiry_schedule: %w", err)
	}
	settings.Workers = river.NewWorkers()
	worker.AddTo(settings.Workers)
	river.AddWorker(settings.Workers, subscriptions.NewExpiryWorker(a.Subscriptions, a.log))
	a.Campaigns.AddTo(settings.Workers)
	hooks, err := a.webhookWorker()
	if err != nil {
		return err
	}
	hooks.AddTo(settings.Workers)
	settings.Queues = worker.Queues()
	maps.Copy(settings.Queues, hooks.Queues())
	maps.Copy(settings.Queues, a.Campaigns.Queues(runtime.NumCPU()))
	settings.Queues[river.QueueDefault] = river.QueueConfig{MaxWorkers: 2}
	settings.PeriodicJobs = []*river.PeriodicJob{expiry, a.Campaigns.PeriodicJob(), hooks.PeriodicJob()}
	settings.RescueStuckJobsAfter = worker.RescueAfter()
	return nil
}

// doubt is what the configuration says of messages in doubt.
func doubt(cfg config.Config) dispatch.DoubtPolicies {
	policies := dispatch.DoubtPolicies{}
	for _, d := range cfg.Dispatch.Doubt {
		class := dispatch.MessageClass{Channel: subscriptions.Channel(d.Channel), Purpose: subscriptions.Purpose(d.Purpose)}
		policies[class] = dispatch.DoubtPolicy(d.Policy)
	}
	return policies
}

// links makes the addresses in messages, signed with the secret key.
func (a *App) links() (*portal.Links, error) {
	signer, err := signer(a.cfg)
	if err != nil {
		return nil, err
	}
	return portal.NewLinks(signer, a.URL())
}

// startJobs starts the River client where it has anything to do.
func (a *App) startJobs(ctx context.Context) error {
	if !a.cfg.Has("dispatch") {
		return nil
	}
	if a.sending != nil {
		a.startModems()
		a.sending.Start()
		a.cleanups.onStop("sessions", a.sending.Close)
	}
	if err := a.jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("cannot start the workers: %w", err)
	}
	a.cleanups.onStop("workers", a.stopJobs)
	return nil
}
