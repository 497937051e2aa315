package webhooks

import "github.com/prometheus/client_golang/prometheus"

// metrics counts what a Worker did.
type metrics struct {
	attempts *prometheus.CounterVec
	seconds  prometheus.Histogram
}

func newMetrics() metrics {
	return metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "herald_webhooks_attempts_total",
			Help: "Webhook messages posted, by outcome (delivered or a class of failure).",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "herald_webhooks_attempt_seconds",
			Help:    "How long an endpoint took to answer, or not to.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9), // 1 ms to 65 s
		}),
	}
}

func (m metrics) observe(o outcome) {
	name := string(o.class)
	if name == "" {
		name = string(Delivered)
	}
	m.attempts.WithLabelValues(name).Inc()
	m.seconds.Observe(o.took.Seconds())
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
