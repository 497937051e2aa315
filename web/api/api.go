// Package api is Herald's HTTP interface for other programs: events come in
// here, and every resource can be read and changed, in JSON and XML.
//
// A request walks through authenticate (who are you, may you, not so fast),
// readBody (within its limits, as JSON), replay (acts once for each
// Idempotency-Key) and huma's check against the operation's schema to its
// handler, which asks the rooms below and returns a resource or an error. All
// errors are answered in one place as RFC 9457 problems. The operations are
// described at /openapi.json, from the same Go types that read and write them.
package api

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/time/rate"

	"herald/dispatch/sms"
	"herald/matcher/eventform"
)

// Config is what an API is made of. The stores and the intake must be given;
// other zero fields take the default named beside them.
type Config struct {
	Intake        Intake
	Keys          Keys
	Replays       Replays
	Members       Members
	Contacts      Contacts
	Consents      Consents
	Triggers      Triggers
	Templates     Templates
	Subscriptions Subscriptions
	Deliveries    Deliveries
	Webhooks      Webhooks  // nil: their operations are not offered
	Campaigns     Campaigns // nil: their operations are not offered
	Replies       Replies   // nil: their operations are not offered
	History       History   // nil: events cannot be searched, as without Previews
	Previews      Previews
	Dates         Dates     // nil: it is not told which dates come next
	Calendars     Calendars // nil: calendars are not imported

	// SMS is how texts are written by the accounts that send them, as far as
	// they agree; the zero value is what every phone can read.
	SMS          sms.Options
	PricePerPart float64 // what a part of an SMS costs; 0: not known, and not told
	Currency     string  // of PricePerPart, ISO 4217; empty: not told

	// Away reports whether an error only says that the database could not be
	// reached: the request is then answered 503, to be sent again. Nil: never.
	Away func(error) bool

	Logger *slog.Logger     // slog.Default()
	Now    func() time.Time // time.Now

	Version string // Herald's, for the description of the API

	MaxBody     int64            // 1 MiB: the largest body in bytes, but for bulk
	MaxBulkBody int64            // 64 × MaxBody: the largest body of one event a line
	MaxBulk     int              // 100,000: events in one bulk request
	Chunk       int              // 500: events of a bulk request handed on at once
	ReadTimeout time.Duration    // 15 s: for a body, of bulk for each chunk
	Events      eventform.Limits // eventform.Defaults

	RequestsPerSecond float64 // 200: of one API key, over time
	Burst             int     // 2 × RequestsPerSecond: of one API key at once
}

func (c Config) withDefaults() (Config, error) {
	if c.Intake == nil || c.Keys == nil || c.Replays == nil || c.Members == nil || c.Contacts == nil ||
		c.Consents == nil || c.Triggers == nil || c.Templates == nil || c.Subscriptions == nil || c.Deliveries == nil {
		return c, errors.New("api: a store is missing")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Away == nil {
		c.Away = func(error) bool { return false }
	}
	orElse(&c.Version, "dev")
	orElse(&c.MaxBody, 1<<20)
	orElse(&c.MaxBulkBody, 64*c.MaxBody)
	orElse(&c.MaxBulk, 100_000)
	orElse(&c.Chunk, 500)
	orElse(&c.ReadTimeout, 15*time.Second)
	limits := eventform.Defaults()
	orElse(&c.Events.Depth, limits.Depth)
	orElse(&c.Events.Batch, limits.Batch)
	orElse(&c.Events.LineBytes, limits.LineBytes)
	orElse(&c.Events.IDBytes, limits.IDBytes)
	orElse(&c.Events.SourceBytes, limits.SourceBytes)
	orElse(&c.RequestsPerSecond, 200)
	orElse(&c.Burst, int(2*c.RequestsPerSecond)+1)
	return c, nil
}

func orElse[T comparable](field *T, otherwise T) {
	var zero T
	if *field == zero {
		*field = otherwise
	}
}

// API answers requests. It is safe for many goroutines.
type API struct {
	cfg   Config
	log   *slog.Logger
	now   func() time.Time
	mux   *http.ServeMux
	huma  huma.API
	hurry *hurry
}

// New makes an API that is ready to be mounted.
func New(cfg Config) (*API, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &API{
		cfg: cfg, log: cfg.Logger, now: cfg.Now, mux: http.NewServeMux(),
		hurry: newHurry(rate.Limit(cfg.RequestsPerSecond), cfg.Burst),
	}
	a.huma = humago.New(a.mux, a.description(cfg.Version))
	a.huma.UseMiddleware(a.authenticate)
	a.addEvents()
	a.addMembers()
	a.addContacts()
	a.addConsents()
	a.addSuppressions()
	a.addTriggers()
	a.addTemplates()
	a.addSubscriptions()
	a.addDeliveries()
	if cfg.Webhooks != nil {
		a.addWebhooks()
	}
	if cfg.Campaigns != nil {
		a.addCampaigns()
	}
	if cfg.Replies != nil {
		a.addReplies()
	}
	if cfg.Calendars != nil {
		a.addCalendars()
	}
	if cfg.History != nil && cfg.Previews != nil {
		a.addHistory()
	}
	a.addWhoami()
	if err := a.describe(); err != nil {
		return nil, err
	}
	return a, nil
}

// Mount puts the API on a mux: /api/, /openapi.json, /openapi.yaml and
// /docs/api.
func (a *API) Mount(mux *http.ServeMux) {
	for _, pattern := range []string{"/api/", "GET /openapi.json", "GET /openapi.yaml", "GET /docs/api"} {
		mux.Handle(pattern, a)
	}
}

// newHurry is an allowance for each key.
func newHurry(perSecond rate.Limit, burst int) *hurry {
	return &hurry{perSecond: perSecond, burst: burst, keys: map[int64]*rate.Limiter{}}
}
