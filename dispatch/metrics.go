package dispatch

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"herald/subscriptions"
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

func (m metrics) observe(ch subscriptions.Channel, outcome string, took time.Duration) {
	m.attempts.WithLabelValues(string(ch), outcome).Inc()
	m.seconds.WithLabelValues(string(ch)).Observe(took.Seconds())
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
