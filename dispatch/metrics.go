package dispatch

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what a Worker did.
type metrics struct {
	attempts *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics() metrics {
	return metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "herald_dispatch_attempts_total",
			Help: "Hand-overs to a provider, by channel and outcome (accepted or a class of failure).",
		}, []string{"channel", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "herald_dispatch_attempt_seconds",
			Help:    "How long a hand-over to a provider took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9), // 1 ms to 65 s
		}, []string{"channel"}),
	}
}

// Describe implements prometheus.Collector.
func (w *Worker) Describe(ch chan<- *prometheus.Desc) {
	w.metrics.attempts.Describe(ch)
	w.metrics.seconds.Describe(ch)
}

// Collect implements prometheus.Collector.
func (w *Worker) Collect(ch chan<- prometheus.Metric) {
	w.metrics.attempts.Collect(ch)
	w.metrics.seconds.Collect(ch)
}
