package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/campaigns"
	"herald/dispatch"
	"herald/webhooks"
)

// announcer brings what dispatch and campaigns announce to the webhooks. A
// command that only opens the stores has none, and nobody listens.
type announcer struct {
	hooks atomic.Pointer[webhooks.Store]
}

var (
	_ dispatch.Announcer  = (*announcer)(nil)
	_ campaigns.Announcer = campaigns.AnnounceFunc((*announcer)(nil).campaignTx)
)

// Listening implements dispatch.Announcer.
func (a *announcer) Listening(kind string) bool {
	hooks := a.hooks.Load()
	return hooks != nil && hooks.Listening(kind)
}

// AnnounceTx implements dispatch.Announcer.
func (a *announcer) AnnounceTx(ctx context.Context, tx pgx.Tx, news []dispatch.Announcement) error {
	hooks := a.hooks.Load()
	if hooks == nil {
		return nil
	}
	events := make([]webhooks.Event, len(news))
	for i, n := range news {
		events[i] = webhooks.Event{Type: n.Type, At: n.At, Data: n.Data}
	}
	return hooks.AnnounceTx(ctx, tx, events)
}

// campaignTx announces what became of a campaign.
func (a *announcer) campaignTx(ctx context.Context, tx pgx.Tx, event string, data map[string]any) error {
	hooks := a.hooks.Load()
	if hooks == nil {
		return nil
	}
	return hooks.AnnounceTx(ctx, tx, []webhooks.Event{{Type: event, At: time.Now(), Data: data}})
}

// buildWebhooks makes what keeps and posts them.
func (a *App) buildWebhooks() error {
	secret, err := secretKey(a.cfg)
	if err != nil {
		return err
	}
	a.hooks, err = webhooks.NewStore(a.DB.Pool(), webhooks.Config{
		Secret: secret, Networks: networks(a.cfg.Webhooks.AllowNetworks), Now: time.Now, Logger: a.log,
	})
	if err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	a.news.hooks.Store(a.hooks)
	return nil
}

// webhookWorker posts them on this node.
func (a *App) webhookWorker() (*webhooks.Worker, error) {
	settings := webhooks.WorkerConfig{Workers: a.cfg.Webhooks.Workers, Version: Version()}
	if path := a.cfg.Webhooks.RootCAs; path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("webhooks.root_cas: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("webhooks.root_cas: there is no PEM certificate in %s", path)
		}
	}
	worker, err := webhooks.NewWorker(a.hooks, settings)
	if err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	a.cleanups.onStop("webhooks' connections", func(context.Context) error {
		worker.Close()
		return nil
	})
	return worker, a.metrics.Register(worker)
}
