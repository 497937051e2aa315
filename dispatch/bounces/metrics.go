package bounces

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	messages *prometheus.CounterVec
	refused  *prometheus.CounterVec
}

func newMetrics() metrics {
	return metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "herald_bounces_messages_total",
			Help: "Mail to return addresses, by what it was: dsn, complaint, exim, qmail, text, auto_reply or other.",
		}, []string{"kind"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "herald_bounces_refused_total",
			Help: "What the listener for bounces refused, by reason: connection, recipient, sender, size or unavailable.",
		}, []string{"reason"}),
	}
}

// Describe implements prometheus.Collector.
func (l *Listener) Describe(ch chan<- *prometheus.Desc) {
	l.metrics.messages.Describe(ch)
	l.metrics.refused.Describe(ch)
}

// Collect implements prometheus.Collector.
func (l *Listener) Collect(ch chan<- prometheus.Metric) {
	l.metrics.messages.Collect(ch)
	l.metrics.refused.Collect(ch)
}
