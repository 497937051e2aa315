// Package web is every HTTP face of Herald on one address: the customers'
// portal at /, the operators' console at /console, the API at /api, health at
// /healthz and /readyz, figures at /metrics.
//
// A request comes in at New's handler and goes to the one face it is for;
// each face knows nothing of the others.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"herald/web/api"
	"herald/web/console"
	"herald/web/portal"
)

// Config is what the faces work on. All fields but Proxies are required.
type Config struct {
	Portal  portal.Config
	Console console.Config
	API     api.Config
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
	mux.Handle("/", seen.of("portal", customers))
	mux.HandleFunc("GET /healthz", healthy)
	mux.Handle("GET /readyz", ready{c.Ready, c.Logger})
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{Registry: c.Metrics}))
	return promptBodies(bodyWithin, forwarded(c.Proxies, mux)), nil
}

// healthy answers as long as the process can: whoever restarts Herald asks here.
func healthy(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }

// ready answers whether this node can do its work: whoever spreads requests asks here.
type ready struct {
	check func(context.Context) error
	log   *slog.Logger
}

const readyWithin = 2 * time.Second

func (h ready) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
	defer cancel()
	if err := h.check(ctx); err != nil {
		h.log.WarnContext(ctx, "not ready", "error", err)
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
