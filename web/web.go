// Package web is every HTTP face of Herald on one address: the customers'
// portal at /, the operators' console at /console, the API at /api, what
// providers report at /receipts, health at /healthz and /readyz, figures at
// /metrics.
//
// A request comes in at New's handler and goes to the one face it is for;
// each face knows nothing of the others.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"herald/web/api"
	"herald/web/console"
	"herald/web/portal"
	"herald/web/receipts"
)

// Config is what the faces work on. All fields but Proxies and Receipts are required.
type Config struct {
	Portal  portal.Config
	Console console.Config
	API     api.Config
	// Receipts takes what providers report, below receipts.Base; nil: none does.
	Receipts http.Handler
	// Ready says why this node cannot do its work now; nil: it can.
	Ready   func(context.Context) error
	Metrics *prometheus.Registry
	// Proxies are the networks whose word for a request's origin is believed;
	// there may be none.
	Proxies []netip.Prefix
	Logger  *slog.Logger
}

// New makes the handler of everything.
func New(c Config) (http.Handler, error) {
	if c.Ready == nil || c.Metrics == nil || c.Logger == nil {
		return nil, errors.New("web: ready, metrics and logger are required")
	}
	customers, err := portal.New(c.Portal)
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	operators, err := console.New(c.Console)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	systems, err := api.New(c.API)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	seen := newTraffic()
	if err := c.Metrics.Register(seen); err != nil {
		return nil, err
	}

	apiMux := http.NewServeMux()
	systems.Mount(apiMux)
	mux := http.NewServeMux()
	for _, path := range []string{"/api/", "/openapi.json", "/openapi.yaml", "/docs/api"} {
		mux.Handle(path, seen.of("api", apiMux))
	}
	mux.Handle(console.Base, seen.of("console", operators))
	mux.Handle(console.Base+"/", seen.of("console", operators))
	if c.Receipts != nil {
		mux.Handle(receipts.Base, seen.of("receipts", c.Receipts))
	}
	mux.Handle("/", seen.of("portal", customers))
	health := Health(c.Ready, c.Metrics, c.Logger)
	for _, path := range healthPaths {
		mux.Handle("GET "+path, health)
	}
	return promptBodies(bodyWithin, forwarded(c.Proxies, mux)), nil
}
