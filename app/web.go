package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/alexedwards/scs/pgxstore"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"herald/app/config"
	"herald/dispatch/sms"
	"herald/postgres"
	"herald/subscriptions"
	"herald/web"
	"herald/web/api"
	"herald/web/console"
	"herald/web/portal"
)

const (
	// sweepSessions is how often sessions that are over are removed.
	sweepSessions = 10 * time.Minute
	// A request's header must come within headerTimeout; bodies have limits of
	// their own, set by each face. An idle connection is closed after idleTimeout.
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
)

// buildWeb makes the HTTP server: health and figures on every node, and the
// faces where this node has the role.
func (a *App) buildWeb() error {
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	handler := web.Health(a.ready, a.metrics, a.log)
	if a.cfg.Has("web") {
		var err error
		if handler, err = a.faces(); err != nil {
			return err
		}
	}
	a.server = &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	return nil
}

// faces makes the intake and every face on top of it.
func (a *App) faces() (http.Handler, error) {
	a.buildMatcher()
	// The store's own tidying cannot be stopped without a race: Start begins ours.
	sessions := pgxstore.NewWithCleanupInterval(a.DB.Pool(), 0)
	links, err := a.links()
	if err != nil {
		return nil, err
	}
	settings, err := decidesBy(a.cfg)
	if err != nil {
		return nil, err
	}
	var reported http.Handler
	if len(a.cfg.Receipts)+len(a.accounts.gateways) > 0 {
		if reported, err = a.receiptsFace(); err != nil {
			return nil, err
		}
	}
	return web.New(web.Config{
		Portal: portal.Config{
			PublicURL: a.URL(), Company: a.cfg.Company.In, Links: links, Sessions: sessions, Channels: channels(a.cfg), Now: time.Now, Logger: a.log, Away: postgres.Away,
			Members: a.Members, Contacts: a.Contacts, Consents: a.Consents, Triggers: a.Triggers,
			Subscriptions: a.Subscriptions, Deliveries: a.Deliveries, Previews: a.Previews, Dates: a.Dates,
			QuietFrom: subscriptions.Clock(settings.Quiet.From), QuietUntil: subscriptions.Clock(settings.Quiet.Until),
		},
		Console: console.Config{
			PublicURL: a.URL(), Company: a.cfg.Company.In, Sessions: sessions, Stopping: a.stopping, Now: time.Now, Logger: a.log, Away: postgres.Away,
			Operators: a.Operators, Members: a.Members, Contacts: a.Contacts, Consents: a.Consents, Triggers: a.Triggers, Templates: a.Templates,
			Subscriptions: a.Subscriptions, Deliveries: a.Deliveries, Campaigns: a.Campaigns, Calendars: a.Calendars, Dates: a.Dates, Webhooks: a.hooks, Replies: a.replies, Collectors: a.Collectors, Calls: a.Calls, Faxes: a.Faxes,
			Events: a.Events, Previews: a.Previews,
			SMS: writing(a.cfg.SMS), PricePerPart: a.cfg.SMS.PricePerPart, Currency: a.cfg.SMS.Currency,
		},
		API:      a.apiConfig(),
		Receipts: reported,
		Proxies:  networks(a.cfg.HTTP.TrustedProxies),
		Ready:    a.ready,
		Metrics:  a.metrics,
		Logger:   a.log,
	})
}

// networks parses those that the configuration's check has let through.
func networks(names []string) []netip.Prefix {
	var list []netip.Prefix
	for _, n := range names {
		list = append(list, netip.MustParsePrefix(n))
	}
	return list
}

func (a *App) apiConfig() api.Config {
	return api.Config{
		Intake: a.intake, Keys: a.Keys, Replays: a.Replays, Members: a.Members, Contacts: a.Contacts, Consents: a.Consents,
		Triggers: a.Triggers, Templates: a.Templates, Subscriptions: a.Subscriptions, Deliveries: a.Deliveries, Campaigns: a.Campaigns, Webhooks: a.hooks, Replies: a.replies,
		History: a.Events, Previews: a.Previews, Dates: a.Dates, Calendars: a.Calendars,
		SMS: writing(a.cfg.SMS), PricePerPart: a.cfg.SMS.PricePerPart, Currency: a.cfg.SMS.Currency,
		Away: postgres.Away, Logger: a.log, Now: time.Now, Version: Version(),
		MaxBody: int64(a.cfg.HTTP.MaxBody), RequestsPerSecond: float64(a.cfg.API.RequestsPerSecond), Burst: a.cfg.API.Burst,
	}
}

// writing is how SMS are written as far as all accounts agree, for those who
// want to know what a text takes.
func writing(s config.SMS) sms.Options {
	var transliterate []bool
	for _, a := range s.SMPP {
		transliterate = append(transliterate, a.Transliterate)
	}
	for _, a := range s.CMPP {
		transliterate = append(transliterate, a.Writing.Transliterate)
	}
	for _, a := range s.SGIP {
		transliterate = append(transliterate, a.Writing.Transliterate)
	}
	for _, a := range s.Gateways {
		transliterate = append(transliterate, a.Transliterate)
	}
	for _, a := range s.Modems {
		transliterate = append(transliterate, a.Transliterate)
	}
	return sms.Options{Transliterate: len(transliterate) > 0 && !slices.Contains(transliterate, false)}
}

// ready says why this node should get no requests now.
func (a *App) ready(ctx context.Context) error {
	if a.cfg.Has("dispatch") && !a.node.Alive() {
		return errors.New("this node cannot tell the others that it lives")
	}
	return a.DB.Pool().Ping(ctx)
}
