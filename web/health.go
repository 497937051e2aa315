package web

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// healthPaths are what Health answers.
var healthPaths = []string{"/healthz", "/readyz", "/metrics"}

// Health answers on every node, also one without a face: /healthz, /readyz
// and /metrics. check says why the node cannot do its work now; nil: it can.
func Health(check func(context.Context) error, metrics *prometheus.Registry, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthy)
	mux.Handle("GET /readyz", ready{check, log})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{Registry: metrics}))
	return mux
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
